"""Tables for papers from numbers by hand: averages, what stands out, marks, and the forms."""

import io
import json

import pandas as pd
import pytest

from evalkit.analysis.pairwise import Settings
from evalkit.analysis.standings import Place, Standing, Standings
from evalkit.errors import ConfigError
from evalkit.reports.grid import csv_text, json_text, latex, markdown
from evalkit.reports.paper_table import Layout, as_one_table, paper_tables

BOLD = "Best in bold, second underlined."


def numbers(values, *, p=None, queries=50, measure="nDCG@10"):
    """`values` is system -> dataset -> value; a system is `stage` or `stage/reranker`."""
    found = {}
    for system, own in values.items():
        stage, _, reranker = system.partition("/")
        for dataset, value in own.items():
            place = Place(system, stage, reranker or "none", dataset, measure)
            found[place] = Standing(value, queries, (p or {}).get((system, dataset)))
    return found


def tables(found, layout=None, **settings):
    found = (
        found if isinstance(found, Standings) else Standings(found, sum(one.p is not None for one in found.values()))
    )
    return paper_tables(found, layout or Layout(), Settings(**settings))


def only(found, layout=None, **settings):
    (grid,) = tables(found, layout, **settings).values()
    return grid


VALUES = {"bm25": {"a": 0.5, "b": 0.25}, "bm25/x": {"a": 0.75, "b": 0.25}, "bm25/y": {"a": 0.625, "b": 0.125}}


def test_rows_are_systems_and_columns_datasets_with_their_average():
    grid = only(numbers(VALUES))
    assert [column.name for column in grid.columns] == ["system", "a", "b", "Avg."]
    assert grid.rows == [["bm25", 0.5, 0.25, 0.375], ["bm25/x", 0.75, 0.25, 0.5], ["bm25/y", 0.625, 0.125, 0.375]]
    assert (grid.title, grid.legend, grid.notes) == ("nDCG@10", BOLD, [])


def test_the_best_are_bold_and_the_second_underlined_and_ties_share():
    grid = only(numbers(VALUES))
    assert grid.strong == {(1, 1), (0, 2), (1, 2), (1, 3)}
    assert grid.second == {(2, 1), (2, 2), (0, 3), (2, 3)}


def test_numbers_tie_as_they_are_printed():
    values = {"s": {"a": 0.70012}, "t": {"a": 0.70008}, "u": {"a": 0.1}}
    assert only(numbers(values), Layout(digits=3)).strong == {(0, 1), (1, 1)}
    assert only(numbers(values), Layout(digits=3)).second == {(2, 1)}
    assert only(numbers(values), Layout(digits=4)).strong == {(0, 1), (1, 1)}
    assert only(numbers(values), Layout(digits=5)).strong == {(0, 1)}


def test_a_single_system_stands_out_from_nothing():
    grid = only(numbers({"bm25": {"a": 0.5, "b": 0.25}}))
    assert (grid.strong, grid.second, grid.legend) == (frozenset(), frozenset(), "")


def test_a_system_that_lacks_a_dataset_has_no_average_and_a_note_says_so():
    grid = only(numbers({**VALUES, "bm25/z": {"b": 1.0}}))
    assert grid.rows[3] == ["bm25/z", None, 1.0, None]
    assert grid.notes == ["bm25/z: no average, since a is missing"]


def test_parts_of_an_entry_count_once_in_the_average():
    grid = only(numbers({"bm25": {"a": 1.0, "forum/x": 0.0, "forum/y": 0.5}}))
    assert grid.rows == [["bm25", 1.0, 0.0, 0.5, (1 + 0.25) / 2]]
    assert grid.notes == ["Avg. is the mean of 2: a, forum"]
    assert len(only(numbers({"bm25": {"forum/x": 0.0, "forum/y": 0.5}})).columns) == 3


def test_datasets_may_be_rows_with_the_average_below_a_line():
    grid = only(numbers(VALUES), Layout("dataset", "system"))
    assert grid.rows == [["a", 0.5, 0.75, 0.625], ["b", 0.25, 0.25, 0.125], ["Avg.", 0.375, 0.5, 0.375]]
    assert grid.sections == {2}
    assert grid.strong == {(0, 2), (1, 1), (1, 2), (2, 2)}


def test_measures_give_a_table_each_or_are_an_axis():
    both = {**numbers(VALUES), **numbers(VALUES, measure="R@20")}
    assert [grid.title for grid in tables(both).values()] == ["nDCG@10", "R@20"]
    grids = tables(both, Layout("system", "measure"))
    assert [grid.title for grid in grids.values()] == ["a", "b"]
    assert [column.name for column in grids["a",].columns] == ["system", "nDCG@10", "R@20"]
    grids = tables(both, Layout("dataset", "measure"))
    assert [grid.title for grid in grids.values()] == list(VALUES)
    assert all(grid.strong == frozenset() for grid in grids.values())


