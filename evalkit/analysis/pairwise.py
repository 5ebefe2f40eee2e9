"""Systems over the same candidates, compared query by query: is one better, or is it chance? Prints nothing.

A system is a reranker, or a first stage that rerankers started from. Within a dataset every two systems are compared
with paired tests over its queries; `overall` compares them over datasets. `significance.Rule` decides which
differences are real.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from evalkit.errors import ConfigError, ResultError
from evalkit.measures.significance import (
    ALPHA,
    CORRECTIONS,
    SAMPLES,
    Rule,
    Values,
    holm,
    intervals,
    macro_intervals,
    p_values,
    smallest_difference,
    t_test,
)
from evalkit.results import Evaluation
from evalkit.results.gather import per_query
from evalkit.results.judged_runs import RunResult
from evalkit.results.labels import names

DIFFERENT_DOCUMENTS = (
    "the runs hold different documents, and nothing says from which candidates each was made, so a difference may be "
    "the first stage's."
)
_GREATEST = 1.0  # difference that a measure can have
_ROUNDING = 1e-12  # of a mean of differences


class Settings(NamedTuple):
    """How to compare.

    Attributes:
        correction: correction of the p-values for the number of pairs, `holm` or `none`.
        alpha: a difference with a lower p-value is called real.
        same_candidates: whether to refuse different candidates.
        first_stage: whether the first stages that rerankers started from are systems too.
        verdicts_only: whether to leave out what decides nothing and takes most of the time: intervals (then NaN), the
            t-test (NaN) and the smallest visible difference (None).
    """

    measure: str = "nDCG@10"
    correction: str = CORRECTIONS[0]
    alpha: float = ALPHA
    seed: int = 0
    samples: int = SAMPLES
    same_candidates: bool = True
    first_stage: bool = True
    verdicts_only: bool = False

    @property
    def rule(self) -> Rule:
        """When a difference is called real."""
        return Rule(self.correction, self.alpha, self.seed, self.samples)


class System(NamedTuple):
    """One system on one dataset, or over all.

    Attributes:
        low: lower end of the 95 % bootstrap interval of the mean.
        high: upper end of the same.
        groups: letters; two systems with a letter in common cannot be told apart.
    """

    name: str
    mean: float
    low: float
    high: float
    groups: str = ""


class Pairing(NamedTuple):
    """Two systems, the one with the higher mean first; where the means are equal, `better` and `worse` say nothing.

    Attributes:
        difference: difference of their means, not below 0.
        low: lower end of the paired 95 % bootstrap interval of the difference, not corrected.
        high: upper end of the same.
        randomisation: corrected p-value of the paired randomisation test, which alone decides what is real.
        t: corrected p-value of the paired t-test; None where all queries differ by the same, and it has none.
        wins: queries on which the better system is better; `ties` and `losses` are the others.
        smallest: the difference that so many queries would show 8 times of 10; None where they can show none.
    """

    better: str
    worse: str
    difference: float
    low: float
    high: float
    randomisation: float
    t: float | None
    wins: int
    ties: int
    losses: int
    smallest: float | None

    def is_real(self, alpha: float) -> bool:
        """Whether the difference is called real."""
        return self.randomisation < alpha

    @property
    def is_equal(self) -> bool:
        """Whether the means are equal but for rounding."""
        return abs(self.difference) < _ROUNDING


@dataclass(frozen=True)
class Comparison:
    """All systems on one dataset.

    Attributes:
        systems: best first; pairings, values and evaluations have the same order.
        pairings: every two systems.
        queries: number of judged queries.
        ceiling: ceiling of the candidates; None where these differ.
        values: shape (queries, systems).
        query_ids: the rows of `values`.
    """

    dataset: str
    systems: tuple[System, ...]
    pairings: tuple[Pairing, ...]
    queries: int
    ceiling: float | None
    values: Values
    query_ids: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]

    @property
    def names(self) -> list[str]:
        """Names of the systems."""
        return [system.name for system in self.systems]


def compare(evaluations: Sequence[Evaluation], settings: Settings) -> list[Comparison]:
    """Every dataset; one with a single system has no pairs.

    Raises:
        ResultError: candidates or datasets differ.
    """
    named = named_systems(evaluations, settings)
    datasets = dict.fromkeys(evaluation.dataset for evaluation in evaluations)
    return [_compare([pair for pair in named if pair[1].dataset == dataset], settings) for dataset in datasets]


def named_systems(evaluations: Sequence[Evaluation], settings: Settings) -> list[tuple[str, Evaluation]]:
    """The systems of every dataset, by the names that distinguish them within it.

    Raises:
        ResultError: candidates or datasets differ.
    """
    given: dict[str, list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        given[evaluation.dataset].append(evaluation)
    systems = [system for some in given.values() for system in _systems(some, settings)]
    return list(zip(names(systems), systems, strict=True))


def require_pairs(comparisons: Sequence[Comparison]) -> None:
    """Refuse comparisons without any pair.

    Raises:
        ConfigError: no dataset has two systems.
    """
    if not any(comparison.pairings for comparison in comparisons):
        found = ", ".join(f"{comparison.names[0]} on {comparison.dataset}" for comparison in comparisons)
        are_runs = any(isinstance(one.result, RunResult) for each in comparisons for one in each.evaluations)
        remedy = "two runs" if are_runs else "two results over the same dataset, or leave the first stage in"
        raise ConfigError(f"there is one system only ({found}). Give {remedy}.")


def _systems(evaluations: Sequence[Evaluation], settings: Settings) -> list[Evaluation]:
    """The systems of a dataset. A first stage occurs once, though its own folder and `none` both hold it."""
    _require_comparable(evaluations, settings)
    rerankers = [evaluation for evaluation in evaluations if not evaluation.is_first_stage]
    stages = [evaluation for evaluation in evaluations if evaluation.is_first_stage]
    if settings.first_stage:
        stages += [Evaluation(evaluation.candidates, evaluation.candidates) for evaluation in rerankers]
    once = {(stage.first_stage, candidates_of(stage)): stage for stage in stages}
    return [*rerankers, *once.values()]


def _compare(named: Sequence[tuple[str, Evaluation]], settings: Settings) -> Comparison:
    evaluations = [evaluation for _, evaluation in named]
    measured = [per_query(evaluation.result, settings.measure) for evaluation in evaluations]
    values = np.column_stack([found.values[settings.measure] for found in measured])
    order = np.argsort(-values.mean(axis=0), kind="stable")
    labels = [named[place][0] for place in order]
    values = values[:, order]
    between = differences(values)
    both = bounds([np.hstack([values, between])], settings)  # the same draws
    (low, high), limits = both[:, : len(labels)], both[:, len(labels) :]
    pairs = pairings(labels, between, limits, settings)
    letters = groups(labels, pairs, settings.alpha)
    systems = tuple(map(System, labels, values.mean(axis=0).tolist(), low.tolist(), high.tolist(), letters))
    first = evaluations[0]
    shared = len({candidates_of(evaluation) for evaluation in evaluations}) == 1
    best = first.candidates.manifest["ceiling"].get(settings.measure) if shared else None
    ordered = tuple(evaluations[place] for place in order)
    return Comparison(first.dataset, systems, tuple(pairs), len(values), best, values, measured[0].query_ids, ordered)


def candidates_of(evaluation: Evaluation) -> str:
    """Digest of the candidates that a system started from."""
    return str(evaluation.candidates.manifest["run_digest"])


def _require_comparable(evaluations: Sequence[Evaluation], settings: Settings) -> None:
    first, *others = evaluations
    for other in others:
        digests = {each.result.manifest["dataset"]["digest"] for each in (first, other)}
        if len(digests) > 1:
            raise ResultError(
                f"{first.result.folder} and {other.result.folder} were measured on different documents, queries or "
                f"judgments, both under the name {other.dataset}. Compare results over one dataset."
            )
        if settings.same_candidates and candidates_of(first) != candidates_of(other):
            raise ResultError(
                f"{first.result.folder} and {other.result.folder} started from different candidates "
                f"({first.first_stage} and {other.first_stage}), so a difference may be the first stage's. Compare "
                "over the same candidates, or give --allow-different-candidates."
            )


def differences(values: Values) -> Values:
    """Every two columns, the first less the second: (rows, systems) to (rows, pairs)."""
    pairs = np.array(list(combinations(range(values.shape[1]), 2)), dtype=np.intp).reshape(-1, 2)
    return np.asarray(values[:, pairs[:, 0]] - values[:, pairs[:, 1]])


def bounds(datasets: Sequence[Values], settings: Settings) -> Values:
    """Low and high of the 95 % interval of each column's mean, shape (2, columns); of several datasets over them."""
    if settings.verdicts_only:
        return np.full((2, datasets[0].shape[1]), np.nan)
    seeded = {"seed": settings.seed, "samples": settings.samples}
    return intervals(datasets[0], **seeded) if len(datasets) == 1 else macro_intervals(datasets, **seeded)


