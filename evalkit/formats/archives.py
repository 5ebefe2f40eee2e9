"""Zips, and tars that may be compressed. They are read in place; nothing is ever extracted.

An archive with a member that points outside of it is refused all the same, as is one in which a name occurs twice.
Knows names and bytes, not their meaning.
"""

import io
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from evalkit.errors import DataError
from evalkit.formats.compressed import DAMAGE, Owner, compression, plain, plain_name, seekable
from evalkit.formats.filekind import KIND_BYTES, file_kind, is_tar_header

FindRoot = Callable[[Sequence[str]], str]
"""From the names of all files to the folder, with a final `/`, that holds the collection."""

ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", *(f".tar{end}" for end in (".gz", ".bz2", ".xz", ".zst", ".lz4")))
"""Endings of names of archives."""

_DAMAGE = (*DAMAGE, tarfile.TarError, ValueError, OverflowError)
_BLOCK = 1 << 20
_LISTED = 8  # members in an error


class ZipSource:
    """A collection in a zip."""

    def __init__(self, path: Path, find_root: FindRoot) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
            if kind := file_kind(_start(path)):
                what = kind.name
                if what in {"a zip archive", "a tar archive"}:
                    what = f"{what} that is damaged or cut short ({error})"
                raise DataError(f"{path}: is {what}. Expected a folder, a zip or a tar.") from error
            raise DataError(
                f"{path}: is neither a folder nor a zip nor a tar, or one that is damaged or cut short ({error})."
            ) from error
        try:
            for info in self._zip.infolist():
                refuse_unsafe(path, info.filename, link=stat.S_ISLNK(info.external_attr >> 16))
            # Windows writes `\` between folders, which zipfile leaves as it is on other systems.
            self._names = _with_slashes(path, [info.filename for info in self._zip.infolist()])
            self._prefix = find_root(list(self._names))
        except DataError:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()

    def files(self) -> Sequence[str]:
        """Members below the folder of the collection."""
        return _below(self._prefix, self._names)

    def label(self, name: str) -> str:
        """The path of the zip and the member in it."""
        return f"{self.path}!{self._prefix}{name}"

    def open(self, name: str) -> BinaryIO:
        """The bytes of a member."""
        stream = None
        try:
            member = self._zip.open(self._names[self._prefix + name])
            stream = io.BufferedReader(cast("io.RawIOBase", member))
            return plain(stream)
        except (*DAMAGE, RuntimeError, ValueError) as error:
            if stream is not None:
                stream.close()
            raise DataError(f"{self.label(name)}: cannot be read from the zip ({error}). Download it again.") from error

    def megabytes(self, name: str) -> float | None:
        """Its size, unless it is compressed once more."""
        original = self._names[self._prefix + name]
        return None if name != plain_name(name) else self._zip.getinfo(original).file_size / 1e6


class TarSource:
    """A collection in a tar, plain or compressed."""

    def __init__(self, path: Path, find_root: FindRoot) -> None:
        self.path = path
        try:
            self._tar = _open_tar(path)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        try:
            found = _tar_members(self._tar, path)
            _read_to_the_end(self._tar)
            self._members = {member.name.removeprefix("./"): member for member in found}
            self._prefix = find_root(list(self._members))
        except DataError:
            self.close()
            raise
        except _DAMAGE as error:
            self.close()
            raise _damaged(path, error) from error

    def close(self) -> None:
        """Close the archive."""
        self._tar.close()
        cast("BinaryIO", self._tar.fileobj).close()  # which tarfile leaves open where it was given

    def files(self) -> Sequence[str]:
        """Members below the folder of the collection."""
        return _below(self._prefix, self._members)

    def label(self, name: str) -> str:
        """The path of the tar and the member in it."""
        return f"{self.path}!{self._prefix}{name}"

    def open(self, name: str) -> BinaryIO:
        """The bytes of a member."""
        stream = None
        try:
            member = self._tar.extractfile(self._members[self._prefix + name])
            stream = io.BufferedReader(cast("io.RawIOBase", member))
            return plain(stream)
        except _DAMAGE as error:
            if stream is not None:
                stream.close()
            raise DataError(f"{self.label(name)}: cannot be read from the tar ({error}). Download it again.") from error

    def megabytes(self, name: str) -> float | None:
        """Its size, unless it is compressed once more."""
        return None if name != plain_name(name) else self._members[self._prefix + name].size / 1e6


