"""Documents, queries and judgments from objects of Python: mappings, tables and rows, each checked as in a file."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.datasets.assemble import Judged
from evalkit.datasets.beir import parse_answers
from evalkit.datasets.candidate_lists import OwnCandidates, candidates_of_lists, excluded_by
from evalkit.datasets.columns import judged_texts
from evalkit.datasets.delimited import Columns
from evalkit.datasets.records import (
    DOCUMENTS,
    OF_QUERIES,
    QUERIES,
    REPEATED,
    REPEATED_QUERIES,
    SAID,
    Record,
    add_once,
    checked,
    instruction_of,
)
from evalkit.errors import DataError
from evalkit.formats.python_objects import framed, holds_rows, is_from, kind_of, plain_value, qrels_of, run_of
from evalkit.system.reporting import shown

_NOTHING = ("NAType", "NaTType")  # classes of pandas
_ROWS = "{id: text}, a table with columns for id and text, or a list of rows"


def judged_of(queries: Any, qrels: Any, name: str) -> Judged:
    """The judged queries of objects, in ascending order of id, with what judges their documents.

    Args:
        queries: `{id: text}`, a table, or rows; these may have `instruction`, `excluded_ids` and `answers`.
        qrels: see `formats.python_objects`.
        name: of the dataset, for errors.

    Raises:
        DataError: they hold something else, or queries lack what others have.
    """
    judged, notes = qrels_of(qrels, f"{name}: qrels"), Counter[str]()
    found: dict[str, Record] = {}
    said_of: dict[str, tuple[Any, ...]] = {}
    for record in own_records(queries, QUERIES, f"{name}: queries"):
        answers = _as_list(record.fields.get("answers"))
        if add_once(said_of, record.id, (record.text, record.fields.get("instruction"), answers), record.where):
            found[record.id] = record
        else:
            notes[REPEATED_QUERIES] += 1
        notes.update(said for what in record.unusual if (said := f"{OF_QUERIES}{what}") in SAID)
    texts = judged_texts(list(found), [record.text for record in found.values()], judged, f"{name}: queries")
    kept = [found[query_id] for query_id in texts]
    return Judged(
        texts,
        judged,
        answers=_answers(kept),
        instructions={query.id: said for query in kept if (said := instruction_of(query.fields, query.where))},
        excluded={query.id: ids for query in kept if (ids := excluded_by(query.fields, query.where))},
        unjudged_queries=len(found) - len(texts),
        notes=+notes,
        other_queries=found.keys() - texts.keys(),
    )


def _answers(queries: Sequence[Record]) -> dict[str, tuple[str, ...]]:
    """The answers of queries, of all of them or of none."""
    found = {record.id: record.fields["answers"] for record in queries if record.fields.get("answers") is not None}
    if found and len(found) < len(queries):
        bare = next(record for record in queries if record.id not in found)
        raise DataError(f"{bare.where}: {len(found)} of {len(queries)} judged queries have answers, and this has none.")
    return {record.id: parse_answers(_as_list(found[record.id]), record.where) for record in queries if found}


def _as_list(value: Any) -> Any:
    """A tuple or an array, as pandas reads from parquet, as a list; anything else as it is."""
    return list(value) if isinstance(value, tuple) or hasattr(value, "tolist") else value


def instructed(judged: Judged, instructions: Any, name: str) -> Judged:
    """The queries with instructions that were given apart from them, `{query id: text}`.

    Raises:
        DataError: they are something else, or a query has another one.
    """
    if not isinstance(instructions, Mapping) or not all(isinstance(text, str) for text in instructions.values()):
        raise DataError(f"{name}: instructions are {shown(instructions)}. Give {{query id: text}}.")
    found = {str(plain_value(query_id)): text for query_id, text in instructions.items() if text}
    if other := [query_id for query_id, text in judged.instructions.items() if found.get(query_id, text) != text]:
        raise DataError(f"{name}: query {other[0]!r} has another instruction next to its text. Leave one of them.")
    return replace(judged, instructions={**judged.instructions, **found})


def candidates_of(source: Any, name: str, *, is_ranking: bool) -> OwnCandidates:
    """Candidates of an object: a run, or `{query id: [document id, ...]}`.

    Lists have no order unless `is_ranking` says so; scores tell which document is the best.

    Raises:
        DataError: it is something else.
    """
    label = f"{name}: candidates"
    if isinstance(source, Mapping) and all(_are_ids(listed) for listed in source.values()):
        return candidates_of_lists(_lists(source, label), is_ranking=is_ranking, source=label)
    if isinstance(source, Mapping):
        _require_scores(source, label)
    return OwnCandidates(run_of(source, label), {})


def _require_scores(source: Mapping[Any, Any], label: str) -> None:
    """Refuse what is neither lists of ids nor scores of documents, or lists for some queries and scores for others."""
    is_legal = _are_ids if _are_ids(next(iter(source.values()))) else lambda scored: isinstance(scored, Mapping)
    for query_id, found in source.items():
        if not is_legal(found):
            raise DataError(
                f"{label}: query {query_id!r} has {shown(found)} ({kind_of(found)}). "
                "Give lists of ids for all queries, or {document: score} for all."
            )


def excluded_of(source: Any, name: str) -> dict[str, list[str]]:
    """The documents that each query excludes, of `{query id: [document id, ...]}`.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(source, Mapping) or not all(_are_ids(listed) for listed in source.values()):
        raise DataError(f"{name}: excluded is {shown(source)}. Give {{query id: [document id, ...]}}.")
    return _lists(source, f"{name}: excluded")