def pairings(labels: Sequence[str], between: Values, limits: Values, settings: Settings) -> list[Pairing]:
    """Every two systems, which come best first, from their `differences`; `limits` are low and high of their means."""
    rule = settings.rule
    random_p = p_values([between], rule)
    t_p, smallest = _beside_the_test(between, settings)
    columns = zip(between.T, limits.T.tolist(), random_p, t_p, smallest, strict=True)
    return [
        Pairing(better, worse, float(column.mean()), low, high, p, t, *_counts(column), smallest)
        for (better, worse), (column, (low, high), p, t, smallest) in zip(combinations(labels, 2), columns, strict=True)
    ]


def _beside_the_test(between: Values, settings: Settings) -> tuple[list[float | None], list[float | None]]:
    """P-values of the t-test, and the smallest visible differences."""
    if settings.verdicts_only:
        return [math.nan] * between.shape[1], [None] * between.shape[1]
    t_p = t_test(between)
    known = t_p[~np.isnan(t_p)].tolist()
    corrected = iter(holm(known) if settings.correction == "holm" else known)
    return [None if math.isnan(p) else next(corrected) for p in t_p], _smallest(between, settings.rule)


def _counts(differences: Values) -> tuple[int, int, int]:
    return int((differences > 0).sum()), int((differences == 0).sum()), int((differences < 0).sum())


