"""From scores as they come to scores in the order of the pairs."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from evalkit.types import PairScores, Scored


def gathered(parts: Iterable[Scored], pairs: int, advance: Callable[[int], None] = lambda _: None) -> PairScores:
    """All scores of a stream.

    Args:
        parts: every pair in exactly one of them.
        pairs: how many.
        advance: called with the number of pairs done.
    """
    scores: NDArray[np.float32] | None = None
    cut = np.zeros(pairs, dtype=bool)
    for part in parts:
        if scores is None:
            scores = np.empty((pairs, *part.scores.shape[1:]), dtype=np.float32)
        scores[part.rows], cut[part.rows] = part.scores, part.cut
        advance(len(part.rows))
    return PairScores(np.empty(0, dtype=np.float32) if scores is None else scores, int(cut.sum()), cut)
