"""Every chart as a specification of Vega-Lite, the same for the page and for paper. Its rows are named `rows`.

A specification knows the systems and the measure, and no number: `chart_rows.py` has the rows of each chart.
"""

from collections.abc import Callable
from typing import Any

import altair as alt

from evalkit.reports.looks import BETTER, SAME, WORSE, Look

_ROW = 28  # pixels a system
_HEIGHT = 260
_DECIMALS = ".4f"

Drawn = alt.Chart | alt.LayerChart | alt.FacetChart


def specifications(measure: str, look: Look) -> dict[str, dict[str, Any]]:
    """Name of each chart -> its specification, without rows and without a theme."""
    return {name: _finished(make(measure, look), make.__doc__ or "") for name, make in _CHARTS.items()}


def _finished(chart: Drawn, about: str) -> dict[str, Any]:
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    described = chart.properties(width="container", description=about.partition("\n")[0], autosize=fit)
    made: dict[str, Any] = described.to_dict()
    return {key: value for key, value in made.items() if key != "config"}


def _base() -> alt.Chart:
    return alt.Chart(alt.NamedData(name="rows"))


def _colour(look: Look) -> alt.Color:
    return alt.Color("system:N", scale=alt.Scale(domain=list(look.names), range=list(look.colours)), legend=None)


def _shape(look: Look) -> alt.Shape:
    return alt.Shape("system:N", scale=alt.Scale(domain=list(look.names), range=list(look.shapes)), legend=None)


def _systems() -> alt.Y:
    return alt.Y("system:N", sort=None, axis=alt.Axis(title=None, ticks=False, domain=False, grid=True))


def _dots(look: Look, x: alt.X, tooltip: list[alt.Tooltip]) -> alt.Chart:
    channels = {"x": x, "y": _systems(), "color": _colour(look), "shape": _shape(look), "tooltip": tooltip}
    made: alt.Chart = _base().mark_point(filled=True, size=80, opacity=1).encode(**channels)
    return made


def _tip(field: str, title: str, form: str = "") -> alt.Tooltip:
    return alt.Tooltip(field, title=title, format=form) if form else alt.Tooltip(field, title=title)


def _interval_tips(measure: str) -> list[alt.Tooltip]:
    ends = [_tip("low:Q", "95 % from", _DECIMALS), _tip("high:Q", "95 % to", _DECIMALS)]
    return [_tip("system:N", "system"), _tip("mean:Q", measure, _DECIMALS), *ends, _tip("groups:N", "group")]


def _intervals(measure: str, look: Look) -> Drawn:
    """Means with intervals, the letters of groups at the right, the ceiling dashed."""
    x = alt.X("mean:Q", title=measure, scale=alt.Scale(zero=False, nice=True))
    bars = _base().mark_rule(strokeWidth=2.5).encode(x="low:Q", x2="high:Q", y=_systems(), color=_colour(look))
    letters = _base().mark_text(align="left", x={"expr": "width + 8"}).encode(y=_systems(), text="groups:N")
    ceiling = _base().transform_filter("isValid(datum.ceiling)")
    best = ceiling.mark_rule(strokeDash=[5, 4], opacity=0.7).encode(
        x="max(ceiling):Q", tooltip=_tip("max(ceiling):Q", "ceiling of the candidates", _DECIMALS)
    )
    layers = alt.layer(bars, _dots(look, x, _interval_tips(measure)), letters, best)
    return layers.properties(height=alt.Step(_ROW), padding={"right": 34, "left": 4, "top": 4, "bottom": 4})


def _ranks(measure: str, look: Look) -> Drawn:
    """Critical differences: mean ranks, and a bar for every group of systems that cannot be told apart."""
    x = alt.X("rank:Q", title=f"mean rank by {measure} (1 is best)", scale=alt.Scale(zero=False, nice=True))
    tips = [_tip("system:N", "system"), _tip("rank:Q", "mean rank", ".2f")]
    dots = _dots(look, x, tips).transform_filter("isValid(datum.rank)")
    bars = _base().transform_filter("isValid(datum.group)")
    joined = bars.mark_rule(strokeWidth=4, strokeCap="round", x={"expr": "width + 12 + 12 * datum.group"}).encode(
        y=alt.Y("system:N", sort=None), y2="last:N", tooltip=_tip("members:N", "cannot be told apart")
    )
    return alt.layer(dots, joined).properties(height=alt.Step(_ROW))


