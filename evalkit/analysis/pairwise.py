"""Systems over the same candidates, compared query by query: is one better, or is it chance? Prints nothing.

A system is a reranker, or a first stage that rerankers started from. Within a dataset every two systems are compared
with paired tests over its queries; `overall` compares them over datasets. What is called real here, `significance.Rule`
says.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evalkit.analysis.flags import Fall
from evalkit.errors import ConfigError, ResultError
from evalkit.measures.significance import (
    ALPHA,
    CORRECTIONS,
    SAMPLES,
    Rule,
    Values,
    holm,
    intervals,
    p_values,
    smallest_difference,
    t_test,
)
from evalkit.results import Evaluation
from evalkit.results.gather import names, per_query

_GREATEST = 1.0  # difference that a measure can have


class Settings(NamedTuple):
    """How to compare.

    Attributes:
        measure: such as `nDCG@10`.
        correction: of the p-values for the number of pairs: `holm` or `none`.
        alpha: below this a difference is called one.
        seed: of everything random.
        samples: draws.
        same_candidates: whether other candidates are refused.
        first_stage: whether the first stages that rerankers started from are systems too.
    """

    measure: str = "nDCG@10"
    correction: str = CORRECTIONS[0]
    alpha: float = ALPHA
    seed: int = 0
    samples: int = SAMPLES
    same_candidates: bool = True
    first_stage: bool = True

    @property
    def rule(self) -> Rule:
        """When a difference is called real."""
        return Rule(self.correction, self.alpha, self.seed, self.samples)


class System(NamedTuple):
    """One system on one dataset, or over all.

    Attributes:
        name: as in tables.
        mean: of the measure.
        low: of its 95 % bootstrap interval.
        high: of the same.
        groups: letters; two systems that share one cannot be told apart.
    """

    name: str
    mean: float
    low: float
    high: float
    groups: str = ""


class Pairing(NamedTuple):
    """Two systems.

    Attributes:
        better: the one with the higher mean.
        worse: the other.
        difference: of their means, not below 0.
        low: lower end of the paired 95 % bootstrap interval of the difference, not corrected.
        high: upper end of the same.
        randomisation: p-value of the paired randomisation test, corrected. It alone says what is real.
        t: p-value of the paired t-test, corrected.
        wins: queries on which the better system is better.
        ties: queries on which both have the same value.
        losses: the others.
        smallest: difference that so many queries would show 8 times of 10; None where they can show none.
    """

    better: str
    worse: str
    difference: float
    low: float
    high: float
    randomisation: float
    t: float
    wins: int
    ties: int
    losses: int
    smallest: float | None

    def is_real(self, alpha: float) -> bool:
        """Whether the difference is called real."""
        return self.randomisation < alpha


@dataclass(frozen=True)
class Comparison:
    """All systems on one dataset.

    Attributes:
        dataset: its name.
        systems: best first.
        pairings: every two of them, in the order of `systems`; none where there is one system only.
        queries: judged ones.
        ceiling: of the candidates; None where these differ.
        values: shape (queries, systems), in the order of `systems`.
        query_ids: of the rows of `values`.
        evaluations: in the order of `systems`.
    """

    dataset: str
    systems: tuple[System, ...]
    pairings: tuple[Pairing, ...]
    queries: int
    ceiling: float | None
    values: Values
    query_ids: tuple[str, ...]
    evaluations: tuple[Evaluation, ...]


def compare(evaluations: Sequence[Evaluation], settings: Settings) -> list[Comparison]:
    """Every dataset; one with a single system has no pairs.

    Raises:
        ResultError: candidates or datasets differ.
    """
    given: dict[str, list[Evaluation]] = defaultdict(list)
    for one in evaluations:
        given[one.dataset].append(one)
    systems = [one for some in given.values() for one in _systems(some, settings)]
    named = list(zip(names(systems), systems, strict=True))
    return [
        _compare(dataset, [(name, one) for name, one in named if one.dataset == dataset], settings) for dataset in given
    ]


def require_pairs(comparisons: Sequence[Comparison]) -> None:
    """Refuse comparisons in which there is nothing to compare.

    Raises:
        ConfigError: no dataset has two systems.
    """
    if not any(one.pairings for one in comparisons):
        found = ", ".join(f"{one.systems[0].name} on {one.dataset}" for one in comparisons)
        raise ConfigError(
            f"there is one system only ({found}). Give two results over the same dataset, or leave the first stage in."
        )


def falls(comparison: Comparison, settings: Settings) -> dict[Path, Fall]:
    """Folder of each reranker that is below the first stage it started from -> by what verdict."""
    stages = {
        _candidates(one): system.name
        for one, system in zip(comparison.evaluations, comparison.systems, strict=True)
        if one.is_first_stage
    }
    pairs = {(one.better, one.worse): one for one in comparison.pairings}
    found = {}
    for one, system in zip(comparison.evaluations, comparison.systems, strict=True):
        pair = pairs.get((stages.get(_candidates(one), ""), system.name))
        if pair is not None:
            count = len(pairs) if settings.correction == "holm" else 1
            found[one.result.folder] = Fall(pair.randomisation, count, real=pair.is_real(settings.alpha))
    return found


def _systems(evaluations: Sequence[Evaluation], settings: Settings) -> list[Evaluation]:
    """What is compared on a dataset. A first stage is there once, though its own folder and `none` both hold it."""
    _require_comparable(evaluations, settings)
    rerankers = [one for one in evaluations if not one.is_first_stage]
    stages = [one for one in evaluations if one.is_first_stage]
    if settings.first_stage:
        stages += [Evaluation(one.candidates, one.candidates) for one in rerankers]
    once = {(one.first_stage, _candidates(one)): one for one in stages}
    return [*rerankers, *once.values()]


def _compare(dataset: str, named: Sequence[tuple[str, Evaluation]], settings: Settings) -> Comparison:
    evaluations = [one for _, one in named]
    measured = [per_query(one.result, settings.measure) for one in evaluations]
    values = np.column_stack([one.values[settings.measure] for one in measured])
    order = np.argsort(-values.mean(axis=0), kind="stable")
    labels = [named[place][0] for place in order]
    values = values[:, order]
    between = differences(values)
    seeded = {"seed": settings.seed, "samples": settings.samples}
    pairs = pairings(labels, between, intervals(between, **seeded), settings)
    low, high = intervals(values, **seeded)
    letters = groups(labels, pairs, settings.alpha)
    systems = tuple(map(System, labels, values.mean(axis=0).tolist(), low.tolist(), high.tolist(), letters))
    shared = len({_candidates(one) for one in evaluations}) == 1
    best = evaluations[0].candidates.manifest["ceiling"].get(settings.measure) if shared else None
    ordered = tuple(evaluations[place] for place in order)
    return Comparison(dataset, systems, tuple(pairs), len(values), best, values, measured[0].query_ids, ordered)


def _candidates(evaluation: Evaluation) -> str:
    return str(evaluation.candidates.manifest["run_digest"])


def _require_comparable(evaluations: Sequence[Evaluation], settings: Settings) -> None:
    first = evaluations[0]
    for one in evaluations[1:]:
        digests = [each.result.manifest["dataset"]["digest"] for each in (first, one)]
        if digests[0] != digests[1]:
            raise ResultError(
                f"{first.result.folder} and {one.result.folder} were measured on different documents, queries or "
                f"judgments, both under the name {one.dataset}. Compare results over one dataset."
            )
        if settings.same_candidates and _candidates(first) != _candidates(one):
            raise ResultError(
                f"{first.result.folder} and {one.result.folder} started from different candidates ({first.first_stage} "
                f"and {one.first_stage}), so a difference may be the first stage's. Compare over the same candidates, "
                "or give --allow-different-candidates."
            )


def differences(values: Values) -> Values:
    """Every two columns, the first less the second: (rows, systems) to (rows, pairs)."""
    pairs = np.array(list(combinations(range(values.shape[1]), 2)), dtype=np.intp).reshape(-1, 2)
    return np.asarray(values[:, pairs[:, 0]] - values[:, pairs[:, 1]])


def pairings(labels: Sequence[str], between: Values, bounds: Values, settings: Settings) -> list[Pairing]:
    """Every two systems, which come best first, from their `differences`; `bounds` are low and high of their means."""
    rule = settings.rule
    random_p = p_values([between], rule)
    t_p = t_test(between).tolist()
    t_p = holm(t_p) if rule.correction == "holm" else t_p
    low, high = bounds
    smallest = _smallest(between, rule)
    return [
        Pairing(
            better,
            worse,
            float(column.mean()),
            float(low[place]),
            float(high[place]),
            random_p[place],
            t_p[place],
            *_counts(column),
            smallest[place],
        )
        for place, ((better, worse), column) in enumerate(zip(combinations(labels, 2), between.T, strict=True))
    ]


def _smallest(between: Values, rule: Rule) -> list[float | None]:
    """The smallest difference of each pair that is called real 8 times of 10, at the strictest corrected level."""
    count = between.shape[1]
    found = smallest_difference(between, alpha=rule.level(count)).tolist()
    return [value if value <= _GREATEST and len(between) >= rule.fewest(count) else None for value in found]


def _counts(differences: Values) -> tuple[int, int, int]:
    return int((differences > 0).sum()), int((differences == 0).sum()), int((differences < 0).sum())


def groups(labels: Sequence[str], pairings: Sequence[Pairing], alpha: float) -> list[str]:
    """Letters of each system, given best first: two that share one cannot be told apart at `alpha`.

    A letter is a set of systems without a difference among any two, that is in no larger such set (Piepho 2004).
    """
    differ = {frozenset((one.better, one.worse)) for one in pairings if one.is_real(alpha)}
    sets: list[set[str]] = []
    for label in labels:
        grown = [{other for other in one if frozenset((other, label)) not in differ} | {label} for one in sets]
        sets = [*sets, *grown, {label}]
        sets = [one for number, one in enumerate(sets) if not _contained(one, number, sets)]
    sets.sort(key=lambda one: sorted(labels.index(label) for label in one))
    return ["".join(_letter(number) for number, one in enumerate(sets) if label in one) for label in labels]


def _contained(one: set[str], number: int, sets: Sequence[set[str]]) -> bool:
    return any(one < other or (one == other and place < number) for place, other in enumerate(sets))


def _letter(number: int) -> str:
    return chr(ord("a") + number) if number < 26 else f"({number + 1})"  # noqa: PLR2004 - letters of the alphabet
