"""Rerankers by first stages: the numbers of compare, and letters by the mean over the first stages."""

import numpy as np
import pytest
from made import made

from evalkit.analysis.over_stages import ALONE, over_stages
from evalkit.analysis.overall import overall
from evalkit.analysis.pairwise import Settings, compare
from evalkit.measures.significance import p_values
from evalkit.results.gather import gather

QUICK = Settings(samples=2000, same_candidates=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("over")
    for stage, strength in (("first", 0.5), ("another", 1.5)):
        root = made(folder, {"strong": 3.0, "weak": 0.4}, stage=stage, strength=strength)
    made(folder, {"alone": 3.0}, stage="first", strength=0.5)
    return root


def found_in(root, settings=QUICK):
    comparisons = compare(gather([root]), settings)
    total = overall(comparisons, settings)
    return comparisons, total, over_stages(comparisons, total, settings)


def test_cells_are_the_means_and_differences_of_compare(root):
    (comparison,), _, found = found_in(root)
    means = {one.name: one.mean for one in comparison.systems}
    assert set(found.stages) == {"first-100", "another-100"}
    assert {row.name for row in found.rows} == {"strong", "weak", "alone", ALONE}
    for row in found.rows:
        for stage, cell in zip(found.stages, row.cells, strict=True):
            name = f"{stage} + {row.name}" if row.name else stage
            if name not in means:
                assert (row.name, stage, cell) == ("alone", "another-100", None)
                continue
            assert cell.mean == means[name]
            if not row.name:
                assert cell.over is None
                continue
            (pair,) = [one for one in comparison.pairings if {one.better, one.worse} == {name, stage}]
            assert cell.over.value == (pair.difference if pair.better == name else -pair.difference)
            assert (cell.over.p, cell.over.real) == (pair.randomisation, pair.is_real(0.05))
    assert found.ceilings == (1.0, 1.0)


def test_letters_are_of_the_means_over_the_first_stages(root):
    (comparison,), _, found = found_in(root)
    values = dict(zip(comparison.names, comparison.values.T, strict=True))
    over = {
        name: np.mean([values[f"{stage} + {name}" if name else stage] for stage in found.stages], axis=0)
        for name in ("strong", "weak", ALONE)
    }
    between = np.column_stack([over["strong"] - over["weak"], over["strong"] - over[ALONE], over[ALONE] - over["weak"]])
    real = [p < 0.05 for p in p_values([between], QUICK.rule)]
    letters = {row.name: set(row.groups) for row in found.rows}
    apart = [
        not letters[one] & letters[other] for one, other in (("strong", "weak"), ("strong", ALONE), (ALONE, "weak"))
    ]
    assert apart == real
    assert real[:2] == [True, True]
    assert letters["alone"] == set()
    means = sorted((float(own.mean()) for own in over.values()), reverse=True)
    assert [row.mean for row in found.rows[:3]] == pytest.approx(means)
    assert (found.rows[3].name, found.rows[3].mean) == ("alone", None)
    assert (found.count, found.unit, found.comparisons) == (30, "queries", 3)


def test_several_datasets_count_once_each(tmp_path):
    for dataset in ("one", "two"):
        for stage in ("first", "another"):
            root = made(tmp_path, {"strong": 3.0}, stage=stage, dataset=dataset, queries=8)
    comparisons, total, found = found_in(root)
    assert (found.count, found.unit) == (2, "datasets")
    (strong,) = [row for row in found.rows if row.name == "strong"]
    for stage, cell in zip(found.stages, strong.cells, strict=True):
        name = f"{stage} + strong"
        means = [one.mean for each in comparisons for one in each.systems if one.name == name]
        assert cell.mean == pytest.approx(np.mean(means))
        (pair,) = [one for one in total.pairings if {one.better, one.worse} == {name, stage}]
        assert cell.over.value == pytest.approx(pair.difference)
        assert not cell.over.real


def test_one_first_stage_makes_no_table(tmp_path):
    made(tmp_path, {"strong": 3.0})
    assert found_in(made(tmp_path, {}, stage="unused"))[2] is None
