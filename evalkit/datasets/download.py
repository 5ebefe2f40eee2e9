"""Published files: downloaded once, resumed after a broken connection, and checked before they get their name.

A file is at `downloads/<md5>/<name>` of the store, or `<name>.part` until it is whole. What its publisher does not give
is asked of the mirror of ir_datasets, which has files by their MD5. `hub_files.py` gets those of the Hugging Face hub.
"""

import hashlib
import http.client
import logging
import re
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from evalkit.datasets.loader import RemoteFile
from evalkit.errors import DataError, Unreachable
from evalkit.store import Store
from evalkit.store.artefact import DOWNLOADS, clear, open_folder
from evalkit.system.files import is_file, is_folder
from evalkit.system.network import forbidden, server_fault
from evalkit.system.progress import progress
from evalkit.system.reporting import reason

logger = logging.getLogger(__name__)


class Lacking(DataError):  # noqa: N818 - names the situation
    """A server does not give the file that is wanted; another may."""


class _Silent(Lacking, Unreachable):
    """A server does not answer at all; another may."""


_ATTEMPTS = 5
_BLOCK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
_CUT = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException, urllib.error.URLError)
ON_DISK = "If you have the collection on disk, set dataset.path=FOLDER."
_MIRROR = "https://mirror.ir-datasets.com"
_BUSY = (http.HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600))


def downloaded(store: Store, url: str, md5: str) -> Path | None:
    """The file of this address where it was downloaded before, else None."""
    store.used.add(f"{DOWNLOADS}/{md5}")
    path = _place(store, url, md5)
    return path if is_folder(path.parent) and is_file(path) else None


def url_file(store: Store, url: str, md5: str) -> Path:
    """The file at an address, downloaded and checked unless it is there.

    Raises:
        DataError: it cannot be reached, does not exist, or is another file than was published.
        ResultError: the store cannot be written.
    """
    if found := downloaded(store, url, md5):
        store.use(DOWNLOADS, md5)
        if _is(found, md5):
            return found
        logger.warning("%s: is not the file that was published. It is downloaded again.", found)
    if forbidden():
        raise DataError(f"{url} was not downloaded yet, and HF_HUB_OFFLINE forbids the network. Unset it once.")
    path = _place(store, url, md5)
    store.use(DOWNLOADS, md5)
    with store.lock(f"{DOWNLOADS}-{md5}"):
        open_folder(path.parent)
        clear(path.parent)
        if not _is(path, md5):  # nor did the process that we waited for get it
            part = path.with_name(f"{path.name}.part")
            _download_from_either(url, f"{_MIRROR}/{md5}", md5, part)
            part.replace(path)
    return path


def _is(path: Path, md5: str) -> bool:
    return path.is_file() and checksum(path, "md5", b"") == md5


def _place(store: Store, url: str, md5: str) -> Path:
    return store.root / DOWNLOADS / md5 / _file_name(url)


def _file_name(url: str) -> str:
    """The last part of an address."""
    try:
        parts = urlsplit(url)
        name = Path(parts.path).name
        legal = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that is not a number
        legal, name = False, ""
    if not legal or name in ("", "..") or not re.fullmatch(r"[!-~]+", url):
        raise DataError(
            f"{url!r} is not the address of a file. Expected https://HOST/FILE or http, quoted where needed."
        )
    return name


def url_size(url: str) -> int | None:
    """Bytes of the file at an address, as its server says; None where it does not."""
    _file_name(url)  # urllib would open local files too
    if forbidden() or server_fault(url):
        return None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_TIMEOUT) as answer:  # noqa: S310
            length = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return int(length) if length and length.isdigit() else None


def remote_file(store: Store, url: str, md5: str) -> RemoteFile:
    """The file at an address, with its size and whether it was downloaded."""
    here = downloaded(store, url, md5)
    return RemoteFile(url, here.stat().st_size if here else url_size(url), here is not None)


def _download_from_either(url: str, mirror: str, md5: str, part: Path) -> None:
    """The file with this MD5, from its publisher or else from the mirror."""
    try:
        _download(url, md5, part)
    except Lacking as fault:
        try:
            _download(mirror, md5, part)
        except Lacking as other:
            silent = isinstance(fault, Unreachable) and isinstance(other, Unreachable)
            kind = Unreachable if silent else DataError
            raise kind(f"{url}: {fault}; the mirror {mirror}: {other}. Run again to go on. {ON_DISK}") from fault
        logger.warning("%s: %s. %s gave the same file, by its MD5.", url, fault, mirror)


def _download(url: str, md5: str, part: Path) -> None:
    """Append what is still missing, trying again where the connection breaks, and compare it with the checksum."""
    if fault := server_fault(url):
        raise _Silent(fault)
    for attempt in range(_ATTEMPTS):
        try:
            _append(url, part)
            break
        except _CUT as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code not in _BUSY:
                    raise Lacking(f"the server answers {error.code} {error.reason}") from error
            if attempt == _ATTEMPTS - 1:
                kind = _Silent if _without_connection(error) else Lacking
                raise kind(f"cannot be downloaded ({reason(error)})") from error
            logger.warning("%s: the connection broke (%s); going on", url, reason(error))
            time.sleep(2**attempt)
    if (found := checksum(part, "md5", b"")) != md5:
        remove(part)
        raise Lacking(f"md5 is {found}, and {md5} was published. It is removed")


def _without_connection(error: Exception) -> bool:
    """Whether the server was not reached at all."""
    return isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError)


def _append(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310
    except urllib.error.HTTPError as error:
        if have and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            error.close()
            return  # it is whole already, or another file: the checksum tells
        raise
    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            have = 0  # the server does not go on; begin again
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        with part.open("ab" if have else "wb") as sink:
            _copy(answer, sink, have=have, total=total, name=_file_name(url))


def _copy(answer: Any, sink: BinaryIO, *, have: int, total: int | None, name: str) -> None:
    with progress(f"downloading {name}", total / 1e6 if total else None, "MB") as advance:
        advance.found(have / 1e6)
        while block := answer.read(_BLOCK):
            _write(sink, block)
            have += len(block)
            advance(len(block) / 1e6)
    if total is not None and have < total:
        raise ConnectionError(f"{have:,} of {total:,} bytes came")


def _write(sink: BinaryIO, block: bytes) -> None:
    try:
        sink.write(block)
    except OSError as error:
        raise DataError(
            f"{sink.name}: cannot be written ({error.strerror}). Make room and run again to go on."
        ) from error


def remove(path: Path) -> None:
    """Remove a file and the links that lead to it."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink()
        path = target
    path.unlink()


def checksum(path: Path, algorithm: str, header: bytes) -> str:
    """Of a file's bytes, after a header, in hexadecimal."""
    state = hashlib.new(algorithm, header, usedforsecurity=False)
    with path.open("rb") as stream, progress(f"checking {path.name}", path.stat().st_size / 1e6, "MB") as advance:
        while block := stream.read(_BLOCK):
            state.update(block)
            advance(len(block) / 1e6)
    return state.hexdigest()
