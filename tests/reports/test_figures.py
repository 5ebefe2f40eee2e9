"""Charts as files."""

import json
from dataclasses import replace

import pytest
from made import made

from evalkit.analysis.one_pass import AtDepth
from evalkit.analysis.pairwise import Settings
from evalkit.reports.figures import _with_legend, with_rows, write_figures
from evalkit.reports.overview import overview
from evalkit.results.gather import gather


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    made(folder, {"strong": 3.0, "cost_2": 0.1}, queries=10)
    root = made(folder, {"strong": 3.0, "cost_2": 0.1}, dataset="two", queries=10)
    whole = overview(gather([root]), Settings(samples=200), queries=0)
    curve = (AtDepth(6, 0.3, 0.4, 0.8), AtDepth(12, 0.3, 0.5, 1.0))
    timed = [one._replace(speed=10.0 * (place + 1), curve=curve) for place, one in enumerate(whole.datasets[0].systems)]
    return replace(whole, datasets=(replace(whole.datasets[0], systems=tuple(timed)), whole.datasets[1]))


@pytest.fixture(scope="module")
def written(found, tmp_path_factory):
    return write_figures(found, tmp_path_factory.mktemp("charts") / "new")


def test_every_chart_with_data_is_written_in_three_formats(written):
    names = {path.name for path in written}
    both = {"intervals", "length", "queries", "differences", "scores", "calibration"}
    stems = {f"{name}-{chart}" for name in ("one", "two") for chart in both}
    stems |= {"one-cost", "one-depth", "critical-differences"}
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg", "pdf")}
    assert all(path.stat().st_size > 1000 for path in written[0].parent.iterdir())


def test_svg_has_names_as_text_and_the_same_bytes_again(found, written, tmp_path):
    one = replace(found, datasets=found.datasets[:1])
    again = {path.name: path.read_bytes() for path in write_figures(one, tmp_path)}
    for path in written:
        if path.name.startswith("one-") and path.suffix != ".pdf":  # these hold the time at which they were made
            assert path.read_bytes() == again[path.name], path.name
    text = again["one-intervals.svg"].decode()
    assert ">strong<" in text
    assert ">cost_2<" in text


def test_charts_without_an_axis_of_names_have_a_legend(written):
    texts = {path.name: path.read_text(encoding="utf-8") for path in written if path.suffix == ".svg"}
    assert all(">cost_2<" in texts[f"one-{chart}.svg"] for chart in ("cost", "depth", "length"))


def test_a_legend_names_no_first_stage_that_is_a_line():
    own = {"mean": 0.5, "low": 0.4, "high": 0.6}
    rows = [{"system": "strong", "cost": 1.0, **own}, {"system": "stage", "end": "left", **own}]
    colour = {"field": "system", "type": "nominal"}
    (layer,) = _with_legend({"layer": [{"encoding": {"color": colour}}]}, rows)["layer"]
    assert layer["encoding"]["color"]["legend"]["values"] == ["strong"]


def test_rows_of_systems_decide_the_height_and_bars_the_padding():
    specification = {"height": {"step": 20}, "datasets": {"own": []}}
    made_of = with_rows(specification, [{"system": "a"}, {"system": "b"}, {"system": "a", "group": 0}])
    assert made_of["height"] == 40
    assert made_of["padding"]["right"] > 20
    assert set(made_of["datasets"]) == {"own", "rows"}
    assert "padding" not in with_rows(specification, [{"system": "a"}])
    assert json.dumps(specification) == '{"height": {"step": 20}, "datasets": {"own": []}}'