def _cost(measure: str, look: Look) -> Drawn:
    """Quality against cost; the line is the Pareto front: nothing is both cheaper and better than what it joins."""
    x = alt.X("cost:Q", title="milliseconds a pair (log scale)", scale=alt.Scale(type="log", nice=False, padding=24))
    y = alt.Y("mean:Q", title=measure, scale=alt.Scale(zero=False, padding=16))
    tips = [*_interval_tips(measure)[:-1], _tip("cost:Q", "ms a pair", ".3~g"), _tip("speed:Q", "pairs/s", ",.3~r")]
    timed = _base().transform_filter("isValid(datum.cost)")
    front = timed.transform_filter("datum.front")
    line = front.mark_line(interpolate="step-after", strokeDash=[5, 4], opacity=0.6, color=SAME)
    bars = timed.mark_rule(strokeWidth=1.5, opacity=0.7).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=_colour(look))
    dots = timed.mark_point(filled=True, size=90, opacity=1)
    is_right = "scale('x', datum.cost) > width / 2"
    beside: dict[str, Any] = {
        "align": {"expr": f"{is_right} ? 'right' : 'left'"},
        "dx": {"expr": f"{is_right} ? -9 : 9"},
    }
    labelled = front.transform_filter("isValid(datum.label)")
    names = labelled.mark_text(dy=-9, limit=220, **beside).encode(x=x, y=y, text="label:N")
    stage = _base().transform_filter("!isValid(datum.cost)")
    at_end: dict[str, Any] = {"x": {"expr": "datum.end == 'left' ? 4 : width - 4"}, "align": {"expr": "datum.end"}}
    return alt.layer(
        stage.mark_rule(opacity=0.6).encode(
            y=y, tooltip=[_tip("system:N", "first stage"), _tip("mean:Q", measure, _DECIMALS)]
        ),
        stage.mark_text(dy=9, limit=220, opacity=0.8, **at_end).encode(y=y, text="system:N"),
        line.encode(x=x, y=y, order="cost:Q"),
        bars,
        dots.encode(x=x, y=y, color=_colour(look), shape=_shape(look), tooltip=tips),
        names,
    ).properties(height=_HEIGHT)


def _depth(measure: str, look: Look) -> Drawn:
    """What fewer candidates would give, on an axis from the first stage to the ceiling."""
    depths = alt.Axis(values=[5, 10, 20, 50, 100, 200, 500, 1000], format="d")
    log = alt.Scale(type="log", nice=False, padding=8)
    x = alt.X("depth:Q", title="candidates reranked (log scale)", scale=log, axis=depths)
    y = alt.Y("value:Q", title=measure, scale=alt.Scale(zero=False, nice=True))
    tips = [_tip("system:N", "system"), _tip("depth:Q", "depth"), _tip("value:Q", measure, _DECIMALS)]
    own = _base().transform_filter("datum.kind == 'reranked'").encode(x=x, y=y, color=_colour(look), tooltip=tips)
    frame = _base().transform_filter("datum.kind != 'reranked'").encode(x=x, y=y, detail="system:N", tooltip=tips)
    return alt.layer(
        frame.mark_line(strokeDash=[5, 4], opacity=0.7, color=SAME),
        own.mark_line(strokeWidth=2),
        own.mark_point(filled=True, size=60, opacity=1).encode(shape=_shape(look)),
    ).properties(height=_HEIGHT)


def _length(measure: str, look: Look) -> Drawn:
    """The difference to the first stage by the length of the query."""
    x = alt.X("bucket:N", sort=None, title="characters of the query", axis=alt.Axis(labelAngle=0))
    y = alt.Y("difference:Q", title=f"{measure} over the first stage")
    beside = alt.XOffset("system:N", sort=list(look.names))
    tips = [
        _tip("system:N", "system"),
        _tip("bucket:N", "characters"),
        _tip("queries:Q", "queries"),
        _tip("difference:Q", "difference", "+.4f"),
        _tip("low:Q", "95 % from", "+.4f"),
        _tip("high:Q", "95 % to", "+.4f"),
    ]
    base = _base().encode(x=x, xOffset=beside, color=_colour(look), tooltip=tips)
    zero = alt.Chart(alt.NamedData(name="rows")).mark_rule(opacity=0.5).encode(y=alt.datum(0))
    return alt.layer(
        zero,
        base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=_shape(look)),
    ).properties(height=_HEIGHT)


