"""Systems over several datasets: a macro average in which every entry counts once, ranks, a test over entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.analysis.pairwise import Comparison, Pairing, Settings, System, bounds, differences, pairings
from evalkit.config.suites import of_datasets
from evalkit.measures.significance import Values


@dataclass(frozen=True)
class Overall:
    """The systems that every dataset has, over all of them.

    Attributes:
        entries: the entries of the average; the forums of CQADupStack are one.
        systems: best macro average first, with intervals that draw datasets and queries.
        ranks: mean rank of each system over the entries.
        won: number of entries on which each system is the best.
        pairings: as within a dataset, over entries instead of queries.
    """

    entries: tuple[str, ...]
    systems: tuple[System, ...]
    ranks: tuple[float, ...]
    won: tuple[int, ...]
    pairings: tuple[Pairing, ...]


def overall(comparisons: Sequence[Comparison], settings: Settings) -> Overall | None:
    """Over the `averaged` datasets; None unless there are two entries and two systems that all of them have.

    `left_out` names the rest.
    """
    chosen = averaged(comparisons)
    common = _common(chosen)
    entries = by_entry({each.dataset: each.values[:, [each.names.index(name) for name in common]] for each in chosen})
    if len(entries) < 2 or len(common) < 2:  # noqa: PLR2004 - nothing to average or compare
        return None
    means = np.array([np.mean([values.mean(axis=0) for values in some], axis=0) for some in entries.values()])
    order = np.argsort(-means.mean(axis=0), kind="stable")
    labels, means = [common[place] for place in order], means[:, order]
    drawn = [as_one([values[:, order] for values in some]) for some in entries.values()]
    both = bounds([np.hstack([values, differences(values)]) for values in drawn], settings)  # the same draws
    (low, high), limits = both[:, : len(labels)], both[:, len(labels) :]
    ranks = np.mean([ranks_of(row) for row in means], axis=0)
    best = (means == means.max(axis=1, keepdims=True)).sum(axis=0)
    averages = means.mean(axis=0).tolist()
    systems = tuple(System(*values) for values in zip(labels, averages, low.tolist(), high.tolist(), strict=True))
    between = tuple(pairings(labels, differences(means), limits, settings))
    return Overall(tuple(entries), systems, tuple(ranks.tolist()), tuple(best.tolist()), between)


def ranks_of(values: Values) -> Values:
    """Rank of each value from 1 for the greatest; equal ones have the mean of their ranks."""
    return np.asarray((values > values[:, None]).sum(axis=1) + ((values == values[:, None]).sum(axis=1) + 1) / 2)


def averaged(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The datasets of averages: those with several systems where there are two, else all."""
    several = [comparison for comparison in comparisons if comparison.pairings]
    return several if len(several) > 1 else list(comparisons)


def left_out(comparisons: Sequence[Comparison]) -> list[str]:
    """A sentence for everything that averages over the datasets leave out; none for a single dataset."""
    if len(comparisons) < 2:  # noqa: PLR2004 - nothing to average
        return []
    chosen = averaged(comparisons)
    found = [
        f"{each.dataset} has one system, {each.names[0]}, so it is not in the average over datasets"
        for each in comparisons
        if not any(each is other for other in chosen)
    ]
    common = _common(chosen)
    for name in dict.fromkeys(name for each in chosen for name in each.names if common):
        missing = [each.dataset for each in chosen if name not in each.names]
        if missing:
            found.append(f"{name} has no result on {', '.join(missing)}, so it is not in the average over datasets")
    if len(of_datasets(each.dataset for each in chosen).entries) < 2:  # noqa: PLR2004
        found.append("systems are not compared over datasets, because the datasets are one entry of an average")
    elif len(common) < 2:  # noqa: PLR2004
        several = len({one.first_stage for each in comparisons for one in each.evaluations}) > 1
        joined = " with the same first stage" if several else ""
        found.append(f"systems are not compared over datasets, because no two have a result on all of them{joined}")
    return found


def _common(comparisons: Sequence[Comparison]) -> list[str]:
    """Names of the systems that every dataset has."""
    return [name for name in comparisons[0].names if all(name in each.names for each in comparisons)]


def by_entry(values: Mapping[str, Values]) -> dict[str, list[Values]]:
    """Entry -> values of its datasets, from dataset -> values."""
    return {entry: [values[name] for name in datasets] for entry, datasets in of_datasets(values).entries.items()}


def as_one(parts: Sequence[Values]) -> Values:
    """Queries of an entry's datasets, weighted so that their mean is the mean of the datasets' means."""
    total = sum(map(len, parts))
    return np.concatenate([values * (total / (len(parts) * len(values))) for values in parts])
