"""From scored corpus rows to a Run of candidates: documents that a query excludes, and the cut at the depth."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.run import Run
from evalkit.types import Dataset


def search_depth(dataset: Dataset, depth: int) -> int:
    """How many documents to search for so that `depth` are left without those that the query excludes."""
    return depth + dataset.most_dropped


def candidates_from_rows(
    dataset: Dataset,
    query_ids: Sequence[str],
    rows: Sequence[NDArray[np.integer]] | NDArray[np.integer],
    scores: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    depth: int,
) -> Run:
    """The candidates of queries whose best corpus rows and scores are given, one array a query."""
    run = Run.rank(
        query_ids,
        dataset.documents.ids,
        queries=np.repeat(np.arange(len(query_ids), dtype=np.int32), [len(found) for found in rows]),
        documents=_flat(rows, np.int64),
        scores=_flat(scores, np.float32),
        source="first stage",
    )
    return cut(run, dataset, depth)


def candidates_from_scores(
    dataset: Dataset, scores: Iterable[NDArray[np.float32]], depth: int, advance: Callable[[int], None]
) -> Run:
    """The candidates of all queries, from the scores of every document, of which those above 0 count.

    Args:
        dataset: queries and documents.
        scores: for each query in their order, shape (documents,), or empty where no document has one.
        depth: candidates of each query.
        advance: called with the number of queries that were just searched.
    """
    k = min(search_depth(dataset, depth), len(dataset.documents))
    rows, found = list[NDArray[np.int64]](), list[NDArray[np.float32]]()
    for of_all in scores:
        rows.append(_best_rows(of_all, k))
        found.append(of_all[rows[-1]])
        advance(1)
    return candidates_from_rows(dataset, list(dataset.queries), rows, found, depth)


def _best_rows(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Rows of the k best scores above 0, with all that tie with the last; the final cut is made by `Run`'s order."""
    if not len(scores):
        return np.empty(0, dtype=np.int64)
    threshold = np.partition(scores, -k)[-k]
    return np.flatnonzero((scores >= threshold) & (scores > 0))


def _flat(parts: Sequence[NDArray[Any]] | NDArray[Any], dtype: type) -> NDArray[Any]:
    """One array a query as one array."""
    return parts.reshape(-1) if isinstance(parts, np.ndarray) else np.concatenate([*parts, np.empty(0, dtype=dtype)])


def cut(run: Run, dataset: Dataset, depth: int) -> Run:
    """The `depth` best of every query, without documents that it excludes or that have its id, as the dataset says."""
    if dataset.drop_identical_ids and len(run):
        run = run.select(~run.own_ids(dataset.maxp))
    if dataset.excluded and len(run):
        run = run.select(~run.among(dataset.excluded, dataset.maxp))
    return run.top(depth)


def id_ranks(dataset: Dataset) -> NDArray[np.uint32]:
    """The place of each document's id in ascending order."""
    order = pc.sort_indices(dataset.documents.ids).to_numpy()
    ranks = np.empty(len(order), dtype=np.uint32)
    ranks[order] = np.arange(len(order), dtype=np.uint32)
    return ranks
