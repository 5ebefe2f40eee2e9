"""Published numbers beside ours as tables."""

from collections import Counter
from collections.abc import Sequence

from evalkit.published import Published
from evalkit.report.grid import Cell as Value
from evalkit.report.grid import Column, Grid
from evalkit.reproduce import NEAR_TIMES, Cell

_NEAR_CEILING = 0.98


def grids(published: Published, cells: Sequence[Cell], tolerance: float) -> list[Grid]:
    """A table a published table."""
    return [
        _grid(published, [cell for cell in cells if cell.table == name], name, tolerance)
        for name in dict.fromkeys(cell.table for cell in cells)
    ]


def _grid(published: Published, cells: Sequence[Cell], name: str, tolerance: float) -> Grid:
    columns = [
        Column("system"),
        Column("on"),
        Column("published", ".2f"),
        Column("ours", ".2f"),
        Column("delta", "+.2f"),
        Column("ceiling", ".2f"),
        Column("verdict"),
        Column("remark"),
    ]
    rows: list[Sequence[Value]] = [
        [
            cell.system,
            cell.column,
            cell.published,
            cell.ours,
            None if cell.ours is None else cell.ours - cell.published,
            cell.ceiling,
            cell.verdict,
            _remark(cell),
        ]
        for cell in cells
    ]
    counts = Counter(cell.verdict.partition(" (")[0] for cell in cells)
    rule = (
        f"reproduced: within {tolerance:g} points, as far as two harnesses are apart without a cause; near: within "
        f"{NEAR_TIMES * tolerance:g}. Published under depth {published.depth}, max_length {published.max_length}"
    )
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    notes = [counted, rule, *published.notes, f"source: {published.source}"]
    return Grid(f"{published.title}: {name}", columns, rows, notes)


def _remark(cell: Cell) -> str:
    remarks = list(cell.conditions)
    if cell.ceiling is not None:
        for whose, value in (("published", cell.published), ("ours", cell.ours)):
            if value is not None and value > cell.ceiling + 0.005:
                remarks.append(f"{whose} is above the ceiling of our candidates")
            elif value is not None and value > _NEAR_CEILING * cell.ceiling:
                remarks.append(f"{whose} is {value / cell.ceiling:.1%} of the ceiling")
    return "; ".join(remarks)
