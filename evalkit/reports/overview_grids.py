"""An overview as tables: the summary, published tables, comparisons, and the conditions of every result."""

from collections.abc import Sequence
from dataclasses import replace

from evalkit.analysis.overall import averaged
from evalkit.analysis.published.tables import Published
from evalkit.analysis.published.verdicts import NOT_RUN, TOLERANCE
from evalkit.analysis.published.verdicts import Cell as PublishedCell
from evalkit.config.suites import macro_average
from evalkit.reports import comparison, reproduction
from evalkit.reports.grid import Cell, Column, Grid
from evalkit.reports.heat_grid import heat_grid
from evalkit.reports.overview import Overview, SystemView
from evalkit.system.stages import speed


def grids(found: Overview) -> list[Grid]:
    """All of them, for Markdown and papers."""
    pairs = [grid for _, some in pairs_by_dataset(found) for grid in some]
    return [summary(found), *heat(found), *published(found), *over(found), *pairs, conditions(found)]


def summary(found: Overview) -> Grid:
    """A row a system, a column a dataset, their macro average; the best of each column stands out."""
    systems = list(dict.fromkeys(one.name for view in found.datasets for one in view.comparison.systems))
    means = [{one.name: one.mean for one in view.comparison.systems} for view in found.datasets]
    rows = [_summary_row(found, name, [each.get(name) for each in means]) for name in systems]
    columns = [Column("system"), *(Column(view.comparison.dataset, ".4f") for view in found.datasets)]
    several = len(found.datasets) > 1
    if several:
        columns.insert(1, Column("average", ".4f"))
        rows.sort(key=lambda row: -row[1] if isinstance(row[1], float) else 0.0)
    strong = {(row, column) for column in range(1, len(columns)) for row in _best(rows, column)}
    sections, notes = frozenset[int](), []
    ceilings = [view.comparison.ceiling for view in found.datasets]
    if any(ceiling is not None for ceiling in ceilings):
        sections = frozenset({len(rows)})
        rows.append(_summary_row(found, "ceiling", ceilings))
        notes.append(
            "ceiling: the best any order of the candidates could reach; none where first stages differ, or not measured"
        )
    if several:
        notes.append("average: of datasets, the forums of CQADupStack counting once; none where one is missing")
        notes += found.left_out if found.total is None else ()
    return Grid(found.settings.measure, columns, rows, notes, sections, frozenset(strong))


def heat(found: Overview) -> list[Grid]:
    """Differences of every system to its first stage, or to the baseline; none where nothing was compared."""
    grid = heat_grid([view.comparison for view in found.datasets], found.total, found.settings, found.baseline)
    return [] if grid is None else [grid]


def _summary_row(found: Overview, name: str, values: Sequence[float | None]) -> list[Cell]:
    average = [_average(found, values)] if len(found.datasets) > 1 else []
    return [name, *average, *values]


def _average(found: Overview, values: Sequence[float | None]) -> float | None:
    chosen = {one.dataset for one in averaged([view.comparison for view in found.datasets])}
    own = {view.comparison.dataset: value for view, value in zip(found.datasets, values, strict=True)}
    known = {dataset: value for dataset, value in own.items() if dataset in chosen and value is not None}
    return macro_average(known) if known.keys() == chosen else None


def _best(rows: Sequence[Sequence[Cell]], column: int) -> list[int]:
    values = {number: value for number, row in enumerate(rows) if isinstance(value := row[column], float)}
    return [number for number, value in values.items() if value == max(values.values())]


def published(found: Overview) -> list[Grid]:
    """The published tables that have results here, in their shape, with the rows and columns of those cells alone."""
    found_grids = []
    for tables, cells in found.published:
        run = [cell for cell in cells if not cell.verdict.startswith(NOT_RUN)]
        found_grids += reproduction.as_published(_with_results(tables, run), run, TOLERANCE, width=None)
    return found_grids


def _with_results(published: Published, run: Sequence[PublishedCell]) -> Published:
    systems, names = {(one.table, one.system) for one in run}, {(one.table, one.column) for one in run}
    tables = []
    for table in published.tables:
        kept = [place for place, column in enumerate(table.columns) if (table.name, column.name) in names]
        rows = [row for row in table.rows if (table.name, row.name) in systems]
        rows = [row._replace(values=tuple(row.values[place] for place in kept)) for row in rows]
        tables.append(replace(table, columns=tuple(table.columns[place] for place in kept), rows=tuple(rows)))
    return replace(published, tables=tuple(tables))


def over(found: Overview) -> list[Grid]:
    """Systems and pairs over the datasets."""
    return [] if found.total is None else comparison.overall_grids(found.total, found.settings, found.left_out)


def pairs_by_dataset(found: Overview) -> list[tuple[str, list[Grid]]]:
    """Systems and pairs of each dataset."""
    return [
        (view.comparison.dataset, comparison.grids([view.comparison], None, found.settings)) for view in found.datasets
    ]


def conditions(found: Overview) -> Grid:
    """How every result was made."""
    columns = [
        *map(Column, ("system", "dataset", "first stage", "model", "revision", "max_length", "dtype", "device")),
        Column("pairs"),
        Column("truncated"),
        Column("pairs/s", write=speed),
        *map(Column, ("evalkit", "command")),
    ]
    rows = [
        _condition(one.name, view.comparison.dataset, system)
        for view in found.datasets
        for one, system in zip(view.comparison.systems, view.systems, strict=True)
    ]
    remarks = [f"{view.comparison.dataset}: {view.remark}" for view in found.datasets if view.remark]
    remarks += [
        f"{view.comparison.dataset}, {one.name}: no depth curve, because {system.no_curve}"
        for view in found.datasets
        for one, system in zip(view.comparison.systems, view.systems, strict=True)
        if system.no_curve and system.no_curve != view.remark
    ]
    return Grid("How every result was made", columns, rows, remarks)


def _condition(name: str, dataset: str, view: SystemView) -> list[Cell]:
    manifest = view.evaluation.result.manifest
    identity = manifest["retriever" if view.evaluation.is_first_stage else "reranker"]
    settings = manifest["config"]["retriever" if view.evaluation.is_first_stage else "reranker"]
    environment = manifest["environment"]
    return [
        name,
        dataset,
        view.evaluation.first_stage,
        settings.get("model") or identity["kind"],
        settings.get("revision"),
        settings.get("max_length"),
        identity.get("dtype"),
        environment.get("device"),
        manifest["pairs"],
        manifest.get("truncated_pairs"),
        view.speed,
        f"{environment['packages']['evalkit']} {str(environment.get('git_commit') or '')[:12]}".strip(),
        manifest["command"],
    ]
