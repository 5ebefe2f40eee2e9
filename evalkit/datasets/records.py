"""Documents and queries of a data file, each checked. Errors name file and line."""

import hashlib
import io
import math
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, TypeVar

from evalkit.datasets.data_rows import rows
from evalkit.datasets.delimited import Columns
from evalkit.datasets.source import CollectionFiles
from evalkit.datasets.topics import AS_WRITTEN
from evalkit.errors import DataError
from evalkit.formats import ids
from evalkit.system.reporting import shown

# BEIR's, the hub's and mteb's, ir_datasets', others', LitSearch's
ID_KEYS = ("_id", "id", "doc_id", "docid", "docno", "pid", "corpusid")
# BEIR's, Pyserini's, MS MARCO's, others', LitSearch's
TEXT_KEYS = ("text", "contents", "content", "passage", "body", "segment", "abstract")
DOCUMENTS = Columns(ID_KEYS, TEXT_KEYS)
QUERIES = Columns(
    ("_id", "id", "query_id", "query-id", "qid", "doc_id"),
    ("text", "query", "question", "contents", "content"),
)

NO_TITLE, NO_TEXT = "titles_missing", "texts_missing"
NUMBER_TITLE, NUMBER_TEXT, FLOAT_ID = "titles_that_are_numbers", "texts_that_are_numbers", "ids_that_are_floats"
NAN_WORDS = "nan_as_a_word"
REPEATED, REPEATED_QUERIES = "documents_repeated", "queries_repeated"
REPEATED_CANDIDATES, RELEVANT_EXCLUDED = "candidates_repeated", "relevant_documents_excluded"
OF_QUERIES = "query_"
"""Begins the names of counts of queries; the others are of documents."""

SAID = {
    NO_TITLE: "documents have a title that is NaN or null, which is read as no title",
    NO_TEXT: "documents have a text that is NaN or null, which is read as no text",
    NUMBER_TITLE: "documents have a number for a title, which is read as its digits",
    NUMBER_TEXT: "documents have a number for a text, which is read as its digits",
    NAN_WORDS: 'documents have "nan" for a title or text, as pandas writes a missing one; it is read as that word',
    FLOAT_ID: "documents have an id that is a number such as 12.0, which is read as 12",
    REPEATED: "documents repeat an earlier one of the same id, title and text, and are left out",
    REPEATED_CANDIDATES: "candidates are the same as another one of their query, and are left out",
    RELEVANT_EXCLUDED: "relevant documents are excluded by their own query",
    f"{OF_QUERIES}{NO_TEXT}": "queries have a text that is NaN or null, which is read as no text",
    f"{OF_QUERIES}{NAN_WORDS}": 'queries have "nan" for a text, as pandas writes none; it is read as that word',
    f"{OF_QUERIES}{NUMBER_TEXT}": "queries have a number for a text, which is read as its digits",
    f"{OF_QUERIES}{FLOAT_ID}": "queries have an id that is a number such as 12.0, which is read as 12",
    REPEATED_QUERIES: "queries repeat an earlier one of the same id and text, and are left out",
}
"""Oddities of a file: the name under which the manifest counts them -> the text of the note after the count."""

