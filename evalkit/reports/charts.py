"""Every chart as a specification of Vega-Lite, the same for the page and for paper. Its rows are named `rows`.

A specification knows the systems and the measure, and no number: `chart_rows.py` has the rows of each chart.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

from evalkit.reports import pair_charts
from evalkit.reports.chart_parts import DECIMALS, HEIGHT, Drawn, from_rows, tip
from evalkit.reports.looks import SAME, Look

_ROW, _TWO_LINES, _LINE = 28, 34, 14  # pixels a system, one with a name of two lines, and a line
_LINES = (  # of a name on an axis: the first stage above the reranker, and on narrow pages its settings below
    "split(narrow ? replace(replace(datum.label, ' + ', ' +\\u00a0'), regexp(' ', 'g'), '\\n') : "
    "replace(datum.label, ' + ', '\\n+ '), '\\n')"
)
_LABEL = 200  # pixels of a name within a chart, at most


@lru_cache(maxsize=8)
def specifications(measure: str, look: Look) -> dict[str, dict[str, Any]]:
    """Name of each chart -> its specification, without rows and without a theme; not to be changed.

    Altair takes 0.4 s to write them, so a page and its figures share them.
    """
    with debug_mode(arg=False):  # a test validates the charts; Altair would do so at each step
        return {name: _finished(make(measure, look), make.__doc__ or "") for name, make in _CHARTS.items()}


def _finished(chart: Drawn, about: str) -> dict[str, Any]:
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    described = chart.properties(width="container", description=about.partition("\n")[0], autosize=fit)
    made: dict[str, Any] = {**described.to_dict(validate=False), "params": [{"name": "narrow", "value": False}]}
    return {key: value for key, value in made.items() if key != "config"}


def _colour(look: Look) -> alt.Color:
    return alt.Color("system:N", scale=alt.Scale(domain=list(look.names), range=list(look.colours)), legend=None)


def _shape(look: Look) -> alt.Shape:
    return alt.Shape("system:N", scale=alt.Scale(domain=list(look.names), range=list(look.shapes)), legend=None)


def _systems() -> alt.Y:
    middle: Any = {"condition": {"test": "true", "expr": f"{-_LINE / 2} * (length({_LINES}) - 1)"}, "value": 0}
    lines = {"labelExpr": _LINES, "labelOffset": middle, "labelLineHeight": _LINE}
    return alt.Y("system:N", sort=None, axis=alt.Axis(title=None, ticks=False, domain=False, grid=True, **lines))


def _step(look: Look) -> alt.Step:
    return alt.Step(_TWO_LINES if any(" + " in name for name in look.names) else _ROW)


def _dots(look: Look, x: alt.X, tooltip: list[alt.Tooltip]) -> alt.Chart:
    channels = {"x": x, "y": _systems(), "color": _colour(look), "shape": _shape(look), "tooltip": tooltip}
    made: alt.Chart = from_rows().mark_point(filled=True, size=80, opacity=1).encode(**channels)
    return made


def _interval_tips(measure: str) -> list[alt.Tooltip]:
    ends = [tip("low:Q", "95 % from", DECIMALS), tip("high:Q", "95 % to", DECIMALS)]
    return [tip("system:N", "system"), tip("mean:Q", measure, DECIMALS), *ends, tip("groups:N", "group")]


def _intervals(measure: str, look: Look) -> Drawn:
    """Means with intervals, the letters of groups at the right, the ceiling dashed."""
    x = alt.X("mean:Q", title=measure, scale=alt.Scale(zero=False, nice=True))
    bars = (
        from_rows()
        .mark_rule(strokeWidth=2.5)
        .encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=_systems(), color=_colour(look))
    )
    letters = (
        from_rows().mark_text(align="left", x={"expr": "width + 8"}).encode(y=_systems(), text=alt.Text("groups:N"))
    )
    ceiling = from_rows().transform_filter("isValid(datum.ceiling)")
    best = ceiling.mark_rule(strokeDash=[5, 4], opacity=0.7).encode(
        x=alt.X("max(ceiling):Q"), tooltip=tip("max(ceiling):Q", "ceiling of the candidates", DECIMALS)
    )
    layers = alt.layer(bars, _dots(look, x, _interval_tips(measure)), letters, best)
    return layers.properties(height=_step(look), padding={"right": 34, "left": 4, "top": 4, "bottom": 4})


def _ranks(measure: str, look: Look) -> Drawn:
    """Critical differences: mean ranks, and a bar for every group of systems that cannot be told apart."""
    x = alt.X(
        "rank:Q",
        title=f"mean rank by {measure} (1 is best)",
        axis=alt.Axis(format="~g"),
        scale=alt.Scale(zero=False, nice=False, padding=14),
    )
    tips = [tip("system:N", "system"), tip("rank:Q", "mean rank", ".2f")]
    dots = _dots(look, x, tips).transform_filter("isValid(datum.rank)")
    bars = from_rows().transform_filter("isValid(datum.group)")
    joined = bars.mark_rule(strokeWidth=4, strokeCap="round", x={"expr": "width + 12 + 12 * datum.group"}).encode(
        y=alt.Y("system:N", sort=None), y2=alt.Y2("last:N"), tooltip=tip("members:N", "cannot be told apart")
    )
    return alt.layer(dots, joined).properties(height=_step(look))


def _cost(measure: str, look: Look) -> Drawn:
    """Quality against cost; the lines are Pareto fronts: nothing over the same first stage is cheaper and better."""
    x = alt.X("cost:Q", title="milliseconds a pair (log scale)", scale=alt.Scale(type="log", nice=False, padding=24))
    y = alt.Y("mean:Q", title=measure, scale=alt.Scale(zero=False, padding=16))
    tips = [*_interval_tips(measure)[:-1], tip("cost:Q", "ms a pair", ".3~g"), tip("speed:Q", "pairs/s", ",.3~r")]
    timed = from_rows().transform_filter("isValid(datum.cost)")
    front = timed.transform_filter("datum.front")
    line = front.mark_line(interpolate="step-after", strokeDash=[5, 4], opacity=0.6, color=SAME).encode(
        detail=alt.Detail("stage:N")
    )
    bars = timed.mark_rule(strokeWidth=1.5, opacity=0.7).encode(
        x=x, y=alt.Y("low:Q"), y2=alt.Y2("high:Q"), color=_colour(look)
    )
    dots = timed.mark_point(filled=True, size=90, opacity=1)
    stage = from_rows().transform_filter("!isValid(datum.cost)")
    at_end: dict[str, Any] = {"x": {"expr": "datum.end == 'left' ? 4 : width - 4"}, "align": {"expr": "datum.end"}}
    return alt.layer(
        stage.mark_rule(opacity=0.6).encode(
            y=y, tooltip=[tip("system:N", "first stage"), tip("mean:Q", measure, DECIMALS)]
        ),
        stage.mark_text(dy=9, limit=_LABEL, opacity=0.8, **at_end).encode(y=y, text=alt.Text("system:N")),
        line.encode(x=x, y=y, order=alt.Order("cost:Q")),
        bars,
        dots.encode(x=x, y=y, color=_colour(look), shape=_shape(look), tooltip=tips),
    ).properties(height=HEIGHT)


def _depth(measure: str, look: Look) -> Drawn:
    """What fewer candidates would give, on an axis from the first stage to the ceiling."""
    depths = alt.Axis(values=[5, 10, 20, 50, 100, 200, 500, 1000], format="d")
    log = alt.Scale(type="log", nice=False, padding=8)
    x = alt.X("depth:Q", title="candidates reranked (log scale)", scale=log, axis=depths)
    y = alt.Y("value:Q", title=measure, scale=alt.Scale(zero=False, nice=True))
    tips = [tip("system:N", "system"), tip("depth:Q", "depth"), tip("value:Q", measure, DECIMALS)]
    own = from_rows().transform_filter("datum.kind == 'reranked'").encode(x=x, y=y, color=_colour(look), tooltip=tips)
    frame = (
        from_rows()
        .transform_filter("datum.kind != 'reranked'")
        .encode(x=x, y=y, detail=alt.Detail("system:N"), tooltip=tips)
    )
    least = from_rows().transform_filter("datum.kind == 'first stage'").transform_joinaggregate(least="min(depth)")
    names = least.transform_filter("datum.depth == datum.least").mark_text(
        align="left", dy=9, opacity=0.8, limit=_LABEL
    )
    return alt.layer(
        frame.mark_line(strokeDash=[5, 4], opacity=0.7, color=SAME),
        names.encode(x=x, y=y, text=alt.Text("system:N")),
        own.mark_line(strokeWidth=2),
        own.mark_point(filled=True, size=60, opacity=1).encode(shape=_shape(look)),
    ).properties(height=HEIGHT)


def _length(measure: str, look: Look) -> Drawn:
    """The difference to the first stage by the length of the query."""
    x = alt.X("bucket:N", sort=None, title="characters of the query", axis=alt.Axis(labelAngle=0))
    y = alt.Y("difference:Q", title=f"{measure} over the first stage")
    beside = alt.XOffset("system:N", sort=list(look.names))
    tips = [
        tip("system:N", "system"),
        tip("bucket:N", "characters"),
        tip("queries:Q", "queries"),
        tip("difference:Q", "difference", "+.4f"),
        tip("low:Q", "95 % from", "+.4f"),
        tip("high:Q", "95 % to", "+.4f"),
    ]
    base = from_rows().encode(x=x, xOffset=beside, color=_colour(look), tooltip=tips)
    zero = alt.Chart(alt.InlineData([{}])).mark_rule(opacity=0.6).encode(y=alt.datum(0))
    return alt.layer(
        zero,
        base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")),
        base.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=_shape(look)),
    ).properties(height=HEIGHT)


def _ties(measure: str, look: Look) -> Drawn:
    """From the worst to the best order of documents with equal scores, and 95 % intervals to compare them with."""
    x = alt.X("mean:Q", title=measure, scale=alt.Scale(zero=False))
    intervals = from_rows().mark_rule(strokeWidth=1, opacity=0.7)
    ends = [tip("least:Q", "worst order", DECIMALS), tip("greatest:Q", "best order", DECIMALS)]
    tips = [tip("system:N", "system"), tip("mean:Q", "reported", DECIMALS), *ends]
    # Taller than the mark of the system, which would hide a narrow range.
    bars = from_rows().mark_bar(height=18, opacity=0.4, cornerRadius=3)
    return alt.layer(
        intervals.encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"), y=_systems(), color=_colour(look)),
        bars.encode(x=alt.X("least:Q"), x2=alt.X2("greatest:Q"), y=_systems(), color=_colour(look), tooltip=tips),
        _dots(look, x, tips),
    ).properties(height=_step(look))


def _truncation(measure: str, look: Look) -> Drawn:
    """How many of the relevant documents reach the first ten, of pairs that were read whole and of cut ones."""
    del measure
    x = alt.X("reranked:Q", title="relevant documents in the top 10", axis=alt.Axis(format="%"))
    scale = alt.Scale(domain=["read whole", "truncated"], range=["circle", "triangle-left"])
    tips = [tip("system:N", "system"), tip("pairs:N", "pairs"), tip("count:Q", "of them", ",d")]
    tips += [tip("relevant:Q", "relevant", ",d"), tip("reranked:Q", "in the top 10", ".1%")]
    base = from_rows().encode(y=_systems(), color=_colour(look))
    return alt.layer(
        base.mark_line(opacity=0.5).encode(x=x, detail=alt.Detail("system:N")),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x, shape=alt.Shape("pairs:N", scale=scale, legend=alt.Legend(orient="top")), tooltip=tips
        ),
    ).properties(height=_step(look))


_CHARTS: dict[str, Callable[[str, Look], Drawn]] = {
    "ranks": _ranks,
    "intervals": _intervals,
    "cost": _cost,
    "depth": _depth,
    "queries": pair_charts.queries,
    "differences": pair_charts.differences,
    "length": _length,
    "scores": pair_charts.scores,
    "calibration": pair_charts.calibration,
    "ties": _ties,
    "truncation": _truncation,
}