def _of_queries() -> alt.Chart:
    """Queries with the difference of their two values."""
    verdict = "datum.difference > 0 ? 'better' : datum.difference < 0 ? 'worse' : 'equal'"
    apart = _base().transform_calculate(difference="round((datum.second - datum.first) * 1e4) / 1e4")
    return apart.transform_calculate(verdict=verdict)


def _direction() -> alt.Color:
    scale = alt.Scale(domain=["better", "equal", "worse"], range=[BETTER, SAME, WORSE])
    return alt.Color("verdict:N", scale=scale, legend=alt.Legend(orient="top"))


def _queries(measure: str, look: Look) -> Drawn:
    """Every query by its value under two systems; one dot for the queries with the same two values."""
    del look
    scale = alt.Scale(domain=[0, 1], nice=False, padding=10)
    together = _of_queries().transform_aggregate(
        count="count()", such="min(id)", groupby=["first", "second", "verdict"]
    )  # fmt: skip
    tips = [_tip("first:Q", "first", _DECIMALS), _tip("second:Q", "second", _DECIMALS), _tip("count:Q", "queries")]
    dots = together.mark_circle(opacity=0.65).encode(
        x=alt.X("first:Q", scale=scale, title=f"{measure}, first system"),
        y=alt.Y("second:Q", scale=scale, title=f"{measure}, second system"),
        size=alt.Size("count:Q", scale=alt.Scale(type="sqrt", range=[24, 400]), legend=None),
        color=_direction(),
        tooltip=[*tips, _tip("such:N", "such as")],
    )
    ends = alt.Chart(alt.InlineData([{"at": 0}, {"at": 1}]))
    diagonal = ends.mark_line(color=SAME, opacity=0.6, strokeDash=[5, 4]).encode(x="at:Q", y="at:Q")
    return alt.layer(diagonal, dots).properties(height=_HEIGHT + 40)


def _differences(measure: str, look: Look) -> Drawn:
    """The differences of all queries, greatest first: how many were won, and by how much."""
    del look
    steps = (
        _of_queries()
        .transform_aggregate(count="count()", such="min(id)", groupby=["difference", "verdict"])
        .transform_window(to="sum(count)", sort=[alt.SortField("difference", order="descending")])
        .transform_calculate(start="datum.to - datum.count")
    )
    x = alt.X("start:Q", title="queries, most improved first", scale=alt.Scale(nice=False), axis=alt.Axis(format="d"))
    tips = [_tip("count:Q", "queries"), _tip("difference:Q", "difference", "+.4f"), _tip("such:N", "such as")]
    y = alt.Y("difference:Q", title=f"difference in {measure}")
    bars = steps.mark_rect().encode(x=x, x2="to:Q", y=y, y2=alt.datum(0), color=_direction(), tooltip=tips)
    mean = (
        _of_queries()
        .mark_rule(strokeDash=[5, 4])
        .encode(y="mean(difference):Q", tooltip=_tip("mean(difference):Q", "mean difference", "+.4f"))
    )
    return alt.layer(bars, mean).properties(height=_HEIGHT + 40)


def _scores(measure: str, look: Look) -> Drawn:
    """The scores of a reranker, by what judges said of the document."""
    del measure, look
    scale = alt.Scale(domain=["relevant", "not relevant", "unjudged"], range=[BETTER, WORSE, SAME])
    folded = (
        _base()
        .transform_fold(["relevant", "other", "unjudged"], as_=["kind", "count"])
        .transform_calculate(judged="datum.kind == 'other' ? 'not relevant' : datum.kind")
        .transform_joinaggregate(all="sum(count)", groupby=["judged"])
        .transform_filter("datum.count > 0")
        .transform_calculate(share="datum.count / datum.all")
    )
    tips = [_tip("judged:N", "documents"), _tip("low:Q", "score from", ".4~g"), _tip("high:Q", "to", ".4~g")]
    bars = folded.mark_bar(opacity=0.5, binSpacing=0).encode(
        x=alt.X("low:Q", bin="binned", title="score", axis=alt.Axis(format="~g")),
        x2="high:Q",
        y=alt.Y("share:Q", stack=None, title="share of each kind", axis=alt.Axis(format="%")),
        color=alt.Color("judged:N", scale=scale, legend=alt.Legend(orient="top")),
        tooltip=[*tips, _tip("count:Q", "pairs", ",d"), _tip("share:Q", "of its kind", ".1%")],
    )
    made: alt.Chart = bars.properties(height=_HEIGHT - 40)
    return made


