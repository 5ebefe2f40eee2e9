"""Evaluations as tables: one in detail, several side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.analysis import result_doubts as doubts
from evalkit.analysis.flags import flags_of_evaluation
from evalkit.formats.notes import counted
from evalkit.reports.grid import Cell, Column, Grid
from evalkit.results import Evaluation
from evalkit.system.stages import Stages, rate, speed


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
    return [
        f"{counted(result['queries'], 'query', 'queries')}, {counted(result['pairs'], 'candidate')}"
        + (f", truncated pairs: {truncated:,}" if truncated is not None else ""),
        doubts.ties(result),
        f"first stage {candidates['seconds']:.1f} s{'' if evaluation.candidates.fresh else ' (earlier)'}"
        + ("" if evaluation.is_first_stage else f", reranking {_speed(evaluation)}"),
        *_seconds_by_stage(evaluation),
        *_doubts(evaluation, measures),
        f"{'saved in' if evaluation.result.fresh else 'nothing to do, found in'} {evaluation.result.folder}",
    ]


def evaluation_doubts(evaluation: Evaluation, measures: Sequence[str]) -> list[str]:
    """Why the numbers of an evaluation may mislead, as the notes of its table say it; empty where nothing is odd."""
    result = evaluation.result.manifest
    return [*([doubts.ties(result)] if result["queries_with_ties_in_top_10"] else []), *_doubts(evaluation, measures)]


def _doubts(evaluation: Evaluation, measures: Sequence[str]) -> list[str]:
    """Whatever is odd, apart from ties."""
    result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
    notes = [*doubts.of_result(evaluation, measures), *doubts.of_dataset(result["dataset"])]
    if not evaluation.is_first_stage:
        sources = (candidates["measures"], result["measures"], candidates["ceiling"])
        means = {name: (sources[0][name], sources[1][name], sources[2][name]) for name in measures}
        # As rerankers have them that read pairs; others are nothing for `evalkit doctor`.
        has_checkpoint = {"checkpoint", "instruction"} <= result["reranker"].keys()
        flags = flags_of_evaluation(means, queries=result["queries"], has_checkpoint=has_checkpoint)
        notes += [str(flag) for flag in flags]
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
    parts += [f"{counted(before, 'pair')} scored before"] if before else []
    return f"{evaluation.result.manifest['seconds']:.1f} s" + (f" ({', '.join(parts)})" if parts else "")


def _dataset(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['dataset']['name']} ({manifest['dataset']['split']})"
