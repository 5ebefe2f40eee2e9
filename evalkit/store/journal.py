"""Append-only files of checksummed records: what was written before a process was killed is found again.

    record = b"EVK1", length of the payload (uint32, little-endian), BLAKE2b-128 of both, payload

Several processes may append to one file. They take turns with a lock that the system releases when one dies. A record
that was cut short or changed ends the file: it and all that follows are removed, and their content is made again. The
same holds for a first record that names another owner of the file, and for a record of another kind.
"""

import errno
import hashlib
import logging
import os
import struct
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock

from evalkit.errors import ResultError
from evalkit.system.files import is_file, is_folder

logger = logging.getLogger(__name__)

_MAGIC = b"EVK1"
_HEAD = struct.Struct("<4sI16s")
_NOT_TO_BE_WRITTEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Journal:
    """Records in a file, which is made by the first append. A link or a pipe in its place is never opened.

    Args:
        path: of the file. Its lock lies next to it.
        head: the first record, which says what the file belongs to and is never given out; there is none when empty.
        fits: whether a payload can belong to this file.

    Raises:
        ResultError: the file cannot be read or written.
    """

    def __init__(self, path: Path, *, head: bytes = b"", fits: Callable[[bytes], bool] = lambda _: True) -> None:
        self.path = path
        self._lock = FileLock(path.with_name(lock_name(path.name)))
        self._head, self._fits = head, fits
        self._read = 0  # bytes, up to the end of the last whole record

    def fresh(self) -> list[bytes]:
        """The payloads of all processes that this object has neither given nor appended yet."""
        return list(self.replay())

    def replay(self) -> Generator[bytes]:
        """`fresh` one payload at a time, for journals that would fill the memory."""
        try:
            if not self._is_there() or self.path.stat().st_size == self._read:
                return
            with self._opened_to_read() as file:
                yield from self._news(file)
        except OSError as error:
            raise ResultError(f"{self.path}: cannot be read ({error.strerror or error}).") from error

    def append(self, payload: bytes) -> list[bytes]:
        """Add a record, and give what other processes appended since `fresh`."""
        try:
            with self._lock, self._opened() as file:
                others = list(self._news(file))
                file.seek(self._read)
                head = _record(self._head) if self._head and not self._read else b""
                try:
                    file.write(head + _record(payload))
                    file.flush()
                except OSError:
                    os.truncate(self.path, self._read)  # no half record, though the disk is full
                    raise
                self._read = file.tell()
        except OSError as error:
            raise ResultError(
                f"{self.path}: cannot be written ({error.strerror or error}). Make room, and run the same command "
                "again to resume."
            ) from error
        return others

    @contextmanager
    def _opened_to_read(self) -> Iterator[BinaryIO]:
        with ExitStack() as held:
            try:
                held.enter_context(self._lock)
                file: BinaryIO = held.enter_context(self.path.open("r+b"))
            except OSError as error:
                if error.errno not in _NOT_TO_BE_WRITTEN:
                    raise
                file = held.enter_context(self.path.open("rb"))  # a file that cannot be written has no other writers
            yield file

    def _opened(self) -> BinaryIO:
        if os.path.lexists(self.path) and not self._is_there():
            raise OSError("it is not a regular file; remove it")
        return self.path.open("a+b")

    def _is_there(self) -> bool:
        return is_folder(self.path.parent) and is_file(self.path)

    def _news(self, file: BinaryIO) -> Iterator[bytes]:
        """The records after those that were read; then the file is cut after the last whole one."""
        size = file.seek(0, os.SEEK_END)
        if size < self._read:
            raise OSError(f"it is shorter than it was: {size:,} of {self._read:,} bytes")
        yield from self._whole(file, size)
        if self._read < size:
            if self._head and not self._read:
                logger.warning(
                    "%s: written by another machine or torch version, or damaged. Starting a new one.",
                    self.path,
                )
            else:
                logger.warning(
                    "%s: the last %d bytes are not a whole record (the process that wrote them was killed, or the file "
                    "is damaged). Their content is made again.",
                    self.path,
                    size - self._read,
                )
            if file.writable():
                file.truncate(self._read)

    def _whole(self, file: BinaryIO, size: int) -> Iterator[bytes]:
        file.seek(self._read)
        while self._read + _HEAD.size <= size:
            magic, length, checksum = _HEAD.unpack(file.read(_HEAD.size))
            if magic != _MAGIC or self._read + _HEAD.size + length > size:
                return
            payload = file.read(length)
            is_head = bool(self._head) and not self._read
            if checksum != _checksum(payload) or not (payload == self._head if is_head else self._fits(payload)):
                return
            self._read += _HEAD.size + length
            if not is_head:
                yield payload


def lock_name(name: str) -> str:
    """The file name of a journal's lock."""
    return f".{name}.lock"


def damage(path: Path, *, head: bytes = b"") -> str | None:
    """The fault of a file, or None. The file is not changed.

    Args:
        path: of the file.
        head: of the journal.

    Raises:
        ResultError: it cannot be read.
    """
    own = Journal(path, head=head)
    try:
        if not is_file(path):
            return "is not a regular file"
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            whole = sum(1 for _ in own._whole(file, size))  # noqa: SLF001 - of this module
    except OSError as error:
        raise ResultError(f"{path}: cannot be read ({error.strerror or error}).") from error
    left = size - own._read  # noqa: SLF001
    if left and head and not own._read:  # noqa: SLF001
        return "belongs to something else, or is damaged from the start"
    return f"{left} bytes after {whole} records are not a record" if left else None


def _checksum(payload: bytes) -> bytes:
    return hashlib.blake2b(len(payload).to_bytes(4, "little") + payload, digest_size=16).digest()


def _record(payload: bytes) -> bytes:
    return _HEAD.pack(_MAGIC, len(payload), _checksum(payload)) + payload
