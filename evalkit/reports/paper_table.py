"""Tables for papers: systems by datasets with averages, best in bold, second underlined, marks of a baseline."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evalkit.analysis.pairwise import Settings
from evalkit.analysis.standings import Place, Standing, Standings
from evalkit.config.suites import macro_average, of_datasets
from evalkit.errors import ConfigError
from evalkit.formats.notes import counted
from evalkit.reports.comparison import too_few
from evalkit.reports.grid import Cell, Column, Grid

AXES = Place._fields
_AVERAGE = "Avg."
_MARK = "†"

_Cells = dict[tuple[str, str], Standing]  # (row, column) -> number
Tables = Mapping[tuple[str, ...], Grid]
"""Values of `Layout.others` -> table."""


class Layout(NamedTuple):
    """How a table is laid out.

    Attributes:
        rows: one of `AXES`.
        columns: another one.
        percent: whether values are multiplied by 100.
        digits: after the point.
        baseline: name of the system that others are marked against; empty for none.
        exact: whether the table is for programs, which get p-values in columns of their own.
    """

    rows: str = "system"
    columns: str = "dataset"
    percent: bool = False
    digits: int = 4
    baseline: str = ""
    exact: bool = False

    @property
    def others(self) -> tuple[str, ...]:
        """Each table has one value of these. A system says its first stage and reranker, and they say the system."""
        axes, parts = {self.rows, self.columns}, {"first_stage", "reranker"}
        closed = axes | ({"system"} if axes & parts else parts)
        return tuple(axis for axis in AXES if axis not in closed)

    def text(self, value: float) -> str:
        """A number as it is printed."""
        return format(self.scaled(value), f".{self.digits}f")

    def scaled(self, value: float) -> float:
        """A number in the unit of the table."""
        return value * 100 if self.percent else value


def paper_tables(found: Standings, layout: Layout, settings: Settings) -> Tables:
    """A table for each value of what is neither rows nor columns, such as each measure.

    Raises:
        ConfigError: rows and columns are the same, or say the same; two systems would share a cell.
    """
    axes = {layout.rows, layout.columns}
    if len(axes) < 2 or ("system" in axes and axes & {"first_stage", "reranker"}):  # noqa: PLR2004
        raise ConfigError(
            f"--rows {layout.rows} --columns {layout.columns} are not the two sides of a table: a system is a first "
            "stage and its reranker. Take two of system, dataset and measure, or first_stage and reranker."
        )
    tables: dict[tuple[str, ...], dict[Place, Standing]] = {}
    for place, standing in found.found.items():
        tables.setdefault(tuple(getattr(place, axis) for axis in layout.others), {})[place] = standing
    legend = _legend(found, layout, settings)
    return {key: _grid(", ".join(key), own, layout, settings, legend) for key, own in tables.items()}


def as_one_table(tables: Tables, layout: Layout) -> Grid:
    """The tables below each other, with what they differ in as first columns: for CSV."""
    grids = list(tables.values())
    names = list(dict.fromkeys(column.name for grid in grids for column in grid.columns))
    rows: list[list[Cell]] = []
    for key, grid in tables.items():
        for row in grid.rows:
            own = dict(zip([column.name for column in grid.columns], row, strict=True))
            rows.append([*key, *(own.get(name) for name in names)])
    differing = [place for place in range(len(layout.others)) if len({key[place] for key in tables}) > 1]
    chosen = [*differing, *range(len(layout.others), len(layout.others) + len(names))]
    columns = [*map(Column, layout.others), *map(Column, names)]
    notes = list(dict.fromkeys(note for grid in grids for note in grid.remarks))
    return Grid("", [columns[place] for place in chosen], [[row[place] for place in chosen] for row in rows], notes)


def _grid(title: str, own: Mapping[Place, Standing], layout: Layout, settings: Settings, legend: str) -> Grid:
    cells = _cells(own, layout)
    averages, notes = _averages(cells, layout)
    cells |= averages
    rows, columns = (_labels(cells, side, axis) for side, axis in ((0, layout.rows), (1, layout.columns)))
    best, second = _leaders(cells, layout)
    place = {cell: (rows.index(cell[0]), columns.index(cell[1]) + 1) for cell in cells}
    marked = [cell for cell, standing in cells.items() if standing.p is not None and standing.p < settings.alpha]
    tested = [name for name in columns if layout.exact and any(standing.p is not None for standing in _of(name, cells))]
    return Grid(
        f"{title} (%)" if layout.percent else title,
        [
            Column(layout.rows),
            *(Column(name, f".{layout.digits}f") for name in columns),
            *(Column(f"{name} p", ".3g") for name in tested),
        ],
        [_row(row, columns, tested, cells, layout) for row in rows],
        notes,
        frozenset({len(rows) - 1}) if averages and layout.rows == "dataset" else frozenset(),
        strong=frozenset(place[cell] for cell in best),
        second=frozenset(place[cell] for cell in second),
        marks=dict.fromkeys((place[cell] for cell in marked), _MARK),
        legend=legend,
    )


def _of(column: str, cells: _Cells) -> list[Standing]:
    return [standing for cell, standing in cells.items() if cell[1] == column]


def _row(row: str, columns: Sequence[str], tested: Sequence[str], cells: _Cells, layout: Layout) -> list[Cell]:
    """The values of a row, then its p-values."""
    values = [cells.get((row, name)) for name in columns]
    p = [cells.get((row, name)) for name in tested]
    return [
        row,
        *(standing and layout.scaled(standing.value) for standing in values),
        *(standing and standing.p for standing in p),
    ]


def _cells(own: Mapping[Place, Standing], layout: Layout) -> _Cells:
    cells: _Cells = {}
    systems: dict[tuple[str, str], str] = {}
    for place, standing in own.items():
        cell = getattr(place, layout.rows), getattr(place, layout.columns)
        if systems.setdefault(cell, place.system) != place.system:
            raise ConfigError(
                f"{systems[cell]} and {place.system} are both {cell[0]} and {cell[1]}. Take --rows system, which tells "
                "them apart, or leave one out."
            )
        cells[cell] = standing
    return cells


def _labels(cells: _Cells, side: int, axis: str) -> list[str]:
    """In order, the average last."""
    found = list(dict.fromkeys(cell[side] for cell in cells))
    return sorted(found, key=lambda label: axis == "dataset" and label == _AVERAGE)


def _averages(cells: _Cells, layout: Layout) -> tuple[_Cells, list[str]]:
    """The mean over datasets of every line that has all of them, and notes; none for a single entry of a suite."""
    sides = [side for side, axis in enumerate((layout.rows, layout.columns)) if axis == "dataset"]
    datasets = dict.fromkeys(cell[side] for cell in cells for side in sides)
    entries = of_datasets(datasets).entries
    if len(entries) < 2:  # noqa: PLR2004 - nothing to average
        return {}, []
    (side,) = sides
    found: _Cells = {}
    notes = []
    for line in dict.fromkeys(cell[1 - side] for cell in cells):
        own = {cell[side]: standing.value for cell, standing in cells.items() if cell[1 - side] == line}
        if missing := [name for name in datasets if name not in own]:
            notes.append(f"{line}: no average, since {', '.join(missing)} is missing")
            continue
        average = (line, _AVERAGE) if side else (_AVERAGE, line)
        found[average] = Standing(macro_average(own), 0)
    if len(entries) < len(datasets):
        notes.append(f"{_AVERAGE} is the mean of {len(entries)}: {', '.join(entries)}")
    return found, notes


def _leaders(cells: _Cells, layout: Layout) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The best and the second best cells of every dataset and measure, by the numbers that are printed."""
    groups: dict[tuple[str, ...], dict[tuple[str, str], float]] = {}
    for cell, standing in cells.items():
        sides = zip((layout.rows, layout.columns), cell, strict=True)
        group = tuple(label for axis, label in sides if axis in {"dataset", "measure"})
        groups.setdefault(group, {})[cell] = float(layout.text(standing.value))
    best, second = [], []
    for values in groups.values():
        first, *rest = sorted(set(values.values()), reverse=True)
        if len(values) > 1:
            best += [cell for cell, value in values.items() if value == first]
            second += [cell for cell, value in values.items() if rest and value == rest[0]]
    return best, second


def _legend(found: Standings, layout: Layout, settings: Settings) -> str:
    """A caption: which numbers are marked, and how they were tested."""
    several = len({place.system for place in found.found}) > 1 and layout.others != ("system",)
    parts = ["Best in bold, second underlined."] if several and not layout.exact else []
    if layout.baseline:
        count = found.comparisons
        correction = (
            f"Holm's correction for {counted(count, 'comparison')}"
            if settings.correction == "holm"
            else "not corrected"
        )
        test = f"paired randomisation test, {correction}"
        parts.append(
            f"p of the difference to {layout.baseline}: {test}."
            if layout.exact
            else f"{_MARK} differs from {layout.baseline} ({test}, p below {settings.alpha:g})."
        )
        queries = min(standing.queries for standing in found.found.values())
        few = too_few(queries, "queries", count, settings.rule)
        parts += [f"{text[0].upper()}{text[1:]}." for text in few]
    return " ".join(parts)
