"""The charts of a report as files for papers and READMEs: every one as PNG, SVG and PDF."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit.analysis.moves import first_pair
from evalkit.reports.chart_rows import (
    Rows,
    names_of,
    rows_of_dataset,
    rows_of_pair,
    rows_of_scores,
    rows_over_datasets,
)
from evalkit.reports.looks import look_of, theme
from evalkit.reports.overview import DatasetView, Overview
from evalkit.system.files import naming

_WIDTH = 560  # pixels of a figure
_SCALE = 2.0  # of its PNG
_WITHOUT_NAMES = ("cost", "depth", "length")  # charts with systems, and no axis of their names


def write_figures(found: Overview, folder: Path) -> list[Path]:
    """Write every chart that has data into a folder; returns the files. The same data give the same PNG and SVG.

    Args:
        found: the overview to draw.
        folder: made if absent.
    """
    from evalkit.reports.charts import specifications

    folder.mkdir(parents=True, exist_ok=True)
    made = specifications(found.settings.measure, look_of(names_of(found)))
    written = []
    for view in found.datasets:
        name = view.comparison.dataset.replace("/", "-")
        for kind, rows in _charts(view):
            specification = _with_legend(made[kind], rows) if kind in _WITHOUT_NAMES else made[kind]
            written += _save(_titled(specification, view, kind), rows, folder / f"{name}-{kind}")
    if found.total is not None:
        rows = rows_over_datasets(found.total, found.settings.alpha)
        written += _save(made["ranks"], rows, folder / "critical-differences")
    return written


def _charts(view: DatasetView) -> Iterator[tuple[str, Rows]]:
    """Charts of a dataset; those of two systems are of the best reranker and its first stage."""
    yield from rows_of_dataset(view).items()
    first, second = first_pair(view.comparison.evaluations)
    if first != second:
        rows = rows_of_pair(view, first, second)
        yield "queries", rows
        yield "differences", rows
    if bins := view.systems[second].bins:
        rows = rows_of_scores(bins)
        yield "scores", rows
        if any(row["relevant"] + row["other"] for row in rows):
            yield "calibration", rows


def _titled(specification: dict[str, Any], view: DatasetView, kind: str) -> dict[str, Any]:
    first, second = (view.comparison.names[place] for place in first_pair(view.comparison.evaluations))
    systems = {"queries": f": {second} (up) against {first} (across)", "differences": f": {second} less {first}"}
    systems |= dict.fromkeys(("scores", "calibration"), f": {second}")
    return {**specification, "title": f"{view.comparison.dataset}{systems.get(kind, '')}"}


def _with_legend(specification: dict[str, Any], rows: Rows) -> dict[str, Any]:
    """Systems that no axis names, named below: a figure stands alone."""
    shown = list(
        dict.fromkeys(row["system"] for row in rows if row.get("kind", "reranked") == "reranked" and "end" not in row)
    )
    legend = {"orient": "bottom", "columns": 2, "labelLimit": _WIDTH // 2 - 30, "values": shown}
    layers = []
    for layer in specification["layer"]:
        own = layer.get("encoding", {})
        systems = {name for name in ("color", "shape") if own.get(name, {}).get("field") == "system"}
        layers.append({**layer, "encoding": {**own, **{name: {**own[name], "legend": legend} for name in systems}}})
    return {**specification, "layer": layers}


def with_rows(specification: dict[str, Any], rows: Rows) -> dict[str, Any]:
    """A specification with rows: a row of pixels for each system, and room at the right for bars of groups."""
    bars = len({row["group"] for row in rows if "group" in row})
    height = specification["height"]
    systems = len({row.get("system") for row in rows})
    return {
        **specification,
        "datasets": {**specification.get("datasets", {}), "rows": rows},
        "height": height["step"] * systems if isinstance(height, dict) else height,
        **({"padding": {"left": 4, "top": 4, "bottom": 4, "right": 14 + 12 * bars}} if bars else {}),
    }


def _save(specification: dict[str, Any], rows: Rows, path: Path) -> list[Path]:
    import vl_convert

    whole = {**with_rows(specification, rows), "width": _WIDTH, "config": theme(on_page=False)}
    drawn: str = vl_convert.vegalite_to_svg(whole)
    found = {
        "png": vl_convert.svg_to_png(drawn, scale=_SCALE),
        "svg": drawn.encode(),
        "pdf": vl_convert.svg_to_pdf(drawn),
    }
    paths = []
    for kind, content in found.items():
        paths.append(path.with_name(f"{path.name}.{kind}"))
        with naming(paths[-1]):
            paths[-1].write_bytes(content)
    return paths
