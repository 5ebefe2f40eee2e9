"""Files from where they were published: downloaded once, gone on with after a cut, checked before they have their name.

A file is at `downloads/<md5>/<name>` of the store, or `<name>.part` until it is whole. Files of the Hugging Face hub
are in the hub's own cache; `hub_file` gets and checks those.
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

from evalkit.artefact import DOWNLOADS, clear, open_folder
from evalkit.errors import DataError, Unreachable, reason
from evalkit.folders import is_file, is_folder
from evalkit.progress import progress
from evalkit.store import Store

logger = logging.getLogger(__name__)

_ATTEMPTS = 5
_BLOCK = 1 << 20
_TIMEOUT = 60  # seconds without a byte
_CUT = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException, urllib.error.URLError)
_ON_DISK = "If you have the collection on disk, set dataset.path=FOLDER."
_BUSY = (http.HTTPStatus.TOO_MANY_REQUESTS, *range(500, 600))


def offline() -> bool:
    """Whether the user forbade the network with HF_HUB_OFFLINE."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


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
    if offline():
        raise DataError(f"{url} was not downloaded yet, and HF_HUB_OFFLINE forbids the network. Unset it once.")
    path = _place(store, url, md5)
    store.use(DOWNLOADS, md5)
    with store.lock(f"{DOWNLOADS}-{md5}"):
        open_folder(path.parent)
        clear(path.parent)
        if not _is(path, md5):  # nor did the process that we waited for get it
            part = path.with_name(f"{path.name}.part")
            _download(url, part)
            _require(part, "md5", md5, url)
            part.replace(path)
    return path


def _is(path: Path, md5: str) -> bool:
    return path.is_file() and _checksum(path, "md5", b"") == md5


def _place(store: Store, url: str, md5: str) -> Path:
    return store.root / DOWNLOADS / md5 / _file_name(url)


def _file_name(url: str) -> str:
    """The last part of an address.

    Raises:
        DataError: it is no address of a file on the web.
    """
    try:
        parts = urlsplit(url)
        name = Path(parts.path).name
        legal = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # half an IPv6 address, a port that is no number
        legal, name = False, ""
    if not legal or name in ("", "..") or not re.fullmatch(r"[!-~]+", url):
        raise DataError(f"{url!r} is no address of a file. Expected https://HOST/FILE or http, quoted where needed.")
    return name


def url_size(url: str) -> int | None:
    """Bytes of the file at an address, as its server says; None where it does not."""
    _file_name(url)  # urllib would open local files too
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_TIMEOUT) as answer:  # noqa: S310
            length = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return int(length) if length and length.isdigit() else None


def _download(url: str, part: Path) -> None:
    """Append what is still missing, trying again where the connection breaks."""
    for attempt in range(_ATTEMPTS):
        try:
            _append(url, part)
        except _CUT as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
                if error.code not in _BUSY:
                    what = f"the server answers {error.code} {error.reason}"
                    raise DataError(f"{url}: {what}. Check the address.") from error
            if attempt == _ATTEMPTS - 1:
                kind = Unreachable if _without_connection(error) else DataError
                raise kind(f"{url}: cannot be downloaded ({reason(error)}). Run again to go on.") from error
            logger.warning("%s: the connection broke (%s); going on", url, reason(error))
            time.sleep(2**attempt)
        else:
            return


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


def hub_file(hub_id: str, revision: str, name: str, *, md5: str | None = None) -> Path:
    """A file of a dataset repository, from the hub's cache or downloaded and checked.

    Args:
        hub_id: of the repository.
        revision: a commit, or a branch where `md5` fixes the content.
        name: of the file in the repository.
        md5: as published beside the hub.

    Raises:
        DataError: the hub does not give it, or gives another file.
    """
    from huggingface_hub import hf_hub_download

    label = f"{hub_id}@{revision[:8]}: {name}"
    if offline() and not in_hub_cache(hub_id, revision, name):
        raise DataError(
            f"{label} was not downloaded yet, and HF_HUB_OFFLINE forbids the network. Unset it once. {_ON_DISK}"
        )
    try:
        path = Path(hf_hub_download(hub_id, name, revision=revision, repo_type="dataset"))
    # Network, authentication, absent file: the client raises a dozen unrelated classes for these.
    except Exception as error:
        raise DataError(f"{label} cannot be downloaded from the hub ({reason(error)}). {_ON_DISK}") from error
    # Also one that was in the cache: whoever put it there may not have lived to check it.
    check_blob(path, label)
    if md5 and (found := _checksum(path, "md5", b"")) != md5:
        # It came whole, so downloading it again would not help.
        raise DataError(f"{label}: md5 is {found}, and the card is of {md5}. Its publisher changed it. {_ON_DISK}")
    return path


def in_hub_cache(hub_id: str, revision: str, name: str) -> bool:
    """Whether a file of a dataset repository is in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(hub_id, name, revision=revision, repo_type="dataset"), str)


def hub_file_size(hub_id: str, revision: str, name: str) -> int | None:
    """Bytes of a file of a dataset repository; None where the hub does not say."""
    from huggingface_hub import HfApi

    try:
        found = HfApi().get_paths_info(hub_id, [name], revision=revision, repo_type="dataset")
    except Exception:  # noqa: BLE001 - a size is only for information; downloading says what is wrong
        return None
    return next((file.size for file in found if hasattr(file, "size")), None)


def check_blob(path: Path, label: str) -> None:
    """Compare a file in the hub's cache with the checksum that the cache names it by.

    Raises:
        DataError: it is damaged; then it is removed, so that the next run downloads it.
    """
    if not path.is_symlink():
        return  # a disk without links: nothing tells the checksum
    # One link on; what repositories share lies behind another link, under a name that is no checksum of ours.
    name = path.readlink().name
    match len(name):
        case 64:  # a large file: its SHA-256
            _require(path, "sha256", name, label)
        case 40:  # a small one: its id in git
            _require(path, "sha1", name, label, header=b"blob %d\0" % path.stat().st_size)


def _require(path: Path, algorithm: str, expected: str, label: str, *, header: bytes = b"") -> None:
    found = _checksum(path, algorithm, header)
    if found != expected:
        _remove(path)
        raise DataError(
            f"{label}: {algorithm} is {found}, and {expected} was published. It is removed: run again, "
            "and if it comes back, its publisher changed it."
        )


def _remove(path: Path) -> None:
    """Remove a file and the links that lead to it."""
    while path.is_symlink():
        target = path.parent / path.readlink()
        path.unlink()
        path = target
    path.unlink()


def _checksum(path: Path, algorithm: str, header: bytes) -> str:
    state = hashlib.new(algorithm, header, usedforsecurity=False)
    with path.open("rb") as stream, progress(f"checking {path.name}", path.stat().st_size / 1e6, "MB") as advance:
        while block := stream.read(_BLOCK):
            state.update(block)
            advance(len(block) / 1e6)
    return state.hexdigest()
