"""Analyses of evaluations as tables."""

from collections.abc import Callable

from evalkit.analysis.one_pass import Analysis
from evalkit.reports.grid import Cell, Grid, columns
from evalkit.system.stages import speed

_Row = tuple[str, float | None, Callable[[float], str]]
_VALUES = ("first stage", "reranked", "ceiling")


def grids(title: str, one: Analysis, *, exact: bool = False) -> list[Grid]:
    """The summary of an analysis, then by depth and by length of the query.

    Args:
        title: of the first, and the beginning of the others'.
        one: the analysis.
        exact: whether the summary has numbers, for programs, where people get texts of different formats.
    """
    found = [_whole(title, one, exact=exact)]
    if one.curve:
        found.append(_by_depth(title, one))
    if one.buckets:
        found.append(_by_length(title, one))
    return [*found, *_truncation(title, one)]


def _by_depth(title: str, one: Analysis) -> Grid:
    names = ("measured", "ceiling") if one.is_alone else _VALUES
    rows: list[list[Cell]] = [
        [row.depth, row.reranked, row.ceiling] if one.is_alone else list(row) for row in one.curve
    ]
    note = _CURVE_ALONE if one.is_alone else _CURVE
    return Grid(f"{title}: by depth", columns({"depth": "", **dict.fromkeys(names, ".4f")}), rows, [note])


def _by_length(title: str, one: Analysis) -> Grid:
    name, groups = f"{title}: by length of the query", {"characters": "", "queries": ""}
    if one.is_alone:
        alone: list[list[Cell]] = [[f"{each.least}-{each.most}", each.queries, each.reranked] for each in one.buckets]
        return Grid(name, columns({**groups, "measured": ".4f"}), alone)
    values = {"first stage": ".4f", "reranked": ".4f", "difference": "+.4f", "low": "+.4f", "high": "+.4f"}
    rows: list[list[Cell]] = [
        [
            f"{bucket.least}-{bucket.most}",
            bucket.queries,
            bucket.first_stage,
            bucket.reranked,
            bucket.reranked - bucket.first_stage,
            bucket.low,
            bucket.high,
        ]
        for bucket in one.buckets
    ]
    return Grid(name, columns({**groups, **values}), rows, [_BUCKETS])


def _truncation(title: str, one: Analysis) -> list[Grid]:
    """Where some pairs were cut."""
    if not one.truncated or not one.truncation:
        return []
    specs = {"pairs": "", "number": ",", "relevant": ",", "in the first 10": ".1%", "after reranking": ".1%"}
    note = "shares of the relevant documents that are among the first ten"
    return [Grid(f"{title}: cut pairs and whole ones", columns(specs), [list(row) for row in one.truncation], [note])]


_BUCKETS = (
    "paired 95 % bootstrap intervals of each row, not corrected for there being several; no verdict rests on them"
)
_CURVE = "what depth= would give: each query has at most so many candidates, for the ceiling too"


_CURVE_ALONE = "of each query only so many of the first documents, for the ceiling too"


def _whole(title: str, one: Analysis, *, exact: bool) -> Grid:
    rows: list[_Row] = [
        *_means(one),
        ("least over tie orders", one.ties.least, "{:.4f}".format),
        ("expected over tie orders", one.ties.expected, "{:.4f}".format),
        ("greatest over tie orders", one.ties.greatest, "{:.4f}".format),
    ]
    if not one.is_alone:
        rows.append(("truncated pairs", one.truncated, lambda count: f"{count:,} of {one.pairs:,}"))
    if exact or one.is_alone:
        rows.append(("pairs", one.pairs, "{:,}".format))
    if not one.is_alone:
        rows += [("seconds", one.seconds, "{:.1f}".format), ("pairs/s", one.pairs_per_second, speed)]
    if one.judged and one.is_alone:
        rows.append(("judged@10", one.judged.reranked, "{:.1%}".format))
    elif one.judged:
        rows += [
            ("judged@10, first stage", one.judged.first_stage, "{:.1%}".format),
            ("judged@10, reranked", one.judged.reranked, "{:.1%}".format),
            ("unjudged brought into the first 10, a query", one.judged.promoted, "{:.2f}".format),
        ]
    cells: list[list[Cell]] = [[what, value if exact or value is None else text(value)] for what, value, text in rows]
    notes = [str(flag) for flag in one.flags]
    notes += [f"no depth curve: {one.no_curve}"] if one.no_curve else []
    return Grid(title, columns({"what": "", "value": ""}), cells, notes)


def _means(one: Analysis) -> list[_Row]:
    if one.is_alone:
        headroom = one.ceiling - one.reranked
        return [
            ("measured", one.reranked, "{:.4f}".format),
            ("ceiling of its documents", one.ceiling, "{:.4f}".format),
            ("headroom, what reordering could gain", headroom, "{:.4f}".format),
        ]
    return [
        ("first stage", one.first_stage, "{:.4f}".format),
        ("reranked", one.reranked, "{:.4f}".format),
        ("ceiling of the candidates", one.ceiling, "{:.4f}".format),
        ("headroom captured", one.headroom, "{:.1%}".format),
    ]