_PARTS = {"document": "texts", "passage": "texts", "query": "texts, instructions or answers"}
_Kept = TypeVar("_Kept")
_NAN_WORDS = ("nan", "NaN")  # a str() of it; a document may also be about them
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
        unusual: names of what is worth counting, as in `SAID`.
    """

    where: str
    id: str
    title: str
    text: str
    fields: dict[str, Any]
    unusual: tuple[str, ...] = ()

    def id_in(self, judged: Container[str]) -> str:
        """The id of a query as judgments have it: for a topic that may be its number with the zeros before it."""
        written = str(self.fields.get(AS_WRITTEN))
        return written if written in judged else self.id

    @property
    def row(self) -> dict[str, str]:
        """As the Arrow file of a corpus holds it."""
        return {"_id": self.id, "title": self.title, "text": self.text}

    @property
    def place(self) -> str:
        """Where it is in its file, such as `line 3`."""
        head, _, number = self.where.rpartition(":")
        noun = head.rpartition(" ")[2]
        return f"{noun if noun in {'row', 'item'} else 'line'} {number}"


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
    source: CollectionFiles,
    name: str,
    form: str,
    columns: Columns = DOCUMENTS,
    *,
    advance: Callable[[float], None] = lambda _: None,
    note: Callable[[memoryview], object] | None = None,
) -> Iterator[Record]:
    """The rows of a file.

    `form` is as `data_rows.format_of` tells it; `advance` is called with megabytes, and `note` with all decompressed
    bytes, block by block, of every format but parquet, which is not read from end to end.
    """
    position = 0
    with source.open(name) as stream:
        read = stream if note is None else io.BufferedReader(_Noted(stream, note), _BLOCK)
        for count, (where, fields) in enumerate(rows(read, source.label(name), name, form, columns), start=1):
            if count % _LINES_PER_STEP == 0:
                position, before = _place(stream, position), position
                advance(max(position - before, 0) / 1e6)
            yield checked(fields, where, columns)


def _place(stream: BinaryIO, before: int) -> int:
    """How many bytes were read; some streams of compressed data do not say."""
    try:
        return stream.tell()
    except OSError:
        return before


def checked(fields: dict[str, Any], where: str, columns: Columns = DOCUMENTS) -> Record:
    """A record from an object."""
    # TREC's topics have a title, and say more in other fields.
    is_topic = columns is QUERIES and "title" in fields and "description" in fields
    text_key = _key(fields, (*columns.texts, "title") if is_topic else columns.texts, "text", where)
    # MS MARCO v2 has the id of the whole document as well as that of a passage.
    key = "pid" if text_key == "passage" and "pid" in fields else _key(fields, columns.ids, "id", where)
    value = fields[key]
    unusual: tuple[str, ...] = ()
    if isinstance(value, float) and value.is_integer():
        value, unusual = int(value), (FLOAT_ID,)
    identifier = checked_id(value, where, key)
    title, text = fields.get("title"), fields[text_key]
    if not (isinstance(text, str) and (isinstance(title, str) or "title" not in fields)):
        title, text, more = mended(fields, text_key, where)
        unusual += more
    if text in _NAN_WORDS or title in _NAN_WORDS:
        unusual += (NAN_WORDS,)
    checked_text(title or "", where, "title")
    return Record(where, identifier, title or "", checked_text(text, where, text_key), fields, unusual)


def _key(fields: dict[str, Any], names: Sequence[str], what: str, where: str) -> str:
    """Under which of its legal names a row has its id or its text."""
    for name in names:
        if name in fields:
            return name
    raise DataError(f"{where}: has no {what}, only {shown(list(fields))}. Its key may be {', '.join(names)}.")


def mended(fields: Mapping[str, Any], text_key: str, where: str) -> tuple[str, Any, tuple[str, ...]]:
    """Title and text, and what was unusual about them, such as pandas' NaN.

    Args:
        fields: of the row.
        text_key: where its text is.
        where: begins errors.
    """
    title, text, unusual = fields.get("title"), fields[text_key], []
    if "title" in fields and is_missing(title):
        title, unusual = "", [NO_TITLE]
    elif (digits := _digits(title)) is not None:
        title, unusual = digits, [NUMBER_TITLE]
    elif title is not None and not isinstance(title, str):
        raise DataError(f"{where}: title is {shown(title)}, expected a string or none.")
    if is_missing(text):
        text, unusual = "", [*unusual, NO_TEXT]
    elif (digits := _digits(text)) is not None:
        text, unusual = digits, [*unusual, NUMBER_TEXT]
    return title or "", text, tuple(unusual)


def is_missing(value: Any) -> bool:
    """Whether this is what pandas writes where there is nothing."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _digits(value: Any) -> str | None:
    """A number as its shortest digits, `1984` also for 1984.0; None for anything but a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        return None
    return str(int(value)) if value == int(value) else repr(value)


def checked_id(value: Any, where: str, key: str) -> str:
    """An id as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise DataError(f"{where}: {key} is {shown(value)}, expected a string that is not empty.")
    if wrong := ids.fault(value):
        raise DataError(f"{where}: {key} {shown(value)} {wrong}.")
    return value


def checked_text(value: Any, where: str, key: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} is {shown(value)}, expected a string (an empty one is fine).")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: {key} holds half of a surrogate pair, which is not a character. Correct the text."
        ) from error
    return value


def add_once(found: dict[str, _Kept], key: str, value: _Kept, where: str, *, what: str = "query") -> bool:
    """Keep what an id stands for; False where it was there before, and the same.

    Args:
        found: id -> what was kept; grows.
        key: the id.
        value: what it stands for.
        where: begins errors.
        what: has the id.
    """
    before = len(found)
    if found.setdefault(key, value) != value:
        raise DataError(f"{where}: {what} id {key!r} occurs twice, with different {_PARTS[what]}. Ids are unique.")
    return len(found) > before


def instruction_of(fields: Mapping[str, Any], where: str) -> str:
    """What a query asks for; empty where it does not say."""
    instruction = fields.get("instruction")
    return "" if instruction is None else checked_text(instruction, where, "instruction")


def digest_of(documents: Iterable[Record]) -> str:
    """SHA-256 over ids, titles and texts in their order."""
    state = hashlib.sha256()
    for record in documents:
        for text in (record.id, record.title, record.text):
            encoded = text.encode()
            state.update(len(encoded).to_bytes(8, "little") + encoded)
    return state.hexdigest()
