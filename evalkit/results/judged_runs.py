"""Runs and judgments alone as evaluations in memory: whatever reads results reads these as well.

A run says nothing of the candidates that it was made from, so each is a system of its own, as a first stage is; where
one of the runs is named as the first stage, the others are rerankers over it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError
from evalkit.formats.doubts import TOP
from evalkit.formats.notes import Note
from evalkit.measures import canonical, ceilings, measure
from evalkit.measures.given_runs import GivenRun, MeasuredRun, Rules, counting, measured
from evalkit.results.result import Evaluation, Result
from evalkit.run import Run
from evalkit.store.artefact import digest
from evalkit.system.versions import version
from evalkit.types import Dataset, PerQuery


@dataclass(frozen=True, kw_only=True)
class RunResult(Result):
    """A run that was measured just now and is not saved; `folder` is its file, or its name.

    Attributes:
        measured: the run, its values and notes.
        dataset: its judgments, and texts where there are some.
    """

    measured: MeasuredRun
    dataset: Dataset

    def read_run(self) -> Run:
        """See `Result`."""
        return self.measured.run

    def read_per_query(self) -> PerQuery:
        """See `Result`."""
        return self.measured.values

    def read_truncated(self) -> None:
        """See `Result`."""


def judge_runs(
    dataset: Dataset,
    runs: Mapping[str, GivenRun],
    measures: Sequence[str],
    *,
    rules: Rules,
    first_stage: str = "",
    level: int = 1,
) -> list[Evaluation]:
    """An evaluation of each run, in their order, but for the first stage.

    Args:
        dataset: judgments, and texts where there are some. Every judged query counts; one that a run lacks counts 0.
        runs: name -> run.
        measures: names.
        rules: what counts.
        first_stage: name of the run that the others reordered; empty where none did.
        level: the grade from which a document is relevant where a measure's name does not say.

    Raises:
        ConfigError: there is only a first stage.
        DataError: a run has no judged query or document, or no query is common to all.
    """
    counted = counting(dataset.qrels, runs, rules, name=dataset.name)
    if counted.keys() != dataset.qrels.keys():
        own = digest({"dataset": dataset.digest, "queries": sorted(counted)})
        dataset = replace(dataset, qrels=counted, digest=own)
    names = canonical(measures, level=level)
    judged = {
        label: _judged(dataset, label, measured(dataset.qrels, given, names, rules), level=level)
        for label, given in runs.items()
    }
    stage = judged.pop(first_stage, None)
    if stage is None:
        return [Evaluation(result, result) for result in judged.values()]
    if not judged:
        raise ConfigError(f"{stage.folder} is the first stage, and the only run. Give a run that reordered it.")
    cut: dict[int, RunResult] = {}
    return [
        Evaluation(_as_reranked(result, label), _candidates(stage, result, cut)) for label, result in judged.items()
    ]


def _candidates(stage: RunResult, reranked: RunResult, cut: dict[int, RunResult]) -> RunResult:
    """The first stage of a reranked run, or its first documents where these alone were reranked.

    Args:
        stage: the whole first stage.
        reranked: a run that may hold as many of its documents, for each query, as a depth leaves.
        cut: depth -> the first stage at that depth; one that is made is added.
    """
    run, names = stage.measured.run, list(stage.measured.values.values)
    depth = int(reranked.measured.run.positions.max(initial=-1)) + 1
    top = run.top(depth)
    if len(top) == len(run) or top.documents_digest() != reranked.manifest["run_digest"]:
        return stage
    if depth not in cut:
        found = stage.measured._replace(run=top, values=measure(stage.dataset.qrels, top, names))
        retriever, level = stage.manifest["retriever"], stage.manifest["config"]["dataset"]["relevance_level"]
        whole = _judged(stage.dataset, retriever["name"], found, level=level)
        cut[depth] = replace(whole, manifest={**whole.manifest, "retriever": {**retriever, "depth": depth}})
    return cut[depth]


def _judged(dataset: Dataset, label: str, found: MeasuredRun, *, level: int) -> RunResult:
    """The facts that readers of results use. The depth is unknown; equal documents are equal candidates."""
    run, values = found.run, found.values
    manifest: dict[str, Any] = {
        "pairs": len(run),
        "queries": len(values.query_ids),
        f"queries_with_ties_in_top_{TOP}": len(run.queries_with_ties(TOP)),
        "queries_without_candidates": list(values.missing),
        "measures": values.means,
        "ceiling": ceilings(dataset.qrels, run, list(values.values)),
        "run_digest": run.documents_digest(),
        "retriever": {"name": label, "kind": "run", "depth": None},
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "config": {
            "measures": list(values.values),
            "dataset": {"relevance_level": level},
            "retriever": {"name": label},
        },
        "environment": {"packages": {"evalkit": version("evalkit")}},
        "command": str(found.source),
    }
    return RunResult(found.source, manifest, measured=found, dataset=dataset)


def _as_reranked(result: RunResult, label: str) -> RunResult:
    reranker = {"name": label, "kind": "replay"}
    config = {**result.manifest["config"], "reranker": {"name": label}}
    return replace(result, manifest={**result.manifest, "reranker": reranker, "config": config})


def notes_of(evaluations: Sequence[Evaluation]) -> list[tuple[Path, Note]]:
    """Every note on a run that was given, with its file."""
    results = {
        result.folder: result for evaluation in evaluations for result in (evaluation.candidates, evaluation.result)
    }
    runs = [result for result in results.values() if isinstance(result, RunResult)]
    return [(run.folder, note) for run in runs for note in run.measured.notes]
