"""Scores and ids as one integer each, so that (score, id) order is the order of integers: the best k are a `topk`.

key = bits of the float32 score, made to order as an integer, shifted left by 32, and below them the rank of the id
"""

import numpy as np
import torch
from numpy.typing import NDArray

_ID_BITS = 32
_QUERIES_AT_A_TIME = 1024
NO_KEY = torch.iinfo(torch.int64).min


def keys_of(scores: torch.Tensor, ranks: torch.Tensor) -> torch.Tensor:
    """Integers that order as (score, id rank) does; int64, shape of `scores`.

    The bits of a non-negative float32 order as an integer; those of a negative one in reverse. Adding 0 turns -0 to 0.
    """
    bits = (scores + 0.0).view(torch.int32)
    bits ^= (bits >> 31).bitwise_and_(0x7FFFFFFF)  # in place: to get new memory takes longer than all the rest
    keys = bits.long()
    keys <<= _ID_BITS
    keys |= ranks
    return keys


def scores_of(keys: torch.Tensor) -> torch.Tensor:
    """The float32 scores that `keys_of` was given."""
    ordered = (keys >> _ID_BITS).int()
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(torch.float32)


def best(keys: torch.Tensor, more: torch.Tensor) -> torch.Tensor:
    """As many of the greatest of two tables of keys of the same queries as the first has, in no order."""
    return torch.cat([keys, more], dim=1).topk(keys.shape[1], dim=1, sorted=False).values


def table(query_rows: NDArray[np.integer], keys: torch.Tensor, queries: int) -> torch.Tensor:
    """Keys of some queries as a table of shape (queries, most keys of one), filled up with `NO_KEY`.

    Args:
        query_rows: shape (keys,), of which query each is, ascending.
        keys: shape (keys,).
        queries: how many there are.
    """
    counts = np.bincount(query_rows, minlength=queries)
    places = np.arange(len(query_rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    found = torch.full((queries, int(counts.max(initial=0))), NO_KEY)
    found[torch.from_numpy(np.asarray(query_rows, dtype=np.int64)), torch.from_numpy(places)] = keys
    return found


def ranked(keys: torch.Tensor, id_ranks: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and scores, best first, both of the shape of `keys`.

    Args:
        keys: shape (queries, documents).
        id_ranks: shape (documents,), the rank of the id of each row.
    """
    row_of_rank = np.empty(len(id_ranks), dtype=np.int64)
    row_of_rank[id_ranks] = np.arange(len(id_ranks))
    rows, scores = np.empty(keys.shape, dtype=np.int64), np.empty(keys.shape, dtype=np.float32)
    for start in range(0, len(keys), _QUERIES_AT_A_TIME):
        some = slice(start, start + _QUERIES_AT_A_TIME)
        ordered = keys[some].sort(dim=1, descending=True).values
        rows[some] = row_of_rank[(ordered & (2**_ID_BITS - 1)).numpy()]
        scores[some] = scores_of(ordered).numpy()
    return rows, scores
