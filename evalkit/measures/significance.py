"""Is a difference between two systems more than chance? One rule, and the tests and intervals over queries behind it.

The rule (`Rule`, `p_values`): the paired randomisation test, Holm's correction over everything that is tested
together, and one level. Whatever calls a difference real goes by it. Intervals and the t-test decide nothing.

Tests and intervals take matrices of shape (queries, systems or comparisons). Everything random comes from a seed. Knows
nothing of runs or results.

Sources: Smucker, Allan, Carterette 2007 (randomisation test in IR); Holm 1979; Efron, Tibshirani 1993 (bootstrap);
Davison, Hinkley 1997, section 3.8 (hierarchical resampling).
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import get_cached_controller

Values = NDArray[np.float64]

SAMPLES = 10_000
ALPHA = 0.05
CORRECTIONS = ("holm", "none")
_CELLS = 4_000_000  # drawn at a time: 32 MB
_FEW_CELLS = 6_000_000  # of draws that are kept for the next call: 48 MB
_EXACT = 14  # up to so many queries that differ, all signs are tried
_PRECISION = 1e-6  # of a query's difference: baselines keep values to six digits, and must give the same p-values


class Rule(NamedTuple):
    """When a difference is called real: its corrected p-value is below `alpha`.

    Attributes:
        correction: of the p-values for the number of comparisons: `holm` or `none`.
        alpha: the level.
        seed: of the draws.
        samples: draws, at least; more where so few could not show anything among so many comparisons.
    """

    correction: str = CORRECTIONS[0]
    alpha: float = ALPHA
    seed: int = 0
    samples: int = SAMPLES

    def level(self, comparisons: int) -> float:
        """The level that the smallest of so many uncorrected p-values must be below."""
        return self.alpha / max(comparisons, 1) if self.correction == "holm" else self.alpha

    def draws(self, comparisons: int) -> int:
        """Draws of the test: so many that the smallest p-value they can give is at most half of `level`."""
        return max(self.samples, math.ceil(2 / self.level(comparisons)))

    def fewest(self, comparisons: int) -> int:
        """The smallest number of queries or datasets that can show any difference: 2 / 2^n must be below `level`."""
        return math.floor(1 - math.log2(self.level(comparisons))) + 1


def p_values(differences: Sequence[Values], rule: Rule) -> list[float]:
    """Corrected p-values of all columns, in order: the one place where it is decided what is tested and how.

    Args:
        differences: matrices of shape (queries, comparisons); matrices may have queries of their own.
        rule: by which they are tested.
    """
    count = sum(one.shape[1] for one in differences)
    draws = rule.draws(count)
    found = [p for one in differences for p in randomisation_test(one, seed=rule.seed, samples=draws).tolist()]
    return holm(found) if rule.correction == "holm" else found


def randomisation_test(differences: Values, *, seed: int = 0, samples: int = SAMPLES) -> Values:
    """Two-sided p-value of each column's mean under random signs, shape (comparisons,).

    Exact for a column of which up to 14 queries differ; else (1 + as extreme draws) / (1 + draws), which is never 0. 1
    where no query differs. A column's p-value depends on its values alone, not on their signs, their order, or other
    columns, so every command that tests the same two systems gets the same one.

    Args:
        differences: shape (queries, comparisons), value of one system less that of the other.
        seed: of the signs.
        samples: draws.
    """
    sizes = np.sort(np.abs(differences), axis=0)[::-1]
    moving = (sizes > 0).sum(axis=0)
    # Sums of the same numbers in another order, or rounded, differ a little and must still count as equal.
    bound = np.abs(differences.sum(axis=0)) - _PRECISION * moving
    found = np.ones(differences.shape[1])
    for count in np.unique(moving[moving <= _EXACT]):
        chosen = moving == count
        signs = np.array([[1.0 if code >> bit & 1 else -1.0 for bit in range(count)] for code in range(2**count)])
        sums = np.abs(_product(signs.reshape(2**count, count), sizes[:count, chosen]))
        found[chosen] = (sums >= bound[chosen]).mean(axis=0)
    chosen = moving > _EXACT
    if chosen.any():
        found[chosen] = (1 + _as_extreme(sizes[:, chosen], bound[chosen], seed, samples)) / (1 + samples)
    return found


def _as_extreme(sizes: Values, bound: Values, seed: int, samples: int) -> Values:
    """In how many draws of signs the sum of each column is at least its bound, shape (columns,)."""
    random = np.random.default_rng(seed)
    extreme = np.zeros(sizes.shape[1])
    for size in _chunks(samples, len(sizes)):
        signs = random.integers(0, 2, size=(size, len(sizes)), dtype=np.int8) * 2.0 - 1.0
        extreme += (np.abs(_product(signs, sizes)) >= bound).sum(axis=0)
    return extreme


def t_test(differences: Values) -> Values:
    """Two-sided p-value of Student's paired t-test of each column, shape (comparisons,); 1 where no query differs.

    NaN where all queries differ by the same: without a spread the statistic is infinite, and its p-value of 0, which
    scipy gives, says nothing.
    """
    from scipy.special import stdtr  # scipy.stats gives the same value, and takes seconds to import

    if len(differences) < 2:  # noqa: PLR2004 - one query has no spread
        return np.where(differences.sum(axis=0) == 0, 1.0, np.nan)
    spread = differences.std(axis=0, ddof=1)
    constant = spread <= 1e-15 * np.abs(differences).max(axis=0, initial=0.0)
    mean = differences.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = mean / (spread / math.sqrt(len(differences)))
    p = 2 * stdtr(len(differences) - 1, -np.abs(np.where(constant, 0.0, statistic)))
    return np.asarray(np.where(constant, np.where(mean == 0, 1.0, np.nan), p))


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted so that the chance of any false finding among all of them stays below the level (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    stepped = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return [float(value) for value in adjusted]


def intervals(values: Values, *, level: float = 0.95, seed: int = 0, samples: int = SAMPLES) -> Values:
    """Percentile bootstrap of each column's mean, shape (2, columns), low and high. Queries are drawn, for all columns.

    Args:
        values: shape (queries, columns): a measure, or differences of one.
        level: share of the draws between low and high.
        seed: of the draws.
        samples: draws.
    """
    count = len(values)
    few = count * samples <= _FEW_CELLS
    draws = _few_draws(count, seed, samples) if few else _draws(count, np.random.default_rng(seed), samples)
    return _percentiles(np.concatenate([_product(drawn, values) / count for drawn in draws]), level)


def macro_intervals(
    datasets: Sequence[Values], *, level: float = 0.95, seed: int = 0, samples: int = SAMPLES
) -> Values:
    """As `intervals`, of the mean over datasets: datasets are drawn, and in each of them queries.

    It says what to expect of other datasets of the kind; `level` of the draws of a single dataset is that dataset's.

    Args:
        datasets: of each, shape (its queries, columns).
        level: share of the draws between low and high.
        seed: of the draws.
        samples: draws.
    """
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(datasets), size=(samples, len(datasets)))
    total = np.zeros((samples, datasets[0].shape[1]))
    # A dataset that was drawn twice is drawn from twice, so every place has draws of its own.
    for place in range(len(datasets)):
        for number, values in enumerate(datasets):
            rows = np.flatnonzero(chosen[:, place] == number)
            if len(rows):
                total[rows] += _resampled(values, random, len(rows))
    return _percentiles(total / len(datasets), level)


def smallest_difference(differences: Values, *, alpha: float = 0.05, power: float = 0.8) -> Values:
    """The smallest true mean difference that so many queries would show, shape (comparisons,).

    That of a two-sided paired t-test at `alpha` with this chance of finding it, for the spread that is seen.
    """
    from scipy.special import stdtrit

    count = len(differences)
    if count < 2:  # noqa: PLR2004 - one query has no spread
        return np.full(differences.shape[1], np.inf)
    quantiles = stdtrit(count - 1, 1 - alpha / 2) + stdtrit(count - 1, power)
    return np.asarray(quantiles * differences.std(axis=0, ddof=1) / math.sqrt(count))


def _resampled(values: Values, random: np.random.Generator, samples: int) -> Values:
    """Means of drawn queries, shape (samples, columns)."""
    count = len(values)
    return np.concatenate([_product(drawn, values) / count for drawn in _draws(count, random, samples)])


def _draws(count: int, random: np.random.Generator, samples: int) -> Iterator[Values]:
    """How often each of `count` queries is drawn, shape (some of the samples, count), for all samples in turn."""
    even = np.full(count, 1 / count)
    return (random.multinomial(count, even, size=size).astype(np.float64) for size in _chunks(samples, count))


@lru_cache(maxsize=6)  # of a dataset the same queries are drawn again and again
def _few_draws(count: int, seed: int, samples: int) -> tuple[Values, ...]:
    """`_draws` from a seed, where all of them are at most 48 MB."""
    return tuple(_draws(count, np.random.default_rng(seed), samples))


def one_thread() -> AbstractContextManager[object]:
    """Lets numpy multiply on one thread: with several the bits depend on their number, and OpenBLAS waits in a loop.

    Whoever computes in threads of its own enters this around them, as OpenBLAS has one number for all threads.
    """
    limited: AbstractContextManager[object] = get_cached_controller().limit(limits=1, user_api="blas")
    return limited


def _product(left: NDArray[np.floating], right: Values) -> Values:
    with one_thread():
        return np.asarray(left @ right)


def _percentiles(means: Values, level: float) -> Values:
    return np.asarray(np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0))


def _chunks(samples: int, width: int) -> list[int]:
    size = max(_CELLS // max(width, 1), 1)
    return [min(size, samples - start) for start in range(0, samples, size)]
