"""Comparisons as tables, and the queries that moved most on the terminal."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from evalkit.compare import Comparison, Pairing, Settings
from evalkit.moves import Move, Place
from evalkit.overall import Overall
from evalkit.report.grid import Cell, Column, Grid

_TEXT = 160  # characters of a text on the terminal


def grids(comparisons: Sequence[Comparison], total: Overall | None, settings: Settings) -> list[Grid]:
    """Two tables a dataset, systems and pairs, and two over all datasets."""
    found: list[Grid] = []
    for one in comparisons:
        found += [_systems(one, settings), _pairs(f"{one.dataset}: {settings.measure}, pairs", one.pairings, settings)]
    return found if total is None else [*found, *overall_grids(total, settings)]


def _systems(one: Comparison, settings: Settings) -> Grid:
    columns = [Column("system"), Column("mean", ".4f"), Column("low", ".4f"), Column("high", ".4f"), Column("group")]
    rows: list[list[Cell]] = [[each.name, each.mean, each.low, each.high, each.groups] for each in one.systems]
    sections = frozenset[int]()
    if one.ceiling is not None:
        sections = frozenset({len(rows)})
        rows.append(["ceiling", one.ceiling, None, None, None])
    notes = [
        f"{one.queries:,} queries; 95 % bootstrap intervals, {settings.samples:,} draws, seed {settings.seed}",
        f"systems that share a letter cannot be told apart at {settings.alpha:g}{_corrected(settings)}",
    ]
    return Grid(f"{one.dataset}: {settings.measure}", columns, rows, notes, sections)


def _corrected(settings: Settings) -> str:
    return " (randomisation test, Holm's correction)" if settings.correction == "holm" else " (randomisation test)"


def _pairs(title: str, pairings: Sequence[Pairing], settings: Settings) -> Grid:
    columns = [
        Column("better"),
        Column("worse"),
        Column("difference", "+.4f"),
        Column("low", "+.4f"),
        Column("high", "+.4f"),
        Column("p randomisation", ".3g"),
        Column("p t-test", ".3g"),
        Column("win"),
        Column("tie"),
        Column("loss"),
        Column("smallest visible", ".4f"),
    ]
    strong = frozenset((row, 5) for row, one in enumerate(pairings) if one.randomisation < settings.alpha)
    corrected = "p-values are Holm's, for all pairs" if settings.correction == "holm" else "p-values are not corrected"
    note = (
        f"{corrected}; bold below {settings.alpha:g}. Smallest visible: the true difference that a t-test over as many "
        "queries finds 8 times of 10"
    )
    return Grid(title, columns, [list(one) for one in pairings], [note], strong=strong)


def overall_grids(total: Overall, settings: Settings) -> list[Grid]:
    """Systems over all datasets, and their pairs."""
    columns = [
        Column("system"),
        Column("macro average", ".4f"),
        Column("low", ".4f"),
        Column("high", ".4f"),
        Column("mean rank", ".2f"),
        Column("best on"),
    ]
    rows: list[list[Cell]] = [
        [one.name, one.mean, one.low, one.high, rank, won]
        for one, rank, won in zip(total.systems, total.ranks, total.won, strict=True)
    ]
    notes = [
        f"mean of {len(total.entries)}: {', '.join(total.entries)}",
        "intervals draw datasets, and queries within them: what to expect of other datasets of the kind",
    ]
    pairs = _pairs(f"over datasets: {settings.measure}, pairs", total.pairings, settings)
    kept = [place for place, column in enumerate(pairs.columns) if column.name != "p t-test"]
    renamed = {
        "p randomisation": Column("p Wilcoxon", ".3g"),
        "win": Column("datasets won"),
        "tie": Column("tied"),
        "loss": Column("lost"),
    }
    return [
        Grid(f"over datasets: {settings.measure}", columns, rows, notes),
        Grid(
            pairs.title,
            [renamed.get(pairs.columns[place].name, pairs.columns[place]) for place in kept],
            [[row[place] for place in kept] for row in pairs.rows],
            [
                "p-values are of the Wilcoxon signed-rank test over datasets"
                + (", Holm's for all pairs" if settings.correction == "holm" else "")
            ],
            strong=pairs.strong,
        ),
    ]


def show_moves(moves: Sequence[Move], systems: tuple[str, str], measure: str, out: Console) -> None:
    """Query by query: both rankings side by side, best first."""
    for move in moves:
        out.print()
        out.print(
            f"{move.query_id}: {measure} {move.first:.4f} by {systems[0]}, {move.second:.4f} by {systems[1]}",
            style="bold",
            markup=False,
            highlight=False,
        )
        if move.text is not None:
            out.print(_short(move.text), markup=False, highlight=False)
        table = Table(show_lines=False)
        table.add_column("#", justify="right")
        for name in systems:
            table.add_column(escape(name), ratio=1, overflow="fold")
        for row in range(max(map(len, move.rankings))):
            cells = [_place(found[row]) if row < len(found) else "" for found in move.rankings]
            table.add_row(str(row + 1), *cells)
        out.print(table)


def _place(place: Place) -> str:
    grade = "unjudged" if place.grade is None else f"grade {place.grade}"
    moved = (
        "not in the other" if place.before is None else "" if place.before == place.rank else f"there {place.before}"
    )
    style = "green" if place.grade else "default" if place.grade is None else "dim"
    head = escape(f"{place.doc_id} ({', '.join(part for part in (grade, moved) if part)})")
    text = "" if place.text is None else f"\n{escape(_short(place.text))}"
    return f"[{style}]{head}{text}[/{style}]"


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


def as_json(comparisons: Sequence[Comparison], total: Overall | None, settings: Settings) -> dict[str, object]:
    """Everything, unrounded."""
    return {
        "settings": settings._asdict(),
        "datasets": [
            {
                "dataset": one.dataset,
                "queries": one.queries,
                "ceiling": one.ceiling,
                "systems": [each._asdict() for each in one.systems],
                "pairs": [each._asdict() for each in one.pairings],
            }
            for one in comparisons
        ],
        "overall": None
        if total is None
        else {
            **{key: value for key, value in asdict(total).items() if key not in {"systems", "pairings"}},
            "systems": [each._asdict() for each in total.systems],
            "pairs": [each._asdict() for each in total.pairings],
        },
    }
