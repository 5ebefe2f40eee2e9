"""Comparisons over several datasets: every entry counts once, the forums of CQADupStack are one entry."""

import numpy as np
import pytest
from made import made

from evalkit.compare import Settings, compare
from evalkit.gather import gather
from evalkit.overall import overall

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
    # Four datasets with one sign: 2 / 2^4, and Holm for three pairs.
    assert best.randomisation == pytest.approx(min(3 * 2 / 16, 1))


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
