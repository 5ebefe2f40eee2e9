"""Rerankers by first stages as a table."""

from evalkit.analysis.differences import Difference
from evalkit.analysis.over_stages import ALONE, OverAll, OverStage, OverStages
from evalkit.analysis.pairwise import Settings
from evalkit.reports.grid import markdown
from evalkit.reports.over_stages_grid import over_stages_grid


def test_each_first_stage_has_its_mean_and_difference_and_the_ceiling_is_last():
    gain = Difference(0.2, 0.1, 0.3, 0.001, real=True)
    loss = Difference(-0.01, -0.1, 0.1, 0.7, real=False)
    rows = (
        OverAll("strong", (OverStage(0.7, gain), OverStage(0.6, loss)), 0.65, "a"),
        OverAll(ALONE, (OverStage(0.5, None), OverStage(0.61, None)), 0.555, "b"),
        OverAll("part", (None, OverStage(0.4, None)), None, ""),
    )
    grid = over_stages_grid(OverStages(("x", "y"), (0.9, None), rows, 4, "queries", 1), Settings())
    assert [column.name for column in grid.columns] == ["reranker", "x", "over x", "y", "over y", "mean", "group"]
    assert [list(row) for row in grid.rows] == [
        ["strong", 0.7, 0.2, 0.6, -0.01, 0.65, "a"],
        ["none (the first stage)", 0.5, None, 0.61, None, 0.555, "b"],
        ["part", None, None, 0.4, None, None, None],
        ["ceiling", 0.9, None, None, None, None, None],
    ]
    assert grid.marks == {(0, 2): "*"}
    assert grid.sections == {3}
    assert "| none (the first stage) |" in markdown([grid])
    assert any(note.startswith("4 queries are too few to tell systems apart") for note in grid.notes)


def test_a_measure_without_a_ceiling_has_no_row_and_no_word_of_it():
    rows = (OverAll(ALONE, (OverStage(0.5, None), OverStage(0.61, None)), 0.555, "a"),)
    grid = over_stages_grid(OverStages(("x", "y"), (None, None), rows, 40, "queries", 0), Settings())
    assert [row[0] for row in grid.rows] == ["none (the first stage)"]
    assert grid.sections == frozenset()
    assert "ceiling" not in markdown([grid])
