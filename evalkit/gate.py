"""Did a number fall? Results against a baseline, query by query. Prints nothing.

The rule, for every result and measure: a **regression** is a drop of the mean by more than `tolerance` of which the
paired 95 % bootstrap interval over queries lies wholly below 0. So noise does not fail, and neither does a change that
is certain but too small to matter; that is reported as **drifting**, and since the baseline stays, small drops add up
until they are a regression. An improvement is the mirror image. What cannot be judged is never taken for fine.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evalkit import strict_json
from evalkit.errors import ResultError
from evalkit.folders import write_output
from evalkit.gather import measure_of, per_query
from evalkit.results import Evaluation, Result
from evalkit.run import Run
from evalkit.significance import SAMPLES, intervals

TOLERANCE = 0.005
FORMAT = 1
_DIGITS = 6  # of values in the baseline; a mean of them is off by less than 1e-6

FINE, REGRESSION, DRIFTING, IMPROVED, NEW = "fine", "regression", "drifting", "improved", "not in the baseline"
UNJUDGED = "could not be judged"


class Name(NamedTuple):
    """What a result is known by from one day to the next. The reranker of a first stage is empty."""

    dataset: str
    first_stage: str
    reranker: str

    def __str__(self) -> str:
        return " / ".join(part for part in self if part)


@dataclass(frozen=True)
class Entry:
    """A result in a baseline.

    Attributes:
        name: what it is known by.
        dataset_digest: of documents, queries and judgments.
        candidates_digest: of which documents each query's candidates are, whatever their scores.
        measures: measure -> query -> value, rounded to six digits.
    """

    name: Name
    dataset_digest: str
    candidates_digest: str
    measures: Mapping[str, Mapping[str, float]]


class Judgement(NamedTuple):
    """One result and measure.

    Attributes:
        name: of the result.
        measure: None where the result as a whole could not be judged.
        status: `fine`, `regression`, `drifting`, `improved`, `not in the baseline`, or `could not be judged`.
        before: mean in the baseline.
        now: mean.
        low: of the paired interval of the difference.
        high: of the same.
        reason: why it could not be judged.
    """

    name: Name
    measure: str | None
    status: str
    before: float | None = None
    now: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def entries(
    evaluations: Iterable[Evaluation], measures: Sequence[str] = (), *, baseline: Sequence[Entry] = ()
) -> list[Entry]:
    """Every result, and every first stage once, as a baseline keeps them, in the order of their names.

    Args:
        evaluations: found ones.
        measures: names; when none are given, those in the baseline, and else those that the result was asked for.
        baseline: that the entries will be compared with.

    Raises:
        ResultError: two results have one name.
    """
    found: dict[Name, Entry] = {}
    folders: dict[Name, Path] = {}
    kept = {entry.name: tuple(entry.measures) for entry in baseline}
    for one in evaluations:
        for each in dict.fromkeys([one.candidates.folder, one.result.folder]):
            first_stage = each == one.candidates.folder or one.is_first_stage
            result = one.candidates if first_stage else one.result
            name = Name(one.dataset, one.first_stage, "" if first_stage else one.reranker)
            if folders.setdefault(name, result.folder) != result.folder:
                raise ResultError(
                    f"{folders[name]} and {result.folder} are both {name}. Give one of them, or keep them in different "
                    "results folders."
                )
            if name not in found:
                chosen = [measure_of([one], measure) for measure in measures]
                asked = chosen or kept.get(name) or one.result.manifest["config"]["measures"]
                found[name] = _entry(name, result, one.candidates, asked)
    return [found[name] for name in sorted(found)]


def _entry(name: Name, result: Result, candidates: Result, measures: Sequence[str]) -> Entry:
    values = {}
    for measure in measures:
        measured = per_query(result, measure)
        column = measured.values[measure].round(_DIGITS).tolist()
        values[measure] = dict(zip(measured.query_ids, column, strict=True))
    return Entry(name, result.manifest["dataset"]["digest"], _documents_digest(candidates.read_run()), values)


def _documents_digest(candidates: Run) -> str:
    """Of the set of each query's candidates: scores that differ in the last bit on another machine do not matter."""
    state = hashlib.sha256()
    for query_id, doc_ids, _ in candidates:
        state.update("\0".join([query_id, *sorted(doc_ids)]).encode() + b"\1")
    return state.hexdigest()