def _smallest(between: Values, rule: Rule) -> list[float | None]:
    """The smallest difference of each pair that is called real 8 times of 10, at the strictest corrected level."""
    count = between.shape[1]
    found = smallest_difference(between, alpha=rule.level(count)).tolist()
    return [value if value <= _GREATEST and len(between) >= rule.fewest(count) else None for value in found]


def groups(labels: Sequence[str], pairings: Sequence[Pairing], alpha: float) -> list[str]:
    """Letters of each system, given best first: two with a letter in common cannot be told apart at `alpha`.

    A letter is a largest set of systems without a difference between any two (Piepho 2004).
    """
    differ = {frozenset((pair.better, pair.worse)) for pair in pairings if pair.is_real(alpha)}
    sets: list[set[str]] = []
    for label in labels:
        alike = [{other for other in found if frozenset((other, label)) not in differ} | {label} for found in sets]
        sets = [*sets, *alike, {label}]
        sets = [found for place, found in enumerate(sets) if not _contained(found, place, sets)]
    sets.sort(key=lambda found: sorted(labels.index(label) for label in found))
    return ["".join(_letter(place) for place, found in enumerate(sets) if label in found) for label in labels]


def _contained(found: set[str], place: int, sets: Sequence[set[str]]) -> bool:
    return any(found < other or (found == other and before < place) for before, other in enumerate(sets))


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({number + 1})"  # noqa: PLR2004 - letters of the alphabet
