"""Systems over several datasets: a macro average in which every entry counts once, ranks, a test over entries."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.compare import Comparison, Pairing, Settings, System, differences, pairings
from evalkit.significance import Values, macro_intervals
from evalkit.suites import entry_of


@dataclass(frozen=True)
class Overall:
    """The systems that every dataset has, over all of them.

    Attributes:
        entries: what is averaged; the forums of CQADupStack are one.
        systems: best macro average first, with intervals that draw datasets and queries.
        ranks: mean rank of each system over the entries.
        won: entries on which each system is the best.
        pairings: as within a dataset; wins, ties and losses are entries, both p-values the Wilcoxon signed-rank test's.
    """

    entries: tuple[str, ...]
    systems: tuple[System, ...]
    ranks: tuple[float, ...]
    won: tuple[int, ...]
    pairings: tuple[Pairing, ...]


def overall(comparisons: Sequence[Comparison], settings: Settings) -> Overall | None:
    """Over the datasets; None where there are less than two, or no two systems that all have."""
    common = [
        system.name
        for system in comparisons[0].systems
        if all(system.name in [other.name for other in one.systems] for one in comparisons)
    ]
    entries = by_entry({one.dataset: one.values[:, _columns(one, common)] for one in comparisons})
    if len(entries) < 2 or len(common) < 2:  # noqa: PLR2004 - nothing to average or compare
        return None
    means = np.array([np.mean([values.mean(axis=0) for values in some], axis=0) for some in entries.values()])
    order = np.argsort(-means.mean(axis=0), kind="stable")
    labels, means = [common[place] for place in order], means[:, order]
    drawn = [as_one([values[:, order] for values in some]) for some in entries.values()]
    low, high = macro_intervals(drawn, seed=settings.seed, samples=settings.samples)
    between = _macro_pairings(labels, means, drawn, settings)
    ranks = np.mean([_ranks(-row) for row in means], axis=0)
    best = (means == means.max(axis=1, keepdims=True)).sum(axis=0)
    averages = means.mean(axis=0).tolist()
    systems = tuple(System(*values) for values in zip(labels, averages, low.tolist(), high.tolist(), strict=True))
    return Overall(tuple(entries), systems, tuple(ranks.tolist()), tuple(best.tolist()), tuple(between))


def by_entry(values: Mapping[str, Values]) -> dict[str, list[Values]]:
    """Dataset -> values to entry -> values of its datasets."""
    entries: dict[str, list[Values]] = defaultdict(list)
    for dataset, own in values.items():
        entries[entry_of(dataset)].append(own)
    return entries


def _columns(comparison: Comparison, names: Sequence[str]) -> list[int]:
    return [[system.name for system in comparison.systems].index(name) for name in names]


def as_one(parts: Sequence[Values]) -> Values:
    """Queries of an entry's datasets, weighted so that their mean is the mean of the datasets' means."""
    total = sum(map(len, parts))
    return np.concatenate([values * (total / (len(parts) * len(values))) for values in parts])


def _ranks(values: Values) -> Values:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), dtype=np.float64)


def _macro_pairings(labels: Sequence[str], means: Values, drawn: Sequence[Values], settings: Settings) -> list[Pairing]:
    between = differences(means)
    bounds = macro_intervals([differences(one) for one in drawn], seed=settings.seed, samples=settings.samples)
    p_values = [_wilcoxon(column) for column in between.T]
    return pairings(labels, between, bounds, (p_values, p_values), settings)


def _wilcoxon(differences: Values) -> float:
    """Two-sided p-value over datasets (Demsar 2006); 1 where none differs."""
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0
