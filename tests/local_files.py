"""How a server hands out bytes: whole or by range, and the ways in which real servers fail. Knows no hub.

hub.deliveries["files/scifact.zip"] = Delivery(cut_after=1000)     # the first answer ends there, the next is whole
"""

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from threading import Lock
from typing import NamedTuple

ALWAYS = 1 << 30


class Answer(NamedTuple):
    """What is sent; `sent` is after how many bytes of the body the connection is closed, None for all."""

    status: HTTPStatus
    body: bytes
    headers: dict[str, str]
    sent: int | None = None


@dataclass
class Delivery:
    """How a file is sent to those who ask with GET.

    Attributes:
        ranges: whether the rest of a file can be asked for.
        length: whether Content-Length is told; without it the end of the connection is the end of the file.
        cut_after: how many bytes of an answer that is cut are sent.
        cuts: how many answers are cut.
        damaged: how many answers have other bytes, as many, under the headers of the right ones.
        busy: how many requests are answered with 503.
    """

    ranges: bool = True
    length: bool = True
    cut_after: int | None = None
    cuts: int = 1
    damaged: int = 0
    busy: int = 0
    _lock: Lock = field(default_factory=Lock)

    def answer(self, data: bytes, asked: str | None, *, head: bool = False) -> Answer:
        """The answer for a file of this content.

        Args:
            data: of the file.
            asked: the Range header.
            head: whether only the headers are wanted; that uses up no fault.
        """
        headers = {"Accept-Ranges": "bytes"} if self.ranges else {}
        if not head and self._use_up("busy"):
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"", headers)
        if not head and self._use_up("damaged"):
            data = bytes(byte ^ 0xFF for byte in data)
        sent = self.cut_after if not head and self.cut_after is not None and self._use_up("cuts") else None
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "") if self.ranges else None
        if match is None:
            return Answer(HTTPStatus.OK, data, headers, sent)
        start, end = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
        if start >= len(data):
            headers["Content-Range"] = f"bytes */{len(data)}"
            return Answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", headers)
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return Answer(HTTPStatus.PARTIAL_CONTENT, data[start : end + 1], headers, sent)

    def _use_up(self, fault: str) -> bool:
        with self._lock:
            left = getattr(self, fault)
            setattr(self, fault, max(left - 1, 0))
        return left > 0
