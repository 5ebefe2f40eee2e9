"""Runs and judgments from objects of Python and of other libraries, none of which is imported here.

    {query: {document: score or grade}}     pytrec_eval, BEIR; ids are texts or integers, numbers Python's or NumPy's
    {query: [relevant document, ...]}       judgments without grades
    tables with named columns               pandas, polars, pyarrow, datasets; PyTerrier, BEIR, ir_measures, ranx
    rows with named fields                  ir_measures' and ir_datasets' ScoredDoc and Qrel, objects of JSON
    ranx.Run, ranx.Qrels, evalkit.Run
    a path                                  `runfile.py` and `trec.py` read the file

A library's own class is recognised by the package that defines it.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from numbers import Real
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.formats import ids
from evalkit.formats.judgments import ALL_RELEVANT, add_judgment, grade_text, not_graded
from evalkit.formats.notes import counted
from evalkit.formats.rows import GRADES, SCORES, FieldPlaces, is_number, name_columns
from evalkit.formats.run_json import ranked
from evalkit.formats.run_rows import RunRows
from evalkit.formats.runfile import RunFile, by_score_or_rank, read_run_file, with_repeats
from evalkit.formats.subtopics import of_documents, read_subtopics
from evalkit.formats.trec import log_doubts, read_qrels
from evalkit.run import Run
from evalkit.system.files import expanded
from evalkit.system.reporting import shown
from evalkit.types import Qrels, Subtopics

logger = logging.getLogger(__name__)

_RUNS = (
    "{query: {document: score}}, {query: [best document, ...]}, a table with columns such as query_id, doc_id and "
    "score, rows of ir_measures, a ranx.Run, an evalkit.Run, or a path"
)
_JUDGMENTS = (
    "{query: {document: grade}}, {query: [relevant document, ...]}, a table with columns such as query_id, doc_id and "
    "relevance, rows of ir_measures, ranx.Qrels, or a path"
)
_SUBTOPICS = "a TREC file, or a table or rows of ir_measures with query_id, doc_id, relevance and subtopic or iteration"


def run_of(source: Any, name: str = "the run", *, order: str | None = None) -> Run:
    """The run in an object of any of the kinds above; doubts about it are logged.

    Args:
        source: the object. It is not changed; an iterator is used up.
        name: of the run, for errors.
        order: `score`, or `rank` to go by the ranks instead; None for scores, and doubts about them.

    Raises:
        DataError: another kind of object, an id or score that is not one, a document twice for a query, no rows.
    """
    if isinstance(source, Run):
        return source
    found = run_object(source, name, order=order)
    log_doubts(found, source if isinstance(source, str | PathLike) else name)
    return found.run


def run_object(source: Any, name: str = "the run", *, order: str | None = None) -> RunFile:
    """`run_of`, with what a run file has besides its run: ranks that contradict the scores, and notes."""
    if isinstance(source, str | PathLike):
        return read_run_file(expanded(str(source)), order=order)
    if isinstance(source, Run):
        found = RunFile(source)
    elif isinstance(source, Mapping) or is_from(source, "ranx", "Run"):
        columns = _triples(ranked(source if isinstance(source, Mapping) else source.to_dict(), name), name, _RUNS)
        # The order of a dictionary is not a ranking: BEIR's come from heaps.
        found = _run_file(columns, name, order or "score")
    else:
        found = _run_file(_columns(source, SCORES, name, _RUNS), name, order)
    if not len(found.run):
        raise DataError(f"{name}: holds no scored documents.")
    return found


def qrels_of(source: Any, name: str = "the judgments") -> Qrels:
    """The judgments in an object of any of the kinds above.

    Args:
        source: the object. It is not changed; an iterator is used up.
        name: of the judgments, for errors.

    Raises:
        DataError: another kind of object, a relevance that is not an integer, a pair judged twice differently, nothing.
    """
    if isinstance(source, str | PathLike):
        return read_qrels(expanded(str(source)))
    if isinstance(source, Mapping) or is_from(source, "ranx", "Qrels"):
        columns = _triples(_graded(source if isinstance(source, Mapping) else source.to_dict(), name), name, _JUDGMENTS)
    else:
        columns = _columns(source, GRADES, name, _JUDGMENTS)
    query_ids, queries = _coded(columns.queries, name)
    doc_ids, documents = _coded(columns.documents, name)
    qrels: dict[str, dict[str, int]] = {}
    for query, document, grade in zip(queries.tolist(), documents.tolist(), columns.values or (), strict=True):
        where = f"{name}: query {query_ids[query]!r}"
        add_judgment(qrels, query_ids[query], doc_ids[document], grade_text(plain_value(grade)), where=where)
    if not qrels:
        raise DataError(f"{name}: holds no judgments.")
    return qrels


def subtopics_of(source: Any, name: str = "the judgments") -> Subtopics:
    """The judgments of subtopics in a TREC file, or in a table or rows that name them `subtopic` or `iteration`.

    Raises:
        DataError: another kind of object, or as of `qrels_of` and `read_subtopics`.
    """
    if isinstance(source, str | PathLike):
        return read_subtopics(expanded(str(source)))
    names, column = _named(source, name, _SUBTOPICS)
    places = name_columns(names, GRADES, where=name)
    subtopic = next((names.index(each) for each in ("subtopic", "iteration") if each in names), None)
    if places is None or subtopic is None:
        raise DataError(f"{name}: has {', '.join(names)}. Expected {_SUBTOPICS}.")
    judged: dict[str, dict[str, dict[str, int]]] = {}
    needed = (subtopic, places.query, places.document, places.value)
    for own, *pair, grade in zip(*(column(place) for place in needed if place is not None), strict=True):
        found, (query_id, doc_id) = judged.setdefault(_id(own, name), {}), (_id(each, name) for each in pair)
        add_judgment(found, query_id, doc_id, grade_text(plain_value(grade)), where=f"{name}: query {query_id!r}")
    return of_documents(judged, name, names[subtopic])


def is_from(source: Any, package: str, *names: str) -> bool:
    """Whether an object is of a class with one of these names that a package defines, or of a subclass of one."""
    return any(kind.__module__.partition(".")[0] == package and kind.__name__ in names for kind in type(source).__mro__)


def is_table(source: Any) -> bool:
    """Whether an object is a table of a library: of pandas, polars, pyarrow or datasets."""
    in_arrow = is_from(source, "pyarrow", "Table", "RecordBatch") or is_from(source, "datasets", "Dataset")
    return in_arrow or any(is_from(source, package, "DataFrame") for package in ("pandas", "polars"))


def holds_rows(source: Any) -> bool:
    """Whether an object can be read row by row: an array without dimensions says so, and cannot."""
    return isinstance(source, Iterable) and not isinstance(source, str | bytes) and getattr(source, "ndim", None) != 0


def kind_of(source: Any) -> str:
    """The class of an object, for errors."""
    kind = type(source)
    return f"{'' if kind.__module__ == 'builtins' else f'{kind.__module__}.'}{kind.__qualname__}"


def plain_value(value: Any) -> Any:
    """A number of NumPy, or a tensor of one, as a number of Python; anything else as it is."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        with suppress(RuntimeError):  # of a tensor without values
            return value.item()
    return value


