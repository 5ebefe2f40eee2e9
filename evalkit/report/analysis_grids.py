"""Analyses of evaluations as tables."""

from collections.abc import Sequence

from evalkit.analysis.one_pass import Analysis
from evalkit.report.grid import Cell, Grid, columns
from evalkit.system.stages import speed

_VALUES = ("first stage", "reranked", "ceiling")


def grids(title: str, one: Analysis) -> list[Grid]:
    """The summary of an analysis, then by depth and by length of the query."""
    found = [_whole(title, one)]
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


def _whole(title: str, one: Analysis) -> Grid:
    rows: list[Sequence[Cell]] = [
        ["first stage", f"{one.first_stage:.4f}"],
        ["reranked", f"{one.reranked:.4f}"],
        ["ceiling of the candidates", f"{one.ceiling:.4f}"],
        ["headroom captured", None if one.headroom is None else f"{one.headroom:.1%}"],
        ["least over tie orders", f"{one.ties.least:.4f}"],
        ["expected over tie orders", None if one.ties.expected is None else f"{one.ties.expected:.4f}"],
        ["greatest over tie orders", f"{one.ties.greatest:.4f}"],
        ["truncated pairs", None if one.truncated is None else f"{one.truncated:,} of {one.pairs:,}"],
        ["seconds", f"{one.seconds:.1f}"],
        ["pairs/s", None if one.pairs_per_second is None else speed(one.pairs_per_second)],
    ]
    if one.judged:
        rows += [
            ["judged@10, first stage", f"{one.judged.first_stage:.1%}"],
            ["judged@10, reranked", f"{one.judged.reranked:.1%}"],
            ["unjudged brought into the first 10, a query", f"{one.judged.promoted:.2f}"],
        ]
    notes = [f"{flag.level}: {flag.text}" for flag in one.flags]
    notes += [f"no depth curve: {one.no_curve}"] if one.no_curve else []
    return Grid(title, columns({"what": "", "value": ""}), rows, notes)
