"""The rows of every chart, from an overview: the same for the page and for paper. Computes nothing that is tested."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from evalkit.analysis.one_pass import AtDepth
from evalkit.analysis.overall import Overall
from evalkit.analysis.pairwise import System, candidates_of, groups
from evalkit.analysis.score_bins import ScoreBins
from evalkit.reports.overview import DatasetView, Overview, SystemView

Rows = list[dict[str, Any]]


def rows_of_dataset(view: DatasetView) -> dict[str, Rows]:
    """Name of each chart that has something to show -> its rows."""
    named = list(zip(view.comparison.systems, view.systems, strict=True))
    found = {
        "intervals": _intervals(view, named),
        "cost": _cost(named),
        "depth": _depth(view, named),
        "length": _length(named),
        "ties": _ties(named),
        "truncation": _truncation(named),
    }
    return {name: rows for name, rows in found.items() if rows}


def _intervals(view: DatasetView, named: Sequence[tuple[System, SystemView]]) -> Rows:
    rows: Rows = [
        {"system": one.name, "mean": one.mean, "low": one.low, "high": one.high, "groups": one.groups}
        for one, _ in named
    ]
    if view.comparison.ceiling is not None:
        rows[0]["ceiling"] = view.comparison.ceiling
    return rows


def _cost(named: Sequence[tuple[System, SystemView]]) -> Rows:
    """Timed systems, and first stages without a cost; none where no two rerankers of one first stage were timed.

    Over several first stages the quality of a reranker differs and its cost does not, so only systems over the same
    one are a choice, and are compared.
    """
    timed: dict[str, list[tuple[float, System]]] = {}
    for one, own in named:
        if own.speed:
            timed.setdefault(candidates_of(own.evaluation), []).append((1000 / own.speed, one))
    front = {name for some in timed.values() if len(some) > 1 for name in _front(some)}
    if not front:
        return []
    stages = {stage: number for number, stage in enumerate(timed)}
    rows: Rows = []
    for one, own in named:
        row = {"system": one.name, "mean": one.mean, "low": one.low, "high": one.high, "groups": one.groups}
        if own.speed:
            row |= {"cost": 1000 / own.speed, "speed": own.speed, "stage": stages[candidates_of(own.evaluation)]}
            row["front"] = one.name in front
        if own.speed or own.evaluation.is_first_stage:
            rows.append(row)
    # Names of lines stand at both ends in turn, so that those of neighbours do not stand on one another.
    for row, end in zip((row for row in rows if "cost" not in row), cycle(("left", "right")), strict=False):
        row["end"] = end
    return rows


def _front(timed: Sequence[tuple[float, System]]) -> set[str]:
    """Systems that no other beats in quality and cost."""
    return {
        one.name
        for cost, one in timed
        if not any(other is not one and c <= cost and other.mean >= one.mean for c, other in timed)
    }


def _depth(view: DatasetView, named: Sequence[tuple[System, SystemView]]) -> Rows:
    """Curves of rerankers, of each first stage, and of the ceiling where there is only one.

    A run alone is its own first stage, and without its last documents its order is the same: its curve is shown where
    the measure reads so far, as R@100 does.
    """
    rows: Rows = []
    curved = [(one.name, own) for one, own in named if own.curve]
    for name, own in curved:
        rows += [{"system": name, "kind": "reranked", "depth": at.depth, "value": at.reranked} for at in own.curve]
    longest: dict[str, tuple[AtDepth, ...]] = {}
    for _, own in curved:
        if own.evaluation.is_first_stage:
            continue
        stage = own.evaluation.first_stage
        longest[stage] = max(longest.get(stage, ()), own.curve, key=len)
    for stage, curve in longest.items():
        rows += [{"system": stage, "kind": "first stage", "depth": at.depth, "value": at.first_stage} for at in curve]
        if len(longest) == 1 and view.comparison.ceiling is not None:
            ceilings = [{"kind": "ceiling", "depth": at.depth, "value": at.ceiling} for at in curve]
            rows += [{"system": f"ceiling of {stage}", **one} for one in ceilings]
    return rows if any(_says_something(own) for _, own in curved) else []


def _says_something(own: SystemView) -> bool:
    """Whether a curve has several depths, and for a run alone also several values."""
    values = {at.reranked for at in own.curve}
    return len(values if own.evaluation.is_first_stage else own.curve) > 1


def _length(named: Sequence[tuple[System, SystemView]]) -> Rows:
    return [
        {
            "system": one.name,
            "bucket": f"{part.least}" if part.least == part.most else f"{part.least} to {part.most}",
            "queries": part.queries,
            "difference": part.reranked - part.first_stage,
            "low": part.low,
            "high": part.high,
        }
        for one, own in named
        if own.analysis is not None and not own.evaluation.is_first_stage
        for part in own.analysis.buckets
    ]


def _ties(named: Sequence[tuple[System, SystemView]]) -> Rows:
    return [
        {
            "system": one.name,
            "mean": one.mean,
            "low": one.low,
            "high": one.high,
            "least": own.analysis.ties.least,
            "greatest": own.analysis.ties.greatest,
        }
        for one, own in named
        if own.analysis is not None and own.analysis.ties.least < own.analysis.ties.greatest
    ]


def _truncation(named: Sequence[tuple[System, SystemView]]) -> Rows:
    """Of systems that cut a relevant document; shares of the others would be one dot each."""
    rows: Rows = []
    for one, own in named:
        parts = [] if own.analysis is None else [part for part in own.analysis.truncation if part.relevant]
        if len(parts) == 2:  # noqa: PLR2004 - whole and cut
            rows += [
                {
                    "system": one.name,
                    "pairs": "truncated" if part.pairs == "cut" else "read whole",
                    "count": part.number,
                    "relevant": part.relevant,
                    "reranked": part.reranked,
                }
                for part in parts
            ]
    return rows


def rows_over_datasets(total: Overall, alpha: float) -> Rows:
    """Mean ranks, best first, and the groups of systems that cannot be told apart."""
    order = sorted(range(len(total.systems)), key=lambda place: total.ranks[place])
    names = [total.systems[place].name for place in order]
    rows: Rows = [{"system": name, "rank": total.ranks[place]} for name, place in zip(names, order, strict=True)]
    letters = groups(names, total.pairings, alpha)
    sets = dict.fromkeys(letter for own in letters for letter in own)
    members = [[name for name, own in zip(names, letters, strict=True) if letter in own] for letter in sets]
    several = [some for some in members if len(some) > 1]
    ends: list[int] = []  # of each column of bars, the row that its last bar reaches
    for some in several:
        start = names.index(some[0])
        column = next((place for place, end in enumerate(ends) if end < start), len(ends))
        ends[column : column + 1] = [names.index(some[-1])]
        rows.append({"system": some[0], "last": some[-1], "group": column, "members": ", ".join(some)})
    return rows


def rows_of_pair(view: DatasetView, first: int, second: int) -> Rows:
    """A row a query with its value under two systems, to four digits, as the page has them."""
    values = np.round(view.comparison.values[:, [first, second]], 4).tolist()
    ids = view.comparison.query_ids
    return [{"id": name, "first": one, "second": other} for name, (one, other) in zip(ids, values, strict=True)]


def rows_of_scores(bins: ScoreBins) -> Rows:
    """A row a bin with the numbers of its pairs."""
    columns = zip(bins.edges[:-1], bins.edges[1:], bins.relevant, bins.other, bins.unjudged, strict=True)
    return [dict(zip(("low", "high", "relevant", "other", "unjudged"), row, strict=True)) for row in columns]


def names_of(found: Overview) -> Mapping[str, bool]:
    """Every system -> whether it is a first stage, in the order in which readers meet them."""
    systems: dict[str, bool] = {}
    for view in found.datasets:
        for one, own in zip(view.comparison.systems, view.systems, strict=True):
            systems.setdefault(one.name, own.evaluation.is_first_stage)
    return systems
