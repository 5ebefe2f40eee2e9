"""Rows of judgment and run files: which field of a line, or column of a table, is the query, document, rank and value.

    TREC        query_id 0 doc_id relevance          query_id Q0 doc_id rank score tag
    BEIR        query-id <tab> corpus-id <tab> score
    MS MARCO    query_id doc_id rank
    tevatron    query_id doc_id score
    ColBERT     query_id doc_id rank score
    CSV, TSV    the same with commas or semicolons; columns with names in any order, in quotes or not
    ir_datasets query_id <tab> doc_id <tab> relevance <tab> iteration
    without grades, judgments of two columns: query_id doc_id

Knows nothing of the meaning of values.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from evalkit.errors import DataError
from evalkit.formats.textfile import fields

QRELS_LAYOUTS = {3: "query-id corpus-id score", 4: "query_id 0 doc_id relevance"}
_RELEVANT = "query-id corpus-id"
_ITERATION_LAST = "query_id doc_id relevance iteration"
RUN_LAYOUT = "query_id Q0 doc_id rank score tag"
# Names of columns without separators, in the order of preference: PyTerrier's tables have docid (a number) and docno.
_QUERY = ("queryid", "qid", "topicid", "topic", "qryid", "query")
_DOCUMENT = ("docno", "corpusid", "documentid", "docid", "passageid", "pid", "did", "document", "passage", "doc")
_RANK = ("rank", "position")
SCORES = ("score", "similarity", "sim")
GRADES = ("relevance", "relevancy", "relevancelabel", "label", "grade", "judgment", "judgement", "rel", "score")

# Two columns of these cannot be told apart. `query` and `document` may be texts, and `score` not the grade.
_ALIKE = (
    {"queryid", "qid", "topicid", "qryid"},
    {"docno", "corpusid", "documentid", "docid", "passageid", "pid", "did"},
    {*SCORES},
    {*GRADES} - {"score"},
)
_PREFERRED = {"docno": "docid"}  # the first to the second

Split = Callable[[str], list[str]]


class Row(NamedTuple):
    """One judgment or scored document; `rank` and `value` are None where the layout has no such field."""

    number: int
    query_id: str
    doc_id: str
    rank: str | None
    value: str | None


class FieldPlaces(NamedTuple):
    """The index of each field in a row; None for a field that the layout lacks.

    Attributes:
        value: index of the score or grade.
        may_be_ranks: whether the values could be ranks, since the column has no name.
    """

    query: int
    document: int
    rank: int | None
    value: int | None
    may_be_ranks: bool = False

    def row(self, number: int, found: Sequence[str]) -> Row:
        """A row from its fields."""
        rank = None if self.rank is None else found[self.rank]
        value = None if self.value is None else found[self.value]
        return Row(number, found[self.query], found[self.document], rank, value)


class Layout(NamedTuple):
    """How to read the lines of a file with `width` fields; `shown` is the layout in errors."""

    columns: FieldPlaces
    width: int
    split: Split
    has_header: bool
    shown: str

    def rows(self, numbered: Iterable[tuple[int, str]], name: object) -> Iterator[Row]:
        """Rows of the numbered lines, the first included.

        Raises:
            DataError: a line has another number of fields.
        """
        to_row, width, skip = self.columns.row, self.width, self.has_header
        for number, line in numbered:
            found = self.split(line)
            if skip:
                skip = False
                continue
            if len(found) != width:
                raise DataError(f"{name}:{number}: {_count(found)}, expected {width} ({self.shown}).")
            yield to_row(number, found)


_TREC_QRELS = FieldPlaces(0, 2, None, 3)
TREC_RUN = Layout(FieldPlaces(0, 2, 3, 4), 6, partial(fields, counts=(6,)), has_header=False, shown=RUN_LAYOUT)


def qrels_layout(line: str, where: str, following: Sequence[str] = ()) -> Layout:
    """The layout of a file of judgments from its first line and, where that is not enough, some that follow.

    Raises:
        DataError: the layout is unknown.
    """
    if named := _named(line, GRADES, following, where):
        return named
    for row, split, _ in _splits(line):
        width = len(row)
        if width in QRELS_LAYOUTS:
            own = _without_quotes(split, row)
            if width == 4:  # noqa: PLR2004
                last = _iteration_is_last([row for row in map(split, (line, *following)) if len(row) == width])
                places, shown = (
                    (FieldPlaces(0, 1, None, 2), _ITERATION_LAST) if last else (_TREC_QRELS, QRELS_LAYOUTS[4])
                )
                return Layout(places, width, own, has_header=False, shown=shown)
            return Layout(FieldPlaces(0, 1, None, 2), width, own, _is_header(row), QRELS_LAYOUTS[width])
    if relevant := _two_columns(line, following):
        return relevant
    _refuse_unnamed(line, where, GRADES)
    found, legal = fields(line, (3, 4)), " or ".join(QRELS_LAYOUTS.values())
    hint = " These look like a run: the order is QRELS RUN." if found[1:2] in (["Q0"], ["q0"]) else ""
    raise DataError(f"{where}: {_count(found)}, expected 3 or 4 ({legal}).{hint}")


def _iteration_is_last(rows: Sequence[Sequence[str]]) -> bool:
    """Whether rows of four fields have TREC's iteration, a constant, behind the grade and not before the document."""
    second, last = {row[1] for row in rows}, {row[3] for row in rows}
    return not second & {"0", "Q0"} and last <= {"0", "Q0"} and all(map(is_number, (row[2] for row in rows)))


