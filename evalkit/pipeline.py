"""One evaluation from end to end. Read `evaluate` and you know the program; everything else is a leaf.

    config -> Dataset -> candidates (Run) -> reranked Run -> per-query values -> result on disk

Candidates and results are found again by a key of everything that made them, so running twice computes nothing twice.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from evalkit import datasets, rerank, results, retrieval
from evalkit.config import EvaluateConfig
from evalkit.datasets.reranking_samples import MEASURES, are_samples
from evalkit.inference.usage import Usage
from evalkit.measures import canonical
from evalkit.models.arithmetic import require_torch
from evalkit.models.checkpoint import Checkpoint
from evalkit.plan.beside import Beside
from evalkit.results import CANDIDATES, Evaluation, Result
from evalkit.results.recorder import Recorder, candidates_key, result_key
from evalkit.retrieval.first_stage import FirstStage
from evalkit.retrieval.judged import JudgedConfig
from evalkit.store import open_store
from evalkit.system.files import require_writable
from evalkit.system.stages import LOADING, Stages, rate
from evalkit.types import Dataset

logger = logging.getLogger(__name__)


def evaluate(config: EvaluateConfig, *, command: str = "") -> Evaluation:
    """Retrieve, rerank, measure and keep, or find what was kept.

    Args:
        config: the settings.
        command: what the user typed, for the manifest.

    Raises:
        EvalkitError: a setting, a file or a checkpoint is not as it should be; nothing is half-written.
    """
    config = settled(config)
    store = open_store(config.cache_dir)
    # A typing mistake or an absent checkpoint shows now, not after hours of encoding.
    config = replace(config, measures=canonical(config.measures, level=config.dataset.relevance_level))
    rerank.require_one_score(config.reranker)
    first_stage = retrieval.build(config.retriever, config.compute, store, dataset=config.dataset)
    reranker = rerank.build(config.reranker, config.compute, dataset=config.dataset)
    stages = Stages()
    with stages.timed("load"):
        dataset = rerank.instructed(config.reranker, datasets.load(config.dataset, store))
    _warn_of_language(config, dataset)
    recorder = Recorder(config, dataset, command, store)

    beside = Beside(config, dataset, store)
    candidates = _retrieve(first_stage, recorder, beside, stages)
    store.used.update(candidates.manifest["artefacts"])  # also where they were found
    reranked = _rerank(reranker, candidates, recorder, beside)
    return Evaluation(reranked, candidates)


def settled(config: EvaluateConfig) -> EvaluateConfig:
    """The settings as they are used: a dataset of reranking samples brings its own candidates and measures."""
    if not are_samples(config.dataset):
        return config
    if not isinstance(config.retriever, JudgedConfig):
        logger.warning(
            "%s: reranking samples bring their own candidates, so retriever=%s is not used.",
            config.dataset.name,
            config.retriever.name,
        )
    measures = list(dict.fromkeys([*MEASURES, *config.measures]))
    return replace(config, retriever=JudgedConfig(name="judged"), measures=measures)


def _warn_of_language(config: EvaluateConfig, dataset: Dataset) -> None:
    for stage in (config.retriever, config.reranker):
        for noun, language in (("documents", dataset.language), ("queries", dataset.query_language)):
            if stage.languages and language not in stage.languages:
                logger.warning(
                    "%s is made for %s, and the %s of %s are in %s. Expect poor numbers.",
                    stage.name,
                    ", ".join(stage.languages),
                    noun,
                    dataset.name,
                    language,
                )
                break


def _retrieve(first_stage: FirstStage, recorder: Recorder, beside: Beside, stages: Stages) -> Result:
    """The candidates of the first stage, found or made; `stages` came before."""
    config, dataset = recorder.config, recorder.dataset
    key = candidates_key(dataset, first_stage.identity, config.depth)

    def make(folder: Path) -> Result:
        _import_libraries(first_stage.checkpoint, stages, f"{LOADING} retriever")
        stages.join(beside.first_stage(first_stage))
        own = Stages()
        with own.timed("retrieve"):
            run = first_stage.retrieve(dataset, config.depth)
        own = first_stage.stages or own
        stages.join(own)
        beside.learn("encode", stages.get("encode documents", {}), first_stage.checkpoint)
        return recorder.keep(
            folder,
            run,
            stages=stages,
            inner=CANDIDATES,
            key=key,
            tag=config.retriever.name,
            run_digest=run.digest(),
            notes=first_stage.notes,
            retriever={"name": config.retriever.name, "depth": config.depth, **first_stage.identity},
            seconds=own.seconds,
            **_engine(first_stage.usage, first_stage.workers),
        )

    return _found_or_made(recorder, key, lambda: results.locate_candidates(config, dataset.name, key), make)


def _rerank(reranker: rerank.AnyReranker, candidates: Result, recorder: Recorder, beside: Beside) -> Result:
    """The candidates in the reranker's order, found or made."""
    config, dataset = recorder.config, recorder.dataset
    run_digest = candidates.manifest["run_digest"]
    key = result_key(dataset, run_digest, reranker.identity)

    def make(folder: Path) -> Result:
        stages = Stages()
        with stages.timed("read candidates"):
            run = candidates.read_run()
        _import_libraries(reranker.checkpoint, stages, f"{LOADING} reranker")
        stages.join(beside.reranking(reranker, run))
        reranked = rerank.apply(reranker, run, dataset, recorder.store, config.compute)
        stages.join(reranked.stages)
        beside.learn("score", stages["rerank"], reranker.checkpoint)
        speed = rate(stages["rerank"])
        return recorder.keep(
            folder,
            reranked.run,
            stages=stages,
            key=key,
            tag=f"{config.retriever.name}+{config.reranker.name}",
            truncated=reranked.cut,
            notes=reranked.notes,
            candidates={name: candidates.manifest[name] for name in ("run_digest", "key", "measures")},
            retriever=candidates.manifest["retriever"],
            reranker={"name": config.reranker.name, **reranker.identity},
            truncated_pairs=reranked.truncated,
            unscored_pairs=reranked.unscored,
            kept_pairs=reranked.kept,
            seconds=stages["rerank"]["seconds"],
            pairs_per_second=speed.value if speed else None,
            **_engine(reranked.usage, reranked.workers),
        )

    parent = candidates.folder.parent
    return _found_or_made(recorder, key, lambda: results.locate(parent, config.reranker.name, key), make)


