"""Lines of text files, plain, compressed or alone in an archive, with errors that name file and line.

Knows nothing of their meaning.
"""

import io
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from evalkit.errors import DataError
from evalkit.formats.archives import only_member
from evalkit.formats.compressed import DAMAGE, plain
from evalkit.formats.filekind import KIND_BYTES, file_kind

# A few kilobytes of gzip can hold more than any memory.
LONGEST = 1 << 29  # bytes of a line
LARGEST = 1 << 31  # bytes of a file that is read whole
_BLOCK = 1 << 20
# The blanks of C's isspace, by which trec_eval splits; Python's split() would also cut an id at a no-break space.
_BLANK = " \t\v\f\r"
_BLANKS = re.compile(f"[{_BLANK}]+")


class Member(NamedTuple):
    """A file of a collection, which may be in an archive.

    Attributes:
        label: what to call it in errors.
        open: gives its decompressed bytes.
    """

    label: str
    open: Callable[[], BinaryIO]

    def __str__(self) -> str:
        """Its label."""
        return self.label


File = Path | Member
"""A readable file, on disk or in a collection. Its text is its name in errors."""


def opened(file: File) -> BinaryIO:
    """The decompressed bytes of a file.

    Raises:
        DataError: see `open_binary`.
    """
    return file.open() if isinstance(file, Member) else open_binary(file)


def is_saved(path: Path) -> bool:
    """Whether a folder is a table that `save_to_disk` of `datasets` wrote."""
    return (path / "state.json").is_file()


def open_binary(path: Path) -> BinaryIO:
    """The bytes of a file, or of the only file in an archive, decompressed; whatever its name.

    Of a folder that `save_to_disk` of `datasets` wrote, those of its one file of rows.

    Raises:
        DataError: there is no such file, it cannot be opened, or it is an archive of several files.
    """
    if is_saved(path):
        saved = sorted(path.glob("*.arrow"))
        if len(saved) != 1:
            raise DataError(f"{path}: has its rows in {len(saved)} files, expected one. Save it with num_shards=1.")
        path = saved[0]
    if path.is_dir():
        raise DataError(f"{path}: is a folder. Give the files in it, such as {path}/*.")
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is a pipe or device. Files are read more than once: save it to a file first.")
    try:
        return only_member(path) or plain(path.open("rb"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}. Check the path.") from error


def read_bytes(file: File) -> bytes:
    """The whole content of a file, decompressed.

    Raises:
        DataError: there is no such file, its compressed data is damaged, or it is too large.
    """
    blocks, size = [], 0
    with opened(file) as stream:
        try:
            while block := stream.read(_BLOCK):
                blocks.append(block)
                size += len(block)
                if size > LARGEST:
                    raise DataError(f"{file}: is more than {LARGEST >> 20:,} MiB. Is this the right file?")
        except DAMAGE as error:
            raise DataError(f"{file}: the data is damaged or cut short ({error}).") from error
    return b"".join(blocks)


def peek(file: File, size: int) -> bytes:
    """The first bytes of a file, decompressed; empty where they are damaged, which later reads report."""
    with opened(file) as stream:
        try:
            return stream.read(size)
        except DAMAGE:
            return b""


def lines(stream: BinaryIO, name: object, *, ends: bool = False) -> Iterator[tuple[int, str]]:
    """(line number from 1, text) of every line that is not blank.

    Args:
        stream: UTF-8 bytes; a byte-order mark at the start is skipped.
        name: the file in errors.
        ends: whether lines keep their ends, and blank ones are given, too.

    Raises:
        DataError: a file of another kind, bytes that are not UTF-8, a line that is too long, or damaged data.
    """
    number = 0
    try:
        if kind := file_kind(stream.peek(KIND_BYTES)[:KIND_BYTES] if isinstance(stream, io.BufferedReader) else b""):
            raise DataError(f"{name}: is {kind.name}. {kind.remedy}")
        for raw in iter(partial(stream.readline, LONGEST + 1), b""):
            number += 1
            if len(raw) > LONGEST:
                raise DataError(f"{name}:{number}: a line of more than {LONGEST >> 20:,} MiB. Is this the right file?")
            if number == 1 and b"\r" in raw.rstrip() and not raw.endswith(b"\n"):
                raise DataError(f"{name}: its lines end in CR alone, as on old Macs. Convert them, as with mac2unix.")
            text = raw.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode()
            if ends:
                yield number, text
            elif text.strip():
                yield number, text.rstrip("\r\n")
    except DAMAGE as error:
        raise damaged(name, number, error) from error


def damaged(name: object, number: int, error: Exception) -> DataError:
    """The error for bytes that cannot be read, behind the start of line `number`."""
    if not isinstance(error, UnicodeDecodeError):
        return DataError(f"{name}:{number + 1}: the compressed data is damaged or cut short ({error}).")
    if error.encoding == "utf-8":
        return DataError(f"{name}:{number}: byte {error.start + 1} is not UTF-8. Convert the file to UTF-8.")
    return DataError(f"{name}:{number + 1}: is not {error.encoding} ({error.reason}). Convert the file to UTF-8.")


def read_lines(file: File) -> Iterator[tuple[int, str]]:
    """`lines` of a file."""
    with opened(file) as stream:
        yield from lines(stream, file)


def fields(line: str, counts: tuple[int, ...]) -> list[str]:
    """Fields of a line: split at tabs if that gives one of `counts` fields (ids may hold spaces), else at blanks."""
    tabbed = line.split("\t")
    if len(tabbed) in counts:
        return [field.strip(_BLANK) for field in tabbed]
    return line.split() if line.isascii() else _BLANKS.split(line.strip(_BLANK))
