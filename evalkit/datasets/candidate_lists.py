"""Lists of the documents that queries have for candidates, or may have: as `Run`s, and as what they exclude."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from evalkit.run import Run


def candidates_of_lists(lists: Mapping[str, Sequence[str]], *, is_ranking: bool, source: str) -> tuple[Run, int]:
    """The documents of each list by their place in it, and how many are left out that a list repeats.

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
    return run, sum(map(len, lists.values())) - len(run)


def excluded_by_lists(lists: Mapping[str, Sequence[str]], doc_ids: Sequence[str]) -> dict[str, list[str]]:
    """What lists of the documents that queries may have leave out of these; queries without a list exclude nothing."""
    excluded = {query_id: set(doc_ids).difference(allowed) for query_id, allowed in lists.items()}
    return {query_id: sorted(left_out) for query_id, left_out in excluded.items() if left_out}
