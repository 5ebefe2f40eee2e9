"""Comparisons of results made by hand, against scipy and ir_measures' way of counting, and what is refused."""

import numpy as np
import pytest
from made import made, scores, values_of
from scipy import stats

from evalkit.analysis.pairwise import Pairing, Settings, compare, groups, require_pairs
from evalkit.errors import ConfigError, ResultError
from evalkit.results.gather import gather

QUICK = Settings(samples=2000)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return made(tmp_path_factory.mktemp("compare"), {"strong": 3.0, "weak": 0.4, "twin": 3.0})


@pytest.fixture(scope="module")
def compared(root):
    (found,) = compare(gather([root]), QUICK)
    return found


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


def test_systems_without_a_significant_difference_share_a_letter(compared):
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
    assert (pair.difference, pair.randomisation, pair.t, pair.ties, pair.is_equal) == (0.0, 1.0, 1.0, 30, True)
    assert not pair._replace(difference=1 / 30_000).is_equal
    assert [one.groups for one in found.systems] == ["a", "a"]


def test_other_candidates_are_refused_unless_allowed(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {"strong": 3.0}, stage="another")
    with pytest.raises(ResultError, match=r"started from different candidates \(another-100 and stage-100\)"):
        compare(gather([root]), QUICK)
    (found,) = compare(gather([root]), QUICK._replace(same_candidates=False))
    names = {"stage-100 + strong", "another-100 + strong", "stage-100", "another-100"}
    assert {one.name for one in found.systems} == names
    assert found.ceiling is None


def test_other_judgments_under_one_name_are_always_refused(tmp_path):
    first = made(tmp_path / "a", {"strong": 3.0})
    second = made(tmp_path / "b", {"strong": 3.0}, queries=20)
    with pytest.raises(ResultError, match="measured on different documents, queries or judgments"):
        compare(gather([first, second]), QUICK._replace(same_candidates=False))


def test_one_system_alone_is_nothing_to_compare(root):
    found = compare(gather([root / "one/stage-100/strong"]), QUICK._replace(first_stage=False))
    ((system,), pairings) = found[0].systems, found[0].pairings
    assert (system.name, system.groups, pairings) == ("strong", "a", ())
    with pytest.raises(ConfigError, match=r"there is one system only \(strong on one\)"):
        require_pairs(found)


def test_smallest_visible_difference_is_that_of_the_corrected_level(root, compared):
    for one in compared.pairings:
        names = [{"stage-100": "candidates"}.get(name, name) for name in (one.better, one.worse)]
        first, second = (values_of(root, name) for name in names)
        error = (first - second).std(ddof=1) / np.sqrt(30)
        assert one.smallest == pytest.approx((stats.t.ppf(1 - 0.05 / 6 / 2, 29) + stats.t.ppf(0.8, 29)) * error)


def test_few_queries_show_no_difference_of_any_size(tmp_path):
    root = made(tmp_path, {"strong": 3.0}, queries=5)
    ((pair,),) = [one.pairings for one in compare(gather([root]), QUICK)]
    assert pair.smallest is None
    assert pair.randomisation > 0.05


def test_a_difference_beyond_every_measure_is_not_visible(tmp_path):
    """Seven queries can be enough, but the spread of these asks for more than a measure can differ."""
    sign = {f"q{query}": 1 if query % 2 else -1 for query in range(7)}
    mixed = {
        query: {doc: value * sign[query] for doc, value in own.items()} for query, own in scores(7, 9.0, seed=1).items()
    }
    root = made(tmp_path, {"strong": 9.0, "mixed": mixed}, queries=7)
    (found,) = compare(gather([root]), QUICK)
    assert all(one.smallest is None or one.smallest <= 1 for one in found.pairings)
    assert any(one.smallest is None for one in found.pairings)


def test_two_results_of_one_name_are_two_systems(tmp_path):
    roots = [made(tmp_path / name, {"strong": 3.0}) for name in "ab"]
    made(tmp_path / "a", {"strong": 2.0})
    (found,) = compare(gather(roots), QUICK)
    names = [one.name for one in found.systems]
    assert sorted(names) == [
        "stage-100",
        "strong path=a/one-stage-strong.trec (1)",
        "strong path=a/one-stage-strong.trec (2)",
        "strong path=b/one-stage-strong.trec",
    ]


def test_a_first_stage_that_only_some_datasets_have_twice_is_named_alike_on_all(tmp_path):
    made(tmp_path, {"strong": 3.0})
    made(tmp_path, {"strong": 3.0}, stage="another")
    root = made(tmp_path, {"strong": 3.0}, dataset="two")
    found = compare(gather([root]), QUICK._replace(same_candidates=False))
    names = [{one.name for one in each.systems} for each in found]
    assert names[1] == {"stage-100 + strong", "stage-100"}
    assert names[1] < names[0]


def test_first_stage_is_a_system_once_though_it_is_there_as_none_too(tmp_path):
    made(tmp_path, {"strong": 3.0})
    root = made(tmp_path, {})
    (found,) = compare(gather([root, root / "one/stage-100/candidates"]), QUICK)
    assert sorted(one.name for one in found.systems) == ["stage-100", "strong"]
