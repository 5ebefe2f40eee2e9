"""Rows of judgment and run files: which field of a line, or column of a table, is the query, document, rank and value.

    TREC        query_id 0 doc_id relevance          query_id Q0 doc_id rank score tag
    BEIR        query-id <tab> corpus-id <tab> score
    MS MARCO    query_id doc_id rank
    tevatron    query_id doc_id score
    ColBERT     query_id doc_id rank score
    CSV, TSV    the same with commas or semicolons; columns with names in any order, in quotes or not

Knows nothing of what values mean.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from evalkit.errors import DataError
from evalkit.formats.textfile import fields

QRELS_LAYOUTS = {3: "query-id corpus-id score", 4: "query_id 0 doc_id relevance"}
RUN_LAYOUT = "query_id Q0 doc_id rank score tag"
# Names of columns without separators, in the order of preference: PyTerrier's tables have docid (a number) and docno.
_QUERY = ("queryid", "qid", "topicid", "topic", "qryid", "query")
_DOCUMENT = ("docno", "corpusid", "documentid", "docid", "passageid", "pid", "did", "document", "passage", "doc")
_RANK = ("rank", "position")
SCORES = ("score", "similarity", "sim")
GRADES = ("relevance", "relevancy", "relevancelabel", "label", "grade", "judgment", "judgement", "rel", "score")


class Row(NamedTuple):
    """One judgment or scored document; `rank` and `value` are None where the layout has no such field."""

    number: int
    query_id: str
    doc_id: str
    rank: str | None
    value: str | None


class Columns(NamedTuple):
    """Where in a row each field is.

    Attributes:
        query: place of the query id.
        document: of the document id.
        rank: of the rank; None where there is none.
        value: of the score or grade; None where there is none.
        may_be_ranks: whether values are perhaps ranks, since nothing names them.
    """

    query: int
    document: int
    rank: int | None
    value: int | None
    may_be_ranks: bool = False

    def row(self, number: int, found: Sequence[str]) -> Row:
        """A row from its fields."""
        rank, value = (None if place is None else found[place] for place in (self.rank, self.value))
        return Row(number, found[self.query], found[self.document], rank, value)


class Layout(NamedTuple):
    """How the lines of a file are read.

    Attributes:
        columns: where each field is.
        width: fields of a line.
        split: a line to its fields.
        has_header: whether the first line names the columns.
        shown: the layout, for errors.
    """

    columns: Columns
    width: int
    split: Callable[[str], list[str]]
    has_header: bool
    shown: str

    def rows(self, numbered: Iterable[tuple[int, str]], name: object) -> Iterator[Row]:
        """Rows of the numbered lines, the first included.

        Raises:
            DataError: a line has another number of fields, or an id that is empty.
        """
        to_row, width, skip = self.columns.row, self.width, self.has_header
        for number, line in numbered:
            found = self.split(line)
            if skip:
                skip = False
                continue
            if len(found) != width:
                raise DataError(f"{name}:{number}: {count(found)}, expected {width} ({self.shown}).")
            yield to_row(number, found)


def count(found: Sequence[str]) -> str:
    """How many fields these are, with the noun."""
    return f"{len(found)} field{'' if len(found) == 1 else 's'}"


def qrels_layout(line: str, where: str) -> Layout:
    """The layout of a file of judgments from its first line.

    Raises:
        DataError: the line is of no known layout.
    """
    if named := _named(line, GRADES):
        return named
    plain = fields(line, (3, 4))
    if len(plain) in QRELS_LAYOUTS:
        return _plain_qrels(plain, partial(fields, counts=(len(plain),)))
    for delimiter in ",;":
        split = partial(_csv_fields, delimiter=delimiter)
        if len(found := split(line)) in QRELS_LAYOUTS:
            return _plain_qrels(found, split)
    legal = " or ".join(QRELS_LAYOUTS.values())
    hint = " These look like a run: the order is QRELS RUN." if plain[1:2] in (["Q0"], ["q0"]) else ""
    raise DataError(f"{where}: {count(plain)}, expected 3 or 4 ({legal}).{hint}")


def _plain_qrels(row: list[str], split: Callable[[str], list[str]]) -> Layout:
    """Judgments in lines without names, from the fields of the first one."""
    width = len(row)
    is_header = width == 3 and _is_header(row)  # noqa: PLR2004
    if width == 3 and _is_quoted(row[0]) and _is_quoted(row[1]):  # noqa: PLR2004 - in TREC files quotes are letters
        split = _without_quotes(split)
    return Layout(Columns(0, width - 2, None, width - 1), width, split, is_header, QRELS_LAYOUTS[width])


def _without_quotes(split: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    return lambda line: [_unquoted(field) for field in split(line)]


def run_layout(line: str, where: str) -> Layout:
    """The layout of a run from its first line.

    Raises:
        DataError: the line is of no known layout.
    """
    if named := _named(line, SCORES):
        return named
    plain = fields(line, (6,))
    if len(plain) == 6:  # noqa: PLR2004
        return TREC_RUN
    candidates = [(fields(line, (3, 4)), "\t", partial(fields, counts=(3,)), partial(fields, counts=(4,)))]
    for delimiter in ",;":
        split = partial(_csv_fields, delimiter=delimiter)
        candidates.append((split(line), delimiter, split, split))
    for row, delimiter, of_three, of_four in candidates:
        if found := _plain_run(row, delimiter, of_three, of_four):
            return found
    hint = " These look like judgments: the order is QRELS RUN." if len(plain) == 4 and plain[1] == "0" else ""  # noqa: PLR2004
    raise DataError(f"{where}: {count(plain)}, expected 6 ({RUN_LAYOUT}), or 3 (query_id doc_id score).{hint}")


TREC_RUN = Layout(Columns(0, 2, 3, 4), 6, partial(fields, counts=(6,)), has_header=False, shown=RUN_LAYOUT)


def _plain_run(
    row: list[str], delimiter: str, of_three: Callable[[str], list[str]], of_four: Callable[[str], list[str]]
) -> Layout | None:
    """A run of lines without names, from the fields of its first one; None where they are of no known layout."""
    match row:
        case [_, _, value] if is_number(_unquoted(value)):
            columns, split, shown = Columns(0, 1, None, 2, may_be_ranks=True), of_three, "query_id doc_id score"
        case [_, "Q0", _, _]:
            return None  # a run that lacks fields
        case [_, "0", _, grade] if re.fullmatch(r"-?[0-9]+", grade):
            return None  # judgments
        case [_, _, rank, score] if is_number(_unquoted(rank)) and is_number(_unquoted(score)):
            columns, split, shown = Columns(0, 1, 2, 3), of_four, "query_id doc_id rank score"
        case [_, _, _, _] if delimiter == "\t":
            columns, split, shown = Columns(0, 1, None, None), of_four, "query_id doc_id query document"
        case [_, _, _, rank, score, _] if delimiter != "\t" and is_number(score) and is_number(rank):
            columns, split, shown = Columns(0, 2, 3, 4), of_three, RUN_LAYOUT
        case _:
            return None
    if delimiter == "\t" and _is_quoted(row[0]) and _is_quoted(row[1]):
        split = _without_quotes(split)
    return Layout(columns, len(row), split, has_header=False, shown=shown)


def _named(line: str, values: tuple[str, ...]) -> Layout | None:
    """The layout of a file whose first line names its columns; None where it does not."""
    for delimiter in ("\t",) if "\t" in line else (",", ";", " "):
        is_plain = delimiter in "\t " and '"' not in line
        split = partial(fields, counts=()) if delimiter == " " else partial(_csv_fields, delimiter=delimiter)
        names = split(line)
        columns = name_columns(names, values) if len(names) > 2 else None  # noqa: PLR2004
        if columns and not any(map(is_number, names)):
            if is_plain:
                split = partial(fields, counts=(len(names),))
            return Layout(columns, len(names), split, has_header=True, shown=" ".join(names))
    return None


def name_columns(names: Sequence[str], values: tuple[str, ...] = SCORES) -> Columns | None:
    """Where each field is, from the names of columns; None where query, document or value are not named."""
    plain = [re.sub(r"[\W_]+", "", _unquoted(name.strip())).lower() for name in names]
    query, document, rank, value = (
        next((plain.index(name) for name in known if name in plain), None)
        for known in (_QUERY, _DOCUMENT, _RANK, values)
    )
    if query is None or document is None or (value is None and (rank is None or values is GRADES)):
        return None
    return Columns(query, document, rank, value)


def _is_header(row: list[str]) -> bool:
    """Whether these are column names of another wording: query, document, score, in this order."""
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
