"""Published numbers and ours as tables: in the shape in which they were published, or a row a number."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from evalkit.analysis.published.explain import Toggle
from evalkit.analysis.published.missing import MissingRun
from evalkit.analysis.published.tables import Published, Table
from evalkit.analysis.published.verdicts import NEAR, NEAR_TIMES, NOT_RUN, OFF, REPRODUCED, Cell
from evalkit.formats.notes import counted
from evalkit.reports.grid import ABSENT, Column, Grid, columns
from evalkit.reports.grid import Cell as Value

_NEAR_CEILING = 0.98
_MARKS = {REPRODUCED: "✓", NEAR: "≈", OFF: "✗"}
_COLOURS = {REPRODUCED: "green", NEAR: "yellow", OFF: "red", NOT_RUN: "dim"}
_REMARKED = "†"
_NAMED = 3  # cells that a note names before it counts the others
_BORDERS = 3  # characters that a terminal's table adds to a column


def as_published(published: Published, cells: Sequence[Cell], tolerance: float, *, width: int | None) -> list[Grid]:
    """A table a published table, in its shape: systems by columns, published and ours in one cell.

    `width` is that of the terminal in characters: a wider table is set in several parts. On a page it is None.
    """
    by_table: dict[str, list[Cell]] = {}
    for cell in cells:
        by_table.setdefault(cell.table, []).append(cell)
    shown = [table for table in published.tables if table.name in by_table]
    return list(
        chain.from_iterable(
            _parts(_shaped(published, table, by_table[table.name], tolerance), width) for table in shown
        )
    )


def _shaped(published: Published, table: Table, cells: Sequence[Cell], tolerance: float) -> Grid:
    by_place = {(cell.system, cell.column): cell for cell in cells}
    systems, names = [row.name for row in table.rows], [column.name for column in table.columns]
    turned = len(systems) == 1  # one system is read downwards
    downwards, across = (names, systems) if turned else (systems, names)
    texts: list[list[Value]] = [[name] for name in downwards]
    colours: list[dict[str, str]] = [{} for _ in across]
    for place, first in enumerate(downwards):
        for number, second in enumerate(across):
            cell = by_place.get((second, first) if turned else (first, second))
            text = None if cell is None else _text(cell)
            texts[place].append(text)
            if cell is not None and text is not None:
                colours[number][text] = _COLOURS[_kind(cell)]
    heads = [Column(name, colours=own) for name, own in zip(across, colours, strict=True)]
    stages = sum(row.is_first_stage for row in table.rows)
    line = frozenset({stages} if 0 < stages < len(systems) else ())
    notes = [*_noted(cells), *_conditions(published, table), f"source: {published.source}"]
    title = f"{published.title}: {table.name} (published / ours)"
    head = Column("on" if turned else "system")
    return Grid(title, [head, *heads], texts, notes, line, legend=_legend(cells, tolerance))


def _kind(cell: Cell) -> str:
    """The verdict without the share of a suite that was run."""
    return cell.verdict.partition(" (")[0]


def _text(cell: Cell) -> str:
    if cell.ours is None:
        return f"{cell.published:.2f}{cell.verdict.removeprefix(NOT_RUN)}"
    remarked = _REMARKED if any(_doubts(cell)) else ""
    return f"{cell.published:.2f} / {cell.ours:.2f} {_MARKS[_kind(cell)]}{remarked}"


def _legend(cells: Sequence[Cell], tolerance: float) -> str:
    """What the marks mean, of those that the table has."""
    meanings = {
        REPRODUCED: f"within {tolerance:g} points, as far as two harnesses are apart without a cause",
        NEAR: f"within {NEAR_TIMES * tolerance:g}",
        OFF: "farther apart",
    }
    kinds = Counter(map(_kind, cells))
    marks = [f"{_MARKS[kind]} {kind} ({kinds[kind]}): {meaning}" for kind, meaning in meanings.items() if kinds[kind]]
    lacking = [f"{counted(kinds[NOT_RUN], 'number')}: {NOT_RUN}"] if kinds[NOT_RUN] else []
    return "; ".join([*marks, *lacking])


def _noted(cells: Sequence[Cell]) -> list[str]:
    """Each doubt once, with the cells that it is about."""
    run = [cell for cell in cells if cell.ours is not None]
    about: dict[str, list[Cell]] = {}
    for cell in run:
        for doubt in _doubts(cell):
            about.setdefault(doubt, []).append(cell)
    return [f"{_REMARKED} {doubt}: {_where(some, len(run))}" for doubt, some in about.items()]


def _where(cells: Sequence[Cell], run: int) -> str:
    if len(cells) == run > _NAMED:
        return f"all {run} numbers"
    named = ", ".join(f"{cell.system} on {cell.column}" for cell in cells[:_NAMED])
    more = len(cells) - _NAMED
    return f"{named} and {more} more (--long shows each)" if more > 0 else named


def _parts(grid: Grid, width: int | None) -> Iterator[Grid]:
    """The table, or as many of its columns at a time as fit; notes come below the last part."""
    widths = [
        _BORDERS + max(map(len, [column.name, *(str(row[place] or ABSENT) for row in grid.rows)]))
        for place, column in enumerate(grid.columns)
    ]
    groups: list[list[int]] = [[]]
    for place in range(1, len(widths)):
        if width and groups[-1] and widths[0] + sum(widths[other] for other in groups[-1]) + widths[place] >= width:
            groups.append([])
        groups[-1].append(place)
    for number, group in enumerate(groups):
        last = number == len(groups) - 1
        chosen = [0, *group]
        yield Grid(
            grid.title if len(groups) == 1 else f"{grid.title}, part {number + 1} of {len(groups)}",
            [grid.columns[place] for place in chosen],
            [[row[place] for place in chosen] for row in grid.rows],
            grid.notes if last else (),
            grid.sections,
            legend=grid.legend if last else "",
        )


def in_rows(published: Published, cells: Sequence[Cell], tolerance: float) -> list[Grid]:
    """A table a published table, a row a number: with difference, ceiling, verdict and remarks."""
    by_name = {table.name: table for table in published.tables}
    return [
        _long(published, by_name[name], [cell for cell in cells if cell.table == name], tolerance)
        for name in dict.fromkeys(cell.table for cell in cells)
    ]


def _long(published: Published, table: Table, cells: Sequence[Cell], tolerance: float) -> Grid:
    specs = {"system": "", "on": "", "published": ".2f", "ours": ".2f", "delta": "+.2f", "ceiling": ".2f"}
    rows: list[Sequence[Value]] = [
        [
            cell.system,
            cell.column,
            cell.published,
            cell.ours,
            None if cell.ours is None else cell.ours - cell.published,
            cell.ceiling,
            cell.verdict,
            "; ".join(_remarks(cell)),
        ]
        for cell in cells
    ]
    counts = Counter(map(_kind, cells))
    rule = (
        f"reproduced: within {tolerance:g} points, as far as two harnesses are apart without a cause; near: within "
        f"{NEAR_TIMES * tolerance:g}"
    )
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    notes = [counted, rule, *_conditions(published, table), f"source: {published.source}"]
    return Grid(f"{published.title}: {table.name}", columns({**specs, "verdict": "", "remark": ""}), rows, notes)


def _conditions(published: Published, table: Table) -> list[str]:
    """Under which the numbers were published."""
    lengths = dict.fromkeys(row.max_length for row in table.rows if not row.is_first_stage)
    known = [length for length in lengths if length is not None]
    span = str(known[0]) if len(known) == 1 else f"{min(known)} to {max(known)}" if known else ""
    length = f", max_length {span}{' where stated' if None in lengths else ''}" if span else ""
    return [f"published under depth {published.depth}{length}", *published.notes]


def _doubts(cell: Cell) -> Iterator[str]:
    """Why published and ours may not be of the same thing."""
    yield from cell.conditions
    if cell.ceiling is not None and cell.published > cell.ceiling + 0.005:
        yield "published is above the ceiling of our candidates"


def _remarks(cell: Cell) -> Iterator[str]:
    yield from _doubts(cell)
    for whose, value in (("published", cell.published), ("ours", cell.ours)):
        if (
            cell.ceiling is not None
            and value is not None
            and _NEAR_CEILING * cell.ceiling < value <= cell.ceiling + 0.005
        ):
            yield f"{whose} is {value / cell.ceiling:.1%} of the ceiling"


def plan(published: Published, runs: Sequence[MissingRun]) -> Grid:
    """The evaluations to run, in order."""
    specs = {"#": "", "dataset": "", "first stage": "", "reranker": "", "settings": ""}
    specs |= {"documents to encode": ",", "pairs to score": ","}
    rows: list[Sequence[Value]] = [
        [number, run.dataset, run.retriever, run.reranker, " ".join(run.settings), run.documents, run.pairs]
        for number, run in enumerate(runs, start=1)
    ]
    known = [run for run in runs if run.documents is not None and run.pairs is not None]
    documents, pairs = sum(run.documents or 0 for run in known), sum(run.pairs or 0 for run in known)
    total = f"{counted(documents, 'document')} and {counted(pairs, 'pair')}"
    missing = "1 evaluation is" if len(runs) == 1 else f"{len(runs)} evaluations are"
    unknown = f"; {len(runs) - len(known)} of unknown size come last" if len(known) < len(runs) else ""
    return Grid(f"{published.title}: {missing} missing", columns(specs), rows, [f"{total}{unknown}"])


def explanation(cell: Cell, toggles: Sequence[Toggle]) -> Grid:
    """Conditions that move a number, the largest first; those that were not run come last, with their command."""
    specs = {"under": "", "value": ".2f", "moved": "+.2f", "command": ""}
    rows: list[Sequence[Value]] = [[one.what, one.value, one.moved, one.command] for one in toggles]
    apart = "" if cell.ours is None else f"published {cell.published:.2f}, ours {cell.ours:.2f}, {cell.verdict}"
    note = (
        "recomputed from the saved runs, in points of this cell; those with a command change what the model reads, and "
        "are measured on a sample of one dataset's queries once the command was run here"
    )
    return Grid(f"{cell.system} on {cell.column}: {apart}", columns(specs), rows, [note])
