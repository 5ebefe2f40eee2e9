"""Tests and intervals against scipy on the same numbers, and against what they promise on simulated ones."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from threadpoolctl import threadpool_info, threadpool_limits

from evalkit.measures.significance import (
    Rule,
    holm,
    intervals,
    macro_intervals,
    p_values,
    randomisation_test,
    smallest_difference,
    t_test,
)


def columns(*values) -> np.ndarray:
    return np.column_stack([np.asarray(one, dtype=float) for one in values])


@pytest.fixture
def differences() -> np.ndarray:
    return np.random.default_rng(3).normal(0.05, 0.2, (60, 2))


def test_few_queries_are_tested_with_all_signs_as_by_hand():
    own = [0.3, -0.1, 0.2, 0.0, 0.4]
    sums = [abs(sum(s * d for s, d in zip(signs, own, strict=True))) for signs in product((1, -1), repeat=5)]
    expected = np.mean([one >= abs(sum(own)) - 1e-12 for one in sums])
    assert randomisation_test(columns(own)).tolist() == [pytest.approx(expected)]


def test_few_queries_give_the_p_value_of_scipy():
    own = np.random.default_rng(0).normal(0.2, 0.3, 10)
    expected = stats.permutation_test((own,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert randomisation_test(columns(own))[0] == pytest.approx(expected)


def test_many_queries_give_the_p_value_of_scipy_within_what_draws_allow(differences):
    actual = randomisation_test(differences, samples=20_000)
    for column, p in zip(differences.T, actual, strict=True):
        expected = stats.permutation_test(
            (column,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
        ).pvalue
        assert p == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 20_000) + 1e-3)


def test_identical_systems_have_a_p_value_of_one_and_clearly_different_ones_a_small_one():
    same, better = np.zeros(50), np.full(50, 0.1) + np.arange(50) / 1000
    assert randomisation_test(columns(same, better)).tolist() == [1.0, pytest.approx(1 / 10_001)]
    p = t_test(columns(same, better))
    assert p[0] == 1.0
    assert p[1] < 1e-20


def test_p_value_is_never_zero():
    assert randomisation_test(np.ones((40, 1)), samples=100)[0] == pytest.approx(1 / 101)


def test_under_a_null_the_tests_reject_at_their_level():
    random = np.random.default_rng(11)
    own = random.normal(size=(25, 1500)) * random.choice([0.1, 1.0], size=(25, 1))
    spread = 4 * np.sqrt(0.05 * 0.95 / 1500)
    assert abs((randomisation_test(own, samples=1000) < 0.05).mean() - 0.05) < spread
    assert abs((t_test(own) < 0.05).mean() - 0.05) < 0.03  # not normal, so only near


def test_t_test_is_that_of_scipy(differences):
    expected = [stats.ttest_1samp(column, 0).pvalue for column in differences.T]
    np.testing.assert_allclose(t_test(differences), expected, rtol=1e-10)


def test_difference_that_is_the_same_everywhere_has_no_spread_to_test():
    np.testing.assert_array_equal(t_test(columns([0.25] * 4, [0.0] * 4)), [np.nan, 1.0])
    np.testing.assert_array_equal(t_test(columns([0.25], [0.0])), [np.nan, 1.0])


def test_holm_against_a_worked_example():
    # 0.01 x 4, 0.02 x 3, 0.03 x 2, and 0.04 which may not be below the one before.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_interval_is_the_percentile_bootstrap_of_scipy(differences):
    low, high = intervals(differences, samples=20_000)
    for place, column in enumerate(differences.T):
        expected = stats.bootstrap(
            (column,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
        ).confidence_interval
        assert (low[place], high[place]) == (
            pytest.approx(expected.low, abs=3e-3),
            pytest.approx(expected.high, abs=3e-3),
        )


def test_columns_are_drawn_together_so_that_intervals_of_differences_are_paired():
    first = np.random.default_rng(0).normal(size=40)
    low, high = intervals(columns(first, first + 1, first - (first + 1)))
    assert (low[2], high[2]) == (pytest.approx(-1), pytest.approx(-1))
    assert high[0] + 1 == pytest.approx(high[1])


def test_seed_decides_the_draws(differences):
    same = [intervals(differences, seed=seed, samples=500).tolist() for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


def test_interval_covers_the_true_mean_as_often_as_it_says():
    random = np.random.default_rng(5)
    own = random.normal(0.3, 1.0, (60, 600))
    low, high = intervals(own, samples=1000)
    assert abs(((low < 0.3) & (high > 0.3)).mean() - 0.95) < 0.04


def test_macro_interval_has_the_spread_between_and_within_datasets():
    random = np.random.default_rng(2)
    datasets = [random.normal(centre, 0.5, (count, 1)) for centre, count in ((0.0, 400), (1.0, 50), (2.0, 100))]
    low, high = macro_intervals(datasets, samples=20_000)
    means = [float(one.mean()) for one in datasets]
    within = sum(one.var() / len(one) for one in datasets) / 9
    expected = np.sqrt(np.var(means) / 3 + within)
    assert (high[0] - low[0]) / 3.92 == pytest.approx(expected, rel=0.12)


def test_macro_interval_of_one_dataset_is_that_of_its_queries(differences):
    np.testing.assert_allclose(macro_intervals([differences]), intervals(differences), atol=4e-3)


def test_smallest_difference_is_found_in_four_of_five_experiments():
    random = np.random.default_rng(4)
    count, spread = 50, 0.3
    drawn = random.normal(0, spread, (count, 400))
    visible = smallest_difference(drawn)
    assert visible.mean() == pytest.approx(2.86 * spread / np.sqrt(count), rel=0.03)  # 2.01 + 0.85 standard errors
    found = (t_test(random.normal(visible.mean(), spread, (count, 400))) < 0.05).mean()
    assert abs(found - 0.8) < 0.08


def test_one_query_shows_no_difference_however_large():
    assert smallest_difference(columns([0.5])).tolist() == [np.inf]


def test_p_value_depends_on_a_column_s_values_alone():
    own = np.random.default_rng(6).normal(0.03, 0.2, 50)
    others = np.random.default_rng(7).normal(0.1, 0.2, (50, 3))
    alone = randomisation_test(columns(own))[0]
    assert 0.001 < alone < 0.999
    for same in (own[::-1], -own, own.round(6)):
        assert randomisation_test(np.column_stack([others, same]))[3] == alone


def test_values_rounded_to_six_digits_give_the_same_p_value_though_sums_are_tied():
    """Reciprocal ranks: few distinct differences, so many sums of signs are equal but for rounding."""
    own = np.array([1 / 3, -1 / 6, 1 / 7, 0.0, 1 / 3, 1 / 6] * 6)
    assert randomisation_test(columns(own)) == randomisation_test(columns(own.round(6)))


def test_correction_is_over_all_matrices_together(differences):
    raw = [float(p) for one in (differences, differences[:20] + 0.1) for p in randomisation_test(one)]
    assert p_values([differences, differences[:20] + 0.1], Rule()) == holm(raw)
    assert p_values([differences, differences[:20] + 0.1], Rule(correction="none")) == raw
    assert p_values([], Rule()) == []


def test_many_comparisons_can_still_show_a_difference():
    """10,000 draws give no p-value below 0.0001, which is above 0.05 once it is corrected for 600 comparisons."""
    better = np.tile(np.linspace(0.05, 0.15, 40)[:, None], 600)
    assert min(holm(randomisation_test(better).tolist())) > 0.05
    assert max(p_values([better], Rule())) < 0.05


@pytest.mark.parametrize("comparisons", [1, 3, 6, 28])
def test_fewest_queries_are_the_first_number_that_can_show_a_difference(comparisons):
    fewest = Rule().fewest(comparisons)
    for count, real in ((fewest - 1, False), (fewest, True)):
        assert (p_values([np.full((count, comparisons), 0.5)], Rule())[0] < 0.05) == real


def test_intervals_and_tests_do_not_depend_on_the_number_of_threads():
    values = np.random.default_rng(0).random((467, 30))
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads, user_api="blas"):
            own = (intervals(values), macro_intervals([values, values[:99]], samples=500))
            found.append((*own, randomisation_test(values - 0.5)))
            numbers = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
            assert numbers == {threads}
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)