def test_first_stages_by_rerankers():
    values = {"s": {"a": 0.5}, "s/x": {"a": 0.75}, "t": {"a": 0.25}, "t/x": {"a": 0.625}}
    grid = only(numbers(values), Layout("first_stage", "reranker"))
    assert grid.title == "a, nDCG@10"
    assert grid.rows == [["s", 0.5, 0.75], ["t", 0.25, 0.625]]
    assert (grid.strong, grid.second) == ({(0, 2)}, {(1, 2)})
    grids = tables(numbers(values), Layout("reranker", "dataset"))
    assert [grid.title for grid in grids.values()] == ["s, nDCG@10", "t, nDCG@10"]


@pytest.mark.parametrize("axes", [("system", "system"), ("system", "reranker"), ("first_stage", "system")])
def test_sides_that_say_the_same_are_refused(axes):
    with pytest.raises(ConfigError, match=f"--rows {axes[0]} --columns {axes[1]} are not the two sides of a table"):
        tables(numbers(VALUES), Layout(*axes))


def test_two_systems_in_one_cell_are_refused():
    found = numbers(VALUES)
    found[Place("other settings", "bm25", "x", "a", "nDCG@10")] = Standing(0.1, 50)
    with pytest.raises(ConfigError, match=r"bm25/x and other settings are both x and a\. Take --rows system"):
        tables(found, Layout("reranker", "dataset"))


def test_a_difference_below_the_level_is_marked_and_the_legend_names_the_test():
    p = {("bm25/x", "a"): 0.0499, ("bm25/x", "b"): 0.05, ("bm25/y", "a"): 0.2, ("bm25/y", "b"): 0.001}
    grid = only(numbers(VALUES, p=p), Layout(baseline="bm25"))
    assert grid.marks == {(1, 1): "†", (2, 2): "†"}
    test = "paired randomisation test, Holm's correction for 4 comparisons, p below 0.05"
    assert grid.legend == f"{BOLD} † differs from bm25 ({test})."
    assert only(numbers(VALUES, p=p), Layout(baseline="bm25"), correction="none", alpha=0.01).legend == (
        f"{BOLD} † differs from bm25 (paired randomisation test, not corrected, p below 0.01)."
    )
    few = only(numbers(VALUES, p=p, queries=3), Layout(baseline="bm25"))
    assert few.legend.endswith(
        "Three queries are too few to tell systems apart: with 4 pairs at 0.05 it takes 8 that all agree."
    )


def test_markdown_and_latex_show_what_stands_out():
    grid = only(numbers(VALUES, p={("bm25/x", "a"): 0.01}), Layout(percent=True, digits=2, baseline="bm25"))
    lines = markdown([grid]).splitlines()
    assert lines[0] == "**nDCG@10 (%)**"
    assert lines[5] == "| bm25/x | **75.00**† | **25.00** | **50.00** |"
    assert lines[6] == "| bm25/y | <u>62.50</u> | <u>12.50</u> | <u>37.50</u> |"
    assert lines[-1] == grid.legend
    lines = latex([grid]).splitlines()
    assert lines[2].startswith(
        r"  \caption{nDCG@10 (\%). Best in bold, second underlined. $^{\dagger}$ differs from bm25 ("
    )
    assert r"  bm25/x & \textbf{75.00}$^{\dagger}$ & \textbf{25.00} & \textbf{50.00} \\" in lines
    assert r"  bm25/y & \underline{62.50} & \underline{12.50} & \underline{37.50} \\" in lines


def test_csv_is_one_tidy_table_with_p_values():
    both = {**numbers(VALUES, p={("bm25/x", "a"): 0.01}), **numbers(VALUES, measure="R@20")}
    layout = Layout(baseline="bm25", exact=True)
    grid = as_one_table(tables(both, layout), layout)
    frame = pd.read_csv(io.StringIO(csv_text([grid])))
    assert list(frame.columns) == ["measure", "system", "a", "b", "Avg.", "a p"]
    assert frame.set_index(["measure", "system"]).loc[("R@20", "bm25/x"), "a"] == 0.75
    assert frame["a p"].dropna().tolist() == [0.01]
    assert grid.notes == ["p of the difference to bm25: paired randomisation test, Holm's correction for 1 comparison."]
    alone = as_one_table(tables(numbers(VALUES), Layout(exact=True)), Layout(exact=True))
    assert list(pd.read_csv(io.StringIO(csv_text([alone]))).columns) == ["system", "a", "b", "Avg."]
    assert alone.notes == []


def test_json_has_unrounded_numbers():
    grid = only(numbers({"s": {"a": 1 / 3}, "t": {"a": 0.25}}), Layout(percent=True, exact=True))
    rows = [{"system": "s", "a": 1 / 3 * 100}, {"system": "t", "a": 25.0}]
    assert json.loads(json_text([grid])) == [{"title": "nDCG@10 (%)", "rows": rows, "notes": []}]
