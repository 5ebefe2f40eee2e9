"""Evaluations as tables: one in detail, several side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.analysis.flags import flags_of_means
from evalkit.report.grid import Cell, Column, Grid
from evalkit.results import Evaluation
from evalkit.system.stages import Stages, rate, speed
from evalkit.system.terminal import printable


def evaluation_grid(evaluation: Evaluation, measures: Sequence[str]) -> Grid:
    """First stage, reranked and ceiling side by side; the notes say what else a reader should know."""
    result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
    sources = {"first stage": candidates["measures"], "ceiling": candidates["ceiling"]}
    if not evaluation.is_first_stage:
        sources = {"first stage": sources["first stage"], result["reranker"]["name"]: result["measures"], **sources}
    title = f"{_dataset(result)}: {candidates['retriever']['name']} top {candidates['retriever']['depth']}"
    columns = [Column("measure"), *(Column(name, ".4f") for name in sources)]
    rows = [[name, *(values[name] for values in sources.values())] for name in measures]
    return Grid(title, columns, rows, _notes(evaluation, measures))


def runs_grid(evaluations: Sequence[Evaluation], measures: Sequence[str], settings: Sequence[str] = ()) -> Grid:
    """One row an evaluation, for the end of a sweep. A measure that an evaluation lacks is missing.

    Args:
        evaluations: in the order of the rows.
        measures: columns.
        settings: what distinguishes each evaluation besides its names; empty where the names do.
    """
    labels = ["dataset", "first stage", "reranker", *(["settings"] if any(settings) else [])]
    columns = [
        *map(Column, labels),
        *(Column(name, ".4f") for name in (*measures, f"ceiling {measures[0]}")),
        *(Column(name, ",") for name in ("ties", "truncated")),
        Column("seconds", ".1f"),
        Column("pairs/s", write=speed),
    ]
    rows: list[list[Cell]] = []
    for row, evaluation in enumerate(evaluations):
        result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
        rows.append(
            [
                *(evaluation.dataset, evaluation.first_stage, result["reranker"]["name"]),
                *([settings[row]] if any(settings) else []),
                *(result["measures"].get(name) for name in measures),
                candidates["ceiling"].get(measures[0]),
                result["queries_with_ties_in_top_10"],
                result["truncated_pairs"],
                (candidates if evaluation.is_first_stage else result)["seconds"],
                evaluation.rate.value if evaluation.rate else None,
            ]
        )
    return Grid("All runs", columns, rows)


def _notes(evaluation: Evaluation, measures: Sequence[str]) -> list[str]:
    result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
    truncated = result["truncated_pairs"]
    notes = [
        f"{result['queries']:,} queries, {result['pairs']:,} candidates"
        + (f", truncated pairs: {truncated:,}" if truncated is not None else ""),
        f"ties in the top 10 of {result['queries_with_ties_in_top_10']:,} queries",
        f"first stage {candidates['seconds']:.1f} s{'' if evaluation.candidates.fresh else ' (earlier)'}"
        + ("" if evaluation.is_first_stage else f", reranking {_speed(evaluation)}"),
        *_seconds_by_stage(evaluation),
    ]
    if result["unscored_pairs"]:
        notes.append(f"{result['unscored_pairs']:,} candidates have no replayed score and rank below all others")
    depth = candidates["retriever"]["depth"]
    if deeper := [name for name in measures if "@" in name and int(name.partition("@")[2]) > depth]:
        notes.append(f"depth={depth} leaves a query at most {depth} candidates, fewer than {', '.join(deeper)} needs")
    if names := result["queries_without_candidates"]:
        notes.append(f"{len(names)} queries have no candidate and count as 0, such as {printable(names[0])}")
    notes += _of_dataset(result["dataset"])
    if not evaluation.is_first_stage:
        for name in measures:
            values = (candidates["measures"][name], result["measures"][name], candidates["ceiling"][name])
            notes += [f"{flag.level}: {flag.text}" for flag in flags_of_means(*values, name)]
    return [
        *notes,
        f"{'saved in' if evaluation.result.fresh else 'nothing to do, found in'} {evaluation.result.folder}",
    ]


def _of_dataset(dataset: Mapping[str, Any]) -> list[str]:
    notes = []
    if empty := dataset["empty_documents"]:
        notes.append(f"{empty} documents have no text; they are ranked like any other")
    if differences := dataset.get("differences"):
        listed = "; ".join(f"{name} {difference}" for name, difference in differences.items())
        notes.append(f"not the published dataset: {listed}")
    if left_out := dataset.get("queries_not_sampled"):
        notes.append(f"a sample: dataset.sample left out {left_out:,} queries, so do not report this number")
    if dropped := dataset.get("queries_dropped"):
        notes.append(f"{dropped} queries without a relevant document were dropped")
    elif unanswerable := dataset.get("queries_without_relevant"):
        notes.append(f"{unanswerable} queries have no relevant document and count as 0")
    return notes


def _seconds_by_stage(evaluation: Evaluation) -> list[str]:
    """Time and speed of each stage that this command ran; stages under a hundredth of the whole are left out."""
    stages = Stages()
    for one in (evaluation.candidates, *([] if evaluation.is_first_stage else [evaluation.result])):
        stages.join(one.manifest.get("stages", {}) if one.fresh else {})
    whole = sum(facts["seconds"] for facts in stages.values())
    parts = [
        f"{name} {facts['seconds']:.1f} s" + (f" ({found})" if (found := rate(facts)) else "")
        for name, facts in stages.items()
        if facts["seconds"] >= whole / 100
    ]
    return [f"time by stage: {', '.join(parts)}"] if parts else []


def _speed(evaluation: Evaluation) -> str:
    """Seconds of reranking, pairs/s of those that were scored then, and how many had been scored before."""
    before = evaluation.result.manifest.get("kept_pairs") or 0
    parts = [] if evaluation.result.fresh else ["earlier"]
    parts += [str(evaluation.rate)] if evaluation.rate else []
    parts += [f"{before:,} pairs scored before"] if before else []
    return f"{evaluation.result.manifest['seconds']:.1f} s" + (f" ({', '.join(parts)})" if parts else "")


def _dataset(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['dataset']['name']} ({manifest['dataset']['split']})"
