"""The effect of one setting, as a table."""

from collections.abc import Sequence
from itertools import pairwise

from evalkit.analysis.ablation import Ablation, Effect
from evalkit.analysis.pairwise import Settings
from evalkit.reports.grid import Cell, Column, Grid, columns


def ablation_grid(
    ablation: Ablation, effects: Sequence[Effect], settings: Settings, left_out: Sequence[str] = ()
) -> Grid:
    """A row a value of the setting, dataset by dataset; averages last."""
    specs = {"difference": "+.4f", "low": "+.4f", "high": "+.4f", "p": ".3g", "truncated": "", "seconds": ".1f"}
    headings = [*map(Column, ("dataset", "reranker", ablation.setting)), *columns({settings.measure: ".4f", **specs})]
    rows: list[list[Cell]] = [list(one) for one in effects]
    sections = frozenset(
        row
        for row, (before, one) in enumerate(pairwise(effects), start=1)
        if (before.dataset, before.reranker) != (one.dataset, one.reranker)
    )
    strong = frozenset((row, 7) for row, one in enumerate(effects) if one.p is not None and one.p < settings.alpha)
    drawn = f"{settings.samples:,} draws, seed {settings.seed}"
    rule = f"Holm's correction for all differences on a dataset; bold below {settings.alpha:g}: more than chance"
    notes = [
        f"differences to {ablation.setting}={effects[0].value}, paired 95 % bootstrap intervals, {drawn}",
        f"p: randomisation test, {rule}",
        "of an average the interval draws datasets too, and nothing is tested",
        *left_out,
    ]
    return Grid(f"ablation={ablation.name}", headings, rows, notes, sections, strong)
