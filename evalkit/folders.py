"""Files and folders that appear whole or not at all, whatever happens to the process that writes them."""

import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

from evalkit.errors import ResultError

_STAGING = ".building-"
_HOST = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())  # folders may be on a disk that several machines share


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def atomic_write(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def build_folder(target: Path, build: Callable[[Path], None]) -> bool:
    """Have `build` fill a new folder, and give it its name only when that succeeded.

    Returns:
        False if another process finished the same folder first; then that one stays.

    Raises:
        ResultError: the folder cannot be written; nothing is left behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        staging = Path(tempfile.mkdtemp(prefix=f"{_STAGING}{_HOST}-{os.getpid()}-", dir=target.parent))
    except OSError as error:
        raise ResultError(f"{target.parent}: cannot be written ({error.strerror}). Choose another folder.") from error
    try:
        staging.chmod(0o755)
        build(staging)
        staging.rename(target)
    except OSError as error:
        if target.is_dir():
            return False
        raise ResultError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return True


def _sweep(parent: Path) -> None:
    """Remove what processes of this machine that were killed left half-built."""
    for leftover in parent.glob(f"{_STAGING}{_HOST}-*"):
        process = leftover.name.removeprefix(f"{_STAGING}{_HOST}-").partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