def _two_columns(line: str, following: Sequence[str]) -> Layout | None:
    """Judgments of relevant documents alone; None where the fields are not two, hold blanks as texts do, or are cut."""
    for row, split, _ in _splits(line, (2,)):
        seconds = {field for text in (line, *following) for field in split(text)[1:2]}
        if len(row) == 2 and not any(" " in _unquoted(field) for field in row) and not seconds <= {"0", "Q0"}:  # noqa: PLR2004
            has_header = name_columns(row, GRADES, graded=False) is not None
            return Layout(FieldPlaces(0, 1, None, None), 2, _without_quotes(split, row), has_header, _RELEVANT)
    return None


def run_layout(line: str, where: str, following: Sequence[str] = ()) -> Layout:
    """The layout of a run from its first line; whether values are in quotes may show in the one that follows.

    Raises:
        DataError: the layout is unknown.
    """
    if named := _named(line, SCORES, following, where):
        return named
    found = fields(line, (6,))
    # Short texts of MS MARCO's candidates may have as many words.
    if len(found) == TREC_RUN.width and (
        "\t" not in line or found[1] in {"Q0", "q0"} or is_number(_unquoted(found[4]))
    ):
        return TREC_RUN._replace(split=_without_quotes(TREC_RUN.split, [found[0], found[2]]))
    _refuse_unnamed(line, where, (*SCORES, *_RANK))
    for row, split, plain in _splits(line):
        if layout := _plain_run(row, split, plain=plain):
            return layout
    for names, _, plain in _splits(line):
        if not plain and len(names) > 2 and not any(map(is_number, names)):  # noqa: PLR2004
            shown = ", ".join(names)
            raise DataError(
                f"{where}: has the columns {shown}. Expected query_id, doc_id and score, or names like these."
            )
    hint = " These look like judgments: the order is QRELS RUN." if len(found) == 4 and found[1] == "0" else ""  # noqa: PLR2004
    raise DataError(f"{where}: {_count(found)}, expected 6 ({RUN_LAYOUT}), or 3 (query_id doc_id score).{hint}")


def _splits(line: str, counts: tuple[int, ...] = (3, 4)) -> Iterator[tuple[list[str], Split, bool]]:
    """(fields, how the line was split, whether at tabs or blanks), in the order of preference."""
    row = fields(line, counts)
    yield row, partial(fields, counts=(len(row),)), True
    for delimiter in ",;":
        split = partial(_csv_fields, delimiter=delimiter)
        yield split(line), split, False


def _plain_run(row: list[str], split: Split, *, plain: bool) -> Layout | None:
    """A run without column names, from the fields of its first line; None for an unknown layout."""
    numbers = [is_number(_unquoted(field)) for field in row]
    has_header = False
    match row:
        case [_, _, _] if numbers[2]:
            columns, shown = FieldPlaces(0, 1, None, 2, may_be_ranks=True), "query_id doc_id score"
        case [_, "Q0", _, _]:
            return None  # a run that lacks fields
        case [_, "0", _, grade] if re.fullmatch(r"-?[0-9]+", grade):
            return None  # judgments
        case [_, _, _, _] if numbers[2] and numbers[3]:
            columns, shown = FieldPlaces(0, 1, 2, 3), "query_id doc_id rank score"
        case [_, _, _, _] if plain:
            columns, shown = FieldPlaces(0, 1, None, None), "query_id doc_id query document"
            has_header = _are_candidates(row)
        case [_, _, _, _, _, _] if not plain and numbers[3] and numbers[4]:
            columns, shown = TREC_RUN.columns, RUN_LAYOUT
        case _:
            return None
    return Layout(columns, len(row), _without_quotes(split, row) if plain else split, has_header, shown)