def _import_libraries(checkpoint: Checkpoint | None, stages: Stages, name: str) -> None:
    """Import what a model needs before anything is planned or measured, so that no other stage is charged for it."""
    if checkpoint is not None:
        with stages.timed(name):
            require_torch()


def _found_or_made(
    recorder: Recorder, key: str, locate: Callable[[], tuple[Path, Result | None]], make: Callable[[Path], Result]
) -> Result:
    """The result of a key, made by one process while others with the same settings wait."""
    _, found = locate()
    if found is None:
        with recorder.store.lock(key):
            folder, found = locate()
            if found is None:
                require_writable(folder)
                return _told(make(folder))
    return _told(recorder.complete(found))


def _told(result: Result) -> Result:
    """The result, once what was odd about the file that it comes from is told; also where it was found."""
    settings = result.manifest["config"]["reranker" if "reranker" in result.manifest else "retriever"]
    for note in result.manifest.get("notes", ()):
        logger.warning("%s: %s", settings.get("path") or settings["name"], note["text"])
    return result


def _engine(usage: Usage | None, workers: Mapping[str, object] | None) -> dict[str, Any]:
    """What the inference engine took, and who did the work, where there is something to tell."""
    told = {name: value for name, value in asdict(usage or Usage()).items() if value != ""}
    engine = {"engine": told} if usage is not None and usage.batches else {}
    return {**engine, **({"workers": dict(workers)} if workers else {})}
