"""One system less another, as the comparison of all systems has it: over a first stage, or over a chosen baseline."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evalkit.analysis.flags import Fall
from evalkit.analysis.pairwise import Comparison, Pairing, Settings, candidates_of
from evalkit.errors import ConfigError
from evalkit.system.lookalikes import instead


class Difference(NamedTuple):
    """The mean of one system less that of another.

    Attributes:
        value: the difference of the means.
        low: lower end of the paired 95 % bootstrap interval, not corrected.
        high: upper end of the same.
        p: corrected p-value of the randomisation test.
        real: whether the difference is called real.
    """

    value: float
    low: float
    high: float
    p: float
    real: bool


def difference(pairings: Sequence[Pairing], one: str, other: str, alpha: float) -> Difference | None:
    """`one` less `other`; None where they were not compared."""
    for pair in pairings:
        numbers = pair.difference, pair.low, pair.high
        if (pair.better, pair.worse) == (one, other):
            return Difference(*numbers, pair.randomisation, pair.is_real(alpha))
        if (pair.better, pair.worse) == (other, one):
            value, low, high = (-number for number in numbers)
            return Difference(value, high, low, pair.randomisation, pair.is_real(alpha))
    return None


def first_stages(comparison: Comparison) -> dict[str, str]:
    """Name of each reranker -> name of the first stage that it started from, where that is a system too."""
    named = list(zip(comparison.evaluations, comparison.names, strict=True))
    stages = {candidates_of(one): name for one, name in named if one.is_first_stage}
    return {
        name: stages[candidates_of(one)]
        for one, name in named
        if not one.is_first_stage and candidates_of(one) in stages
    }


def baselines(comparisons: Sequence[Comparison], chosen: str = "") -> list[dict[str, str]]:
    """What each system is compared with, dataset by dataset: its first stage, or the system of this name.

    Raises:
        ConfigError: no system has the name.
    """
    if not chosen:
        return [first_stages(one) for one in comparisons]
    known = dict.fromkeys(name for one in comparisons for name in one.names)
    if chosen not in known:
        raise ConfigError(f"no system is called {chosen!r}. {instead(chosen, known)}")
    return [{name: chosen for name in one.names if name != chosen and chosen in one.names} for one in comparisons]


def falls(comparison: Comparison, settings: Settings) -> dict[Path, Fall]:
    """Folder of each reranker that is below the first stage it started from -> the verdict."""
    folders = dict(zip(comparison.names, (one.result.folder for one in comparison.evaluations), strict=True))
    count = len(comparison.pairings) if settings.correction == "holm" else 1
    found = {}
    for name, stage in first_stages(comparison).items():
        pair = next((one for one in comparison.pairings if (one.better, one.worse) == (stage, name)), None)
        if pair is not None:
            found[folders[name]] = Fall(pair.randomisation, count, real=pair.is_real(settings.alpha))
    return found
