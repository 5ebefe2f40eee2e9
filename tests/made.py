"""Results as `evaluate` leaves them, made from scores by hand: small collections, candidates, replayed rerankers."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evalkit.config import ComputeConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig, ReplayConfig
from evalkit.results.gather import gather
from evalkit.retrieval.saved import SavedConfig

Scores = Mapping[str, Mapping[str, float]]
"""Query -> document -> score."""

CANDIDATES = 12


def grade(query: int, place: int) -> int:
    """Of a query's candidate: two are relevant, one of them more so."""
    return {(query * 5) % CANDIDATES: 2, (query * 7 + 3) % CANDIDATES: 1}.get(place, 0)


def write_collection(folder: Path, *, queries: int) -> Path:
    """Every query has documents of its own; a document is `d<query>_<place>`."""
    (folder / "qrels").mkdir(parents=True)
    corpus = [
        {"_id": f"d{query}_{place}", "title": "", "text": f"document {place} of query {query}"}
        for query in range(queries)
        for place in range(CANDIDATES)
    ]
    asked = [{"_id": f"q{query}", "text": f"what is query {query} about{'?' * query}"} for query in range(queries)]
    for name, rows in (("corpus", corpus), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judged = [
        f"q{query}\td{query}_{place}\t{grade(query, place)}\n"
        for query in range(queries)
        for place in range(CANDIDATES)
        if place != 1 or grade(query, place)  # the second candidate is unjudged unless it is relevant
    ]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(judged), encoding="utf-8")
    return folder


def scores(queries: int, strength: float, *, seed: int) -> Scores:
    """Noise, and so much times the grade."""
    random = np.random.default_rng(seed)
    return {
        f"q{query}": {
            f"d{query}_{place}": float(np.round(random.normal() + strength * grade(query, place), 4))
            for place in range(CANDIDATES)
        }
        for query in range(queries)
    }


def write_run(path: Path, run: Scores) -> Path:
    lines = [
        f"{query} Q0 {document} 0 {score} made" for query, found in run.items() for document, score in found.items()
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def made(
    folder: Path,
    systems: Mapping[str, float | Scores],
    *,
    dataset: str = "one",
    queries: int = 30,
    stage: str = "stage",
    strength: float = 0.5,
) -> Path:
    """A results folder with these systems, each of a strength or with scores; None beside them is the first stage.

    May be called again with the same folder for another dataset or first stage.
    """
    collection = folder / "collections" / dataset
    if not collection.is_dir():
        write_collection(collection, queries=queries)
    flat = dataset.replace("/", "-")
    candidates = write_run(folder / f"{flat}-{stage}.trec", scores(queries, strength, seed=len(stage)))
    for seed, (name, own) in enumerate(systems.items(), start=100):
        path = folder / f"{flat}-{stage}-{name}.trec"
        write_run(path, own if isinstance(own, Mapping) else scores(queries, own, seed=seed))
        replay = ReplayConfig(name=name, path=str(path))
        evaluate(_config(folder, collection, dataset, stage, candidates, replay), command=f"made {name}")
    if not systems:
        evaluate(_config(folder, collection, dataset, stage, candidates, KeepOrderConfig(name="none")))
    return folder / "results"


def _config(folder, collection, dataset, stage, candidates, reranker) -> EvaluateConfig:
    return EvaluateConfig(
        dataset=FolderDatasetConfig(name=dataset, path=str(collection)),
        retriever=SavedConfig(name=stage, path=str(candidates)),
        reranker=reranker,
        compute=ComputeConfig(device="cpu"),
        results_dir=str(folder / "results"),
        cache_dir=str(folder / "cache"),
    )


def values_of(root: Path, name: str) -> np.ndarray:
    """nDCG@10 of every query of a system that `made` wrote."""
    (one,) = gather([root / "one/stage-100" / name])
    return one.result.read_per_query().values["nDCG@10"]