def judge(
    baseline: Sequence[Entry],
    now: Sequence[Entry],
    *,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    samples: int = SAMPLES,
) -> list[Judgement]:
    """Every entry of the baseline, then what is not in it."""
    present = {entry.name: entry for entry in now}
    known = {entry.name for entry in baseline}
    found: list[Judgement] = []
    for entry in baseline:
        reason = _unjudgeable(entry, present.get(entry.name))
        if reason:
            found.append(Judgement(entry.name, None, UNJUDGED, reason=reason))
            continue
        own = present[entry.name]
        found += [_judged(entry, own, measure, tolerance, seed, samples) for measure in entry.measures]
    for entry in now:
        if entry.name not in known:
            means = {measure: float(np.mean(list(own.values()))) for measure, own in entry.measures.items()}
            found += [Judgement(entry.name, measure, NEW, now=mean) for measure, mean in means.items()]
    return found


def _unjudgeable(entry: Entry, now: Entry | None) -> str:
    if now is None:
        return "there is no such result"
    if now.dataset_digest != entry.dataset_digest:
        return "documents, queries or judgments are not those of the baseline"
    # The candidates of a first stage are its result, and are measured.
    if entry.name.reranker and now.candidates_digest != entry.candidates_digest:
        return "the candidates are not those of the baseline"
    return ""


def _judged(entry: Entry, now: Entry, measure: str, tolerance: float, seed: int, samples: int) -> Judgement:
    if measure not in now.measures:
        return Judgement(entry.name, measure, UNJUDGED, reason=f"the result has no {measure}")
    before, after = entry.measures[measure], now.measures[measure]
    if before.keys() != after.keys():
        return Judgement(entry.name, measure, UNJUDGED, reason="the judged queries are not those of the baseline")
    values = np.array([[before[query_id], after[query_id]] for query_id in sorted(before)])
    low, high = intervals(values[:, 1:] - values[:, :1], seed=seed, samples=samples)[:, 0].tolist()
    first, second = values.mean(axis=0).tolist()
    return Judgement(entry.name, measure, _status(second - first, low, high, tolerance), first, second, low, high)


def _status(difference: float, low: float, high: float, tolerance: float) -> str:
    if high < 0:
        return REGRESSION if difference < -tolerance else DRIFTING
    return IMPROVED if low > 0 and difference > tolerance else FINE


def exit_code(judgements: Sequence[Judgement]) -> int:
    """1 if anything regressed, which is certain; else 2 if anything could not be judged; else 0."""
    statuses = {one.status for one in judgements}
    return 1 if REGRESSION in statuses else 2 if UNJUDGED in statuses else 0


def read_baseline(path: Path) -> list[Entry]:
    """A baseline.

    Raises:
        ResultError: it is absent, or not one.
    """
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
        return [_read(entry) for entry in _of_this_format(found)["results"]]
    except FileNotFoundError as error:
        raise ResultError(f"{path}: there is no such baseline. Write one with --update.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultError(f"{path}: is no baseline that evalkit wrote ({error}). Restore it, or --update.") from error


def _of_this_format(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"format is not {FORMAT}")
    return found


def _read(entry: dict[str, Any]) -> Entry:
    measures = {
        str(measure): {query: _finite(value) for query, value in zip(entry["queries"], own["values"], strict=True)}
        for measure, own in entry["measures"].items()
    }
    if not measures or not entry["queries"]:
        raise ValueError("an entry has no values")
    name = Name(str(entry["dataset"]), str(entry["first_stage"]), str(entry["reranker"]))
    return Entry(name, str(entry["dataset_digest"]), str(entry["candidates_digest"]), measures)


def _finite(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= 1:
        raise ValueError(f"a value is {value!r}, not a number from 0 to 1")
    return float(value)


def write_baseline(path: Path, kept: Sequence[Entry]) -> None:
    """Write a baseline; the same results give the same bytes.

    Raises:
        OSError: it cannot be written; what was there is kept.
    """
    rows = []
    for entry in sorted(kept, key=lambda one: one.name):
        queries = sorted(next(iter(entry.measures.values())))
        measures = {
            measure: {"mean": round(sum(own.values()) / len(own), _DIGITS), "values": [own[query] for query in queries]}
            for measure, own in sorted(entry.measures.items())
        }
        digests = {"dataset_digest": entry.dataset_digest, "candidates_digest": entry.candidates_digest}
        rows.append({**entry.name._asdict(), **digests, "queries": queries, "measures": measures})
    whole = {"format": FORMAT, "evalkit": version("evalkit"), "results": rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
