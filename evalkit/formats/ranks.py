"""Ranks in a run file, with its scores or instead of them. Knows arrays, not files or ids.

Scores decide, as in trec_eval. Ranks show when that must be wrong: for distances, where lower is better, or one score
for all documents.
"""

import numpy as np
from numpy.typing import NDArray

from evalkit.run import Run


def are_usable(queries: NDArray[np.integer], ranks: NDArray[np.float64]) -> bool:
    """Whether ranks order anything: all are numbers (NaN is not), and some query has two that differ."""
    if not len(ranks) or not np.isfinite(ranks).all():
        return False
    first = np.empty(int(queries.max()) + 1)
    first[queries] = ranks  # any one of each query
    return bool((ranks != first[queries]).any())


def are_ranks(queries: NDArray[np.integer], values: NDArray[np.float64]) -> bool | None:
    """Whether a column is ranks rather than scores; None where it could be either.

    Ranks are 1, 2, 3, ... (or from 0) within every query. In descending order in the file they could also be scores,
    best first. Whole numbers that ascend with gaps could be ranks with some rows removed.
    """
    if not np.isfinite(values).all() or (values != np.floor(values)).any() or (values < 0).any():
        return False
    order = np.lexsort((values, queries))
    found, owners = values[order], queries[order]
    starts = np.ones(len(found), dtype=bool)
    starts[1:] = owners[1:] != owners[:-1]
    steps = np.diff(found)[~starts[1:]]
    contiguous = bool((steps == 1).all() and (found[starts] <= 1).all())
    in_file = np.argsort(queries, kind="stable")
    changes = np.diff(values[in_file])[np.diff(queries[in_file]) == 0]
    if contiguous:
        return None if len(changes) and (changes < 0).all() else True
    return None if len(changes) and (changes > 0).all() else False


def aligned(
    run: Run,
    query_ids: list[str],
    doc_codes: NDArray[np.integer],
    queries: NDArray[np.integer],
    ranks: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Shape (rows,), the rank of each row of a run, from rows in the order of the file.

    Args:
        run: a run of the same rows.
        query_ids: the ids that `queries` are indices into.
        doc_codes: each row's document as an index into `run.doc_ids`.
        queries: each row's query.
        ranks: each row's rank.
    """
    place = {query_id: index for index, query_id in enumerate(run.query_ids)}  # none for a query without rows
    of_run = np.array([place.get(query_id, -1) for query_id in query_ids], dtype=np.int64)
    keys = of_run[queries] * len(run.doc_ids) + doc_codes
    order = np.argsort(keys)
    found = np.searchsorted(keys, run.row_queries * len(run.doc_ids) + run.codes, sorter=order)
    return ranks[order[found]]


def by_rank(run: Run, ranks: NDArray[np.float64]) -> tuple[Run, list[str]] | None:
    """The same pairs by rank, equal ranks by score; None where that is their order already.

    Args:
        run: by score.
        ranks: the rank of each row of the run; lower is better.

    Returns:
        A run whose scores are 0, -1, -2, ..., and the queries in which a document has the better rank and the lower
        score.
    """
    order = np.lexsort((ranks, run.row_queries))  # stable: within a rank the order of the run stays
    if (order == np.arange(len(order))).all():
        return None
    scores, owners = run.scores[order], run.row_queries[order]
    against = (scores[1:] > scores[:-1]) & (owners[1:] == owners[:-1])
    places = np.empty(len(run), dtype=np.float32)
    places[order] = run.positions  # the places of a query are as many before and after
    return run.rescored(np.float32(0) - places), [run.query_ids[index] for index in np.unique(owners[1:][against])]


def shared_ranks(run: Run, ranks: NDArray[np.float64]) -> int:
    """The number of queries in which two documents have the same rank; `ranks` has one for each row of the run."""
    order = np.lexsort((ranks, run.row_queries))
    owners = run.row_queries[order]
    equal = (np.diff(ranks[order]) == 0) & (np.diff(owners) == 0)
    return len(np.unique(owners[1:][equal]))


def is_reversed(run: Run, lines: NDArray[np.float64]) -> bool:
    """Whether every query lists its documents in the file in ascending order of score, or with one score for all.

    `lines` is the place in the file of each row of the run.
    """
    order = np.lexsort((lines, run.row_queries))
    rising = np.diff(run.scores[order])[np.diff(run.row_queries[order]) == 0]
    return len(rising) > 1 and bool((rising >= 0).all())  # a single pair may be in this order by chance
