"""How the scores of a reranker are distributed over relevant, not relevant and unjudged documents. Prints nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BINS = 24


class ScoreBins(NamedTuple):
    """Numbers of pairs by score, in bins of equal width.

    Attributes:
        edges: lower end of each bin, and the upper end of the last.
        relevant: pairs in each bin whose document is relevant.
        other: pairs whose document is judged not relevant.
        unjudged: pairs without a judgment.
    """

    edges: tuple[float, ...]
    relevant: tuple[int, ...]
    other: tuple[int, ...]
    unjudged: tuple[int, ...]


def score_bins(scores: NDArray[np.float32], grades: NDArray[np.float32], level: int) -> ScoreBins | None:
    """The bins of these pairs; None where all have one score.

    Args:
        scores: shape (pairs,).
        grades: shape (pairs,), -1 without a judgment.
        level: the grade from which a document is relevant.
    """
    if not len(scores) or scores.min() == scores.max():
        return None
    edges = np.linspace(float(scores.min()), float(scores.max()), _BINS + 1)
    kinds = (grades >= level, (grades >= 0) & (grades < level), grades < 0)
    counts = (np.histogram(scores[kind].astype(np.float64), edges)[0].tolist() for kind in kinds)
    return ScoreBins(tuple(edges.tolist()), *map(tuple, counts))
