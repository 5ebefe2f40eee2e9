"""Files and folders that appear whole or not at all, whatever happens to the process that writes them.

Folders are read without following links or waiting for pipes, since others may have put some there.
"""

import hashlib
import os
import re
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from evalkit.errors import ConfigError, ResultError

_STAGING = ".building-"
_HOST = re.sub(r"[^A-Za-z0-9]", "_", socket.gethostname())  # folders may be on a disk that several machines share


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Stamp(NamedTuple):
    """File facts that change when a file is rewritten or replaced; times in nanoseconds."""

    inode: int
    size: int
    modified: int
    changed: int


def stamp_of(path: Path) -> Stamp:
    """The facts of a file as it is now."""
    status = path.stat()
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def expanded(path: str | Path) -> Path:
    """A path that someone wrote, with the home folder for `~`.

    Raises:
        ConfigError: it is something else, or nobody has the name after the `~`.
    """
    if not _can_be(path):
        raise ConfigError(f"{path!r:.60} ({type(path).__name__}) is not the path of a file or folder.")
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: there is no such user, or no home folder. Write the whole path.") from error


def _can_be(path: object) -> bool:
    """Whether a file can have this name."""
    if not isinstance(path, str | os.PathLike):
        return False
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def is_file(path: Path) -> bool:
    """Whether a path is a regular file, and not a link to one."""
    return _is(path, stat.S_ISREG)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder, and not a link to one."""
    return _is(path, stat.S_ISDIR)


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False


def read_file(path: Path) -> str:
    """The text of a file; a link is not followed, and a pipe not waited for.

    Raises:
        OSError: it is absent, no file, or cannot be read.
        ValueError: it is not UTF-8.
    """
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError("it is not a regular file")
    return path.read_text(encoding="utf-8")


def walk(folder: Path) -> Iterator[Path]:
    """Everything in a folder and its subfolders, by name. Links are yielded and not followed.

    Raises:
        OSError: a folder cannot be read.
    """
    for path in sorted(folder.iterdir()):
        yield path
        if is_folder(path):
            yield from walk(path)


def remove(path: Path) -> None:
    """Remove a folder with its content, or a file; of a link, the link itself.

    Raises:
        OSError: it cannot be removed.
    """
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in errors of the system that lack it, such as a full disk while it is written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def atomic_write(path: Path, text: str) -> None:
    """Write a text file so that a reader sees the old content or the new, never a part. A link is replaced.

    Raises:
        OSError: it cannot be written; the message names it.
    """
    with naming(path):
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


def write_output(path: Path, text: str) -> None:
    """Write a text file that a person named: `atomic_write` to where a link leads; a pipe or device is written into.

    Raises:
        ConfigError: it is a link, and links lead to each other.
        OSError: it cannot be written; the message names it.
    """
    if path.exists() and not path.is_file():
        with naming(path), path.open("w", encoding="utf-8") as out:
            out.write(text)
        return
    try:
        place = path.resolve()
    except RuntimeError as error:  # of Python before 3.13
        raise ConfigError(f"{path}: the links lead to each other. Remove them, or choose another place.") from error
    atomic_write(place, text)


def require_writable(folder: Path) -> None:
    """Refuse a folder that cannot be created or written, before hours of work go into it.

    Raises:
        ResultError: something else is there, or the folder is not writable.
    """
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ResultError(f"{there}: is not a folder. Choose another folder for {folder}.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ResultError(f"{there}: cannot be written (Permission denied). Choose another folder for {folder}.")


def build_folder(target: Path, build: Callable[[Path], None]) -> bool:
    """Let `build` fill a new folder, and rename it to `target` only when that succeeded.

    Returns:
        False if another process finished the same folder first; then that one is left.

    Raises:
        ResultError: the folder cannot be written; nothing is left behind.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = _own_folder(target.parent, _STAGING)
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


@contextmanager
def temporary_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A temporary folder; leftovers of killed processes of this machine with the same prefix are removed, too.

    Raises:
        OSError: it cannot be made.
    """
    folder = _own_folder(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own_folder(parent: Path, prefix: str) -> Path:
    """A new folder named after this process; those of killed processes of this machine are removed."""
    prefix = f"{prefix}{_HOST}-"
    for leftover in parent.glob(f"{prefix}*"):
        process = leftover.name.removeprefix(prefix).partition("-")[0]
        if process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=parent))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
