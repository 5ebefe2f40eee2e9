"""Lines of text files, plain or gzip, with errors that name file and line. Knows nothing of their meaning."""

import codecs
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

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
KIND_BYTES = 512  # for `file_kind`: tar has its name at byte 257
_TAR = slice(257, 262)
_DECOMPRESS = "Decompress it first, as with"
_UNPACK = "Unpack it and name a file in it."
_CONVERT = "Write its rows as text first, as with"


class FileKind(NamedTuple):
    """The kind of a file without lines of text.

    Attributes:
        name: such as "a Parquet file", to follow "is".
        remedy: advice, one sentence.
    """

    name: str
    remedy: str


_BINARY = (  # first bytes, kind
    (b"PAR1", FileKind("a Parquet file", f"{_CONVERT} pandas.read_parquet and to_csv or to_json.")),
    (b"BZh", FileKind("compressed with bzip2", f"{_DECOMPRESS} bunzip2, or compress it with gzip.")),
    (b"\xfd7zXZ\0", FileKind("compressed with xz", f"{_DECOMPRESS} unxz, or compress it with gzip.")),
    (b"\x5d\0\0", FileKind("compressed with lzma", f"{_DECOMPRESS} unlzma, or compress it with gzip.")),
    (b"\x28\xb5\x2f\xfd", FileKind("compressed with zstd", f"{_DECOMPRESS} unzstd, or compress it with gzip.")),
    (b"\x04\x22\x4d\x18", FileKind("compressed with lz4", f"{_DECOMPRESS} unlz4, or compress it with gzip.")),
    (b"\x1f\x9d", FileKind("compressed with compress", f"{_DECOMPRESS} uncompress, or compress it with gzip.")),
    (GZIP_MAGIC, FileKind("compressed with gzip", f"{_DECOMPRESS} gunzip.")),
    (b"PK\x03\x04", FileKind("a zip archive", _UNPACK)),
    (b"PK\x05\x06", FileKind("an empty zip archive", "Name another file.")),
    (b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", _UNPACK)),
    (b"Rar!\x1a\x07", FileKind("a RAR archive", _UNPACK)),
    (b"SQLite format 3\0", FileKind("an SQLite database", f"{_CONVERT} sqlite3 -separator $'\\t'.")),
    (b"ARROW1\0\0", FileKind("an Arrow (Feather) file", f"{_CONVERT} pandas.read_feather and to_csv or to_json.")),
    (b"\xff\xff\xff\xff", FileKind("an Arrow stream", f"{_CONVERT} datasets.Dataset.from_file and to_json.")),
    (b"Obj\x01", FileKind("an Avro file", "Write its rows as text first.")),
    (b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file", "Write its rows as text first.")),
    (b"\x93NUMPY", FileKind("a NumPy array", "Write its rows as text first.")),
    (
        (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"),
        FileKind("a Python pickle", "Write its rows as text first; evalkit opens no pickles."),
    ),
    (b"\xd0\xcf\x11\xe0", FileKind("an Excel or Office document", "Save it as CSV or TSV.")),
    (b"%PDF", FileKind("a PDF document", "Name another file.")),
)
_UNICODE = (  # byte-order mark, encoding; UTF-32 first, whose mark begins as that of UTF-16
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_LFS_POINTER = b"version https://git-lfs"
_PAGE = (b"<!doctype html", b"<html")


def file_kind(start: bytes) -> FileKind | None:
    """The kind of a file, from its first `KIND_BYTES` bytes; None if these may be lines of UTF-8 text.

    A text that begins with the letters of a format (a query id PAR1, say) is text: the rest shows it.
    """
    if start.startswith(_LFS_POINTER):
        return FileKind("a Git LFS pointer, not the file itself", "Run git lfs pull in its repository.")
    if start.lstrip()[:14].lower().startswith(_PAGE):
        return FileKind("an HTML page, perhaps that of a failed download", "Download the file again.")
    if _is_text(start):
        return None
    if start[_TAR] == b"ustar":
        return FileKind("a tar archive", _UNPACK)
    return next((kind for magic, kind in _BINARY if start.startswith(magic)), None) or _other_unicode(start)


def _other_unicode(start: bytes) -> FileKind | None:
    """A text in UTF-16 or UTF-32, by its byte-order mark, or by the zeros in every second byte."""
    halves = start[: len(start) // 2 * 2]
    encoding = next((name for mark, name in _UNICODE if start.startswith(mark)), None)
    if encoding is None and len(halves) >= 4 and any(not any(halves[i::2]) for i in (0, 1)):  # noqa: PLR2004
        encoding = "UTF-16"
    if encoding is None:
        return None
    return FileKind(f"a text in {encoding}", f"Convert it to UTF-8, as with iconv -f {encoding} -t UTF-8.")


def _is_text(start: bytes) -> bool:
    """Whether these bytes may begin a UTF-8 text; a character cut at their end is fine."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\v\f\r\x1a\x1b" for character in text)


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
        DataError: there is no such file, its compressed data is damaged, or it is too large.
    """
    blocks, size = [], 0
    with open_binary(path) as stream:
        try:
            while block := stream.read(_BLOCK):
                blocks.append(block)
                size += len(block)
                if size > LARGEST:
                    raise DataError(f"{path}: is more than {LARGEST >> 20:,} MiB. Is this the right file?")
        except _DAMAGE as error:
            raise DataError(f"{path}: the compressed data is damaged or cut short ({error}).") from error
    return b"".join(blocks)


def peek(path: Path, size: int) -> bytes:
    """The first bytes of a file, decompressed; empty where they are damaged, which later reads report."""
    with open_binary(path) as stream:
        try:
            return stream.read(size)
        except _DAMAGE:
            return b""


def lines(stream: BinaryIO, name: object) -> Iterator[tuple[int, str]]:
    """(line number from 1, text without its end) of every line that is not blank.

    Args:
        stream: UTF-8 bytes; a byte-order mark at the start is skipped.
        name: the file in errors.

    Raises:
        DataError: a file of another kind, bytes that are not UTF-8, a line that is too long, or damaged gzip data.
    """
    number = 0
    try:
        if kind := file_kind(stream.peek(KIND_BYTES)[:KIND_BYTES] if isinstance(stream, io.BufferedReader) else b""):
            raise DataError(f"{name}: is {kind.name}. {kind.remedy}")
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
