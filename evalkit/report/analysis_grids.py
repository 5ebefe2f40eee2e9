"""Analyses of evaluations as tables."""

from collections.abc import Callable

from evalkit.analysis.one_pass import Analysis
from evalkit.report.grid import Cell, Grid, columns
from evalkit.system.stages import speed

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
        by_depth = columns({"depth": "", **dict.fromkeys(_VALUES, ".4f")})
        found.append(Grid(f"{title}: by depth", by_depth, [list(row) for row in one.curve], [_CURVE]))
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
    by_length = columns({"characters": "", "queries": "", **values})
    found.append(Grid(f"{title}: by length of the query", by_length, rows, [_BUCKETS]))
    return [*found, *_truncation(title, one)]


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


def _whole(title: str, one: Analysis, *, exact: bool) -> Grid:
    rows: list[tuple[str, float | None, Callable[[float], str]]] = [
        ("first stage", one.first_stage, "{:.4f}".format),
        ("reranked", one.reranked, "{:.4f}".format),
        ("ceiling of the candidates", one.ceiling, "{:.4f}".format),
        ("headroom captured", one.headroom, "{:.1%}".format),
        ("least over tie orders", one.ties.least, "{:.4f}".format),
        ("expected over tie orders", one.ties.expected, "{:.4f}".format),
        ("greatest over tie orders", one.ties.greatest, "{:.4f}".format),
        ("truncated pairs", one.truncated, lambda count: f"{count:,} of {one.pairs:,}"),
        *([("pairs", one.pairs, "{:,}".format)] if exact else []),
        ("seconds", one.seconds, "{:.1f}".format),
        ("pairs/s", one.pairs_per_second, speed),
    ]
    if one.judged:
        rows += [
            ("judged@10, first stage", one.judged.first_stage, "{:.1%}".format),
            ("judged@10, reranked", one.judged.reranked, "{:.1%}".format),
            ("unjudged brought into the first 10, a query", one.judged.promoted, "{:.2f}".format),
        ]
    cells: list[list[Cell]] = [[what, value if exact or value is None else text(value)] for what, value, text in rows]
    notes = [f"{flag.level}: {flag.text}" for flag in one.flags]
    notes += [f"no depth curve: {one.no_curve}"] if one.no_curve else []
    return Grid(title, columns({"what": "", "value": ""}), cells, notes)
