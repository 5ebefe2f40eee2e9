"""The kind of a file that holds no lines of text, by its first bytes, and the remedy."""

import codecs
from typing import NamedTuple

from evalkit.formats.compressed import compression

KIND_BYTES = 512  # that `file_kind` looks at: tar has its name at byte 257
_TAR = slice(257, 262)
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
    (b"\x1f\x9d", FileKind("compressed with compress", "Decompress it first, as with uncompress.")),
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
    if is_tar_header(start):
        return FileKind("a tar archive", _UNPACK)
    if packed := compression(start):
        return FileKind(f"compressed with {packed}, perhaps twice", "Decompress it first.")
    return next((kind for magic, kind in _BINARY if start.startswith(magic)), None) or _other_unicode(start)


def is_tar_header(start: bytes) -> bool:
    """Whether these bytes begin an uncompressed tar."""
    return start[_TAR] == b"ustar"


def _other_unicode(start: bytes) -> FileKind | None:
    """A text in UTF-16 without a byte-order mark, by the zeros in every second byte."""
    halves = start[: len(start) // 2 * 2]
    if len(halves) < 4 or all(any(halves[i::2]) for i in (0, 1)):  # noqa: PLR2004
        return None
    return FileKind("a text in UTF-16 without a byte-order mark", "Convert it to UTF-8, as with iconv -f UTF-16LE.")


def _is_text(start: bytes) -> bool:
    """Whether these bytes may begin a UTF-8 text; a character cut at their end is fine."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\v\f\r\x1a\x1b" for character in text)
