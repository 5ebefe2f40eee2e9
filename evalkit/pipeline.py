"""One evaluation from end to end. Read `evaluate` and you know the program; everything else is a leaf.

    config -> Dataset -> candidates (Run) -> reranked Run -> per-query values -> result on disk

Candidates and results are found again by a key of everything that made them, so running twice computes nothing twice.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evalkit import datasets, rerank, results, retrieval
from evalkit.config import EvaluateConfig
from evalkit.measure import ceiling, measure, parse_measure
from evalkit.provenance import environment
from evalkit.results import Evaluation, Result
from evalkit.run import Run
from evalkit.store import Store, default_cache_dir, digest
from evalkit.types import Dataset, FirstStage, PerQuery

STANDARD_MEASURES = ("nDCG@10", "nDCG@20", "R@20", "R@100", "MAP@100", "RR@10", "P@10")
_FORMAT = 1  # of results; a higher number makes old ones be computed anew
_TIES_CUTOFF = 10


def evaluate(config: EvaluateConfig, *, command: str = "") -> Evaluation:
    """Retrieve, rerank, measure and keep, or find what was kept.

    Args:
        config: the settings.
        command: what the user typed, for the manifest.

    Raises:
        EvalkitError: a setting, a file or a checkpoint is not as it should be; nothing is half-written.
    """
    measures = _measures(config)
    store = Store(Path(config.cache_dir).expanduser() if config.cache_dir else default_cache_dir())
    dataset = datasets.load(config.dataset, store)
    first_stage = retrieval.build(config.retriever, config.compute, store)
    reranker = rerank.build(config.reranker, config.compute)
    record = {"command": command, "config": asdict(config), "dataset": _describe(dataset)}

    candidates = _candidates(config, dataset, first_stage, measures, record)
    folder, found = results.locate(
        candidates.folder.parent, config.reranker.name, key := _result_key(dataset, candidates, reranker)
    )
    if found is not None:
        return Evaluation(_remeasured(found, dataset, measures), candidates)
    start = time.perf_counter()
    reranked = rerank.apply(reranker, candidates.read_run(), dataset)
    seconds = time.perf_counter() - start
    per_query = measure(dataset.qrels, reranked.run, measures)
    manifest = {
        **_manifest(key, dataset, reranked.run, per_query, record),
        "reranker": {"name": config.reranker.name, **reranker.identity},
        "candidates": {
            name: candidates.manifest[name] for name in ("key", "run_digest", "retriever", "measures", "ceiling")
        },
        "truncated_pairs": reranked.truncated,
        "seconds": seconds,
        "pairs_per_second": len(reranked.run) / seconds,
    }
    tag = f"{config.retriever.name}+{config.reranker.name}"
    return Evaluation(
        results.save(folder, run=reranked.run, per_query=per_query, manifest=manifest, tag=tag), candidates
    )


def _candidates(
    config: EvaluateConfig, dataset: Dataset, first_stage: FirstStage, measures: list[str], record: dict[str, Any]
) -> Result:
    """The first stage's candidates, with their measures and their ceiling."""
    facts = {"format": _FORMAT, "dataset": dataset.digest, "depth": config.depth, "first_stage": first_stage.identity}
    key = digest(facts)
    label = f"{config.retriever.name}-{config.depth}"
    parent = Path(config.results_dir).expanduser() / dataset.name
    folder, found = results.locate(parent, label, key, inner="candidates")
    if found is not None:
        return _remeasured(found, dataset, measures)
    start = time.perf_counter()
    run = first_stage.retrieve(dataset, config.depth)
    seconds = time.perf_counter() - start
    per_query = measure(dataset.qrels, run, measures)
    manifest = {
        **_manifest(key, dataset, run, per_query, record),
        "retriever": {"name": config.retriever.name, "depth": config.depth, **first_stage.identity},
        "run_digest": run.digest(),
        "seconds": seconds,
    }
    return results.save(
        folder / "candidates", run=run, per_query=per_query, manifest=manifest, tag=config.retriever.name
    )


def _measures(config: EvaluateConfig) -> list[str]:
    asked = [parse_measure(name).name for name in config.measures]
    return list(dict.fromkeys([*asked, *STANDARD_MEASURES]))


def _result_key(dataset: Dataset, candidates: Result, reranker: rerank.AnyReranker) -> str:
    return digest(
        {
            "format": _FORMAT,
            "dataset": dataset.digest,
            "candidates": candidates.manifest["run_digest"],
            "reranker": reranker.identity,
        }
    )


def _describe(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "split": dataset.split,
        "digest": dataset.digest,
        "corpus_digest": dataset.corpus_digest,
        **dataset.notes,
    }


def _manifest(key: str, dataset: Dataset, run: Run, per_query: PerQuery, record: dict[str, Any]) -> dict[str, Any]:
    """What the manifests of candidates and of reranked results have in common."""
    return {
        "format": _FORMAT,
        "key": key,
        **_measured(dataset, run, per_query),
        "queries": len(per_query.query_ids),
        "queries_without_candidates": list(per_query.missing),
        f"queries_with_ties_in_top_{_TIES_CUTOFF}": run.tied_queries(_TIES_CUTOFF),
        **record,
        "environment": environment(record["config"]["compute"]["device"]),
    }


def _measured(dataset: Dataset, run: Run, per_query: PerQuery) -> dict[str, Any]:
    best = measure(dataset.qrels, ceiling(dataset.qrels, run), list(per_query.values))
    return {"measures": per_query.means, "ceiling": best.means}


def _remeasured(found: Result, dataset: Dataset, measures: list[str]) -> Result:
    """The result that was found, with measures added that it did not have."""
    if set(measures) <= set(found.manifest["measures"]):
        return found
    run = found.read_run()
    per_query = measure(dataset.qrels, run, list(dict.fromkeys([*measures, *found.manifest["measures"]])))
    return results.update(found, per_query=per_query, changes=_measured(dataset, run, per_query))
