"""Judgments of a collection, in any of the formats that `filenames` knows. Knows no measures.

lines       TREC, BEIR or CSV, as `trec.parse_qrels` reads them
JSON        {query: {document: grade}}, or objects with `query-id`, `corpus-id` and `score`, or names like these
parquet     columns of these names
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from evalkit.datasets.delimited import Columns
from evalkit.datasets.objects import format_of, rows
from evalkit.datasets.records import shown
from evalkit.datasets.source import CollectionFiles
from evalkit.errors import DataError
from evalkit.formats.rows import GRADES, name_columns
from evalkit.formats.textfile import lines
from evalkit.formats.trec import add_judgment, parse_qrels
from evalkit.types import Qrels

_COLUMNS = Columns(("query-id",), ("corpus-id",))


def read_judgments(source: CollectionFiles, name: str) -> Qrels:
    """The judgments of a file."""
    label = source.label(name)
    ending = PurePosixPath(name.removesuffix(".gz")).suffix
    if ending in {".json", ".jsonl", ".parquet", ".parq"}:
        form = format_of(source, name)
        with source.open(name) as stream:
            return _of_objects(rows(stream, label, name, form, _COLUMNS), label)
    with source.open(name) as stream:
        return parse_qrels(lines(stream, label), label)


def _of_objects(found: Iterable[tuple[str, dict[str, Any]]], label: str) -> Qrels:
    qrels: dict[str, dict[str, int]] = {}
    for where, fields in found:
        for query, document, grade in _triples(fields, where):
            add_judgment(qrels, _plain(query), _plain(document), _plain(grade), where=where)
    if not qrels:
        raise DataError(f"{label}: holds no judgments. Expected query-id, corpus-id and score.")
    return qrels


def _triples(fields: dict[str, Any], where: str) -> Iterator[tuple[Any, Any, Any]]:
    """Query, document and grade of an object that names the three, or that is {query: {document: grade}}."""
    if columns := name_columns(list(fields), GRADES):
        values = list(fields.values())
        assert columns.value is not None, "there is one where grades are asked for"
        yield values[columns.query], values[columns.document], values[columns.value]
    elif "_id" in fields:  # what `objects` makes of one query of an object of all
        yield from ((fields["_id"], document, grade) for document, grade in fields.items() if document != "_id")
    elif all(isinstance(graded, dict) for graded in fields.values()):
        for query, graded in fields.items():
            yield from ((query, document, grade) for document, grade in graded.items())
    else:
        raise DataError(
            f"{where}: {shown(fields)} has no query, document and grade. Name them query-id, corpus-id and score."
        )


def _plain(value: Any) -> str:
    """An id or a grade as text; a whole float, as pandas makes of integers, as its digits."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
