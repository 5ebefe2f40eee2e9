"""The bytes of a file as its reader wants them: decompressed, and text in UTF-8. Knows bytes, not lines or members."""

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

SUFFIXES = (".gz", ".bz2", ".xz", ".lzma", ".zst", ".lz4")
"""Endings of names of compressed files. What is compressed, and how, is decided by the bytes."""

DAMAGE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, UnicodeDecodeError)
"""Errors of reading damaged bytes, or text that its mark does not fit; pyarrow's of zstd and lz4 are OSErrors."""

_PEEKED = 16
_BLOCK = 1 << 20
_MAGIC = (  # first bytes, format; bzip2's go on with the digits of pi, as "BZh" alone may begin a text
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x5d\0\0", "lzma"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
)
_UNICODE = (  # byte-order mark, encoding; UTF-32 first, whose mark begins as that of UTF-16
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def plain_name(name: str) -> str:
    """A file's name without the ending that says how it is compressed."""
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)


def compression(start: bytes) -> str | None:
    """The format, such as `zstd`, in which a file that begins with these bytes is compressed; None where it is not."""
    if start[:3] == b"BZh" and start[4:10] in {b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"}:
        return "bzip2"
    return next((name for magic, name in _MAGIC if start.startswith(magic)), None)


def peeked(stream: Any, size: int) -> bytes:
    """The first bytes of a buffered stream; none where they are damaged, for whoever reads on to report."""
    try:
        return bytes(stream.peek(size)[:size])
    except DAMAGE:
        return b""


def plain(stream: BinaryIO) -> BinaryIO:
    """The bytes of a buffered stream, decompressed; text with the byte-order mark of UTF-16 or UTF-32 as UTF-8.

    Closing it closes the stream. Damage is raised by reads, as one of `DAMAGE`.
    """
    if (name := compression(peeked(stream, _PEEKED))) is not None:
        stream = Owner(_OPENERS[name](stream), stream)
    try:
        start = stream.peek(_PEEKED) if isinstance(stream, io.BufferedReader) else b""
    except DAMAGE as error:
        return Owner(_Failed(error), stream)
    encoding = next((name for mark, name in _UNICODE if start.startswith(mark)), None)
    # An Arrow stream begins with two of the same bytes.
    return stream if encoding is None or start[:4] == b"\xff\xff\xff\xff" else Owner(_Utf8(stream, encoding), stream)


class Owner(io.BufferedReader):
    """A buffered reader that closes what it reads from: another stream, or the archive that a member is in."""

    def __init__(self, raw: Any, *owned: Any) -> None:
        super().__init__(raw, _BLOCK if isinstance(raw, _Utf8) else io.DEFAULT_BUFFER_SIZE)
        self._owned = owned

    def close(self) -> None:
        """Close the stream, and what it owns."""
        super().close()
        for owned in self._owned:
            owned.close()


def _arrow(codec: str) -> Callable[[BinaryIO], Any]:
    def opener(stream: BinaryIO) -> Any:
        import pyarrow as pa

        return pa.CompressedInputStream(stream, codec)

    return opener


_OPENERS: dict[str, Callable[[BinaryIO], Any]] = {
    "gzip": lambda stream: gzip.GzipFile(fileobj=stream),
    "bzip2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
    "lzma": lzma.LZMAFile,
    "zstd": _arrow("zstd"),
    "lz4": _arrow("lz4"),
}


class _Failed(io.RawIOBase):
    """A stream whose first read failed: a decompressor that is asked again may say that it ended."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, _: Any) -> int:
        """Raise the error."""
        raise self._error


class _Utf8(io.RawIOBase):
    """Text of another encoding as bytes of UTF-8."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream, self._left = stream, b""
        self._decoder = codecs.getincrementaldecoder(encoding)()

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        while not self._left:
            block = self._stream.read(_BLOCK)
            self._left = self._decoder.decode(block, final=not block).encode()
            if not block:
                break
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def seekable(stream: BinaryIO) -> BinaryIO:
    """A stream with the same bytes in which one can seek: itself, or a temporary file of them."""
    import shutil
    import tempfile

    if stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - whoever asked closes it
    with stream:
        shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return cast("BinaryIO", copy)
