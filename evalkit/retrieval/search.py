"""Exact nearest neighbours by dot product over vectors on disk, in a total order.

Blocks of documents go through a matrix multiplication; a running best-k a query is all that is kept. Scores are summed
in float64 and rounded to float32: in float32 a matrix multiplication gives equal documents unequal scores by where they
stand in a block. Equal scores are then decided by document id, descending, as `Run` does.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

_DOCUMENTS_PER_BLOCK = 16_384
_QUERIES_PER_BLOCK = 512
_ID_BITS = 32


def exact_top_k(
    queries: NDArray[np.float32],
    documents: NDArray[np.floating],
    *,
    id_ranks: NDArray[np.int64],
    k: int,
    device: str = "cpu",
    advance: Callable[[float], None] = lambda _: None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and scores of the `k` best documents of every query, best first.

    Args:
        queries: shape (queries, width).
        documents: shape (documents, width), any float type, memory-mapped or not.
        id_ranks: shape (documents,); position of each document's id in ascending order, below 2**32.
        k: documents a query; all of them where there are fewer.
        device: where to multiply.
        advance: called with the number of documents searched.

    Returns:
        Two arrays of shape (queries, k): rows of `documents`, and float32 scores.
    """
    k = min(k, len(documents))
    if not len(queries):
        return np.empty((0, k), dtype=np.int64), np.empty((0, k), dtype=np.float32)
    ranks = torch.from_numpy(id_ranks).to(device)
    vectors = torch.from_numpy(np.ascontiguousarray(queries)).to(device).double()
    best: list[torch.Tensor | None] = [None] * -(-len(queries) // _QUERIES_PER_BLOCK)
    for start in range(0, len(documents), _DOCUMENTS_PER_BLOCK):
        stop = min(start + _DOCUMENTS_PER_BLOCK, len(documents))
        block = torch.from_numpy(np.array(documents[start:stop])).to(device).double()
        for index, chunk in enumerate(torch.split(vectors, _QUERIES_PER_BLOCK)):
            keys = _keys((chunk @ block.T).float(), ranks[start:stop])
            earlier = best[index]
            keys = keys if earlier is None else torch.cat([earlier, keys], dim=1)
            best[index] = keys.topk(min(k, keys.shape[1]), dim=1).values
        advance(stop - start)
    keys = torch.cat([part for part in best if part is not None]).cpu()
    row_of_rank = np.empty(len(documents), dtype=np.int64)
    row_of_rank[id_ranks] = np.arange(len(documents))
    return row_of_rank[(keys & (2**_ID_BITS - 1)).numpy()], _scores(keys).numpy()


def _keys(scores: torch.Tensor, ranks: torch.Tensor) -> torch.Tensor:
    """Integers that order as (score, id rank) does; int64, shape of `scores`.

    The bits of a non-negative float32 order as an integer; those of a negative one in reverse. Adding 0 turns -0 to 0.
    """
    bits = (scores + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() << _ID_BITS) | ranks


def _scores(keys: torch.Tensor) -> torch.Tensor:
    """The float32 scores that `_keys` was given."""
    ordered = (keys >> _ID_BITS).int()
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(torch.float32)
