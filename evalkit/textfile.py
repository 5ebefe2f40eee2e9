"""Lines of text files, plain or gzip, with errors that name file and line. Knows nothing of what the lines mean."""

import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from evalkit.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
# A few kilobytes of gzip can hold more than any memory.
LONGEST = 1 << 29  # bytes of a line
LARGEST = 1 << 31  # bytes of a file that is read whole
_BLOCK = 1 << 20
_DAMAGE = (EOFError, zlib.error, zipfile.BadZipFile, OSError)
# The blanks of C's isspace, by which trec_eval splits; Python's split() would also cut an id at a no-break space.
_BLANK = " \t\v\f\r"
_BLANKS = re.compile(f"[{_BLANK}]+")


def open_binary(path: Path) -> BinaryIO:
    """The bytes of a file, decompressed when it starts as gzip does, whatever its name.

    Raises:
        DataError: there is no such file, or it cannot be opened.
    """
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is a folder, pipe or device. Files are read more than once: save it to a file first.")
    try:
        stream = path.open("rb")
        if stream.read(2) == GZIP_MAGIC:
            stream.close()
            return io.BufferedReader(gzip.open(path, "rb"))
        stream.seek(0)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}. Check the path.") from error
    return stream


def read_bytes(path: Path) -> bytes:
    """The whole content of a file, decompressed.

    Raises:
        DataError: there is no such file, its compressed data is damaged, or there is no end of it.
    """
    blocks, size = [], 0
    with open_binary(path) as stream:
        try:
            while block := stream.read(_BLOCK):
                blocks.append(block)
                size += len(block)
                if size > LARGEST:
                    raise DataError(f"{path}: is more than {LARGEST >> 20:,} MiB, which are too many.")
        except _DAMAGE as error:
            raise DataError(f"{path}: the compressed data is damaged or cut short ({error}).") from error
    return b"".join(blocks)


def peek(path: Path, size: int) -> bytes:
    """The first bytes of a file, decompressed; none where they are damaged, for whoever reads on to report."""
    with open_binary(path) as stream:
        try:
            return stream.read(size)
        except _DAMAGE:
            return b""


def lines(stream: BinaryIO, name: object) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its end) of every line that is not blank.

    Args:
        stream: UTF-8 bytes; a byte-order mark at the start is skipped.
        name: what to call the file in errors.

    Raises:
        DataError: bytes that are not UTF-8, a line without end, or compressed data that ends early or is damaged.
    """
    number = 0
    try:
        for raw in iter(partial(stream.readline, LONGEST + 1), b""):
            number += 1
            if len(raw) > LONGEST:
                raise DataError(f"{name}:{number}: a line of more than {LONGEST >> 20:,} MiB. Is this the right file?")
            text = raw.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode().rstrip("\r\n")
            if text.strip():
                yield number, text
    except UnicodeDecodeError as error:
        raise DataError(f"{name}:{number}: byte {error.start + 1} is not UTF-8. Convert the file to UTF-8.") from error
    except _DAMAGE as error:
        raise DataError(f"{name}:{number + 1}: the compressed data is damaged or cut short ({error}).") from error


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """`lines` of a file on disk."""
    with open_binary(path) as stream:
        yield from lines(stream, path)


def fields(line: str, counts: tuple[int, ...]) -> list[str]:
    """Fields of a line: split at tabs if that gives one of `counts` fields (ids may hold spaces), else at blanks."""
    tabbed = line.split("\t")
    if len(tabbed) in counts:
        return [field.strip(_BLANK) for field in tabbed]
    return line.split() if line.isascii() else _BLANKS.split(line.strip(_BLANK))
