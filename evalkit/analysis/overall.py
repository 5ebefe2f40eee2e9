"""Systems over several datasets: a macro average in which every entry counts once, ranks, a test over entries."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.pairwise import Comparison, Pairing, Settings, System, differences, pairings
from evalkit.config.suites import entry_of
from evalkit.measures.significance import Values, macro_intervals


@dataclass(frozen=True)
class Overall:
    """The systems that every dataset has, over all of them.

    Attributes:
        entries: what is averaged; the forums of CQADupStack are one.
        systems: best macro average first, with intervals that draw datasets and queries.
        ranks: mean rank of each system over the entries.
        won: entries on which each system is the best.
        pairings: as within a dataset, with entries in the place of queries.
    """

    entries: tuple[str, ...]
    systems: tuple[System, ...]
    ranks: tuple[float, ...]
    won: tuple[int, ...]
    pairings: tuple[Pairing, ...]


def overall(comparisons: Sequence[Comparison], settings: Settings) -> Overall | None:
    """Over the `averaged` datasets; None where there are fewer than two, or no two systems that all have.

    What is left out `left_out` says.
    """
    chosen = averaged(comparisons)
    common = _common(chosen)
    entries = by_entry({one.dataset: one.values[:, _columns(one, common)] for one in chosen})
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


def averaged(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The datasets that averages are of: those with several systems where there are two, else all."""
    several = [one for one in comparisons if one.pairings]
    return several if len(several) > 1 else list(comparisons)


def left_out(comparisons: Sequence[Comparison]) -> list[str]:
    """What averages over the datasets leave out, and why: a sentence each; none for a single dataset."""
    if len(comparisons) < 2:  # noqa: PLR2004 - nothing to average
        return []
    chosen = averaged(comparisons)
    found = [
        f"{one.dataset} has one system, {one.systems[0].name}, so it is not in the average over datasets"
        for one in comparisons
        if not any(one is other for other in chosen)
    ]
    common = _common(chosen)
    for name in dict.fromkeys(system.name for one in chosen for system in one.systems if common):
        missing = [one.dataset for one in chosen if name not in [system.name for system in one.systems]]
        if missing:
            found.append(f"{name} has no result on {', '.join(missing)}, so it is not in the average over datasets")
    if len({entry_of(one.dataset) for one in chosen}) < 2:  # noqa: PLR2004
        found.append("systems are not compared over datasets, because the datasets are one entry of an average")
    elif len(common) < 2:  # noqa: PLR2004
        found.append("systems are not compared over datasets, because no two have a result on all of them")
    return found


def _common(comparisons: Sequence[Comparison]) -> list[str]:
    """Names of the systems that every dataset has."""
    own = [[system.name for system in one.systems] for one in comparisons]
    return [name for name in own[0] if all(name in some for some in own)]


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
    bounds = macro_intervals([differences(one) for one in drawn], seed=settings.seed, samples=settings.samples)
    return pairings(labels, differences(means), bounds, settings)
