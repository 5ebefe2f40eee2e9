"""What is impossible or suspicious in the numbers of an evaluation. Prints nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.run import Run
from evalkit.types import PerQuery

_ONE_SCORE = 0.01  # of all pairs; more is a constant or a low-precision score
_NEAR_CEILING = 0.98
_ROUNDING = 1e-9


class Flag(NamedTuple):
    """Something impossible (`error`) or suspicious (`warning`) in the numbers."""

    level: str
    text: str


class Fall(NamedTuple):
    """The verdict on a reranker that is below its first stage, as the comparison of all systems gives it.

    Attributes:
        p: p-value of the difference, corrected.
        comparisons: that it is corrected for; 1 where it is not.
        real: whether the difference is called real.
    """

    p: float
    comparisons: int
    real: bool


def flags_of_means(first: float, reranked: float, best: float, name: str, fall: Fall | None = None) -> list[Flag]:
    """What three means alone give away.

    Args:
        first: of the first stage.
        reranked: of the reranker.
        best: of the candidates' ceiling.
        name: of the measure.
        fall: where systems were compared, what is known of a reranker below its first stage.
    """
    found = []
    if reranked > best + _ROUNDING:
        found.append(
            Flag("error", f"{name} {reranked:.4f} is above the ceiling of its candidates, {best:.4f}, which cannot be")
        )
    elif first < _NEAR_CEILING * best < reranked:
        found.append(
            Flag(
                "warning",
                f"{name} {reranked:.4f} is {reranked / best:.1%} of the ceiling: were relevant documents added to the "
                "candidates, or seen in training?",
            )
        )
    if reranked < first - _ROUNDING:
        found += _of_fall(f"{name} fell from {first:.4f} to {reranked:.4f} by reranking", name, fall)
    return found


def _of_fall(fell: str, name: str, fall: Fall | None) -> list[Flag]:
    """Only a difference that the letters of a comparison call real is an error."""
    if fall is None:
        text = f"{fell}; `evalkit compare` says whether that is chance, `evalkit doctor` whether the checkpoint is"
        return [Flag("warning", f"{text} wired as it should be")]
    of = f", Holm's for {fall.comparisons} pairs" if fall.comparisons > 1 else ""
    if not fall.real:
        return [Flag("warning", f"{fell}, which may be chance (p {fall.p:.3g}{of})")]
    return [
        Flag("error", f"the reranker is worse than its first stage in {name}, and not by chance (p {fall.p:.3g}{of})"),
        Flag("warning", f"{fell}; is the checkpoint wired as it should be? See `evalkit doctor`"),
    ]


def flags_of_runs(run: Run, scores: NDArray[np.float32] | None, after: PerQuery) -> list[Flag]:
    """What the rankings give away.

    Args:
        run: reranked.
        scores: of every candidate in the candidates' order; None where the pairs are not the same.
        after: values of the run.
    """
    found = []
    if scores is None:
        found.append(Flag("error", "the reranked documents are not those of the candidates; a reordering keeps them"))
    if len(run):
        value, count = (part[0] for part in _commonest(run.scores))
        if count > max(_ONE_SCORE * len(run), 1):
            found.append(
                Flag(
                    "warning", f"{count / len(run):.1%} of the pairs have the score {value:g}, so their order is by id"
                )
            )
    if after.missing:
        found.append(Flag("warning", f"{len(after.missing)} judged queries have no candidate and count as 0"))
    return found


def _commonest(scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    values, counts = np.unique(scores, return_counts=True)
    place = int(counts.argmax())
    return values[place : place + 1], counts[place : place + 1]