def framed(frame: Any) -> Any:
    """A DataFrame of pandas whose named index, where group-by leaves ids, is a column."""
    return frame.reset_index() if any(level is not None for level in frame.index.names) else frame


def _run_file(columns: "_Columns", name: str, order: str | None) -> RunFile:
    scored, run = _rows_of(columns, name).once(name)
    found = with_repeats(by_score_or_rank(columns.places, scored, run, name, order), scored, "row")
    return found if scored.ranks is not None else found._replace(ranks_are="the order of the rows")


def _graded(judged: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    """Judgments by query and document; documents in a list have no grades, and all are relevant."""
    listed = {query_id: found for query_id, found in judged.items() if isinstance(found, list | tuple)}
    if not listed:
        return judged
    if any(isinstance(found, Mapping) and found for found in judged.values()) and any(listed.values()):
        raise next(not_graded(name, query_id, found[0]) for query_id, found in listed.items() if found)
    logger.warning("%s: %s.", name, ALL_RELEVANT.text)
    relevant = {each: dict.fromkeys((_id(doc_id, name) for doc_id in found), 1) for each, found in listed.items()}
    return {**judged, **relevant}


class _Columns(NamedTuple):
    """Values as they were given, a sequence a field; None for a field that there is not."""

    places: FieldPlaces
    queries: Sequence[Any]
    documents: Sequence[Any]
    ranks: Sequence[Any] | None
    values: Sequence[Any] | None


def _triples(mapping: Mapping[Any, Any], name: str, expected: str) -> _Columns:
    texts: dict[str, Any] = {}
    for query_id, found in mapping.items():
        if not isinstance(found, Mapping):
            raise DataError(f"{name}: query {query_id!r} has {_shown(found)}. Expected {expected}.")
        if (first := texts.setdefault(_id(query_id, name), query_id)) is not query_id:
            raise DataError(f"{name}: the queries {first!r} and {query_id!r} have the same id as texts. Keep one.")
    return _Columns(
        FieldPlaces(0, 1, None, 2),
        [query_id for query_id, found in mapping.items() for _ in found],
        list(chain.from_iterable(mapping.values())),
        None,
        [value for found in mapping.values() for value in found.values()],
    )


def _columns(source: Any, values: tuple[str, ...], name: str, expected: str) -> _Columns:
    """Columns of a table, or fields of rows; refused where it is neither, or its columns have other names."""
    names, column = _named(source, name, expected)
    places = name_columns(names, values, where=name)
    if places is None:
        found = ", ".join(names) or "no columns"
        raise DataError(f"{name}: has {found}. Expected {expected}.")
    query, document, rank, value = (None if place is None else column(place) for place in places[:4])
    return _Columns(places, query or (), document or (), rank, value)


def _named(source: Any, name: str, expected: str) -> tuple[list[str], Callable[[int], list[Any]]]:
    return _table(source) if is_table(source) else _records(source, name, expected)


def _table(source: Any) -> tuple[list[str], Callable[[int], list[Any]]]:
    frame = framed(source if is_from(source, "pandas", "DataFrame") else source.to_pandas())
    return [str(label) for label in frame.columns], lambda place: frame.iloc[:, place].tolist()


def _records(source: Any, name: str, expected: str) -> tuple[list[str], Callable[[int], list[Any]]]:
    """Names of fields of the first row, and a function from a field's place to its values."""
    if not holds_rows(source):
        raise DataError(f"{name}: is {_shown(source)}. Expected {expected}.")
    rows = list(source)
    if not rows:
        raise DataError(f"{name}: holds no rows. Expected {expected}.")
    names = _fields(rows[0])
    for number, row in enumerate(rows, start=1):
        if not names or _fields(row) != names:
            of = f", expected the fields {', '.join(names)} of the first row" if names else f". Expected {expected}"
            raise DataError(f"{name}: row {number} is {_shown(row)}{of}.")
    keys = names if isinstance(rows[0], Mapping) else range(len(names))
    return list(names), lambda place: [row[keys[place]] for row in rows]


def _fields(row: Any) -> tuple[str, ...]:
    """Names of the fields of a row; none where it has no names."""
    if isinstance(row, Mapping):
        return tuple(map(str, row))
    return tuple(getattr(row, "_fields", ())) if isinstance(row, tuple) else ()


def _rows_of(columns: _Columns, name: str) -> RunRows:
    query_ids, queries = _coded(columns.queries, name)
    doc_ids, documents = _coded(columns.documents, name)
    none = np.zeros(len(queries))
    scores = none if columns.values is None else _numbers(columns.values, columns, name, "score")
    ranks = None if columns.ranks is None else _numbers(columns.ranks, columns, name, "rank")
    return RunRows(query_ids, pa.array(doc_ids, pa.string()), queries, documents, scores, ranks)


def _coded(given: Sequence[Any], name: str) -> tuple[list[str], NDArray[np.int32]]:
    """The distinct ids as texts, and the place of each given id among them."""
    places: dict[Any, int] = {}
    try:
        codes = np.fromiter((places.setdefault(each, len(places)) for each in given), np.int32, len(given))
    except TypeError:  # one cannot be hashed: refused here by its name
        _ = [_id(each, name) for each in given]
        raise
    if floats := [each for each in places if isinstance(each, float | np.floating) and each.is_integer()]:
        found = counted(len(floats), "id is a number", "ids are numbers")
        logger.warning("%s: %s such as %s, read as %d.", name, found, floats[0], floats[0])
    texts: dict[str, int] = {}
    known = np.array([texts.setdefault(_id(each, name), len(texts)) for each in places], np.int32)
    return list(texts), known[codes] if len(known) else codes


def _id(value: Any, name: str) -> str:
    if isinstance(value, float | np.floating) and value.is_integer():
        value = int(value)  # as pandas has integers where some are missing
    if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
        raise DataError(f"{name}: the id {_shown(value)} is neither a text nor an integer.")
    text = str(value)
    if wrong := ids.fault(text):
        raise DataError(f"{name}: the id {text!r} {wrong}.")
    return text


def _numbers(values: Sequence[Any], columns: _Columns, name: str, what: str) -> NDArray[np.float64]:
    kinds = set(map(type, values))
    if bool not in kinds and all(issubclass(kind, float | int | np.floating | np.integer) for kind in kinds):
        with suppress(OverflowError):  # an integer beyond any float, which is named below
            return np.array(values, dtype=np.float64)
    found = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            found[row] = _number(value)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last of a tensor without values
            of = f"document {columns.documents[row]!r} for query {columns.queries[row]!r}"
            raise DataError(f"{name}: the {what} of {of} is {_shown(value)}, expected a number.") from error
    return found


def _number(value: Any) -> float:
    """A number of Python or NumPy, a tensor of one number, or a number as text."""
    if isinstance(value, str):
        return float(value if is_number(value) else "not a number")
    if isinstance(value, bool | np.bool_) or (not isinstance(value, Real) and getattr(value, "ndim", None) != 0):
        raise TypeError(value)
    return float(plain_value(value))


def _shown(value: Any) -> str:
    """A value and its kind, for errors."""
    return f"{shown(value)} ({kind_of(value)})"
