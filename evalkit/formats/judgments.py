"""Judgments in any format that people hold, recognised by content. Knows no measures and no folders.

lines         TREC, BEIR or CSV, as `rows` knows them; of two columns, every document is relevant
JSON          {query: {document: grade}}, {query: [relevant document, ...]}, or objects with names like those of BEIR;
              one value, or one a line
DPR, Tevatron the passages of a question: `ctxs` with `has_answer`, `positive_ctxs` and `negative_ctxs`, ...
Parquet       columns of these names
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

from evalkit.errors import DataError
from evalkit.formats import passages
from evalkit.formats.ids import are_ids, fault, plain_text
from evalkit.formats.json_values import begins_as_json, json_rows
from evalkit.formats.notes import Note, counted
from evalkit.formats.plain_judgments import plain_judgments
from evalkit.formats.rows import GRADES, QRELS_LAYOUTS, Layout, Row, is_number, name_columns, qrels_layout
from evalkit.formats.tabular import is_table, table_columns, table_rows
from evalkit.formats.textfile import File, fields, read_lines
from evalkit.system.reporting import shown
from evalkit.types import Qrels

# trec_eval keeps a relevance in a C int. pandas writes 1 as 1.0.
_GRADE = re.compile(r"([+-]?[0-9]{1,9})(?:\.0*)?")
_LARGER = re.compile(r"[+-]?[0-9]{10,}(?:\.0*)?")
_LOOKED_AT = 1_000  # lines that show the layout
_EXPECTED = "Expected lines of " + " or ".join(QRELS_LAYOUTS.values())
ALL_RELEVANT = Note(
    "no_grades", "the judgments have no grades, so every document in them counts as relevant (grade 1)", {}
)


class QrelsFile(NamedTuple):
    """The content of a file of judgments.

    Attributes:
        qrels: the judgments.
        notes: how the file was read, if that is not obvious.
    """

    qrels: Qrels
    notes: tuple[Note, ...] = ()


def read_judgments(file: File) -> QrelsFile:
    """The judgments of a file in any of the formats above.

    Raises:
        DataError: a malformed line, a relevance that is not an integer, a pair judged twice differently, no judgment.
    """
    if is_table(file):
        return _gathered(table_rows(file, table_columns(file, GRADES)), file)
    if begins_as_json(file, _is_judgment):
        return _of_objects(file)
    return _plain(file) or parse_judgments(read_lines(file), file)


def _plain(file: File) -> QrelsFile | None:
    first = list(islice(read_lines(file), _LOOKED_AT))
    qrels = plain_judgments(file, _layout(first, file), _grade) if first else None
    return QrelsFile(qrels) if qrels else None


def _is_judgment(line: str) -> bool:
    """Whether a line ends in a grade, as JSON never does."""
    row = fields(line, (3, 4))
    return len(row) in QRELS_LAYOUTS and is_number(row[-1])


def parse_judgments(numbered: Iterable[tuple[int, str]], name: object) -> QrelsFile:
    """`read_judgments` for numbered lines."""
    numbered = iter(numbered)
    first = list(islice(numbered, _LOOKED_AT))
    if not first:
        return _gathered((), name)
    return _gathered(_layout(first, name).rows(chain(first, numbered), name), name)


def _layout(first: Sequence[tuple[int, str]], name: object) -> Layout:
    """The layout of numbered lines from those at the start."""
    number, line = first[0]
    return qrels_layout(line, f"{name}:{number}", [line for _, line in first[1:]])


def _gathered(rows: Iterable[Row], name: object) -> QrelsFile:
    qrels: dict[str, dict[str, int]] = {}
    known: dict[str, int] = {}  # grade by its text
    has_grades, repeats = True, 0
    for number, query_id, doc_id, _, value in rows:
        has_grades = value is not None
        text = "1" if value is None else value
        judged = qrels.get(query_id)
        if judged is None or text not in known or doc_id in judged or not are_ids(query_id, doc_id):
            repeats += not add_judgment(qrels, query_id, doc_id, text, where=f"{name}:{number}")
            known[text] = qrels[query_id][doc_id]
        else:
            judged[doc_id] = known[text]
    return _checked(qrels, name, has_grades=has_grades, repeats=repeats)


def _checked(qrels: Qrels, name: object, *, has_grades: bool, repeats: int) -> QrelsFile:
    if not qrels:
        raise DataError(f"{name}: holds no judgments. {_EXPECTED}.")
    notes = () if has_grades else (ALL_RELEVANT,)
    if repeats:
        text = f"{counted(repeats, 'judgment is', 'judgments are')} the same as an earlier one, and left out"
        notes = (*notes, Note("repeated_judgments", text, {"judgments": repeats}))
    return QrelsFile(qrels, notes)


def add_judgment(qrels: dict[str, dict[str, int]], query_id: str, doc_id: str, relevance: str, *, where: str) -> bool:
    """Add a judgment; False where it repeats an earlier one. `where` begins errors.

    Raises:
        DataError: it contradicts an earlier one, or is not an integer.
    """
    if not are_ids(query_id, doc_id):
        raise DataError(f"{where}: an id is empty or holds a NUL character.")
    if (grade := _grade(relevance)) is None:
        large = "too large, " if _LARGER.fullmatch(relevance) else ""
        raise DataError(f"{where}: the relevance is {relevance!r}, {large}expected an integer such as 0, 1 or 2.")
    judged = qrels.setdefault(query_id, {})
    before = len(judged)
    if judged.setdefault(doc_id, grade) != grade:
        raise DataError(
            f"{where}: document {doc_id!r} is judged {relevance} for query {query_id!r}, "
            f"but {judged[doc_id]} further up. Keep one judgment."
        )
    return len(judged) > before


def _grade(relevance: str) -> int | None:
    found = _GRADE.fullmatch(relevance)
    return int(found[1]) if found else None


def not_graded(where: str, query_id: object, doc_id: object) -> DataError:
    """The error of a document without a grade beside others that have one."""
    return DataError(
        f"{where}: document {doc_id!r} of query {query_id!r} has no grade, and others have one. Give it one, such as "
        "0 or 1, or leave it out."
    )


def grade_text(grade: object) -> str:
    """A grade of JSON or Python as `add_judgment` reads it: true is 1."""
    return plain_text(int(grade) if isinstance(grade, bool) else grade)


# JSON


def _of_objects(file: File) -> QrelsFile:
    qrels: dict[str, dict[str, int]] = {}
    has_grades, repeats, ungraded = False, 0, None
    for number, (where, value) in enumerate(json_rows(file), start=1):
        for query, document, grade in _triples(value, number, where):
            has_grades = has_grades or grade is not None
            relevance = "1" if grade is None else grade_text(grade)
            query_id, doc_id = plain_text(query), plain_text(document)
            if wrong := fault(query_id) or fault(doc_id):
                raise DataError(f"{where}: an id {wrong}.")
            if grade is None and ungraded is None:
                ungraded = not_graded(where, query_id, doc_id)
            if ungraded and has_grades:
                raise ungraded
            repeats += not add_judgment(qrels, query_id, doc_id, relevance, where=where)
    return _checked(qrels, file, has_grades=has_grades, repeats=repeats)


def _triples(value: Any, number: int, where: str) -> Iterator[tuple[Any, Any, Any]]:
    """Query, document and grade (None for no grade) of an object of any of the layouts."""
    if isinstance(value, dict):
        if not _nested(value) and (names := name_columns(list(value), GRADES, graded=False, where=where)):
            cells = list(value.values())
            grade = None if names.value is None else cells[names.value]
            yield cells[names.query], cells[names.document], grade
            return
        if found := passages.of_question(value, number):
            yield from ((found.query_id, passage.doc_id, passage.grade) for passage in found.judged(where))
            return
        if all(isinstance(judged, dict | list) for judged in value.values()):
            for query, judged in value.items():
                yield from ((query, *pair) for pair in _graded(query, judged, where))
            return
    raise DataError(
        f"{where}: {shown(value)} has no query, document and grade. Name them query-id, corpus-id and score."
    )


def _nested(value: Mapping[str, Any]) -> bool:
    return any(isinstance(cell, dict | list) for cell in value.values())


def _graded(query: str, judged: Any, where: str) -> Iterator[tuple[Any, Any]]:
    """Documents and grades of one query, from {document: grade}, or a list of relevant documents."""
    if isinstance(judged, dict) and (found := passages.of_question(judged, 0)):
        yield from ((passage.doc_id, passage.grade) for passage in found.judged(where))
    elif isinstance(judged, dict):
        yield from judged.items()
    elif all(isinstance(doc_id, str | int) and not isinstance(doc_id, bool) for doc_id in judged):
        yield from ((doc_id, None) for doc_id in judged)
    else:
        raise DataError(
            f"{where}: the documents of query {query!r} are {shown(judged)}. Expected {{document: grade}}, or a list "
            "of the relevant ids."
        )
