"""The charts of two systems, query by query, and of the scores of one."""

import altair as alt

from evalkit.reports.chart_parts import DECIMALS, HEIGHT, Drawn, from_rows, tip
from evalkit.reports.looks import BETTER, SAME, WORSE, Look

_VERDICTS = alt.Scale(domain=["better", "equal", "worse"], range=[BETTER, SAME, WORSE])
_KINDS = ("relevant", "other", "unjudged")
_SCORE = alt.Axis(format="~g", labelExpr="abs(datum.value) >= 10000 ? format(datum.value, '~s') : datum.label")


def _of_queries() -> alt.Chart:
    """Queries with the difference of their two values."""
    verdict = "datum.difference > 0 ? 'better' : datum.difference < 0 ? 'worse' : 'equal'"
    apart = from_rows().transform_calculate(difference="round((datum.second - datum.first) * 1e4) / 1e4")
    return apart.transform_calculate(verdict=verdict)


def _direction() -> alt.Color:
    return alt.Color("verdict:N", scale=_VERDICTS, legend=alt.Legend(orient="top"))


def queries(measure: str, look: Look) -> Drawn:
    """Every query by its value under two systems; one dot for the queries with the same two values."""
    del look
    scale = alt.Scale(domain=[0, 1], nice=False, padding=10)
    together = _of_queries().transform_aggregate(
        count="count()", such="min(id)", groupby=["first", "second", "verdict"]
    )  # fmt: skip
    tips = [tip("first:Q", "first", DECIMALS), tip("second:Q", "second", DECIMALS), tip("count:Q", "queries")]
    dots = together.mark_circle(opacity=0.65).encode(
        x=alt.X("first:Q", scale=scale, title=f"{measure}, first system"),
        y=alt.Y("second:Q", scale=scale, title=f"{measure}, second system"),
        size=alt.Size("count:Q", scale=alt.Scale(type="sqrt", range=[24, 400]), legend=None),
        color=_direction(),
        tooltip=[*tips, tip("such:N", "such as")],
    )
    ends = alt.Chart(alt.InlineData([{"at": 0}, {"at": 1}]))
    diagonal = ends.mark_line(color=SAME, opacity=0.6, strokeDash=[5, 4]).encode(x=alt.X("at:Q"), y=alt.Y("at:Q"))
    return alt.layer(diagonal, dots).properties(height=HEIGHT + 40)


def differences(measure: str, look: Look) -> Drawn:
    """The differences of all queries, greatest first: how many were won, and by how much."""
    del look
    steps = (
        _of_queries()
        .transform_aggregate(count="count()", such="min(id)", groupby=["difference", "verdict"])
        .transform_window(to="sum(count)", sort=[alt.SortField("difference", order="descending")])
        .transform_calculate(start="datum.to - datum.count")
    )
    x = alt.X("start:Q", title="queries, most improved first", scale=alt.Scale(nice=False), axis=alt.Axis(format="d"))
    tips = [tip("count:Q", "queries"), tip("difference:Q", "difference", "+.4f"), tip("such:N", "such as")]
    y = alt.Y("difference:Q", title=f"difference in {measure}")
    # An edge of the same colour, since thin neighbours would have paper shine through between them.
    bars = steps.mark_rect(strokeWidth=0.5).encode(
        x=x,
        x2=alt.X2("to:Q"),
        y=y,
        y2=alt.datum(0),
        color=_direction(),
        stroke=alt.Stroke("verdict:N", scale=_VERDICTS),
        tooltip=tips,
    )
    mean = (
        _of_queries()
        .mark_rule(strokeDash=[5, 4])
        .encode(y=alt.Y("mean(difference):Q"), tooltip=tip("mean(difference):Q", "mean difference", "+.4f"))
    )
    return alt.layer(bars, mean).properties(height=HEIGHT + 40)


def scores(measure: str, look: Look) -> Drawn:
    """The scores of a reranker, by what judges said of the document."""
    del measure, look
    scale = alt.Scale(domain=["relevant", "not relevant", "unjudged"], range=[BETTER, WORSE, SAME])
    counts = [tip(f"{field}:Q", title, ",d") for field, title in zip(_KINDS, scale.domain, strict=True)]
    edges = (
        from_rows()
        .transform_fold(list(_KINDS), as_=["kind", "count"])
        .transform_calculate(judged="datum.kind == 'other' ? 'not relevant' : datum.kind")
        .transform_joinaggregate(all="sum(count)", groupby=["judged"])
        .transform_filter("datum.all > 0")
        .transform_calculate(share="datum.count / datum.all", middle="(datum.low + datum.high) / 2")
        .transform_fold(["low", "high"], as_=["end", "edge"])
        .transform_calculate(
            place="datum.middle + datum.edge"
        )  # from left to right, both ends of a bin one after another
    )
    shares = edges.mark_line(strokeWidth=2).encode(
        x=alt.X("edge:Q", title="score", scale=alt.Scale(nice=False), axis=_SCORE),
        y=alt.Y("share:Q", stack=None, title="share of each kind", axis=alt.Axis(format="%")),
        order=alt.Order("place:Q"),
        color=alt.Color("judged:N", scale=scale, legend=alt.Legend(orient="top")),
        strokeDash=alt.StrokeDash("judged:N", scale=alt.Scale(domain=scale.domain, range=[[1, 0], [1, 0], [5, 3]])),
    )
    told = (
        from_rows()
        .mark_rect(opacity=0)
        .encode(
            x=alt.X("low:Q"),
            x2=alt.X2("high:Q"),
            tooltip=[tip("low:Q", "score from", ".4~g"), tip("high:Q", "to", ".4~g"), *counts],
        )
    )
    return alt.layer(shares, told).properties(height=HEIGHT - 40)


def calibration(measure: str, look: Look) -> Drawn:
    """Among judged documents the share that is relevant, by score, with 95 % score intervals (Wilson 1927)."""
    del measure, look
    z = 1.959964
    root = f"{z} * sqrt(datum.share * (1 - datum.share) * datum.count + {z * z / 4})"
    judged = (
        from_rows()
        .transform_calculate(count="datum.relevant + datum.other", middle="(datum.low + datum.high) / 2")
        .transform_filter("datum.count > 0")
        .transform_calculate(share="datum.relevant / datum.count")
        .transform_calculate(least=f"(datum.relevant + {z * z / 2} - {root}) / (datum.count + {z * z})")
        .transform_calculate(most=f"(datum.relevant + {z * z / 2} + {root}) / (datum.count + {z * z})")
    )
    y = alt.Y("share:Q", title="relevant, of judged", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    tips = [tip("low:Q", "score from", ".4~g"), tip("high:Q", "to", ".4~g"), tip("count:Q", "judged pairs", ",d")]
    x = alt.X("middle:Q", title="score", scale=alt.Scale(zero=False), axis=_SCORE)
    base = judged.encode(x=x, tooltip=[*tips, tip("share:Q", "relevant", ".1%")])
    return alt.layer(
        base.mark_rule(strokeWidth=1.5, color=BETTER).encode(y=alt.Y("least:Q"), y2=alt.Y2("most:Q")),
        base.mark_line(color=BETTER, strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=50, opacity=1, color=BETTER).encode(y=y),
    ).properties(height=HEIGHT - 40)