def is_tar(path: Path) -> bool:
    """Whether a file is a tar, compressed or not; also where it is damaged behind its first member."""
    try:
        if compression(_start(path)) in {"zstd", "lz4"}:  # which take a copy to open
            return is_tar_header(_unpacked_start(path))
        with tarfile.open(path) as archive:
            return archive.next() is not None
    except _DAMAGE:
        return False


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar, by its first bytes.

    Raises:
        OSError: there is no such file.
    """
    return _kind(path) is not None


def _kind(path: Path) -> type[ZipSource] | type[TarSource] | None:
    start = _start(path)
    if file_kind(start) is None:
        return None
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        return ZipSource
    return TarSource if is_tar_header(_unpacked_start(path)) else None


def only_member(path: Path) -> BinaryIO | None:
    """The only file in an archive, apart from what systems leave in one; None where the path is not one.

    Raises:
        DataError: it holds several files, or none.
        OSError: there is no such file.
    """
    if (kind := _kind(path)) is None:
        return None
    source = kind(path, lambda _: "")
    names = source.files()
    if len(names) == 1:
        return Owner(source.open(names[0]), source)
    source.close()
    listed = f"{', '.join(names[:_LISTED])}{', ...' if len(names) > _LISTED else ''}"
    raise DataError(
        f"{path}: is an archive of {len(names)} files{f' ({listed})' if names else ''}, expected one. Unpack it and "
        "name a file in it."
    )


def is_leftover(name: str) -> bool:
    """Whether a file in an archive or folder is one that a system keeps its own notes in."""
    parts = PurePosixPath(name).parts or ("",)
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] in {".DS_Store", "Thumbs.db", "desktop.ini"}


def _open_tar(path: Path) -> tarfile.TarFile:
    if compression(_start(path)) not in {"zstd", "lz4"}:
        return tarfile.open(path)
    found = seekable(plain(path.open("rb")))
    try:
        return tarfile.open(fileobj=found)
    except BaseException:
        found.close()
        raise


def _unpacked_start(path: Path) -> bytes:
    """The first bytes once a file is decompressed; none where they are damaged."""
    with plain(path.open("rb")) as stream:
        try:
            return stream.read(KIND_BYTES)
        except _DAMAGE:
            return b""


def _start(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(KIND_BYTES)


def _tar_members(archive: tarfile.TarFile, path: Path) -> list[tarfile.TarInfo]:
    """The files of a tar."""
    found = []
    for member in archive:
        refuse_unsafe(path, member.name, link=member.issym() or member.islnk())
        # Some versions of tarfile read a member of a size below zero again and again.
        if not (member.isfile() or member.isdir()) or member.size < 0:
            raise DataError(f"{path}: member {member.name!r} is neither a file nor a folder. Do not use this file.")
        found.append(member)
    files = [member for member in found if member.isfile()]
    refuse_repeated(path, [member.name for member in files])
    return files


def refuse_unsafe(path: Path, member: str, *, link: bool) -> None:
    """Refuse an archive with a member that leads out of it. Nothing is ever extracted, but who made it means harm."""
    parts = PurePosixPath(member.replace("\\", "/"))
    if link or parts.is_absolute() or ".." in parts.parts or ":" in parts.as_posix().split("/")[0]:
        what = "is a link" if link else "points outside of the archive"
        raise DataError(f"{path}: member {member!r} {what}. Do not use this file.")


def refuse_repeated(path: Path, names: Sequence[str]) -> None:
    """Refuse an archive that readers would read differently."""
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: member {repeated[0]!r} occurs twice. Create the archive again.")


def _with_slashes(path: Path, originals: Sequence[str]) -> dict[str, str]:
    """The name of every file with `/` between folders -> its name in the archive."""
    names = [(name.replace("\\", "/"), name) for name in originals]
    names = [(name, original) for name, original in names if not name.endswith("/")]
    refuse_repeated(path, [name for name, _ in names])
    return dict(names)


def _below(prefix: str, names: Sequence[str] | dict[str, Any]) -> list[str]:
    return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix) and not is_leftover(name))


def _read_to_the_end(archive: tarfile.TarFile) -> None:
    """Read what follows the last member: tarfile stops before the checksum of the compressed data, and trusts it."""
    stream = cast("BinaryIO", archive.fileobj)
    while stream.read(_BLOCK):
        pass


def _damaged(path: Path, error: BaseException) -> DataError:
    first = (str(error).splitlines() or [""])[0]  # tarfile lists what it tried, one a line
    return DataError(f"{path}: is a tar that is damaged or cut short ({first}). Download it again.")
