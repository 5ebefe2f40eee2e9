"""Which texts go through the model together. Pure arithmetic: knows neither torch nor tokenizers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def batches(lengths: NDArray[np.integer], budget: int) -> Iterator[NDArray[np.int64]]:
    """Indices of texts in batches of at most `budget` tokens once padded; every text is in exactly one.

    Longest first, so that running out of memory comes in the first batch, not after an hour. Neighbours in length
    share a batch, so little is padded. A text longer than the budget is a batch of its own. Texts of equal length keep
    their order, so the same texts always make the same batches.

    Args:
        lengths: shape (texts,), tokens.
        budget: padded tokens in one batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        stop = start + max(budget // longest, 1)
        yield order[start:stop]
        start = stop
