"""Why a number is off: the number under each other way of counting, and commands for other ways of running.

Other ways of counting need no model: the runs on disk are measured again. Other ways of running change the text that a
model reads; each is a command over a sample of the queries. Once it was run, its effect is measured on the queries that
both results have.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from evalkit.analysis.one_pass import at_depth, no_curve
from evalkit.analysis.published.tables import PublishedColumn, PublishedRow
from evalkit.analysis.published.verdicts import part_of
from evalkit.measures import measure, parse_measure
from evalkit.measures.ties import tie_range
from evalkit.results import Evaluation, Result
from evalkit.results.gather import dataset_of, per_query
from evalkit.run import Run
from evalkit.types import Dataset, Qrels

SAMPLE = 50  # queries of another way of running
FOLDER = "explain"  # of their results


class Toggle(NamedTuple):
    """Another way of counting, or of running.

    Attributes:
        value: the cell under it, in points; None where it was not run.
        moved: difference from ours, in points.
        command: command that runs it; empty for a way of counting.
    """

    what: str
    value: float | None
    moved: float | None
    command: str = ""


class _Judged(NamedTuple):
    part: tuple[str, str]  # of the cell: first stage and dataset
    result: Result
    dataset: Dataset

    def measured(self, name: str, run: Run, qrels: Qrels | None = None) -> float | None:
        """The mean of a measure of another run; None without judgments of documents."""
        qrels = self.dataset.qrels if qrels is None else qrels
        return measure(qrels, run, [name]).means[name] if qrels and not parse_measure(name).by_answers else None


def explain(
    row: PublishedRow,
    column: PublishedColumn,
    chosen: Sequence[Evaluation],
    sampled: Sequence[Evaluation],
) -> list[Toggle]:
    """Every toggle, those that move the number most first, those that were not run last.

    `chosen` has the evaluation of each dataset of the column, `sampled` the results of the commands so far.

    Raises:
        DataError: a collection is not at hand.
    """
    sources = []
    for evaluation in chosen:
        result = evaluation.candidates if row.is_first_stage else evaluation.result
        sources.append(_Judged(part_of(evaluation), result, dataset_of(result)))
    toggles = _counted(column, sources)
    if not row.is_first_stage:
        toggles += _depths(column, chosen, sources)
        toggles += _other_runs(row, column, chosen, sampled)
    return sorted(toggles, key=lambda toggle: -1.0 if toggle.moved is None else abs(toggle.moved), reverse=True)


def _counted(column: PublishedColumn, sources: Sequence[_Judged]) -> list[Toggle]:
    """Other ways of counting."""
    name = column.measure
    means = _means(column, sources)
    ours = _points(column, means, sources)
    ways: dict[str, Callable[[_Judged, str], float | None]] = {
        "documents with the query's own id dropped": _without_own_ids,
        "queries without any candidate left out": _answered_only,
        "queries without a relevant document left out": _relevant_only,
        "ties in their best order": lambda source, name: _tied(source, name, best=True),
        "ties in their worst order": lambda source, name: _tied(source, name, best=False),
        "ties by ascending document id": _ascending,
    }
    toggles = []
    for what, count in ways.items():
        values = [count(source, name) for source in sources]
        if any(value is not None for value in values):
            known = [mean if value is None else value for value, mean in zip(values, means, strict=True)]
            points = _points(column, known, sources)
            toggles.append(Toggle(what, points, points - ours))
    return [*toggles, *_averages(column, sources, ours)]


def _means(column: PublishedColumn, sources: Sequence[_Judged]) -> list[float]:
    return [source.result.manifest["measures"][column.measure] for source in sources]


def _points(column: PublishedColumn, values: Sequence[float], sources: Sequence[_Judged]) -> float:
    mean = column.mean({source.part: value for source, value in zip(sources, values, strict=True)})
    assert mean is not None, "only complete cells are explained"
    return 100 * mean


def _averages(column: PublishedColumn, sources: Sequence[_Judged], ours: float) -> list[Toggle]:
    """Other averages of the same numbers, where there is more than one dataset."""
    if len(sources) < 2:  # noqa: PLR2004 - one dataset has no average
        return []
    means = _means(column, sources)
    queries = [source.result.manifest["queries"] for source in sources]
    rounded = [round(100 * value, 2) / 100 for value in means]
    found = {
        "every query counts once": 100 * float(np.average(means, weights=queries)),
        "numbers rounded to two digits before they are averaged": _points(column, rounded, sources),
    }
    if len(column.suite.entries) < len(column.suite.datasets):
        found["every forum of CQADupStack counts once"] = 100 * float(np.mean(means))
    return [Toggle(what, value, value - ours) for what, value in found.items()]


def _without_own_ids(source: _Judged, name: str) -> float | None:
    if source.dataset.drop_identical_ids:
        return None  # they are dropped already, and nobody knows the documents in their place
    run = source.result.read_run()
    return source.measured(name, run.select(~run.own_ids()))


def _answered_only(source: _Judged, name: str) -> float | None:
    found = per_query(source.result, name)
    missing = set(found.missing)
    keep = [query_id not in missing for query_id in found.query_ids]
    return float(found.values[name][keep].mean()) if any(keep) else None


def _relevant_only(source: _Judged, name: str) -> float | None:
    without = set(source.dataset.without_relevant)
    qrels = {query_id: judged for query_id, judged in source.dataset.qrels.items() if query_id not in without}
    return source.measured(name, source.result.read_run(), qrels)


def _tied(source: _Judged, name: str, *, best: bool) -> float | None:
    if not source.dataset.qrels or parse_measure(name).by_answers:
        return None
    found = tie_range(source.dataset.qrels, source.result.read_run(), name)
    return found.greatest if best else found.least


def _ascending(source: _Judged, name: str) -> float | None:
    """The rule of tools that sort by score alone and read documents in the order of their ids."""
    run = source.result.read_run()
    order = np.lexsort((run.codes, -run.scores, run.row_queries))
    places = np.empty(len(run), dtype=np.float32)
    places[order] = run.positions
    return source.measured(name, run.rescored(np.float32(0) - places))


def _depths(column: PublishedColumn, chosen: Sequence[Evaluation], sources: Sequence[_Judged]) -> list[Toggle]:
    """Smaller depths: exactly what `depth=` would give."""
    reasons = dict.fromkeys(reason for evaluation in chosen if (reason := no_curve(evaluation)))
    if reasons:
        return [Toggle(f"smaller depths: unknown, because {', '.join(reasons)}", None, None)]
    ours, toggles = _points(column, _means(column, sources), sources), []
    for depth in (10, 20, 50):
        pairs = zip(chosen, sources, strict=True)
        values = [at_depth(evaluation, source.dataset, column.measure, depth) for evaluation, source in pairs]
        known = [value for value in values if value is not None]
        if len(known) == len(values):
            points = _points(column, known, sources)
            toggles.append(Toggle(f"depth {depth}", points, points - ours))
    return toggles


def _other_runs(
    row: PublishedRow,
    column: PublishedColumn,
    chosen: Sequence[Evaluation],
    sampled: Sequence[Evaluation],
) -> list[Toggle]:
    """Other ways of running, over a sample of the first dataset's queries."""
    base = chosen[0]
    settings = base.result.manifest["config"]
    candidates = [evaluation for evaluation in sampled if evaluation.dataset == base.dataset]
    toggles = []
    for what, key, wanted in _changes(settings, row):
        found = next((evaluation for evaluation in candidates if _is(evaluation, settings, key, wanted)), None)
        value, moved = (None, None) if found is None else _on_common_queries(base, found, column.measure)
        toggles.append(Toggle(f"{what} ({base.dataset})", value, moved, _command(base, row, {key: wanted})))
    return toggles


