"""Systems by datasets, each number a difference to the first stage or a chosen baseline: the table of a heat map."""

from collections.abc import Sequence

from evalkit.analysis.differences import Difference, baselines, difference
from evalkit.analysis.overall import Overall
from evalkit.analysis.pairwise import Comparison, Settings
from evalkit.reports.comparison import rule_text
from evalkit.reports.grid import Cell, Column, Grid

REAL = "*"
"""The mark of a difference that is called real."""


def heat_grid(
    comparisons: Sequence[Comparison], total: Overall | None, settings: Settings, baseline: str = ""
) -> Grid | None:
    """A row a system, a column a dataset, before them the average where there is one; None where nothing was compared.

    Every number and mark is that of the pairs of `evalkit compare`: of a dataset over its queries, of the average over
    the datasets.

    Args:
        comparisons: of the datasets.
        total: over them; None for none.
        settings: of the comparisons.
        baseline: name of the system that all others are compared with; empty for each one's own first stage.

    Raises:
        ConfigError: no system has the name of the baseline.
    """
    against = baselines(comparisons, baseline)
    parts = [(one.dataset, one.pairings, own) for one, own in zip(comparisons, against, strict=True)]
    if total is not None:
        shared = {name: stage for own in against for name, stage in own.items()}
        parts.insert(0, ("average", total.pairings, shared))
    found: list[dict[str, Difference]] = [
        {name: own for name, stage in stages.items() if (own := difference(pairings, name, stage, settings.alpha))}
        for _, pairings, stages in parts
    ]
    names = list(dict.fromkeys(name for own in found for name in own))
    names.sort(key=lambda name: -found[0][name].value if name in found[0] else float("inf"))
    if not names:
        return None
    rows: list[list[Cell]] = [[name, *(own[name].value if name in own else None for own in found)] for name in names]
    marks = {
        (row, column): REAL
        for row, name in enumerate(names)
        for column, own in enumerate(found, start=1)
        if name in own and own[name].real
    }
    columns = [Column("system"), *(Column(label, "+.4f") for label, _, _ in parts)]
    to = baseline or "first stage"
    legend = f"{REAL} more than chance ({rule_text(settings)})" if marks else ""
    over = ["average: the test is over datasets, elsewhere over queries"] if total is not None else []
    return Grid(f"{settings.measure}: difference to {to}", columns, rows, over, marks=marks, legend=legend)
