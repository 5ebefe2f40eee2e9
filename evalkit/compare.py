"""Systems over the same candidates, compared query by query: is one better, or is it chance? Prints nothing.

A system is a reranker, or the first stage that all rerankers started from. Within a dataset every two systems are
compared with paired tests over its queries; `overall` compares them over datasets.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from evalkit.errors import ConfigError, ResultError
from evalkit.gather import names, per_query
from evalkit.results import Evaluation
from evalkit.significance import (
    SAMPLES,
    Values,
    holm,
    intervals,
    randomisation_test,
    smallest_difference,
    t_test,
)

CORRECTIONS = ("holm", "none")


class Settings(NamedTuple):
    """How to compare.

    Attributes:
        measure: such as `nDCG@10`.
        correction: of the p-values for the number of pairs: `holm` or `none`.
        alpha: below this a difference is called one.
        seed: of everything random.
        samples: draws.
        same_candidates: whether other candidates are refused.
        first_stage: whether the first stage is a system too, where all systems share it.
    """

    measure: str = "nDCG@10"
    correction: str = "holm"
    alpha: float = 0.05
    seed: int = 0
    samples: int = SAMPLES
    same_candidates: bool = True
    first_stage: bool = True


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
        low: of the paired 95 % bootstrap interval of the difference.
        high: of the same.
        randomisation: p-value of the paired randomisation test, corrected.
        t: p-value of the paired t-test, corrected.
        wins: queries on which the better system is better.
        ties: queries on which both have the same value.
        losses: the others.
        smallest: difference that a t-test over so many queries would find 8 times of 10.
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
    smallest: float


@dataclass(frozen=True)
class Comparison:
    """All systems on one dataset.

    Attributes:
        dataset: its name.
        systems: best first.
        pairings: every two of them, in the order of `systems`.
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
    """Every dataset with at least two systems.

    Raises:
        ConfigError: there is nothing to compare.
        ResultError: candidates or datasets differ.
    """
    by_dataset: dict[str, list[Evaluation]] = defaultdict(list)
    for one in evaluations:
        by_dataset[one.dataset].append(one)
    found = [_compare(name, _distinct(some), settings) for name, some in by_dataset.items()]
    compared = [one for one in found if one is not None]
    if not compared:
        raise ConfigError(
            "there is one system only. Give two results over the same dataset, or leave the first stage in."
        )
    return compared


def _distinct(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Without a first stage that is there under several names: its own folder and `none`."""
    kept = [one for one in evaluations if not one.is_first_stage]
    stages = {one.candidates.manifest["run_digest"]: one for one in evaluations if one.is_first_stage}
    return [*kept, *stages.values()]


def _compare(dataset: str, evaluations: list[Evaluation], settings: Settings) -> Comparison | None:
    _require_comparable(evaluations, settings)
    shared = len({_candidates(one) for one in evaluations}) == 1
    if settings.first_stage and shared and not any(one.is_first_stage for one in evaluations):
        stage = evaluations[0].candidates
        evaluations = [*evaluations, Evaluation(stage, stage)]
    if len(evaluations) < 2:  # noqa: PLR2004 - a pair
        return None
    measured = [per_query(one.result, settings.measure) for one in evaluations]
    values = np.column_stack([one.values[settings.measure] for one in measured])
    order = np.argsort(-values.mean(axis=0), kind="stable")
    named = names(evaluations)
    labels = [named[place] for place in order]
    values = values[:, order]
    pairings = _pairings(labels, values, settings)
    low, high = intervals(values, seed=settings.seed, samples=settings.samples)
    letters = groups(labels, pairings, settings.alpha)
    systems = tuple(map(System, labels, values.mean(axis=0).tolist(), low.tolist(), high.tolist(), letters))
    best = evaluations[0].candidates.manifest["ceiling"].get(settings.measure) if shared else None
    ordered = tuple(evaluations[place] for place in order)
    return Comparison(dataset, systems, tuple(pairings), len(values), best, values, measured[0].query_ids, ordered)


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


def _pairings(labels: Sequence[str], values: Values, settings: Settings) -> list[Pairing]:
    """Every two columns, which come best first."""
    between = differences(values)
    seeded = {"seed": settings.seed, "samples": settings.samples}
    p_values = randomisation_test(between, **seeded).tolist(), t_test(between).tolist()
    return pairings(labels, between, intervals(between, **seeded), p_values, settings)


def differences(values: Values) -> Values:
    """Every two columns, the first less the second: (rows, systems) to (rows, pairs)."""
    pairs = combinations(range(values.shape[1]), 2)
    return np.column_stack([values[:, first] - values[:, second] for first, second in pairs])


def pairings(
    labels: Sequence[str], between: Values, bounds: Values, p_values: Sequence[list[float]], settings: Settings
) -> list[Pairing]:
    """Every two systems from their `differences`; `bounds` are low and high, `p_values` both tests', uncorrected."""
    corrected = holm if settings.correction == "holm" else list
    random_p, t_p = [corrected(one) for one in p_values]
    low, high = bounds
    smallest = smallest_difference(between, alpha=settings.alpha)
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
            float(smallest[place]),
        )
        for place, ((better, worse), column) in enumerate(zip(combinations(labels, 2), between.T, strict=True))
    ]


def _counts(differences: Values) -> tuple[int, int, int]:
    return int((differences > 0).sum()), int((differences == 0).sum()), int((differences < 0).sum())


def groups(labels: Sequence[str], pairings: Sequence[Pairing], alpha: float) -> list[str]:
    """Letters of each system, given best first: two that share one cannot be told apart at `alpha`.

    A letter is a set of systems without a difference among any two, that is in no larger such set (Piepho 2004).
    """
    differ = {frozenset((one.better, one.worse)) for one in pairings if one.randomisation < alpha}
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
