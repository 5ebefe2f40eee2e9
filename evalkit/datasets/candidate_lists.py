"""What tables say of single queries besides texts and judgments: lists of candidates, exclusions, instructions.

top_ranked      query-id, corpus-ids     one list a query, in mteb's repositories; names may differ
instruction     query-id, instruction    likewise; or a column of the queries
excluded_ids    a column of the queries  a list; BRIGHT has ["N/A"] for none
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from evalkit.datasets.assemble import Judged
from evalkit.datasets.records import REPEATED_CANDIDATES, checked_id
from evalkit.errors import DataError
from evalkit.run import Run
from evalkit.system.reporting import shown

QUERY_KEYS = ("query-id", "query_id", "qid", "_id", "id")
LIST_KEYS = ("corpus-ids", "corpus_ids", "doc_ids", "docids", "candidates", "top_ranked")
EXCLUDED = "excluded_ids"
INSTRUCTION = "instruction"
_NONE = "N/A"


class OwnCandidates(NamedTuple):
    """Candidates that a dataset brings, and counts of what was unusual."""

    run: Run
    notes: Mapping[str, int]


def candidates_of_lists(lists: Mapping[str, Sequence[str]], *, is_ranking: bool, source: str) -> OwnCandidates:
    """The documents of each list by their place in it; those that a list repeats are counted and left out.

    Args:
        lists: query id -> document ids.
        is_ranking: whether their order is that of a first stage. Else all have the same score: in many published lists
            the relevant documents come first.
        source: named in errors.
    """
    distinct = {query_id: list(dict.fromkeys(doc_ids)) for query_id, doc_ids in lists.items()}
    lengths = np.array([len(doc_ids) for doc_ids in distinct.values()], dtype=np.int64)
    ids = pa.array((doc_id for doc_ids in distinct.values() for doc_id in doc_ids), pa.string()).dictionary_encode()
    places = np.arange(len(ids)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    run = Run.rank(
        list(distinct),
        ids.dictionary,
        queries=np.repeat(np.arange(len(distinct)), lengths),
        documents=ids.indices.to_numpy(zero_copy_only=False).astype(np.int64),
        scores=-places.astype(np.float64) if is_ranking else np.zeros(len(ids)),
        source=source,
    )
    repeated = sum(map(len, lists.values())) - len(run)
    return OwnCandidates(run, {REPEATED_CANDIDATES: repeated} if repeated else {})


def excluded_by_lists(lists: Mapping[str, Sequence[str]], doc_ids: Sequence[str]) -> dict[str, list[str]]:
    """What lists of the documents that queries may have leave out of these; queries without a list exclude nothing."""
    every = frozenset(doc_ids)
    excluded = {query_id: every.difference(allowed) for query_id, allowed in lists.items()}
    return {query_id: sorted(left_out) for query_id, left_out in excluded.items() if left_out}


def excluded_of(query_ids: Sequence[Any], lists: Sequence[Sequence[Any] | None]) -> dict[str, list[str]]:
    """Query id -> documents that it excludes, of a list for each query, which may be null, empty or `["N/A"]`."""
    found = {
        str(query_id): [str(doc_id) for doc_id in dict.fromkeys(listed or ()) if doc_id != _NONE]
        for query_id, listed in zip(query_ids, lists, strict=True)
    }
    return {query_id: doc_ids for query_id, doc_ids in found.items() if doc_ids}


def excluded_by(fields: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """The documents that a row of queries says are excluded.

    Raises:
        DataError: it has something else than a list of ids.
    """
    value: Any = fields.get(EXCLUDED)
    value = list(value) if isinstance(value, tuple) or hasattr(value, "tolist") else value
    if value is not None and not isinstance(value, list):
        raise DataError(f"{where}: {EXCLUDED} is {shown(value)}, expected a list of document ids.")
    return tuple(checked_id(doc_id, where, EXCLUDED) for doc_id in dict.fromkeys(value or ()) if doc_id != _NONE)


def with_columns(judged: Judged, queries: pa.Table, query_ids: Sequence[Any]) -> Judged:
    """Instructions and exclusions that the table of queries has in columns of its own."""
    kept = judged
    if INSTRUCTION in queries.column_names:
        texts = zip(map(str, query_ids), queries.column(INSTRUCTION).to_pylist(), strict=True)
        kept = replace(kept, instructions={key: text for key, text in texts if text and key in judged.queries})
    if EXCLUDED in queries.column_names:
        kept = replace(kept, excluded=excluded_of(query_ids, queries.column(EXCLUDED).to_pylist()))
    return kept


def with_tables(
    judged: Judged,
    *,
    candidates: pa.Table | None,
    instructions: pa.Table | None,
    is_ranking: bool,
    with_relevant: int | None = None,
    label: str,
) -> Judged:
    """Candidates and instructions from tables of their own.

    Args:
        judged: queries and judgments.
        candidates: a list for each query; see `candidates_of_lists`.
        instructions: a text for each query.
        is_ranking: whether the lists are in the order of a first stage.
        with_relevant: keep so many of each list, and put the relevant documents that these lack behind them.
        label: begins errors.

    Raises:
        DataError: columns have other names.
    """
    if instructions is not None:
        texts = _columns(instructions, (INSTRUCTION,), label)
        judged = replace(judged, instructions={key: text for key, text in texts.items() if text})
    if candidates is None:
        return judged
    lists = {key: [str(one) for one in ids or ()] for key, ids in _columns(candidates, LIST_KEYS, label).items()}
    if with_relevant is not None:
        lists = {key: _with_relevant(ids[:with_relevant], judged.qrels.get(key, {})) for key, ids in lists.items()}
    found = candidates_of_lists(lists, is_ranking=is_ranking, source=label)
    return replace(judged, candidates=found.run, notes={**judged.notes, **found.notes})


def _with_relevant(doc_ids: list[str], grades: Mapping[str, int]) -> list[str]:
    return [*doc_ids, *sorted(doc_id for doc_id, grade in grades.items() if grade > 0 and doc_id not in doc_ids)]


def _columns(table: pa.Table, values: Sequence[str], label: str) -> dict[str, Any]:
    """Query id -> value, of a table with a column of each."""
    names = table.column_names
    key, value = (next((name for name in known if name in names), None) for known in (QUERY_KEYS, values))
    if key is None or value is None:
        raise DataError(f"{label}: columns {', '.join(names)}, expected {QUERY_KEYS[0]} and {values[0]}.")
    return dict(zip(map(str, table.column(key).to_pylist()), table.column(value).to_pylist(), strict=True))
