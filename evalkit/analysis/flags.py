"""Impossible or suspicious numbers of an evaluation. Prints nothing."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.run import Run
from evalkit.types import PerQuery

_ONE_SCORE = 0.01  # of all pairs; more is a constant or a low-precision score
_NEAR_CEILING = 0.98
_FEW_AT_CEILING = 10  # the ceiling's sum over queries; of less, a few queries decide, and any order may reach it
_ROUNDING = 1e-9


class Flag(NamedTuple):
    """Something impossible or certainly wrong (`error`), or suspicious (`warning`), in a result."""

    level: str
    text: str

    def __str__(self) -> str:
        """For people, who would take `error` for one of the command's."""
        return f"{'serious' if self.level == 'error' else self.level}: {self.text}"


class Fall(NamedTuple):
    """The verdict on a reranker below its first stage, from the comparison of all systems.

    Attributes:
        p: corrected p-value of the difference.
        comparisons: number of comparisons that it is corrected for; 1 without correction.
        real: whether the difference is called real.
    """

    p: float
    comparisons: int
    real: bool


def flags_of_means(
    first: float, reranked: float, best: float, name: str, queries: int, fall: Fall | None = None
) -> list[Flag]:
    """Flags from three means of a measure over so many queries: of first stage, reranker and ceiling."""
    found = flags_of_ceiling(first, reranked, best, name, queries=queries)
    if reranked < first - _ROUNDING:
        found += _of_fall(f"{name} fell from {first:.4f} to {reranked:.4f} by reranking", name, fall)
    return found


def flags_of_evaluation(
    means: Mapping[str, tuple[float, float, float]], *, queries: int, has_checkpoint: bool
) -> list[Flag]:
    """Flags from the same three means of every measure, where nothing was compared.

    Args:
        means: measure -> of first stage, reranker and ceiling.
        queries: over how many queries.
        has_checkpoint: whether `evalkit doctor` can check the reranker.
    """
    found = [flag for name, values in means.items() for flag in flags_of_ceiling(*values, name, queries=queries)]
    fell = [
        f"{name} from {first:.4f} to {reranked:.4f}"
        for name, (first, reranked, _) in means.items()
        if reranked < first - _ROUNDING
    ]
    if fell:
        text = f"reranking lowered {', '.join(fell)}; `evalkit compare` says whether that is chance"
        doctor = ", `evalkit doctor` whether the checkpoint is loaded correctly" if has_checkpoint else ""
        found.append(Flag("warning", f"{text}{doctor}"))
    return found


def flags_of_ceiling(first: float, reranked: float, best: float, name: str, *, queries: int) -> list[Flag]:
    """Flags of a mean over so many queries that is near or above the ceiling of its candidates."""
    found = []
    if reranked > best + _ROUNDING:
        text = f"{name} {reranked:.4f} is above the ceiling of its candidates, {best:.4f}, which cannot be"
        found.append(Flag("error", text))
    elif first < _NEAR_CEILING * best < reranked and best * queries >= _FEW_AT_CEILING:
        text = f"{name} {reranked:.4f} is {reranked / best:.1%} of the ceiling"
        question = "were relevant documents added to the candidates, or seen in training?"
        found.append(Flag("warning", f"{text}: {question}"))
    return found


def _of_fall(fell: str, name: str, fall: Fall | None) -> list[Flag]:
    """Only a difference that the comparison calls real is an error."""
    if fall is None:
        text = f"{fell}; `evalkit compare` says whether that is chance, `evalkit doctor` whether the checkpoint is"
        return [Flag("warning", f"{text} loaded correctly")]
    of = f", Holm's for {fall.comparisons} pairs" if fall.comparisons > 1 else ""
    if not fall.real:
        return [Flag("warning", f"{fell}, which may be chance (p {fall.p:.3g}{of})")]
    return [
        Flag("error", f"the reranker is worse than its first stage in {name}, and not by chance (p {fall.p:.3g}{of})"),
        Flag("warning", f"{fell}; is the checkpoint loaded correctly? See `evalkit doctor`"),
    ]


def flags_of_runs(run: Run, scores: NDArray[np.float32] | None, after: PerQuery) -> list[Flag]:
    """Flags from the reranked run, its scores (None where the pairs are not those of the candidates) and its values."""
    found = []
    if scores is None:
        text = "the reranked documents are not those of the candidates; reranking must only reorder them"
        found.append(Flag("error", text))
    tied = run.scores[_tied(run)]
    if len(tied):
        values, counts = np.unique(tied, return_counts=True)
        value, count = values[counts.argmax()], int(counts.max())
        if count > _ONE_SCORE * len(run):
            text = f"{count / len(run):.1%} of the pairs have the score {value:g}, as has another of their query"
            found.append(Flag("warning", f"{text}, so their order is by id"))
    if after.missing:
        some = len(after.missing)
        queries = "query has no candidate and counts" if some == 1 else "queries have no candidate and count"
        found.append(Flag("warning", f"{some:,} judged {queries} as 0"))
    return found


def _tied(run: Run) -> NDArray[np.bool_]:
    """Whether a row has the score of another row of its query; a run is in ranking order, so they are neighbours."""
    tied = np.zeros(len(run), dtype=bool)
    like_next = run.scores[1:] == run.scores[:-1]
    like_next[run.offsets[1:-1] - 1] = False
    tied[:-1] |= like_next
    tied[1:] |= like_next
    return tied
