"""The files of a BEIR collection, from a folder or straight from a zip. Knows names and bytes, not their meaning.

    corpus.jsonl  queries.jsonl  qrels/<split>.tsv        each also as .gz, in a zip also below one top folder

A zip is read in place. Nothing is ever extracted, and one whose members point outside of it is refused all the same.
"""

import gzip
import io
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

from evalkit.errors import DataError
from evalkit.textfile import GZIP_MAGIC, open_binary

CORPUS = "corpus.jsonl"
LAYOUT = "corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each also as .gz"


class Source(Protocol):
    """**Protocol:** where the files of a collection are."""

    def files(self) -> Sequence[str]:
        """Names of the files, with `/` between folders, relative to the collection."""
        ...

    def label(self, name: str) -> str:
        """What to call a file in errors."""
        ...

    def open(self, name: str) -> BinaryIO:
        """The decompressed bytes of a file."""
        ...

    def megabytes(self, name: str) -> float | None:
        """Decompressed size of a file where that is known before reading it."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class FolderSource:
    """A collection in a folder, or in one of the folders below it."""

    def __init__(self, path: Path, folder: str | None = None, *, exact: bool = False) -> None:
        below = [path / folder, *sorted(path.glob(f"*/{folder}"))] if folder else []
        found = [candidate for candidate in below if candidate.is_dir()]
        if folder and exact and not found:
            raise DataError(f"{path}: holds no folder {folder}. Check dataset.folder.")
        self.path = found[0] if found else path

    def files(self) -> Sequence[str]:
        """Files at the top and in `qrels/`."""
        return sorted(
            file.relative_to(self.path).as_posix()
            for folder in (self.path, self.path / "qrels")
            if folder.is_dir()
            for file in folder.iterdir()
            if file.is_file()
        )

    def label(self, name: str) -> str:
        """The path of a file."""
        return str(self.path / name)

    def open(self, name: str) -> BinaryIO:
        """The bytes of a file."""
        return open_binary(self.path / name)

    def close(self) -> None:
        """Nothing is held open."""

    def megabytes(self, name: str) -> float | None:
        """Its size, unless it is compressed."""
        return None if name.endswith(".gz") else (self.path / name).stat().st_size / 1e6


class ZipSource:
    """A collection in a zip, at its top or below one folder.

    Args:
        path: of the zip.
        folder: name of the collection's folder, where the zip holds several.
        marker: the file that tells the collection's folder.
        exact: whether the folder must have that name also where it is the only one.

    Raises:
        DataError: no zip, a damaged one, an unsafe member or one that occurs twice, or several collections in one.
    """

    def __init__(self, path: Path, folder: str | None = None, *, marker: str = CORPUS, exact: bool = False) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
            raise DataError(f"{path}: is no zip, or a zip that is damaged or cut short ({error}).") from error
        try:
            self._prefix = self._checked_root(path, folder, marker, exact=exact)
        except DataError:
            self._zip.close()
            raise

    def close(self) -> None:
        """Close the archive."""
        self._zip.close()

    def _checked_root(self, path: Path, folder: str | None, marker: str, *, exact: bool) -> str:
        """The folder that holds the collection, once no member points outside of the archive."""
        for info in self._zip.infolist():
            refuse_unsafe(path, info.filename, link=stat.S_ISLNK(info.external_attr >> 16))
        names = [name for name in self._zip.namelist() if not name.endswith("/")]
        refuse_repeated(path, names)
        return _single_root(path, names, folder, marker, exact=exact)

    def files(self) -> Sequence[str]:
        """Members below the folder that holds the corpus."""
        names = self._zip.namelist()
        return sorted(name.removeprefix(self._prefix) for name in names if name.startswith(self._prefix))

    def label(self, name: str) -> str:
        """The path of the zip and the member in it."""
        return f"{self.path}!{self._prefix}{name}"

    def open(self, name: str) -> BinaryIO:
        """The bytes of a member."""
        stream = None
        try:
            stream = io.BufferedReader(cast("io.RawIOBase", self._zip.open(self._prefix + name)))
            compressed = stream.peek(2)[:2] == GZIP_MAGIC
        except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, OSError, EOFError) as error:
            if stream is not None:
                stream.close()
            raise DataError(f"{self.label(name)}: cannot be read from the zip ({error}). Download it again.") from error
        if not compressed:
            return stream
        member = gzip.GzipFile(fileobj=stream)
        member.myfileobj = cast("Any", stream)  # what GzipFile closes with itself
        return io.BufferedReader(member)

    def megabytes(self, name: str) -> float | None:
        """Its size, unless it is compressed once more."""
        return None if name.endswith(".gz") else self._zip.getinfo(self._prefix + name).file_size / 1e6


def refuse_unsafe(path: Path, member: str, *, link: bool) -> None:
    """Refuse an archive with a member that leads out of it. Nothing is ever extracted, but who made it means harm.

    Raises:
        DataError: the member is a link, or its name leads elsewhere.
    """
    parts = PurePosixPath(member.replace("\\", "/"))
    if link or parts.is_absolute() or ".." in parts.parts or ":" in parts.as_posix().split("/")[0]:
        what = "is a link" if link else "points outside of the archive"
        raise DataError(f"{path}: member {member!r} {what}. Do not use this file.")


def refuse_repeated(path: Path, names: Sequence[str]) -> None:
    """Refuse an archive of which readers would read different things.

    Raises:
        DataError: two members have one name.
    """
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{path}: member {repeated[0]!r} occurs twice. Make the archive anew.")


def _single_root(path: Path, names: list[str], folder: str | None, marker: str, *, exact: bool) -> str:
    """The folder, with a final `/`, that holds the one collection of a zip, or the one of that name."""
    roots = sorted({name[: name.rindex(marker)] for name in names if _is_file(name, marker)})
    if not roots:
        raise DataError(f"{path}: no {marker} in the zip. A BEIR zip holds {LAYOUT}.")
    if len(roots) == 1 and not (folder and exact):
        return roots[0]
    named = [root for root in roots if PurePosixPath(root).name == folder]
    if len(named) == 1:
        return named[0]
    folders = ", ".join(root.rstrip("/") or "." for root in roots)
    raise DataError(f"{path}: holds {len(roots)} collections ({folders}). Set dataset.folder to the name of one.")


def _is_file(name: str, wanted: str) -> bool:
    return PurePosixPath(name).name in {wanted, f"{wanted}.gz"}


def open_source(
    path: Path, folder: str | None = None, *, marker: str = CORPUS, layout: str = LAYOUT, exact: bool = False
) -> Source:
    """The collection at a path.

    Args:
        path: of a folder or zip.
        folder: name of the collection's folder, where the path holds several.
        marker: the file that tells where in a zip the collection is.
        layout: what errors say that the path should hold.
        exact: whether the path must hold that folder; otherwise it may be the collection itself.

    Raises:
        DataError: there is nothing there, or neither a folder nor a zip.
    """
    if path.is_dir():
        return FolderSource(path, folder, exact=exact)
    if path.is_file():
        return ZipSource(path, folder, marker=marker, exact=exact)
    raise DataError(f"{path}: no such folder or zip. dataset.path is a folder or zip with {layout}.")


def find(source: Source, name: str, layout: str = LAYOUT) -> str:
    """The name under which a file is there: as it is, or with `.gz`.

    Raises:
        DataError: neither is there; the message names the splits that are, if judgments are what is missing.
    """
    files = source.files()
    for candidate in (name, f"{name}.gz"):
        if candidate in files:
            return candidate
    if name.startswith("qrels/"):
        splits = sorted(
            {
                PurePosixPath(file).name.split(".tsv")[0]
                for file in files
                if file.startswith("qrels/") and ".tsv" in file
            }
        )
        choice = (
            f"It has the splits {', '.join(splits)}: set dataset.split." if splits else "It has no judgments at all."
        )
        raise DataError(f"{source.label(name)}: no such file. {choice}")
    raise DataError(f"{source.label(name)}: no such file. Expected {layout}.")
