"""Which texts go through the model together. Pure arithmetic: knows neither torch nor tokenizers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def batches(lengths: NDArray[np.integer], budget: int, *, padded: bool = True) -> Iterator[NDArray[np.int64]]:
    """Indices of texts in batches of at most `budget` tokens; every text is in exactly one.

    Longest first, so that running out of memory comes in the first batch, not after an hour. Neighbours in length
    share a batch, so that little is padded, or attention runs over many of equal length at once. A text longer than the
    budget is a batch of its own. Texts of equal length keep their order, so the same texts make the same batches.

    Args:
        lengths: shape (texts,), tokens.
        budget: tokens in one batch.
        padded: whether every text counts as long as the longest one of its batch.
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
    """Rows in windows of at most so many, and of at most so much text; a row with more is a window of its own.

    Args:
        sizes: shape (rows,), bytes of text.
        count: rows in a window.
        size: bytes in a window.
    """
    ends = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    found, start = [], 0
    while start < len(sizes):
        fitting = int(np.searchsorted(ends, ends[start] + size, side="right")) - 1
        stop = max(min(fitting, start + count, len(sizes)), start + 1)
        found.append(slice(start, stop))
        start = stop
    return found


def affordable_tokens(free: int, per_token: float, *, at_most: int) -> int:
    """Tokens whose activations fit into four fifths of the free memory, at least one.

    Args:
        free: bytes.
        per_token: bytes that a token of the probe needed.
        at_most: more than this wins nothing.
    """
    return max(min(int(0.8 * free / max(per_token, 1.0)), at_most), 1)
