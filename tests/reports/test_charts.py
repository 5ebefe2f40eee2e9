"""Specifications of charts."""

import json
import re
from itertools import pairwise

import pytest
import vl_convert

from evalkit.reports import charts
from evalkit.reports.charts import specifications
from evalkit.reports.looks import look_of, theme

LOOK = look_of({"bm25": True, "strong": False, "weak": False})


@pytest.fixture(scope="module")
def made():
    return specifications("nDCG@10", LOOK)


def test_every_chart_is_described_and_reads_rows(made):
    for name, specification in made.items():
        assert specification["description"].strip(), name
        assert '{"name": "rows"}' in json.dumps(specification), name
        assert "config" not in specification, name


def test_every_chart_is_valid_to_the_schema_which_takes_too_long_for_every_page():
    for make in charts._CHARTS.values():
        make("nDCG@10", LOOK).to_dict(validate=True)


def test_a_system_has_one_colour_and_shape_in_all_charts(made):
    scales = set()

    def collect(value):
        if isinstance(value, dict):
            if value.get("field") == "system" and "domain" in value.get("scale", {}):
                scales.add(json.dumps(value["scale"]))
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(list(made.values()))
    names = list(LOOK.names)
    expected = [{"domain": names, "range": list(some)} for some in (LOOK.colours, LOOK.shapes)]
    assert sorted(map(json.loads, scales), key=str) == sorted(expected, key=str)


def test_sorted_differences_cover_all_queries_once(made):
    """What Vega makes of the rows: bars from the most improved query to the one that lost most, without a gap."""
    rows = [
        {"id": f"q{at}", "first": 0.5, "second": second} for at, second in enumerate([0.9, 0.5, 0.5, 0.1, 0.9, 0.2])
    ]
    drawn = vl_convert.vegalite_to_svg({**made["differences"], "width": 300, "datasets": {"rows": rows}})
    labels = [part.split('"')[0] for part in drawn.split('aria-label="')]
    bars = [label for label in labels if label.startswith("queries, most improved first")]
    assert len(bars) == 4
    assert any("queries: 2" in bar and "verdict: better" in bar for bar in bars)
    assert any("queries: 2" in bar and "verdict: equal" in bar for bar in bars)


def test_calibration_is_the_share_of_relevant_among_judged(made):
    rows = [{"low": 0.0, "high": 1.0, "relevant": 1, "other": 3, "unjudged": 50}]
    drawn = vl_convert.vegalite_to_svg({**made["calibration"], "width": 300, "datasets": {"rows": rows}})
    assert "25.0%" in drawn or "25%" in drawn


def test_dots_of_cost_have_no_names_that_would_stand_on_bars(made):
    own = {"low": 0.4, "high": 0.6, "groups": "a", "front": True, "speed": 10.0}
    rows = [
        {"system": "strong", "mean": 0.5, "cost": 9.0, **own},
        {"system": "weak", "mean": 0.4, "cost": 8.0, **own},
    ]
    drawn = vl_convert.vegalite_to_svg({**made["cost"], "width": 300, "datasets": {"rows": rows}})
    assert len(re.findall(r'aria-label="[^"]*system: (?:strong|weak)', drawn)) > 0
    assert not re.search(r"<text[^>]*>(strong|weak|undefined)<", drawn)


def test_the_range_of_ties_is_taller_than_the_mark_that_would_hide_it(made):
    own = {"low": 0.4, "high": 0.6, "least": 0.4999, "greatest": 0.5001}
    rows = [{"system": "strong", "mean": 0.5, **own}]
    layers = made["ties"]["layer"]
    (mark,) = (one["mark"] for one in layers if one["mark"]["type"] == "point")
    (bar,) = (one["mark"] for one in layers if one["mark"]["type"] == "bar")
    assert bar["height"] > 2 * (mark["size"] / 3) ** 0.5 + 4
    assert ">strong<" in vl_convert.vegalite_to_svg({**made["ties"], "width": 300, "datasets": {"rows": rows}})


def test_lines_of_first_stages_have_names_at_both_ends(made):
    own = {"low": 0.4, "high": 0.6, "groups": "a"}
    rows = [
        {"system": "strong", "mean": 0.5, "cost": 9.0, "front": True, "speed": 10.0, **own},
        {"system": "weak", "mean": 0.45, "end": "left", **own},
        {"system": "bm25", "mean": 0.4, "end": "right", **own},
    ]
    drawn = vl_convert.vegalite_to_svg({**made["cost"], "width": 300, "datasets": {"rows": rows}})
    ends = dict(re.findall(r'<text [^>]*text-anchor="(start|end)"[^>]*>(weak|bm25)<', drawn))
    assert ends == {"start": "weak", "end": "bm25"}


def test_first_stages_are_named_at_their_line_in_the_chart_of_depths(made):
    rows = [
        {"system": name, "kind": kind, "depth": depth, "value": value}
        for name, kind, value in (
            ("strong", "reranked", 0.5),
            ("bm25", "first stage", 0.3),
            ("ceiling of bm25", "ceiling", 0.9),
        )
        for depth in (10, 20, 50)
    ]
    drawn = vl_convert.vegalite_to_svg({**made["depth"], "width": 300, "datasets": {"rows": rows}})
    assert re.findall(r">(strong|bm25|ceiling of bm25)<", drawn) == ["bm25"]


def test_labels_of_an_axis_are_left_out_evenly(made):
    own = {"low": 0.44, "high": 0.83, "groups": "a"}
    for width in range(330, 480, 10):
        rows = [{"system": name, "mean": 0.75, **own} for name in ("a system with a long name", "bm25")]
        whole = {**made["intervals"], "datasets": {"rows": rows}, "config": theme(on_page=False), "width": width}
        drawn = vl_convert.vegalite_to_svg({**whole, "height": 60})
        labels = [float(label) for label in re.findall(r'<text [^>]*opacity="1"[^>]*>(0\.\d+)<', drawn)]
        steps = {round(after - before, 6) for before, after in pairwise(labels)}
        assert len(labels) > 2
        assert len(steps) == 1, (width, labels)