def _changes(settings: Mapping[str, Any], row: PublishedRow) -> list[tuple[str, str, Any]]:
    """(words, setting, value) of the settings that the evaluation has and that differ from its own."""
    wanted: list[tuple[str, str, Any]] = [
        ("without an instruction", "reranker.instructions", "none"),
        ("with the dataset's instruction", "reranker.instructions", "dataset"),
        ("query and document cut apart", "reranker.truncation", "separate"),
        ("the longer of query and document cut", "reranker.truncation", "longest_first"),
        *([(f"max_length {row.max_length}", "reranker.max_length", row.max_length)] if row.max_length else []),
        ("max_length 512", "reranker.max_length", 512),
        ("title and text joined by a line break", "dataset.title_separator", "\n"),
        ("bfloat16", "compute.dtype", "bfloat16"),
        ("float32", "compute.dtype", "float32"),
    ]
    found: dict[str, tuple[str, str, Any]] = {}
    for change in wanted:
        group, _, name = change[1].partition(".")
        if name in settings[group] and settings[group][name] != change[2]:
            found[change[0]] = change
    return list(found.values())


def _is(evaluation: Evaluation, settings: Mapping[str, Any], key: str, value: Any) -> bool:
    """Whether an evaluation of a sample has this value, and otherwise the settings of the one that is explained."""
    if evaluation.is_first_stage:
        return False  # its manifest names the reranker that it was made for
    own = evaluation.result.manifest["config"]
    changed, _, name = key.partition(".")
    for group in ("reranker", "compute"):
        expected = {**settings[group], **({name: value} if changed == group else {})}
        ignored = {"device", "threads", "batch_tokens", "attention"}
        if any(own[group].get(each) != wanted for each, wanted in expected.items() if each not in ignored):
            return False
    separator = value if key == "dataset.title_separator" else settings["dataset"]["title_separator"]
    return bool(own["dataset"]["title_separator"] == separator and own["dataset"].get("sample"))


def _on_common_queries(base: Evaluation, other: Evaluation, name: str) -> tuple[float, float]:
    """In points: the other's mean, and its difference from the base's on the same queries."""
    ours, theirs = per_query(base.result, name), per_query(other.result, name)
    row_of = {query_id: row for row, query_id in enumerate(ours.query_ids)}
    rows = [row_of[query_id] for query_id in theirs.query_ids]
    mean = 100 * float(theirs.values[name].mean())
    return mean, mean - 100 * float(ours.values[name][rows].mean())


def _command(base: Evaluation, row: PublishedRow, changed: Mapping[str, Any]) -> str:
    """The command of the base, with other settings, over a sample."""
    typed = shlex.split(base.result.manifest["command"])[2:]
    if not typed:  # evaluated from Python
        settings = base.result.manifest["config"]
        typed = [f"dataset={base.dataset}", f"retriever={settings['retriever']['name']}", f"reranker={row.reranker}"]
    overrides = {**changed, "dataset.sample": SAMPLE, "results_dir": FOLDER}
    replaced = {*overrides, "suite", "ablation", "-m", "--multirun"}
    others = [argument for argument in typed if argument.partition("=")[0] not in replaced]
    return shlex.join(["evalkit", "evaluate", *others, *(f"{key}={value}" for key, value in overrides.items())])
