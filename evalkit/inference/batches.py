"""Batches of texts for a model, as pure arithmetic."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def batches(lengths: NDArray[np.integer], budget: int, *, padded: bool = True) -> Iterator[NDArray[np.int64]]:
    """Indices of texts in batches of at most `budget` tokens; every text is in exactly one.

    Longest first, so that memory runs out in the first batch, not after an hour. Neighbours in length share a batch, so
    that little is padding, and attention runs over many of equal length at once. A text longer than the budget is a
    batch of its own. Texts of equal length stay in order, so the same texts make the same batches.

    `padded` says whether every text counts as long as the longest one of its batch.
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        if padded:
            stop = start + max(budget // max(int(lengths[order[start]]), 1), 1)
        else:
            before = int(ends[start] - lengths[order[start]])
            stop = max(int(np.searchsorted(ends, before + budget, side="right")), start + 1)
        yield order[start:stop]
        start = stop


def windows(sizes: NDArray[np.integer], *, count: int, size: int) -> list[slice]:
    """Windows of at most `count` rows and `size` bytes, from the bytes of each row; a larger row is a window alone."""
    ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    found, start = [], 0
    while start < len(sizes):
        fitting = int(np.searchsorted(ends, ends[start] + size, side="right")) - 1
        stop = max(min(fitting, start + count, len(sizes)), start + 1)
        found.append(slice(start, stop))
        start = stop
    return found


def affordable_tokens(free: int, per_token: float, *, at_most: int) -> int:
    """Tokens whose activations fit into four fifths of the free bytes, from 1 to `at_most`."""
    return max(min(int(0.8 * free / max(per_token, 1.0)), at_most), 1)
