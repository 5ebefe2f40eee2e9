"""Charts as files."""

from dataclasses import replace

import pytest
from made import made

from evalkit.analysis.one_pass import AtDepth
from evalkit.analysis.pairwise import Settings
from evalkit.reports.overview import overview
from evalkit.results.gather import gather

pytest.importorskip("matplotlib")

from evalkit.reports.figures import write_figures


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


def test_every_chart_with_data_is_written_twice(written):
    names = {path.name for path in written}
    stems = {"one-intervals", "one-speed", "one-depth", "two-intervals", "critical-differences"}
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    assert all(path.stat().st_size > 1000 for path in written[0].parent.iterdir())


def test_svg_has_names_as_text_and_the_same_bytes_again(found, written, tmp_path):
    first, second = (
        {path.name: path.read_bytes() for path in paths} for paths in (written, write_figures(found, tmp_path))
    )
    assert first == second
    text = first["one-intervals.svg"].decode()
    assert "strong" in text
    assert "cost_2" in text
