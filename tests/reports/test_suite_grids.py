"""The table of a suite."""

import io
from pathlib import Path

from rich.console import Console

from evalkit.config.suites import Suite
from evalkit.reports.grid import show
from evalkit.reports.suite_grids import suite_grids
from evalkit.results import Evaluation, Result

SUITE = Suite("toy", ("a", "forum/x", "forum/y"))


def evaluation(first, reranked, *, measure: str = "nDCG@10", retriever: str = "bm25", **settings):
    """An evaluation on a dataset; the reranker has these settings."""
    known = {"dataset": {"name": "one"}, "config": {"reranker": settings}}
    stage = {**known, "retriever": {"name": retriever, "depth": 100}, "measures": {measure: first}}
    kind = "none" if reranked is None else "pairs"
    result = {
        **known,
        "reranker": {"kind": kind, "name": "none" if reranked is None else "mini"},
        "measures": {measure: first if reranked is None else reranked},
    }
    folder = Path(retriever)
    return Evaluation(Result(folder / str(settings), result), Result(folder, stage)), [measure]


def text_of(evaluations, *, partial=False) -> str:
    out = Console(width=200, file=io.StringIO())
    show(suite_grids(SUITE, evaluations, partial=partial), out)
    return out.file.getvalue()


def cells(text: str, label: str) -> list[str]:
    row = next(line for line in text.splitlines() if line.startswith(f"│ {label}"))
    return [cell.strip() for cell in row.strip("│").split("│")]


def test_first_stage_and_reranker_are_columns_and_forums_are_one_row():
    text = text_of({"a": [evaluation(0.5, 0.75)], "forum/x": [evaluation(0.1, 0.2)], "forum/y": [evaluation(0.2, 0.5)]})
    assert cells(text, "a ") == ["a", "0.5000", "0.7500"]
    assert cells(text, "forum") == ["forum (mean of 2)", "0.1500", "0.3500"]
    assert cells(text, "average") == ["average", "0.3250", "0.5500"]
    assert "the average is of 2: a, forum" in text
    assert "missing" not in text


def test_a_missing_dataset_is_reported_for_the_reranker_that_lacks_it():
    none, both = evaluation(0.5, None), [evaluation(0.1, None), evaluation(0.1, 0.4)]
    text = text_of({"a": [none], "forum/x": both, "forum/y": both})
    assert cells(text, "a ") == ["a", "0.5000", "—"]
    assert cells(text, "average") == ["average", "0.3000", "—"]
    assert "mini: missing are a" in text
    assert "bm25-100: missing" not in text


def test_datasets_with_measures_of_their_own_get_one_table_without_an_average():
    text = text_of(
        {
            "a": [evaluation(0.5, None, measure="AnswerRecall@20")],
            "forum/x": [evaluation(0.1, None)],
            "forum/y": [evaluation(0.2, None)],
        }
    )
    assert cells(text, "a ") == ["a", "AnswerRecall@20", "0.5000"]
    assert cells(text, "forum") == ["forum (mean of 2)", "nDCG@10", "0.1500"]
    assert "│ average" not in text
    assert "measures of their own" in text


def test_columns_of_two_first_stages_have_different_names():
    both = [evaluation(0.1, 0.2), evaluation(0.3, 0.4, retriever="dense")]
    text = text_of({"a": both, "forum/x": both, "forum/y": both})
    assert cells(text, "average") == ["average", "0.1000", "0.2000", "0.3000", "0.4000"]
    assert "dense-100 + mini" in text


def test_the_title_names_the_suite_apart_from_a_dataset_of_its_name():
    (grid,) = suite_grids(SUITE, {"a": [evaluation(0.5, None)]}, partial=True)
    assert grid.title == "suite=toy: nDCG@10"


def test_nothing_evaluated_prints_nothing():
    assert suite_grids(SUITE, {"a": []}, partial=False) == []


def test_several_settings_under_one_name_are_columns_named_by_what_differs():
    both = [evaluation(0.1, 0.2, max_length=8, model="m"), evaluation(0.1, 0.4, max_length=16, model="m")]
    (grid,) = suite_grids(SUITE, {"a": both, "forum/x": both, "forum/y": both}, partial=False)
    assert [column.name for column in grid.columns[1:]] == ["bm25-100", "mini max_length=8", "mini max_length=16"]
    assert list(grid.rows[-1]) == ["average", 0.1, 0.2, 0.4]
    assert "mini: results of this name differ in reranker.max_length" in grid.notes
