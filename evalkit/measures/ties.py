"""Tie bounds: the least, expected and greatest value of a measure over all orders of tied documents."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.measures import Measure, measure, parse_measure, preference
from evalkit.run import Run
from evalkit.types import PerQuery, Qrels

_GAINS = ("nDCG", "P", "R")  # sums over places: the expectation is the sum of each place's


class TieRange(NamedTuple):
    """Means over the judged queries.

    Attributes:
        least: with tied documents in their worst order.
        expected: over orders that are equally likely; None for measures that are not sums over places.
        greatest: with tied documents in their best order.
    """

    least: float
    expected: float | None
    greatest: float


class _Tied(NamedTuple):
    """The judged queries in which a tie may decide one of the values, the run of these, and its `preference`."""

    judged: Qrels
    run: Run
    wanted: NDArray[np.float32]


def tie_range(
    qrels: Qrels, run: Run, name: str, values: PerQuery | None = None, wanted: NDArray[np.float32] | None = None
) -> TieRange:
    """Of a measure that is judged by `qrels`; `values` and `wanted` are those of the run, where they are known.

    Args:
        qrels: judgments.
        run: what is measured.
        name: of the measure.
        values: of the run.
        wanted: its `preference`.
    """
    values = values or measure(qrels, run, [name])
    tied = _tied(qrels, run, values, wanted)
    least, greatest = _bounds(tied, values)[name]
    one = parse_measure(name)
    is_sum = one.family in _GAINS and one.cutoff and not one.parameters and not one.judged_only
    return TieRange(least, _expected(tied, values, name) if is_sum else None, greatest)


def tie_bounds(qrels: Qrels, run: Run, per_query: PerQuery) -> dict[str, tuple[float, float]]:
    """Least and greatest mean of every measure of `per_query` over the orders of tied documents."""
    return _bounds(_tied(qrels, run, per_query), per_query)


def _bounds(tied: _Tied, per_query: PerQuery) -> dict[str, tuple[float, float]]:
    judged, some, wanted = tied
    if not judged:
        return {name: (mean, mean) for name, mean in per_query.means.items()}
    rows = [row for row, query_id in enumerate(per_query.query_ids) if query_id in judged]
    ends = []
    for sign in (-1, 1):
        found = measure(judged, _reordered(some, sign * wanted), list(per_query.values))
        values = {name: column.copy() for name, column in per_query.values.items()}
        for name, column in found.values.items():
            values[name][rows] = column
        ends.append(replace(per_query, values=values).means)
    return {name: (ends[0][name], ends[1][name]) for name in per_query.values}


def _tied(qrels: Qrels, run: Run, per_query: PerQuery, wanted: NDArray[np.float32] | None = None) -> _Tied:
    kinds = [parse_measure(name) for name in per_query.values]
    read = [len(run) if one.cutoff is None or one.judged_only else one.cutoff for one in kinds]
    tied = set(run.queries_with_ties(max(read, default=0)))
    judged = {query_id: qrels[query_id] for query_id in per_query.query_ids if query_id in tied}
    rows = np.array([query_id in tied for query_id in run.query_ids], dtype=bool)[run.row_queries]
    some = run.select(rows)
    return _Tied(judged, some, preference(judged, some) if wanted is None else wanted[rows])


def _reordered(run: Run, wanted: NDArray[np.float32]) -> Run:
    """The same order, with ties broken by what is wanted most."""
    order = np.lexsort((-wanted, -run.scores, run.row_queries))
    scores = np.empty(len(run), dtype=np.float32)
    scores[order] = -run.positions  # the places of a query are as many before and after
    return run.rescored(scores)


def _expected(tied: _Tied, per_query: PerQuery, name: str) -> float:
    """Mean over the queries; one without ties has its own value."""
    own = per_query.values[name].copy()
    if tied.judged:
        known = _expected_values(tied, name)
        for row, query_id in enumerate(per_query.query_ids):
            own[row] = known.get(query_id, own[row])
    return math.fsum(own) / len(own)


def _expected_values(tied: _Tied, name: str) -> dict[str, float]:
    """Of each query, over orders that are equally likely."""
    one = parse_measure(name)
    assert one.cutoff is not None
    judged, run, wanted = tied
    grades = np.maximum(wanted, 0).astype(np.float64)
    gains = grades if one.family == "nDCG" else (grades >= one.level).astype(np.float64)
    starts = np.ones(len(run), dtype=bool)
    starts[1:] = (run.scores[1:] != run.scores[:-1]) | (run.positions[1:] == 0)
    group = np.cumsum(starts) - 1
    mean = np.bincount(group, weights=gains) / np.bincount(group)
    weights = _weights(run.positions, one.family, one.cutoff)
    found = np.bincount(run.row_queries, weights=mean[group] * weights, minlength=len(run.query_ids))
    sums = dict(zip(run.query_ids, found.tolist(), strict=True))
    return {query_id: sums[query_id] / _best(own, one) for query_id, own in judged.items()}


def _weights(places: NDArray[np.int64], family: str, cutoff: int) -> NDArray[np.float64]:
    within = (places < cutoff).astype(np.float64)
    return within / np.log2(places + 2) if family == "nDCG" else within


def _best(judged: Mapping[str, int], one: Measure) -> float:
    """The divisor of a query's sum."""
    if one.family == "P":
        return float(one.cutoff or 1)
    relevant = np.array(sorted((grade for grade in judged.values() if grade >= one.level), reverse=True), dtype=float)
    if one.family == "R":
        return float(len(relevant)) or 1.0
    ideal = float((relevant[: one.cutoff] / np.log2(np.arange(len(relevant[: one.cutoff])) + 2)).sum())
    return ideal or 1.0