def _calibration(measure: str, look: Look) -> Drawn:
    """Among judged documents the share that is relevant, by score, with 95 % score intervals (Wilson 1927)."""
    del measure, look
    z = 1.959964
    root = f"{z} * sqrt(datum.share * (1 - datum.share) * datum.count + {z * z / 4})"
    judged = (
        _base()
        .transform_calculate(count="datum.relevant + datum.other", middle="(datum.low + datum.high) / 2")
        .transform_filter("datum.count > 0")
        .transform_calculate(share="datum.relevant / datum.count")
        .transform_calculate(least=f"(datum.relevant + {z * z / 2} - {root}) / (datum.count + {z * z})")
        .transform_calculate(most=f"(datum.relevant + {z * z / 2} + {root}) / (datum.count + {z * z})")
    )
    y = alt.Y("share:Q", title="relevant, of judged", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    tips = [_tip("low:Q", "score from", ".4~g"), _tip("high:Q", "to", ".4~g"), _tip("count:Q", "judged pairs", ",d")]
    x = alt.X("middle:Q", title="score", scale=alt.Scale(zero=False), axis=alt.Axis(format="~g"))
    base = judged.encode(x=x, tooltip=[*tips, _tip("share:Q", "relevant", ".1%")])
    return alt.layer(
        base.mark_rule(strokeWidth=1.5, color=BETTER).encode(y=alt.Y("least:Q"), y2="most:Q"),
        base.mark_line(color=BETTER, strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=50, opacity=1, color=BETTER).encode(y=y),
    ).properties(height=_HEIGHT - 40)


def _ties(measure: str, look: Look) -> Drawn:
    """From the worst to the best order of documents with equal scores."""
    x = alt.X("mean:Q", title=measure, scale=alt.Scale(zero=False))
    ends = [_tip("least:Q", "worst order", _DECIMALS), _tip("greatest:Q", "best order", _DECIMALS)]
    tips = [_tip("system:N", "system"), _tip("mean:Q", "reported", _DECIMALS), *ends]
    bars = _base().mark_bar(height=8, opacity=0.4, cornerRadius=3)
    return alt.layer(
        bars.encode(x=alt.X("least:Q"), x2="greatest:Q", y=_systems(), color=_colour(look), tooltip=tips),
        _dots(look, x, tips),
    ).properties(height=alt.Step(_ROW))


def _truncation(measure: str, look: Look) -> Drawn:
    """How many of the relevant documents reach the first ten, of pairs that were read whole and of cut ones."""
    del measure
    x = alt.X("reranked:Q", title="relevant documents in the top 10", axis=alt.Axis(format="%"))
    scale = alt.Scale(domain=["read whole", "truncated"], range=["circle", "triangle-left"])
    tips = [_tip("system:N", "system"), _tip("pairs:N", "pairs"), _tip("count:Q", "of them", ",d")]
    tips += [_tip("relevant:Q", "relevant", ",d"), _tip("reranked:Q", "in the top 10", ".1%")]
    base = _base().encode(y=_systems(), color=_colour(look))
    return alt.layer(
        base.mark_line(opacity=0.5).encode(x=x, detail="system:N"),
        base.mark_point(filled=True, size=90, opacity=1).encode(
            x=x, shape=alt.Shape("pairs:N", scale=scale, legend=alt.Legend(orient="top")), tooltip=tips
        ),
    ).properties(height=alt.Step(_ROW))


_CHARTS: dict[str, Callable[[str, Look], Drawn]] = {
    "ranks": _ranks,
    "intervals": _intervals,
    "cost": _cost,
    "depth": _depth,
    "queries": _queries,
    "differences": _differences,
    "length": _length,
    "scores": _scores,
    "calibration": _calibration,
    "ties": _ties,
    "truncation": _truncation,
}
