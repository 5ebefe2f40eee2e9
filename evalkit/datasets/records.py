"""Documents and queries as JSON lines, each line checked. Errors name file and line."""

import io
import json
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from evalkit import ids
from evalkit.datasets.source import Source
from evalkit.errors import DataError
from evalkit.strict_json import repeated
from evalkit.textfile import lines

ID_KEYS = ("_id", "id", "doc_id")  # BEIR's, the hub's and mteb's, ir_datasets'
_LINES_PER_STEP = 1_000
_BLOCK = 1 << 20  # bytes


class Record(NamedTuple):
    """A document or query.

    Attributes:
        where: file and line number, for errors.
        id: its id; an integer is read as its digits.
        title: empty where there is none.
        text: may be empty.
        fields: the whole line.
    """

    where: str
    id: str
    title: str
    text: str
    fields: dict[str, Any]

    @property
    def row(self) -> dict[str, str]:
        """As the Arrow file of a corpus holds it."""
        return {"_id": self.id, "title": self.title, "text": self.text}


class _Noted(io.RawIOBase):
    """A stream that shows someone all bytes that are read of it."""

    def __init__(self, stream: BinaryIO, note: Callable[[memoryview], object]) -> None:
        self._read, self._note = stream.read, note

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        block = self._read(len(buffer))
        buffer[: len(block)] = block
        self._note(memoryview(block))
        return len(block)


def records(
    source: Source,
    name: str,
    *,
    advance: Callable[[float], None] = lambda _: None,
    note: Callable[[memoryview], object] | None = None,
) -> Iterator[Record]:
    """The lines of a file.

    Args:
        source: of the file.
        name: of the file.
        advance: called with the megabytes read.
        note: called with all decompressed bytes, block by block.

    Raises:
        DataError: a line is not an object with an id and a text.
    """
    position = 0
    with source.open(name) as stream:
        read = stream if note is None else io.BufferedReader(_Noted(stream, note), _BLOCK)
        found = objects(lines(read, source.label(name)), source.label(name), "_id and text")
        for count, (where, fields) in enumerate(found, start=1):
            if count % _LINES_PER_STEP == 0:
                position, before = stream.tell(), position
                advance((position - before) / 1e6)
            yield checked(fields, where)


def objects(numbered: Iterator[tuple[int, str]], label: object, keys: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line number, object) of every line; `keys` says in errors what an object should have.

    Raises:
        DataError: a line is not a JSON object.
    """
    for number, line in numbered:
        where = f"{label}:{number}"
        try:
            parsed = _parsed(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({error}). Expected one object a line.") from error
        if not isinstance(parsed, dict):
            raise DataError(f"{where}: a JSON {type(parsed).__name__}, expected an object with {keys}.")
        if isinstance(parsed, _Ambiguous):
            raise DataError(f"{where}: {parsed.key!r} occurs twice in one object. Leave one of them.")
        yield where, parsed


class _Ambiguous(dict[str, Any]):
    """An object of which `key` occurs twice."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    ambiguous = _Ambiguous(found)
    ambiguous.key = repeated(pairs)
    return ambiguous


_parsed = json.JSONDecoder(object_pairs_hook=_object).decode


def checked(fields: dict[str, Any], where: str) -> Record:
    """A record from an object.

    Raises:
        DataError: the id cannot stand in a run file, or a text is none.
    """
    key = next((key for key in ID_KEYS if key in fields), ID_KEYS[0])
    identifier = checked_id(fields.get(key), where, key)
    title = fields.get("title")
    if title is not None and not isinstance(title, str):
        raise DataError(f"{where}: title is {shown(title)}, expected a string or none.")
    text = checked_text(fields.get("text"), where, "text")
    return Record(where, identifier, checked_text(title or "", where, "title"), text, fields)


def checked_id(value: Any, where: str, key: str) -> str:
    """An id as text.

    Raises:
        DataError: it is empty, no text or integer, or cannot stand in a run file.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: {key} is {shown(value)}, expected a string that is not empty.")
    if wrong := ids.fault(value):
        raise DataError(f"{where}: {key} {shown(value)} {wrong}.")
    return value


def checked_text(value: Any, where: str, key: str) -> str:
    """A text.

    Raises:
        DataError: it is none, or not made of characters.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} is {shown(value)}, expected a string (an empty one is fine).")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: {key} holds half of a surrogate pair, which is no character. Mend the text."
        ) from error
    return value


def shown(value: object) -> str:
    """A value for an error, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004
