"""The files of a collection, wherever they are: the seam, and a folder of them. Knows names and bytes, not meanings."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from evalkit.errors import DataError
from evalkit.formats.archives import is_leftover
from evalkit.formats.compressed import SUFFIXES, plain_name
from evalkit.formats.textfile import open_binary

CORPUS = "corpus.jsonl"


class CollectionFiles(Protocol):
    """**Protocol:** where the files of a collection are."""

    def files(self) -> Sequence[str]:
        """Names of the files, with `/` between folders, relative to the collection."""
        ...

    def label(self, name: str) -> str:
        """The name of a file in errors."""
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
    """A collection in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> Sequence[str]:
        """Files at the top and in its folders, those of systems and hidden folders left out."""
        below = [path for path in self.path.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
        return sorted(
            file.relative_to(self.path).as_posix()
            for folder in (self.path, *below)
            for file in folder.iterdir()
            if file.is_file() and not is_leftover(file.name)
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
        return None if name != plain_name(name) else (self.path / name).stat().st_size / 1e6


def find(source: CollectionFiles, name: str, layout: str) -> str:
    """The name under which a file is there: as it is, or with the ending of a compressed one."""
    files = source.files()
    for candidate in (name, *(f"{name}{suffix}" for suffix in SUFFIXES)):
        if candidate in files:
            return candidate
    raise DataError(f"{source.label(name)}: no such file. Expected {layout}.")