def _are_candidates(names: Sequence[str]) -> bool:
    """Whether these are the names of the columns of MS MARCO's candidates: qid, pid, query, passage."""
    return len(names) == 4 and "query" in names[2].lower() and name_columns(names, graded=False) is not None  # noqa: PLR2004


def _without_quotes(split: Split, row: list[str]) -> Split:
    """The same split, without the quotes around fields if the ids of this row have them."""
    quoted = _is_quoted(row[0]) and any(map(_is_quoted, row[1:3]))
    return (lambda line: [_unquoted(field) for field in split(line)]) if quoted else split


def _named(line: str, values: tuple[str, ...], following: Sequence[str], where: str) -> Layout | None:
    """The layout of a file whose first line names its columns; None where it does not."""
    for delimiter in ("\t",) if "\t" in line else (",", ";", " "):
        has_quotes = any('"' in text for text in (line, *following[:1]))
        blanks = partial(fields, counts=())
        split: Split = blanks if delimiter == " " else partial(_csv_fields, delimiter=delimiter)
        names = split(line)
        columns = name_columns(names, values) if len(names) > 2 else None  # noqa: PLR2004
        if columns and not any(is_number(name) for name in names if name != "0"):  # which TREC's iteration is called
            name_columns(names, values, where=where)
            if delimiter in "\t " and not has_quotes:
                split = partial(fields, counts=(len(names),))
            elif delimiter == " ":
                split = _all_unquoted
            return Layout(columns, len(names), split, has_header=True, shown=" ".join(names))
    return None


def _refuse_unnamed(line: str, where: str, values: tuple[str, ...]) -> None:
    """Refuse names of columns that have a query and a document, and no value."""
    for names, _, plain in _splits(line, (2, 3, 4)):
        if len(names) > 1 and name_columns(names, graded=False) and not (plain and _are_candidates(names)):
            raise DataError(
                f"{where}: names the columns {', '.join(names)}, and none of them is a value. It may be called "
                f"{', '.join(values)}."
            )


def _all_unquoted(line: str) -> list[str]:
    return [_unquoted(field) for field in fields(line, ())]


def name_columns(
    names: Sequence[str], values: tuple[str, ...] = SCORES, *, graded: bool = True, where: object = None
) -> FieldPlaces | None:
    """The index of each field from the names of columns; None unless query and document, and a value, have names.

    `graded` is whether there must be a value. `where` begins the error about two columns that may be meant; None for
    the first of them.
    """
    plain = [re.sub(r"[\W_]+", "", _unquoted(name.strip())).lower() for name in names]
    query, document, rank, value = (
        next((plain.index(name) for name in known if name in plain), None)
        for known in (_QUERY, _DOCUMENT, _RANK, values)
    )
    if query is None or document is None or (graded and value is None and (rank is None or values is GRADES)):
        return None
    if where is not None:
        for place in (query, document, rank, value):
            _require_only(place, plain, names, where)
    return FieldPlaces(query, document, rank, value)


def _require_only(place: int | None, plain: Sequence[str], names: Sequence[str], where: object) -> None:
    """Refuse another column that may be meant as well as the one at this place."""
    if place is None:
        return
    chosen = plain[place]
    alike = next((some for some in _ALIKE if chosen in some), {chosen}) - {_PREFERRED.get(chosen)}
    if others := [names[other] for other, name in enumerate(plain) if name in alike and other != place]:
        raise DataError(
            f"{where}: the columns {names[place]} and {others[0]} could both be meant. Leave one out, or rename it."
        )


def _is_header(row: list[str]) -> bool:
    """Whether these are column names in other words: query, document, score, in this order."""
    query, document, _ = (name.lower() for name in row)
    named = any(part in document for part in ("corpus", "doc", "passage", "pid"))
    return ("query" in query or query == "qid") and named and not is_number(row[2])


def is_number(text: str) -> bool:
    """Whether C would read this as a number: Python also takes `1_0` and digits of other scripts."""
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def _count(found: Sequence[str]) -> str:
    return f"{len(found)} field{'' if len(found) == 1 else 's'}"


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"'


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if _is_quoted(text) else text


def _csv_fields(line: str, *, delimiter: str) -> list[str]:
    try:
        found = next(csv.reader([line], delimiter=delimiter))
    except csv.Error:
        return line.split(delimiter)
    return [field.strip(" ") for field in found]
