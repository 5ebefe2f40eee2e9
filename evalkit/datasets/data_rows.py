"""The rows of a data file as objects, each with its place for errors. Knows formats, not what the keys mean.

JSON lines      one object a line
JSON            one array of objects; or one object {id: object or text}, whose keys become `_id`
CSV, TSV        columns named in the first line, texts with separators in quotes
TSV             without a first line of names: two columns, an id and a text, as MS MARCO has them
parquet, Arrow  columns
TREC            topics in tags, see `topics`
"""

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa

from evalkit.datasets.delimited import SEPARATORS, Columns, table
from evalkit.datasets.source import CollectionFiles
from evalkit.datasets.topics import BEGINS, topics
from evalkit.errors import DataError
from evalkit.formats.compressed import DAMAGE, peeked, plain_name
from evalkit.formats.filekind import KIND_BYTES, file_kind
from evalkit.formats.json_values import transposed
from evalkit.formats.strict_json import repeated
from evalkit.formats.tabular import valid
from evalkit.formats.textfile import LARGEST, lines
from evalkit.system.reporting import reason

LINES, ARRAY, TABLE, PARQUET, ARROW, TOPICS = "lines", "array", "table", "parquet", "arrow", "topics"
COLUMNAR = {PARQUET, ARROW}
"""Forms whose bytes are not read from first to last."""
_BOM = b"\xef\xbb\xbf"
_IDS = ("_id", "id", "doc_id", "docid", "query_id", "query-id", "qid")  # of an object that is one row
_ROWS_PER_BATCH = 10_000
_BYTES_PER_BATCH = 64_000_000


def format_of(source: CollectionFiles, name: str) -> str:
    """One of the forms above, by the name of a file, and for JSON and topics by how it begins."""
    ending = _ending(name)
    if ending in {"txt", "xml"} and _are_topics(source, name):
        return TOPICS
    if ending in SEPARATORS:
        return TABLE
    if ending in {"parquet", "parq", "arrow"}:
        return ARROW if ending == "arrow" else PARQUET
    with source.open(name) as stream:
        start = peeked(stream, KIND_BYTES)
    if start.startswith(b"PAR1") and file_kind(start):
        return PARQUET
    begins = start.removeprefix(_BOM).lstrip()[:1]
    if begins == b"{" and ending == "json":
        return LINES if _is_record(source, name) else ARRAY
    return ARRAY if begins == b"[" else LINES


def _are_topics(source: CollectionFiles, name: str) -> bool:
    with source.open(name) as stream:
        return BEGINS.match(peeked(stream, KIND_BYTES)) is not None


def _is_record(source: CollectionFiles, name: str) -> bool:
    """Whether the first line is an object with an id: the first of many, whatever the file's name says."""
    try:
        with source.open(name) as stream:
            _, line = next(lines(stream, source.label(name)))
        first = _parsed(line)
        return any(name in first and not isinstance(first[name], dict) for name in _IDS)
    except (ValueError, TypeError, RecursionError, DataError, StopIteration):
        return False  # the beginning of one object over many lines, or damaged: for whoever reads on to report


def rows(stream: BinaryIO, label: str, name: str, form: str, columns: Columns) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of every row."""
    if form in COLUMNAR:
        return _columns(stream, label, form)
    if form == TOPICS:
        return topics(stream, label, columns.ids[0], columns.texts[0])
    if form == TABLE:
        return table(stream, label, SEPARATORS[_ending(name)], columns)
    keys = f"{columns.ids[0]} and {columns.texts[0]}"
    return _whole(stream, label, keys) if form == ARRAY else objects(lines(stream, label), label, keys)


def _ending(name: str) -> str:
    return PurePosixPath(plain_name(name)).suffix.lstrip(".").lower()


# JSON


def objects(numbered: Iterator[tuple[int, str]], label: object, keys: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line number, object) of every line; `keys` says in errors what an object should have."""
    for number, line in numbered:
        where = f"{label}:{number}"
        try:
            parsed = _parsed(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: not JSON ({error}). Expected one object a line.") from error
        yield where, _object_of(parsed, where, keys)


def _whole(stream: BinaryIO, label: str, keys: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of one array, or of one object by id."""
    found = list(lines(stream, label))
    if sum(len(line) for _, line in found) > LARGEST:
        raise DataError(f"{label}: one JSON value of more than {LARGEST >> 30} GiB. Write one object a line.")
    text: list[str] = []
    for number, line in found:  # blank lines are left out of `found`, and errors of JSON name lines
        text += [*[""] * (number - 1 - len(text)), line]
    try:
        parsed = _parsed("\n".join(text))
    except (ValueError, RecursionError) as error:
        what = "holds more than one JSON value" if getattr(error, "msg", "") == "Extra data" else "is not JSON"
        raise DataError(
            f"{label}: {what} ({error}). Expected one object a line, or one array of objects in the whole file."
        ) from error
    if isinstance(parsed, dict):
        parsed = _by_id(parsed)
    places = ((f"{label} item:{number}", item) for number, item in enumerate(parsed, 1))
    return ((where, _object_of(item, where, keys)) for where, item in places)


def _by_id(parsed: dict[str, Any]) -> list[Any]:
    """The values of `{id: object or text}`, with their ids; rows of `{column: {row: cell}}`; else one record."""
    if not set(_IDS).isdisjoint(parsed) and (table := transposed(parsed)):
        return table
    if not set(_IDS).isdisjoint(parsed) or not all(isinstance(value, dict | str) for value in parsed.values()):
        return [parsed]
    return [{"_id": key, **(value if isinstance(value, dict) else {"text": value})} for key, value in parsed.items()]


def _object_of(parsed: Any, where: str, keys: str) -> dict[str, Any]:
    if not isinstance(parsed, dict):
        raise DataError(f"{where}: a JSON {type(parsed).__name__}, expected an object with {keys}.")
    if isinstance(parsed, _Ambiguous):
        raise DataError(f"{where}: {parsed.key!r} occurs twice in one object. Leave one of them.")
    return parsed


class _Ambiguous(dict[str, Any]):
    """An object in which `key` occurs twice."""

    key = ""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    ambiguous = _Ambiguous(found)
    ambiguous.key = repeated(pairs)
    return ambiguous


_parsed = json.JSONDecoder(object_pairs_hook=_object).decode


# Parquet and Arrow


def _columns(stream: BinaryIO, label: str, form: str) -> Iterator[tuple[str, dict[str, Any]]]:
    row = 0
    try:
        for batch in _batches(stream, form):
            for fields in batch.to_pylist():
                row += 1
                yield f"{label} row:{row}", fields
    except (pa.ArrowException, *DAMAGE) as error:
        raise DataError(f"{label}: is not {form}, or is damaged ({reason(error)}).") from error


def _batches(stream: BinaryIO, form: str) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq
    from pyarrow import ipc

    if form == ARROW:
        yield from map(valid, ipc.open_stream(stream))  # as `save_to_disk` of `datasets` writes it
        return
    with pq.ParquetFile(stream) as file:
        yield from file.iter_batches(rows_per_batch(file.metadata))


def rows_per_batch(metadata: Any) -> int:
    """So few rows of a parquet file that texts of the usual length in it do not fill the memory."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    bytes_per_row = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0.0)
    return int(min(_ROWS_PER_BATCH, max(1, _BYTES_PER_BATCH // max(bytes_per_row, 1.0))))
