"""The charts of a report as files for papers and READMEs: every one as PNG and SVG. Needs the `figures` extra."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from evalkit.analysis.overall import Overall
from evalkit.analysis.pairwise import groups
from evalkit.reports.overview import DatasetView, Overview
from evalkit.system.files import naming

_ROW = 0.32  # inches a system
_DPI = 200
# Text stays text, and the same data give the same bytes.
_STYLE: Any = {"svg.fonttype": "none", "svg.hashsalt": "evalkit", "axes.spines.top": False, "axes.spines.right": False}


def write_figures(found: Overview, folder: Path) -> list[Path]:
    """Write every chart that has data into a folder; returns the files.

    Args:
        found: the overview to draw.
        folder: made if absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with plt.rc_context(_STYLE):
        for view in found.datasets:
            name = view.comparison.dataset.replace("/", "-")
            written += _save(_intervals(view, found.settings.measure), folder / f"{name}-intervals")
            if any(one.speed is not None for one in view.systems):
                written += _save(_speed(view, found.settings.measure), folder / f"{name}-speed")
            if any(one.curve for one in view.systems):
                written += _save(_depth(view, found.settings.measure), folder / f"{name}-depth")
        if found.total is not None:
            written += _save(_ranks(found.total, found.settings.alpha), folder / "critical-differences")
    return written


def _save(figure: Any, path: Path) -> list[Path]:
    paths = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "svg")]
    for one in paths:
        metadata = {"Date": None} if one.suffix == ".svg" else {"Software": None}
        with naming(one):
            figure.savefig(one, dpi=_DPI, bbox_inches="tight", metadata=metadata)
    plt.close(figure)
    return paths


def _rows(names: Sequence[str]) -> tuple[Any, Any]:
    """An empty figure with a row a system, the first on top."""
    figure, axes = plt.subplots(figsize=(6.4, 1 + _ROW * len(names)))
    axes.set_yticks(range(len(names)), list(names))
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    return figure, axes


def _intervals(view: DatasetView, measure: str) -> Any:
    systems = view.comparison.systems
    figure, axes = _rows([one.name for one in systems])
    for row, one in enumerate(systems):
        axes.plot([one.low, one.high], [row, row], color=f"C{row % 10}", linewidth=2)
        axes.plot(one.mean, row, "o", color=f"C{row % 10}")
        axes.annotate(one.groups, (1.01, row), xycoords=("axes fraction", "data"), va="center")
    if view.comparison.ceiling is not None:
        axes.axvline(view.comparison.ceiling, color="gray", linestyle="--", linewidth=1)
    axes.set_xlabel(f"{measure} on {view.comparison.dataset}, 95 % interval")
    return figure


def _speed(view: DatasetView, measure: str) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 4))
    timed = [
        (system.speed, one)
        for one, system in zip(view.comparison.systems, view.systems, strict=True)
        if system.speed is not None
    ]
    for number, (speed, one) in enumerate(timed):
        axes.plot(speed, one.mean, "o", color=f"C{number % 10}")
        axes.annotate(one.name, (speed, one.mean), textcoords="offset points", xytext=(6, 4))
    timed.sort(key=lambda pair: (-pair[0], -pair[1].mean))
    front = [pair for place, pair in enumerate(timed) if all(one.mean < pair[1].mean for _, one in timed[:place])]
    axes.plot([speed for speed, _ in front], [one.mean for _, one in front], color="gray", linestyle="--", zorder=0)
    axes.set_xscale("log")
    axes.margins(0.2)
    axes.set_xlabel("pairs/s")
    axes.set_ylabel(f"{measure} on {view.comparison.dataset}")
    return figure


def _depth(view: DatasetView, measure: str) -> Any:
    figure, axes = plt.subplots(figsize=(6.4, 4))
    for one, system in zip(view.comparison.systems, view.systems, strict=True):
        if system.curve:
            depths = [str(point.depth) for point in system.curve]
            axes.plot(depths, [point.reranked for point in system.curve], "o-", label=one.name)
    stages = {system.evaluation.first_stage for system in view.systems}  # each of several has a ceiling by depth
    if view.comparison.ceiling is not None and len(stages) == 1:
        curve = next(system.curve for system in view.systems if system.curve)
        depths = [str(point.depth) for point in curve]
        axes.plot(depths, [point.ceiling for point in curve], color="gray", linestyle="--", label="ceiling")
    axes.set_xlabel("depth")
    axes.set_ylabel(f"{measure} on {view.comparison.dataset}")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    return figure


def _ranks(total: Overall, alpha: float) -> Any:
    order = sorted(range(len(total.systems)), key=lambda place: total.ranks[place])
    names = [total.systems[place].name for place in order]
    figure, axes = _rows(names)
    for row, place in enumerate(order):
        axes.plot(total.ranks[place], row, "o", color=f"C{row % 10}")
    letters = groups(names, total.pairings, alpha)
    sets = [letter for letter in dict.fromkeys("".join(letters)) if sum(letter in own for own in letters) > 1]
    for number, letter in enumerate(sets):
        members = [row for row, own in enumerate(letters) if letter in own]
        at = len(names) + 0.4 + 0.3 * number
        axes.plot([at] * len(members), members, "o-", color="black", markersize=3, linewidth=1)
    axes.set_xlabel(f"mean rank over {len(total.entries)} datasets; joined systems cannot be told apart")
    return figure
