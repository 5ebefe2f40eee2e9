"""Comparisons over several datasets: every entry counts once, the forums of CQADupStack are one entry."""

import numpy as np
import pytest
from made import made
from scipy.stats import rankdata

from evalkit.analysis.overall import left_out, overall, ranks_of
from evalkit.analysis.pairwise import Settings, compare
from evalkit.measures.significance import p_values
from evalkit.results.gather import gather

QUICK = Settings(samples=2000)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    for number, dataset in enumerate(("a", "b", "cqadupstack/x", "cqadupstack/y")):
        made(folder, {"strong": 3.0 + number / 10, "weak": 0.3}, dataset=dataset.replace("/", "-"), queries=20 + number)
    return folder / "results"


def test_over_datasets_every_dataset_counts_once(several):
    comparisons = compare(gather([several]), QUICK)
    total = overall(comparisons, QUICK)
    for system in total.systems:
        own = [next(each.mean for each in one.systems if each.name == system.name) for one in comparisons]
        assert system.mean == pytest.approx(np.mean(own))
        assert system.low < system.mean < system.high
    assert len(total.entries) == 4
    assert total.systems[0].name == "strong"
    assert (total.ranks[0], total.won[0]) == (1.0, 4)
    best = total.pairings[0]
    assert (best.wins, best.ties, best.losses) == (4, 0, 0)
    # Four datasets with one sign: 2 / 2^4, and Holm for three pairs. Four are too few to see any difference.
    assert best.randomisation == pytest.approx(min(3 * 2 / 16, 1))
    assert best.smallest is None
    assert not best.is_real(0.05)


def test_forums_of_cqadupstack_are_one_entry(several):
    comparisons = [
        one if "-" not in one.dataset else type(one)(one.dataset.replace("-", "/"), *list(vars(one).values())[1:])
        for one in compare(gather([several]), QUICK)
    ]
    total = overall(comparisons, QUICK)
    assert total.entries == ("a", "b", "cqadupstack")
    strong = [next(each.mean for each in one.systems if each.name == "strong") for one in comparisons]
    assert total.systems[0].mean == pytest.approx((strong[0] + strong[1] + (strong[2] + strong[3]) / 2) / 3)


def test_overall_needs_two_datasets_and_two_systems(several):
    comparisons = compare(gather([several / "a", several / "b/stage-100/weak"]), QUICK)
    assert overall(comparisons[:1], QUICK) is None
    total = overall(comparisons, QUICK)
    assert {one.name for one in total.systems} == {"weak", "stage-100"}


def test_eight_datasets_that_agree_show_a_difference_by_the_test_of_one_dataset(tmp_path):
    for number in range(8):
        made(tmp_path, {"strong": 3.0 + number / 10, "weak": 0.3}, dataset=f"set{number}", queries=6)
    comparisons = compare(gather([tmp_path / "results"]), QUICK)
    total = overall(comparisons, QUICK)
    means = [
        [next(each.mean for each in one.systems if each.name == s.name) for s in total.systems] for one in comparisons
    ]
    values = np.array(means)
    expected = p_values(
        [np.column_stack([values[:, a] - values[:, b] for a, b in ((0, 1), (0, 2), (1, 2))])], QUICK.rule
    )
    assert [one.randomisation for one in total.pairings] == pytest.approx(expected)
    assert total.pairings[0].is_real(0.05)
    assert left_out(comparisons) == []


def test_systems_over_different_first_stages_are_not_averaged(tmp_path):
    made(tmp_path, {"strong": 3.0, "weak": 1.0}, dataset="a")
    root = made(tmp_path, {"strong": 3.0, "weak": 1.0}, dataset="b", stage="other")
    comparisons = compare(gather([root]), QUICK)
    assert [name for each in comparisons for name in each.names if name.endswith("strong")] == [
        "stage-100 + strong",
        "other-100 + strong",
    ]
    assert overall(comparisons, QUICK) is None
    (told,) = left_out(comparisons)
    assert told.endswith("no two have a result on all of them with the same first stage")


def test_datasets_that_the_average_leaves_out_are_named(several, tmp_path):
    comparisons = compare(gather([several / "a", several / "b/stage-100/weak", several / "cqadupstack-x"]), QUICK)
    alone = compare(gather([made(tmp_path, {}, dataset="alone")]), QUICK)
    assert left_out([*comparisons, *alone]) == [
        "alone has one system, stage-100, so it is not in the average over datasets",
        "strong has no result on b, so it is not in the average over datasets",
    ]
    none = compare(gather([several / "a"]), QUICK._replace(first_stage=False))
    assert overall([*none, *alone], QUICK) is None
    assert left_out([*none, *alone])[-1] == (
        "systems are not compared over datasets, because no two have a result on all of them"
    )


def test_equal_means_share_the_mean_of_their_ranks():
    values = np.random.default_rng(3).integers(0, 4, size=(50, 9)) / 4
    assert all(ranks_of(row).tolist() == rankdata(-row).tolist() for row in values)
