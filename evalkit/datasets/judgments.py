"""Judgments of a collection, in any of the formats that `filenames` knows. Knows no measures.

lines       as `trec` reads them: three columns as BEIR has them, or four as TREC has them
tables      with a line of names, in any order and with others beside them; CSV also with texts in quotes
JSON        {query: {document: grade}}, or objects with the same names as columns
parquet     columns of these names
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from evalkit.datasets.delimited import Columns
from evalkit.datasets.objects import format_of, rows
from evalkit.datasets.records import shown
from evalkit.datasets.source import Source
from evalkit.errors import DataError
from evalkit.textfile import lines
from evalkit.trec import add_judgment, parse_qrels
from evalkit.types import Qrels

_QUERIES = ("query-id", "query_id", "qid", "queryid", "query")
_DOCUMENTS = ("corpus-id", "corpus_id", "doc-id", "doc_id", "docid", "docno", "pid", "document_id", "passage_id")
_GRADES = ("score", "relevance", "rel", "grade", "label", "judgment", "judgement")
_WANTED = ((_QUERIES, "query"), (_DOCUMENTS, "document"), (_GRADES, "grade"))
_COLUMNS = Columns(_QUERIES, _DOCUMENTS)


def read_judgments(source: Source, name: str) -> Qrels:
    """The judgments of a file.

    Raises:
        DataError: a line is malformed, a grade is not an integer, a pair is judged twice differently, no judgment.
    """
    label = source.label(name)
    ending = PurePosixPath(name.removesuffix(".gz")).suffix
    if ending in {".json", ".jsonl", ".parquet", ".parq"}:
        form = format_of(source, name)
        with source.open(name) as stream:
            return _of_objects(rows(stream, label, name, form, _COLUMNS), label)
    with source.open(name) as stream:
        found = lines(stream, label)
        numbered = _of_csv(found, label) if ending == ".csv" else _by_name(found)
        return parse_qrels(numbered, label)


def _of_csv(found: Iterator[tuple[int, str]], label: str) -> Iterator[tuple[int, str]]:
    """The rows of a CSV file as lines with tabs."""
    first = next(found, None)
    if first is None:
        return iter(())
    separator = max(",;\t", key=first[1].count)
    return _by_name(
        (number, "\t".join(_cells(line, separator, f"{label}:{number}"))) for number, line in chain([first], found)
    )


def _cells(line: str, separator: str, where: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=separator, strict=True), [])]
    except csv.Error as error:
        raise DataError(f"{where}: not a row of CSV ({error}).") from error


def _by_name(found: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Lines with query, document and grade in this order, if the first names columns in another; else as they are."""
    first = next(found, None)
    if first is None:
        return iter(())
    names = [cell.strip().lower() for cell in first[1].split("\t")]
    places = [next((names.index(one) for one in legal if one in names), None) for legal, _ in _WANTED]
    if None in places or places == list(range(len(names))):
        return chain([first], found)
    return _chosen(found, [place for place in places if place is not None], len(names))


def _chosen(found: Iterable[tuple[int, str]], places: Sequence[int], width: int) -> Iterator[tuple[int, str]]:
    for number, line in found:
        cells = line.split("\t")
        # A line of another length goes on as it is, to be refused with its number.
        yield number, "\t".join(cells[place] for place in places) if len(cells) == width else line


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
    if any(name in fields for name in _QUERIES):
        query, document, grade = (_value(fields, legal, what, where) for legal, what in _WANTED)
        yield query, document, grade
    elif "_id" in fields:  # what `objects` makes of one query of an object of all
        yield from ((fields["_id"], document, grade) for document, grade in fields.items() if document != "_id")
    elif all(isinstance(graded, dict) for graded in fields.values()):
        for query, graded in fields.items():
            yield from ((query, document, grade) for document, grade in graded.items())
    else:
        raise DataError(
            f"{where}: {shown(fields)} has no query, document and grade. Name them query-id, corpus-id and score."
        )


def _value(fields: dict[str, Any], legal: Sequence[str], what: str, where: str) -> Any:
    for name in legal:
        if name in fields:
            return fields[name]
    raise DataError(f"{where}: has no {what} beside {shown(list(fields))}. Its key may be {', '.join(legal)}.")


def _plain(value: Any) -> str:
    """An id or a grade as text; a whole float, as pandas makes of integers, as its digits."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
