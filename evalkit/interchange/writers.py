"""Results in the layouts of other tools. Scores no pair; measures under mteb's names come from the run on disk."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.errors import ConfigError, EvalkitError, ResultError
from evalkit.formats.trec import qrels_lines, run_lines
from evalkit.interchange.tasks import languages_of, mteb_module, task_of
from evalkit.measures import measure, parse_measure
from evalkit.results import Evaluation
from evalkit.results.gather import joiner
from evalkit.system.files import naming, write_output
from evalkit.system.terminal import tell
from evalkit.types import Dataset

_CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
_NAMES = {"ndcg_at": "nDCG", "map_at": "MAP", "recall_at": "R", "precision_at": "P", "mrr_at": "RR"}
_MAIN = "ndcg_at_10"
_DIGITS = 5  # as mteb rounds
_OWN = ("own", "judged")  # kinds of first stages that take the dataset's candidates
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def export(evaluations: Sequence[Evaluation], layout: str, folder: Path) -> list[Path]:
    """Write results, and the first stages that they started from.

    Args:
        evaluations: the results.
        layout: a key of `LAYOUTS`.
        folder: the folder to write to; created if it is absent.

    Raises:
        DataError: the collection of no result is at hand any more; where some are, the others are named on stderr.
        MissingExtra: mteb is not installed, and the layout is mteb's.
        ResultError: the collection has changed, or two results would be written to one file.
    """
    stages = {each.candidates.folder: Evaluation(each.candidates, each.candidates) for each in evaluations}
    others = {each.result.folder: each for each in evaluations if each.result.folder not in stages}
    chosen = sorted((*stages.values(), *others.values()), key=lambda evaluation: evaluation.dataset)
    if layout != "mteb":  # its names hold the key
        _require_apart(chosen)
    written: list[Path] = []
    dataset_of, gone = joiner(), dict[Path, EvalkitError]()
    for evaluation in chosen:
        try:
            dataset = dataset_of(evaluation.result)
        except EvalkitError as error:  # its collection, or the package that reads it
            gone[evaluation.result.folder] = error
            continue
        written += LAYOUTS[layout](evaluation, folder, dataset)
    if gone and not written:
        raise next(iter(gone.values()))
    for place, why in gone.items():
        tell(f"{place}: left out. {why}")
    return list(dict.fromkeys(written))


def _require_apart(evaluations: Sequence[Evaluation]) -> None:
    """Refuse results that would overwrite each other: files are named for dataset, first stage and reranker."""
    names: dict[tuple[str, ...], tuple[Evaluation, str]] = {}
    for evaluation in evaluations:
        facts = evaluation.result.manifest
        for name, content, what in (
            ((evaluation.dataset,), facts["dataset"]["digest"], "documents, queries or judgments"),
            ((evaluation.dataset, *evaluation.result.folder.parts[-2:]), facts["run_sha256"], "rankings"),
        ):
            other, before = names.setdefault(name, (evaluation, content))
            if before != content:
                raise ResultError(
                    f"{other.result.folder} and {evaluation.result.folder} have different {what} under one name, "
                    f"{'/'.join(name)}. Export each to a folder of its own."
                )


def _trec(evaluation: Evaluation, folder: Path, dataset: Dataset) -> list[Path]:
    """`<dataset>/<first stage>/<reranker>.trec`, and the judgments as `<dataset>/qrels.trec`."""
    parent = folder / evaluation.dataset
    path = parent / evaluation.candidates.folder.parent.name / f"{evaluation.result.folder.name}.trec"
    written = [_write(path, "".join(run_lines(evaluation.result.read_run(), evaluation.reranker)))]
    if dataset.qrels:
        written.append(_write(parent / "qrels.trec", "".join(qrels_lines(dataset.qrels))))
    return written


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, text)
    return path


def _predictions(evaluation: Evaluation, folder: Path, _: Dataset) -> list[Path]:
    """`<first stage>/<reranker>/<task>_predictions.json`, each in its own folder, as mteb expects."""
    manifest = evaluation.result.manifest
    task = task_of(manifest["config"]["dataset"], "--to mteb-predictions")
    run = {
        query_id: dict(zip(found, scores.tolist(), strict=True))
        for query_id, found, scores in evaluation.result.read_run()
    }
    meta = _meta(evaluation).to_dict()
    content = {"mteb_model_meta": meta, _subset(manifest): {manifest["dataset"]["split"]: run}}
    parent = folder / evaluation.candidates.folder.parent.name / evaluation.result.folder.name
    path = parent / f"{_task_name(task, evaluation)}_predictions.json"
    return [_write(path, json.dumps(content, ensure_ascii=False, default=str) + "\n")]


def _results(evaluation: Evaluation, folder: Path, dataset: Dataset) -> list[Path]:
    """A `ResultCache` of mteb, whose `experiment_kwargs` distinguish the rows."""
    manifest = evaluation.result.manifest
    mteb = mteb_module("--to mteb")
    task = task_of(manifest["config"]["dataset"], "--to mteb")
    main = _MAIN if task is None else str(task.main_score)
    scores = _scores(evaluation, dataset, main)
    row = {
        "main_score": scores[main],
        **scores,
        "hf_subset": _subset(manifest),
        "languages": languages_of(task, _subset(manifest), dataset.language),
    }
    settings = manifest["config"]["dataset"]
    found = mteb.TaskResult.from_dict(
        {
            "dataset_revision": settings.get("revision") or dataset.digest,
            "task_name": _task_name(task, evaluation),
            "mteb_version": mteb.__version__,
            "scores": {dataset.split: [row]},
            "evaluation_time": manifest["seconds"],
            "kg_co2_emissions": None,
        }
    )
    cache, meta = mteb.ResultCache(folder), _meta(evaluation)
    with naming(folder):
        cache.save_to_cache(found, meta)
    return [Path(cache.get_task_result_path(model_name=meta, task_name=found.task_name))]


def _scores(evaluation: Evaluation, dataset: Dataset, main: str) -> dict[str, float]:
    """Measures under mteb's names, at its cutoffs up to the depth of the run, and its main score of the task."""
    depth = (
        _CUTOFFS[-1]
        if _has_all_candidates(evaluation, dataset)
        else evaluation.candidates.manifest["retriever"]["depth"]
    )
    asked = {
        f"{theirs}_{cutoff}": f"{ours}@{cutoff}"
        for theirs, ours in _NAMES.items()
        for cutoff in _CUTOFFS
        if cutoff <= max(depth, 10)
    }
    if main not in asked:
        asked[main] = _main_measure(main, evaluation)
    means = measure(dataset.qrels, evaluation.result.read_run(), list(asked.values())).means
    return {theirs: round(means[ours], _DIGITS) for theirs, ours in asked.items()}


