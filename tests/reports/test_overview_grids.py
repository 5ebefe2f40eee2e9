"""An overview as tables."""

import re
from dataclasses import replace

import pytest
from made import made

from evalkit.analysis.pairwise import Settings
from evalkit.analysis.published.tables import load_published
from evalkit.analysis.published.verdicts import Cell
from evalkit.reports.overview import overview
from evalkit.reports.overview_grids import conditions, grids, over, published, summary
from evalkit.reports.page import page as html_page
from evalkit.results.gather import gather


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    made(folder, {"strong": 3.0, "weak": 0.1}, dataset="cqadupstack/one", queries=10)
    made(folder, {"strong": 3.0, "weak": 0.1}, dataset="cqadupstack/two", queries=10)
    root = made(folder, {"strong": 3.0}, dataset="other", queries=10)
    return overview(gather([root]), Settings(samples=200), queries=1)


def test_summary_averages_entries_and_leaves_out_systems_that_miss_one(found):
    grid = summary(found)
    assert [column.name for column in grid.columns] == [
        "system",
        "average",
        "cqadupstack/one",
        "cqadupstack/two",
        "other",
    ]
    rows = {row[0]: row[1:] for row in grid.rows}
    average, one, two, other = rows["strong"]
    assert average == pytest.approx(((one + two) / 2 + other) / 2)
    assert rows["weak"][0] is None
    assert rows["weak"][3] is None
    assert rows["ceiling"] == [1.0] * 4
    assert grid.rows[-1][0] == "ceiling"
    assert {(0, column) for column in range(1, 5)} == set(grid.strong)


def test_summary_says_nothing_of_ceilings_where_there_are_none(found):
    views = [replace(view, comparison=replace(view.comparison, ceiling=None)) for view in found.datasets]
    grid = summary(replace(found, datasets=tuple(views)))
    assert [row[0] for row in grid.rows] == ["strong", "stage-100", "weak"]
    assert grid.sections == frozenset()
    assert not any("ceiling" in note for note in grid.notes)


def test_conditions_have_a_row_for_every_result_with_its_command(found):
    grid = conditions(found)
    names = [column.name for column in grid.columns]
    rows = [dict(zip(names, row, strict=True)) for row in grid.rows]
    assert len(rows) == 8
    strong = next(row for row in rows if row["system"] == "strong")
    assert (strong["model"], strong["command"], strong["pairs/s"]) == ("replay", "made strong", None)


def test_published_tables_show_what_was_run_only(found):
    tables = load_published("minicpm-reranker")
    cells = (
        Cell("cn-en", "MiniCPM-Reranker", "BEIR", 61.32, 61.4, 80.0, "reproduced", ()),
        Cell("cn-en", "bge-reranker-v2-m3", "BEIR", 55.36, None, None, "not run", ()),
    )
    (grid,) = published(replace(found, published=((tables, cells),)))
    assert [column.name for column in grid.columns] == ["on", "MiniCPM-Reranker"]
    assert grid.rows == [["BEIR", "61.32 / 61.40 \u2713"]]


def test_published_tables_have_their_shape_with_the_verdict_in_each_cell(found):
    tables = load_published("minicpm-reranker")
    cells = (
        Cell("cn-en", "MiniCPM-Reranker", "BEIR", 61.32, 61.4, 80.0, "reproduced", ()),
        Cell("cn-en", "bge-reranker-v2-m3", "BEIR", 55.36, 50.0, 80.0, "off", ()),
        Cell("cn-en", "bge-reranker-v2-m3", "C-MTEB/Retrieval", 71.82, 71.1, 80.0, "near", ()),
    )
    shown = replace(found, published=((tables, cells),))
    (grid,) = published(shown)
    assert [column.name for column in grid.columns] == ["system", "C-MTEB/Retrieval", "BEIR"]
    assert grid.rows == [
        ["bge-reranker-v2-m3", "71.82 / 71.10 \u2248", "55.36 / 50.00 \u2717"],
        ["MiniCPM-Reranker", None, "61.32 / 61.40 \u2713"],
    ]
    text = html_page(shown)
    for tone, value in (
        ("red", "55.36 / 50.00 \u2717"),
        ("green", "61.32 / 61.40 \u2713"),
        ("yellow", "71.82 / 71.10 \u2248"),
    ):
        assert re.search(f'<td dir="auto" class="tone-{tone}">{value}</td>', text)
    assert "reproduced (1): within" in text


def test_all_tables_come_together(found):
    titles = [grid.title for grid in grids(found)]
    assert titles[0] == "nDCG@10"
    assert titles[-1] == "How every result was made"
    assert len(over(found)) == 2
    assert sum("pairs" in title for title in titles) == 4
