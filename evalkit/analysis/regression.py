"""Did a number fall? Results against a baseline, query by query. Prints nothing.

A **regression** of a result and measure is a drop of the mean by more than `tolerance` that is real by
`significance.Rule`: the paired randomisation test over queries, with Holm's correction for everything that the gate
judges. So noise does not fail. A real drop that is too small to matter is reported as **drifting**; since the baseline
stays, small drops add up until they are a regression. An improvement is the mirror image. A result that cannot be
judged never counts as fine.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from evalkit.analysis.baseline import DIGITS, BaselineEntry, Name
from evalkit.config.python_object import UNIQUE
from evalkit.errors import ResultError
from evalkit.formats.notes import listed
from evalkit.measures.significance import Rule, Values, intervals, p_values
from evalkit.results import Evaluation, Result
from evalkit.results.gather import measure_of, per_query

TOLERANCE = 0.005

_RULE = Rule()

FINE, REGRESSION, DRIFTING, IMPROVED, NEW = "fine", "regression", "drifting", "improved", "not in the baseline"
UNJUDGED = "could not be judged"


class Judgement(NamedTuple):
    """One result and measure.

    Attributes:
        measure: None where the result could not be judged and has none of the measures that were asked for.
        status: `fine`, `regression`, `drifting`, `improved`, `not in the baseline`, or `could not be judged`.
        before: mean in the baseline; `now` is the mean of the result.
        low: lower end of the paired 95 % interval of the difference, not corrected.
        high: upper end of the same.
        p: p-value of the difference, corrected for everything that is judged.
        reason: why it could not be judged, or is fine although it fell by more than the tolerance.
    """

    name: Name
    measure: str | None
    status: str
    before: float | None = None
    now: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reason: str = ""


def entries(
    evaluations: Iterable[Evaluation], measures: Sequence[str] = (), *, baseline: Sequence[BaselineEntry] = ()
) -> list[BaselineEntry]:
    """Every result, and every first stage once, as entries of a baseline, in the order of their names.

    Without `measures`, those in the baseline count, or else those that the result was asked for.

    Raises:
        ResultError: two results have one name.
    """
    found: dict[Name, BaselineEntry] = {}
    results: dict[Name, Result] = {}
    known = {entry.name: tuple(entry.measures) for entry in baseline}
    for evaluation in evaluations:
        both = {evaluation.candidates.folder: evaluation.candidates}
        if not evaluation.is_first_stage:
            both[evaluation.result.folder] = evaluation.result
        for result in both.values():
            reranker = "" if result is evaluation.candidates else evaluation.reranker
            name = Name(evaluation.dataset, evaluation.first_stage, reranker)
            _require_one(name, results.setdefault(name, result), result)
            if name not in found:
                chosen = [measure_of([evaluation], measure) for measure in measures]
                asked = chosen or known.get(name) or evaluation.result.manifest["config"]["measures"]
                found[name] = _entry(name, result, evaluation.candidates, asked)
    return [found[name] for name in sorted(found)]


def _require_one(name: Name, first: Result, second: Result) -> None:
    if first.folder != second.folder:
        raise ResultError(
            f"{first.folder} and {second.folder} are both {name}, and differ in {_differing(first, second)}. Give the "
            "folder of the one to judge, or keep them in different results folders."
        )


def _differing(first: Result, second: Result) -> str:
    """Up to three settings in which two results of a name differ, with both values."""
    both = ours, theirs = tuple(
        {
            f"{group}.{key}": value
            for group in ("dataset", "retriever", "reranker", "compute")
            for part in (result.manifest["config"], result.manifest)
            for key, value in part.get(group, {}).items()
        }
        for result in (first, second)
    )
    apart = [
        f"{key} ({' and '.join(_shown(side.get(key)) for side in both)})"
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key) and not key.endswith(f".{UNIQUE}")
    ]
    if not apart and any(key.endswith(f".{UNIQUE}") for key in ours):
        return "nothing that is known, since the object has no identity"
    return ", ".join(apart[:3]) or "nothing that their manifests hold"


def _shown(value: object) -> str:
    return "none" if value is None or value == "" else str(value)


def _entry(name: Name, result: Result, candidates: Result, measures: Sequence[str]) -> BaselineEntry:
    measured, values = per_query(result, *measures), {}
    for measure in measures:
        column = measured.values[measure].round(DIGITS).tolist()
        values[measure] = dict(zip(measured.query_ids, column, strict=True))
    missing = frozenset(result.manifest["queries_without_candidates"])
    documents = candidates.read_run().documents_digest()
    return BaselineEntry(name, result.manifest["dataset"]["digest"], documents, values, missing)


def with_other_measures(now: Sequence[BaselineEntry], baseline: Sequence[BaselineEntry]) -> list[BaselineEntry]:
    """Entries of some measures with the others of the baseline, where these are of the same data and queries."""
    present = {entry.name: entry for entry in now}
    found = {}
    for entry in baseline:
        own = present.get(entry.name)
        if own and not _unjudgeable(entry, present) and _queries(own) == _queries(entry):
            found[entry.name] = replace(own, measures={**entry.measures, **own.measures})
    return [found.get(entry.name, entry) for entry in now]


def _queries(entry: BaselineEntry) -> set[str]:
    return set(next(iter(entry.measures.values())))


def judge(
    baseline: Sequence[BaselineEntry],
    now: Sequence[BaselineEntry],
    *,
    tolerance: float = TOLERANCE,
    measures: Sequence[str] = (),
    rule: Rule = _RULE,
) -> list[Judgement]:
    """Every entry of the baseline, then the entries that it lacks; all of its measures unless some are given."""
    present = {entry.name: entry for entry in now}
    known = {entry.name for entry in baseline}
    found: list[Judgement | _Pair] = []
    for entry in baseline:
        wanted = [name for name in entry.measures if not measures or name in measures]
        if reason := _unjudgeable(entry, present):
            found += [Judgement(entry.name, name, UNJUDGED, reason=reason) for name in wanted or (None,)]
            continue
        own = present[entry.name]
        found += [_paired(entry, own, measure) for measure in wanted]
        found += _new(own, [name for name in own.measures if name not in entry.measures])
    for entry in now:
        if entry.name not in known:
            found += _new(entry, list(entry.measures))
    return _judged(found, tolerance, rule)


def _new(entry: BaselineEntry, measures: Sequence[str]) -> list[Judgement]:
    means = {measure: float(np.mean(list(entry.measures[measure].values()))) for measure in measures}
    return [Judgement(entry.name, measure, NEW, now=mean) for measure, mean in means.items()]


def _unjudgeable(entry: BaselineEntry, present: Mapping[Name, BaselineEntry]) -> str:
    now = present.get(entry.name)
    if now is None:
        same = entry.name.dataset, entry.name.reranker
        near = [str(name) for name in present if (name.dataset, name.reranker) == same]
        nearest = f"; the nearest {'is' if len(near) == 1 else 'are'} {listed(near)}" if near else ""
        return f"there is no such result{nearest}"
    if now.dataset_digest != entry.dataset_digest:
        return "documents, queries or judgments are not those of the baseline"
    # The candidates of a first stage are its result, and are measured.
    if entry.name.reranker and now.candidates_digest != entry.candidates_digest:
        return "the candidates are not those of the baseline"
    if lost := sorted(now.missing & _with_documents(entry) if now.missing else ()):
        have = "query has" if len(lost) == 1 else "queries have"
        return f"{len(lost):,} {have} documents in the baseline and none now, such as {lost[0]}"
    return ""


def _with_documents(entry: BaselineEntry) -> set[str]:
    """Queries with documents; where the baseline does not say, those with a value that none without has."""
    values = entry.measures.values()
    if entry.missing is None:
        return {query_id for own in values for query_id, value in own.items() if value}
    return {query_id for own in values for query_id in own} - entry.missing


class _Pair(NamedTuple):
    """Values to test, shape (queries, 2): before and now."""

    name: Name
    measure: str
    values: Values


def _paired(entry: BaselineEntry, now: BaselineEntry, measure: str) -> Judgement | _Pair:
    if measure not in now.measures:
        return Judgement(entry.name, measure, UNJUDGED, reason=f"the result has no {measure}")
    before, after = entry.measures[measure], now.measures[measure]
    if before.keys() != after.keys():
        return Judgement(entry.name, measure, UNJUDGED, reason="the judged queries are not those of the baseline")
    values = np.array([[before[query_id], after[query_id]] for query_id in sorted(before)])
    return _Pair(entry.name, measure, values)


def _judged(found: Sequence[Judgement | _Pair], tolerance: float, rule: Rule) -> list[Judgement]:
    """All pairs are tested together, and their p-values are corrected for that."""
    changes = [pair.values[:, 1:] - pair.values[:, :1] for pair in found if isinstance(pair, _Pair)]
    tested = zip(changes, p_values(changes, rule), strict=True)
    judged = []
    for pair in found:
        if isinstance(pair, Judgement):
            judged.append(pair)
            continue
        change, p = next(tested)
        low, high = intervals(change, seed=rule.seed, samples=rule.samples)[:, 0].tolist()
        first, second = pair.values.mean(axis=0).tolist()
        status = _status(second - first, tolerance, real=p < rule.alpha)
        changed, fewest = int(np.count_nonzero(change)), rule.fewest(len(changes))
        reason = _doubt(changed, fewest) if status == FINE and second - first < -tolerance else ""
        judged.append(Judgement(pair.name, pair.measure, status, first, second, low, high, p, reason))
    return judged


def _doubt(changed: int, fewest: int) -> str:
    """Why a drop beyond the tolerance is not a regression."""
    if changed >= fewest:
        return "fell by more than the tolerance, which may be chance"
    queries = "1 query" if changed == 1 else f"{changed} queries"
    return f"fell by more than the tolerance, but in {queries}, too few to tell from chance; it takes {fewest}"


def _status(difference: float, tolerance: float, *, real: bool) -> str:
    if not real:
        return FINE
    if difference < 0:
        return REGRESSION if difference < -tolerance else DRIFTING
    return IMPROVED if difference > tolerance else FINE


def exit_code(judgements: Sequence[Judgement]) -> int:
    """1 if anything regressed, which is certain; else 2 if anything could not be judged, or nothing was; else 0."""
    statuses = {judgement.status for judgement in judgements}
    return 1 if REGRESSION in statuses else 2 if UNJUDGED in statuses or statuses <= {NEW} else 0