def _has_all_candidates(evaluation: Evaluation, dataset: Dataset) -> bool:
    """Whether these are all candidates that the dataset brings, so that a deeper run has no more of them."""
    manifest = evaluation.candidates.manifest["retriever"]
    if dataset.candidates is None or manifest["kind"] not in _OWN:
        return False
    return bool(np.diff(dataset.candidates.offsets).max(initial=0) <= manifest["depth"])


def _main_measure(name: str, evaluation: Evaluation) -> str:
    """Our name of mteb's main score where that is none of those that every task has, or is deeper than the run.

    Raises:
        ResultError: evalkit has no such measure, or the run is too short for it.
    """
    kind, _, cutoff = name.rpartition("_")
    if kind in _NAMES:
        depth = evaluation.candidates.manifest["retriever"]["depth"]
        raise ResultError(
            f"{evaluation.result.folder}: mteb reports {name} here, and depth={depth}. Set depth={cutoff}."
        )
    try:
        return parse_measure(name).name
    except ConfigError as error:
        raise ResultError(f"{evaluation.result.folder}: mteb reports {name} here. {error}") from error


def _subset(manifest: dict[str, Any]) -> str:
    return str(manifest["config"]["dataset"].get("subset") or "default")


def _task_name(task: Any, evaluation: Evaluation) -> str:
    return evaluation.dataset.replace("/", "-") if task is None else str(task.name)


def _meta(evaluation: Evaluation) -> Any:
    """A `ModelMeta` of the system, with first stage, depth, settings and key."""
    from mteb.models.model_meta import ModelMeta

    manifest = evaluation.result.manifest
    stage = "retriever" if evaluation.is_first_stage else "reranker"
    settings, identity = manifest["config"][stage], manifest[stage]
    model = str(settings.get("model") or "")
    name = model if _HUB_ID.fullmatch(model) and not Path(model).exists() else f"evalkit/{settings['name']}"
    facts = {
        "first_stage": manifest["retriever"]["name"],
        "top_k": manifest["retriever"]["depth"],
        "max_length": settings.get("max_length"),
        "dtype": identity.get("dtype"),
        "key": manifest["key"][:8],
    }
    return ModelMeta.create_empty(
        overwrites={
            "name": name,
            "revision": settings.get("revision") or manifest["key"][:12],  # a path has no revision of its own
            "experiment_kwargs": {key: value for key, value in facts.items() if value is not None},
        }
    )


LAYOUTS: dict[str, Callable[[Evaluation, Path, Dataset], list[Path]]] = {
    "trec": _trec,
    "mteb": _results,
    "mteb-predictions": _predictions,
}
"""Names of `--to`."""
