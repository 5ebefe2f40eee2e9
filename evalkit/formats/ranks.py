"""Ranks that a run file gives beside its scores, or in their place. Knows arrays, not files or ids.

Scores decide, as in trec_eval. Ranks say when that cannot be what was meant: distances, where lower is better, or one
score for all documents.
"""

import numpy as np
from numpy.typing import NDArray

from evalkit.run import Run


def are_usable(queries: NDArray[np.integer], ranks: NDArray[np.float64]) -> bool:
    """Whether ranks order anything: all are numbers, and some query has two that differ.

    Args:
        queries: shape (rows,), which query each row belongs to.
        ranks: shape (rows,); NaN for what is no number.
    """
    if not len(ranks) or not np.isfinite(ranks).all():
        return False
    first = np.empty(int(queries.max()) + 1)
    first[queries] = ranks  # any one of each query
    return bool((ranks != first[queries]).any())


def are_ranks(queries: NDArray[np.integer], values: NDArray[np.float64]) -> bool | None:
    """Whether a column is ranks rather than scores; None where it could be either.

    Ranks are 1, 2, 3, ... (or from 0) within every query. If they stand in descending order in the file they may as
    well be scores, best first. Whole numbers that ascend with gaps may be ranks of which some rows were removed.
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
    """Shape (rows,), the rank of each row of a run, from ranks in the order of the file.

    Args:
        run: made of the same rows.
        query_ids: what `queries` are indices into.
        doc_codes: shape (rows,), each row's document as an index into `run.doc_ids`.
        queries: shape (rows,).
        ranks: shape (rows,).
    """
    place = {query_id: index for index, query_id in enumerate(run.query_ids)}  # none for a query without rows
    of_run = np.array([place.get(query_id, -1) for query_id in query_ids], dtype=np.int64)
    keys = of_run[queries] * len(run.doc_ids) + doc_codes
    order = np.argsort(keys)
    found = np.searchsorted(keys, run.row_queries * len(run.doc_ids) + run.codes, sorter=order)
    return ranks[order[found]]


def by_rank(run: Run, ranks: NDArray[np.float64]) -> tuple[Run, list[str]] | None:
    """The same pairs by rank, equal ranks by score; None where that is the order that they are in.

    Args:
        run: by score.
        ranks: shape (rows,), of each row of the run; lower is better.

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
    """In how many queries two documents have one rank; `ranks` are of each row of the run."""
    order = np.lexsort((ranks, run.row_queries))
    owners = run.row_queries[order]
    equal = (np.diff(ranks[order]) == 0) & (np.diff(owners) == 0)
    return len(np.unique(owners[1:][equal]))


def is_reversed(run: Run, lines: NDArray[np.float64]) -> bool:
    """Whether every query lists its documents in the file in ascending order of score, or with one score for all.

    Args:
        run: by score.
        lines: shape (rows,), where in the file each row of the run is.
    """
    order = np.lexsort((lines, run.row_queries))
    rising = np.diff(run.scores[order])[np.diff(run.row_queries[order]) == 0]
    return len(rising) > 1 and bool((rising >= 0).all())  # two documents alone may stand so by chance
