"""Comparisons and the queries that moved most, as tables."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import zip_longest

from evalkit.analysis.moves import Move, Place
from evalkit.analysis.overall import Overall
from evalkit.analysis.pairwise import Comparison, Pairing, Settings
from evalkit.formats.notes import counted
from evalkit.measures.significance import Rule
from evalkit.reports.grid import ABSENT, Cell, Column, Grid, columns

_NO_SPREAD = f"p t-test {ABSENT}: every query differs by the same, so there is no spread to test by"
_TEXT = 160  # characters of a text in a table


def grids(
    comparisons: Sequence[Comparison], total: Overall | None, settings: Settings, left_out: Sequence[str] = ()
) -> list[Grid]:
    """Two tables a dataset, systems and pairs, and two over all datasets; one for a dataset with a single system."""
    found: list[Grid] = []
    for one in comparisons:
        found.append(_systems(one, settings))
        if one.pairings:
            title = f"{one.dataset}: {settings.measure}, pairs"
            found.append(_pairs(title, one.pairings, settings, one.queries, "queries"))
    return found if total is None else [*found, *overall_grids(total, settings, left_out)]


def rule_text(settings: Settings) -> str:
    """The test, its correction and level, as every table names them."""
    correction = "Holm's correction for all pairs" if settings.correction == "holm" else "not corrected"
    return f"randomisation test, {correction}, p below {settings.alpha:g}"


def too_few(count: int, what: str, comparisons: int, rule: Rule) -> list[str]:
    """A remark where so few queries or datasets cannot show a difference, whatever their values."""
    fewest = rule.fewest(comparisons)
    if count >= fewest or not comparisons:
        return []
    number = {1: "one", 2: "two", 3: "three"}.get(count, str(count))
    are = "is" if count == 1 else "are"
    subject = {"queries": "query", "datasets": "dataset"}[what] if count == 1 else what
    pairs = "pair" if comparisons == 1 else "pairs"
    few = f"{number} {subject} {are} too few to tell systems apart"
    return [f"{few}: with {comparisons} {pairs} at {rule.alpha:g} it takes {fewest} that all agree"]


def _systems(one: Comparison, settings: Settings) -> Grid:
    specs = {"system": "", "mean": ".4f", "low": ".4f", "high": ".4f", "group": ""}
    rows: list[list[Cell]] = [[each.name, each.mean, each.low, each.high, each.groups] for each in one.systems]
    sections = frozenset[int]()
    if one.ceiling is not None:
        sections = frozenset({len(rows)})
        rows.append(["ceiling", one.ceiling, None, None, None])
    of = counted(one.queries, "query", "queries")
    shared = f"systems that share a letter cannot be told apart ({rule_text(settings)})"
    notes = [
        f"{of}; 95 % bootstrap intervals, {settings.samples:,} draws, seed {settings.seed}",
        shared if one.pairings else "one system only: there is nothing to compare it with",
        *too_few(one.queries, "queries", len(one.pairings), settings.rule),
    ]
    return Grid(f"{one.dataset}: {settings.measure}", columns(specs), rows, notes, sections)


def _pairs(title: str, pairings: Sequence[Pairing], settings: Settings, count: int, what: str) -> Grid:
    specs = {"better": "", "worse": "", "difference": "+.4f", "low": "+.4f", "high": "+.4f", "p randomisation": ".3g"}
    specs |= {"p t-test": ".3g", "win": "", "tie": "", "loss": "", "smallest visible": ".4f"}
    strong = frozenset((row, 5) for row, one in enumerate(pairings) if one.is_real(settings.alpha))
    notes = [
        f"bold: more than chance ({rule_text(settings)}); the t-test and the uncorrected 95 % intervals decide nothing",
        f"smallest visible: the true difference that so many {what} would show 8 times of 10 at this level",
        *([_NO_SPREAD] if any(one.t is None for one in pairings) else []),
        *too_few(count, what, len(pairings), settings.rule),
    ]
    marks = {(row, side): " (equal)" for row, one in enumerate(pairings) if one.is_equal for side in (0, 1)}
    return Grid(title, columns(specs), [list(one) for one in pairings], notes, strong=strong, marks=marks)


def overall_grids(total: Overall, settings: Settings, left_out: Sequence[str] = ()) -> list[Grid]:
    """Systems over all datasets, and their pairs."""
    specs = {"system": "", "macro average": ".4f", "low": ".4f", "high": ".4f", "mean rank": ".2f", "best on": ""}
    rows: list[list[Cell]] = [
        [one.name, one.mean, one.low, one.high, rank, won]
        for one, rank, won in zip(total.systems, total.ranks, total.won, strict=True)
    ]
    notes = [
        f"mean of {len(total.entries)}: {', '.join(total.entries)}",
        "intervals draw datasets, and queries within them: what to expect of other datasets of the kind",
        "best on: datasets on which a system is the best of those in this table",
        *left_out,
    ]
    count = len(total.entries)
    pairs = _pairs(f"over datasets: {settings.measure}, pairs", total.pairings, settings, count, "datasets")
    places = [place for place, column in enumerate(pairs.columns) if column.name != "p t-test"]
    renamed = {"win": Column("datasets won"), "tie": Column("tied"), "loss": Column("lost")}
    return [
        Grid(f"over datasets: {settings.measure}", columns(specs), rows, notes),
        Grid(
            pairs.title,
            [renamed.get(pairs.columns[place].name, pairs.columns[place]) for place in places],
            [[row[place] for place in places] for row in pairs.rows],
            [
                "the test is over datasets, each a mean over its queries",
                *(note for note in pairs.notes if note != _NO_SPREAD),
            ],
            strong=pairs.strong,
            marks=pairs.marks,
        ),
    ]


def moves_grids(moves: Sequence[Move], systems: tuple[str, str], measure: str) -> list[Grid]:
    """A table a query: both rankings side by side, best first; relevant documents stand out."""
    headings = [*map(Column, ("#", *systems))]
    found = []
    for move in moves:
        rows = list(zip_longest(*move.rankings))
        cells: list[list[Cell]] = [
            [row, *(place and _place(place) for place in places)] for row, places in enumerate(rows, start=1)
        ]
        strong = frozenset(
            (row, column)
            for row, places in enumerate(rows)
            for column, place in enumerate(places, start=1)
            if place and place.grade
        )
        title = f"{move.query_id}: {measure} {move.first:.4f} by {systems[0]}, {move.second:.4f} by {systems[1]}"
        notes = [] if move.text is None else [f"query: {_short(move.text)}"]
        found.append(Grid(title, headings, cells, notes, strong=strong))
    return found


def _place(place: Place) -> str:
    grade = "unjudged" if place.grade is None else f"grade {place.grade}"
    moved = "not in the other" if place.before is None else f"there {place.before}"
    remarks = grade if place.before == place.rank else f"{grade}, {moved}"
    return f"{place.doc_id} ({remarks})" + ("" if place.text is None else f" {_short(place.text)}")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _TEXT else f"{flat[: _TEXT - 1]}…"


def moves_as_json(moves: Sequence[Move], systems: tuple[str, str]) -> dict[str, object]:
    """Whole texts, for programs."""
    return {
        "systems": list(systems),
        "queries": [
            {
                **{key: value for key, value in move._asdict().items() if key != "rankings"},
                "rankings": [[place._asdict() for place in found] for found in move.rankings],
            }
            for move in moves
        ],
    }


def as_json(
    comparisons: Sequence[Comparison], total: Overall | None, settings: Settings, left_out: Sequence[str]
) -> dict[str, object]:
    """Everything, unrounded."""
    return {
        "settings": settings._asdict(),
        "datasets": [
            {
                "dataset": one.dataset,
                "queries": one.queries,
                "ceiling": one.ceiling,
                "systems": [each._asdict() for each in one.systems],
                "pairs": _pairs_as_json(one.pairings, settings),
            }
            for one in comparisons
        ],
        "overall": None
        if total is None
        else {
            **{key: value for key, value in asdict(total).items() if key not in {"systems", "pairings"}},
            "systems": [each._asdict() for each in total.systems],
            "pairs": _pairs_as_json(total.pairings, settings),
        },
        "left_out": list(left_out),
    }


def _pairs_as_json(pairings: Sequence[Pairing], settings: Settings) -> list[dict[str, object]]:
    return [{**each._asdict(), "equal": each.is_equal, "real": each.is_real(settings.alpha)} for each in pairings]
