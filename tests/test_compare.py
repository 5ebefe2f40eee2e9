"""Comparisons of results made by hand, against scipy and ir_measures' way of counting, and what is refused."""

import numpy as np
import pytest
from made import made, scores
from scipy import stats

from evalkit.compare import Pairing, Settings, compare, groups, overall
from evalkit.errors import ConfigError, ResultError
from evalkit.gather import gather
from evalkit.moves import moves

QUICK = Settings(samples=2000)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("compare"), {"strong": 3.0, "weak": 0.4, "twin": 3.0})


@pytest.fixture(scope="module")
def compared(root):
    (found,) = compare(gather([root]), QUICK)
    return found


def values_of(root, name: str) -> np.ndarray:
    (one,) = gather([root / "one/stage-100" / name])
    return one.result.read_per_query().values["nDCG@10"]


def test_systems_come_best_first_with_the_first_stage_and_the_ceiling(root, compared):
    expected = {name: values_of(root, name).mean() for name in ("strong", "weak", "twin", "candidates")}
    expected["stage-100"] = expected.pop("candidates")
    assert sorted(expected, key=expected.get, reverse=True) == [one.name for one in compared.systems]
    for one in compared.systems:
        assert one.mean == pytest.approx(expected[one.name])
        assert one.low < one.mean < one.high
    assert (compared.queries, compared.ceiling) == (30, 1.0)


def test_pairs_have_the_numbers_of_scipy(root, compared):
    assert len(compared.pairings) == 6
    uncorrected = compare(gather([root]), QUICK._replace(correction="none"))[0].pairings
    for one, raw in zip(compared.pairings, uncorrected, strict=True):
        names = [{"stage-100": "candidates"}.get(name, name) for name in (one.better, one.worse)]
        first, second = (values_of(root, name) for name in names)
        assert one.difference == pytest.approx((first - second).mean())
        assert one.low <= one.difference <= one.high
        assert raw.t == pytest.approx(stats.ttest_rel(first, second).pvalue)
        expected = stats.permutation_test(
            (first, second),
            lambda x, y, axis: (x - y).mean(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=2000,
            rng=np.random.default_rng(1),
        ).pvalue
        assert raw.randomisation == pytest.approx(expected, abs=0.06)
        assert (one.wins, one.ties, one.losses) == (
            (first > second).sum(),
            (first == second).sum(),
            (first < second).sum(),
        )
    assert min(one.t for one in uncorrected) * 6 == pytest.approx(min(one.t for one in compared.pairings))


def test_systems_that_cannot_be_told_apart_share_a_letter(compared):
    letters = {one.name: set(one.groups) for one in compared.systems}
    assert letters["strong"] & letters["twin"]
    assert not letters["strong"] & letters["weak"]


def pairing(better, worse, p):
    return Pairing(better, worse, 0.1, 0.0, 0.2, p, p, 1, 0, 0, 0.1)


@pytest.mark.parametrize(
    ("different", "expected"),
    [
        ([], ["a", "a", "a", "a"]),
        (["wx", "wy", "wz", "xy", "xz", "yz"], ["a", "b", "c", "d"]),
        (["wz"], ["a", "ab", "ab", "b"]),
        (["wy", "wz", "xz"], ["a", "ab", "bc", "c"]),
        (["xy"], ["ab", "a", "b", "ab"]),
    ],
)
def test_letters_of_four_systems(different, expected):
    pairs = ["wx", "wy", "wz", "xy", "xz", "yz"]
    found = groups("wxyz", [pairing(*pair, 0.01 if pair in different else 0.5) for pair in pairs], 0.05)
    assert found == expected


def test_identical_runs_have_a_p_value_of_one(tmp_path):
    same = scores(30, 2.0, seed=7)
    root = made(tmp_path, {"one": same, "copy": same})
    (found,) = compare(gather([root]), QUICK._replace(first_stage=False))
    (pair,) = found.pairings
    assert (pair.difference, pair.randomisation, pair.t, pair.ties) == (0.0, 1.0, 1.0, 30)
    assert [one.groups for one in found.systems] == ["a", "a"]


def test_other_candidates_are_refused_unless_allowed(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 3.0}, stage="another")
    with pytest.raises(ResultError, match=r"started from different candidates \(another-100 and stage-100\)"):
        compare(gather([root]), QUICK)
    (found,) = compare(gather([root]), QUICK._replace(same_candidates=False))
    assert {one.name for one in found.systems} == {"stage-100 + strong", "another-100 + strong"}
    assert found.ceiling is None


def test_other_judgments_under_one_name_are_always_refused(tmp_path):
    first = made(tmp_path / "a", {"strong": 3.0})
    second = made(tmp_path / "b", {"strong": 3.0}, queries=20)
    with pytest.raises(ResultError, match="measured on different documents, queries or judgments"):
        compare(gather([first, second]), QUICK._replace(same_candidates=False))


def test_one_system_alone_is_nothing_to_compare(root):
    with pytest.raises(ConfigError, match="there is one system only"):
        compare(gather([root / "one/stage-100/strong"]), QUICK._replace(first_stage=False))


def test_first_stage_is_a_system_once_though_it_is_there_as_none_too(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {})
    (found,) = compare(gather([root, root / "one/stage-100/candidates"]), QUICK)
    assert sorted(one.name for one in found.systems) == ["stage-100", "strong"]


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


def test_queries_that_moved_most_come_first_with_both_rankings(root):
    first, second = gather([root / "one/stage-100/weak", root / "one/stage-100/strong"])
    found = moves(first, second, "nDCG@10", count=5, dataset=None)
    weak, strong = values_of(root, "weak"), values_of(root, "strong")
    largest = sorted(abs(strong - weak), reverse=True)[:5]
    assert [abs(one.second - one.first) for one in found] == pytest.approx(largest)
    for move in found:
        ranks = [{place.doc_id: place.rank for place in side} for side in move.rankings]
        for place in move.rankings[1]:
            assert ranks[0].get(place.doc_id, place.before) == place.before
        assert (move.text, move.rankings[0][0].grade, move.rankings[0][0].text) == (None, None, None)


def test_identical_systems_moved_nothing(root):
    first, second = gather([root / "one/stage-100/weak"]) * 2
    assert moves(first, second, "nDCG@10", count=5, dataset=None) == []
