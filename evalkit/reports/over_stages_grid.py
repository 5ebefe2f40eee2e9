"""Rerankers by first stages as a table."""

from evalkit.analysis.over_stages import OverAll, OverStages
from evalkit.analysis.pairwise import Settings
from evalkit.reports.comparison import rule_text, too_few
from evalkit.reports.grid import Cell, Column, Grid
from evalkit.reports.heat_grid import REAL


def over_stages_grid(found: OverStages, settings: Settings) -> Grid:
    """A row a reranker, two columns a first stage: the mean, and the difference to the first stage."""
    columns = [Column("reranker")]
    for stage in found.stages:
        columns += [Column(stage, ".4f"), Column(f"over {stage}", "+.4f")]
    columns += [Column("mean", ".4f"), Column("group")]
    rows = [_row(one) for one in found.rows]
    marks = {
        (row, 2 * place + 2): REAL
        for row, one in enumerate(found.rows)
        for place, cell in enumerate(one.cells)
        if cell is not None and cell.over is not None and cell.over.real
    }
    has_ceiling = any(ceiling is not None for ceiling in found.ceilings)  # else the measure was added later
    sections = frozenset({len(rows)} if has_ceiling else ())
    if has_ceiling:
        ceilings: list[Cell] = [value for ceiling in found.ceilings for value in (ceiling, None)]
        rows.append(["ceiling", *ceilings, None, None])
    notes = [
        f"rerankers that share a letter cannot be told apart over all first stages; the test is over {found.unit}",
        *(["ceiling: the best any order of a first stage's candidates could reach"] if has_ceiling else []),
        *too_few(found.count, found.unit, found.comparisons, settings.rule),
    ]
    title = f"{settings.measure}: rerankers by first stages"
    legend = f"{REAL} more than chance ({rule_text(settings)})" if marks else ""
    return Grid(title, columns, rows, notes, sections, marks=marks, legend=legend)


def _row(one: OverAll) -> list[Cell]:
    cells: list[Cell] = []
    for cell in one.cells:
        over = None if cell is None or cell.over is None else cell.over.value
        cells += [None if cell is None else cell.mean, over]
    return [one.name or "none (the first stage)", *cells, one.mean, one.groups or None]
