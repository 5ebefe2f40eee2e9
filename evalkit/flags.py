"""What is impossible or suspicious in the numbers of an evaluation. Prints nothing."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.run import Run
from evalkit.significance import intervals
from evalkit.types import PerQuery

_ONE_SCORE = 0.01  # of all pairs; more is a constant or a low-precision score
_NEAR_CEILING = 0.98
_ROUNDING = 1e-9


class Flag(NamedTuple):
    """Something impossible (`error`) or suspicious (`warning`) in the numbers."""

    level: str
    text: str


def flags_of_means(first: float, reranked: float, best: float, name: str) -> list[Flag]:
    """What three means alone give away."""
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
        found.append(
            Flag(
                "warning",
                f"{name} fell from {first:.4f} to {reranked:.4f} by reranking; is the checkpoint wired as it "
                "should be? See `evalkit doctor`",
            )
        )
    return found


def flags_of_runs(
    run: Run, scores: NDArray[np.float32] | None, before: PerQuery, after: PerQuery, name: str
) -> list[Flag]:
    """What the rankings give away.

    Args:
        run: reranked.
        scores: of every candidate in the candidates' order; None where the pairs are not the same.
        before: values of the candidates.
        after: values of the run.
        name: of the measure.
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
    differences = (after.values[name] - before.values[name])[:, None]
    if intervals(differences)[1, 0] < 0:
        found.append(Flag("error", f"the reranker is worse than its first stage in {name}, and not by chance"))
    return found


def _commonest(scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    values, counts = np.unique(scores, return_counts=True)
    place = int(counts.argmax())
    return values[place : place + 1], counts[place : place + 1]