def _are_ids(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) or (hasattr(value, "tolist") and holds_rows(value))


def _lists(source: Mapping[Any, Any], label: str) -> dict[str, list[str]]:
    """Ids of queries and documents as texts; a set has no order, so its ids are sorted."""
    return {
        str(plain_value(query_id)): [
            _checked_id(plain_value(doc_id), query_id, label)
            for doc_id in (sorted(listed) if isinstance(listed, set | frozenset) else listed)
        ]
        for query_id, listed in source.items()
    }


def _checked_id(doc_id: Any, query_id: Any, label: str) -> str:
    """An id of a list as text: a pair of id and score, such as `("d3", 1.0)`, is none."""
    if isinstance(doc_id, bool) or not isinstance(doc_id, str | int):
        raise DataError(
            f"{label}: query {query_id!r} has {shown(doc_id)} ({kind_of(doc_id)}), expected an id. "
            "Give lists of ids, or {document: score} where there are scores."
        )
    return str(doc_id)


def documents_of(source: Any, label: str) -> tuple[list[Record], Counter[str]]:
    """The documents, the first of identical ones, and counts of what was unusual in them."""
    found: list[Record] = []
    rows: dict[str, dict[str, str]] = {}
    notes = Counter[str]()
    for record in own_records(source, DOCUMENTS, label):
        record = record._replace(fields={})  # noqa: PLW2901 - which may hold much more than title and text
        if add_once(rows, record.id, record.row, record.where, what="document"):
            found.append(record)
            notes.update(record.unusual)
        else:
            notes[REPEATED] += 1
    if not found:
        raise DataError(f"{label}: holds no documents.")
    return found, notes


def own_records(source: Any, columns: Columns, label: str) -> Iterator[Record]:
    """The documents or queries of an object, each checked; `label` begins errors.

    Raises:
        DataError: it holds something else.
    """
    for number, fields in enumerate(_rows(source, columns, label), start=1):
        yield checked(fields, f"{label}: row {number}", columns)


def _rows(source: Any, columns: Columns, label: str) -> Iterator[dict[str, Any]]:
    """Rows of a mapping, table or list, as the rows of a file are."""
    key, text = columns.ids[0], columns.texts[0]
    if isinstance(source, Mapping):
        for own_id, value in source.items():
            row_id = {key: plain_value(own_id)}
            fields = value if isinstance(value, Mapping) else {text: value}
            yield {**{name: _cell(each) for name, each in fields.items()}, **row_id}
        return
    for row in _table_rows(source, label):
        if not isinstance(row, Mapping):
            raise DataError(f"{label}: a row is {shown(row)}, expected an object with id and text. Give {_ROWS}.")
        yield {str(name): _cell(value) for name, value in row.items()}


def _cell(value: Any) -> Any:
    """A value of a row; None where pandas has nothing, and a list of an array, which cannot be compared with a text."""
    if getattr(value, "ndim", 0):
        return list(value)
    return None if type(value).__name__ in _NOTHING else plain_value(value)


def _table_rows(source: Any, label: str) -> Iterable[Any]:
    if is_from(source, "pandas", "DataFrame"):
        frame = framed(source)
        return (dict(zip(frame.columns, row, strict=True)) for row in frame.itertuples(index=False, name=None))
    if is_from(source, "pyarrow", "Table"):
        return (row for batch in source.to_batches() for row in batch.to_pylist())
    if is_from(source, "polars", "DataFrame"):
        source = source.iter_rows(named=True)
    if holds_rows(source):
        rows: Iterable[Any] = source
        return rows
    raise DataError(f"{label}: is {shown(source)}. Give {_ROWS}.")
