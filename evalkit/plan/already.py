"""Work of an evaluation that is already in the store or the results, found by the evaluation's own keys."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit import rerank, results, retrieval
from evalkit.config import EvaluateConfig
from evalkit.errors import AbsentModel, MissingExtra
from evalkit.rerank.known_scores import SCORES, KeptScores, list_keys, pair_keys, score_facts
from evalkit.rerank.seam import Reranker
from evalkit.results.recorder import candidates_key, result_key
from evalkit.retrieval import growing_weights, vectors
from evalkit.retrieval.first_stage import FirstStage
from evalkit.retrieval.fusion import FusionRetriever
from evalkit.run import Run
from evalkit.store import PARTIAL, Store
from evalkit.types import Dataset, Pair

_PAIRS = 512


class Already(NamedTuple):
    """Work that need not be repeated; shares are from 0 to 1.

    Attributes:
        vectors: share of the documents whose vectors are stored.
        candidates: how many were found; None where the first stage has to run.
        scores: share of the candidates that have a score, estimated from some of them.
        result: whether the whole result is there.
        pairs: some of the candidates, as the reranker reads them.
        parts: `vectors` of each part of a fusion.
    """

    vectors: float = 0.0
    candidates: int | None = None
    scores: float = 0.0
    result: bool = False
    pairs: Sequence[Pair] = ()
    parts: Sequence[float] = ()


def already_done(config: EvaluateConfig, dataset: Dataset, store: Store) -> Already:
    """Find finished work of an evaluation on a dataset that is on disk.

    Scores of single pairs count for this machine alone.

    Raises:
        ResultError: a result that is there is damaged.
    """
    dataset = rerank.instructed(config.reranker, dataset)
    described = bool(config.compute.machine.name)
    # Keys of vectors and results do not depend on the device, so a machine without a GPU can look; keys of scores do.
    compute = replace(config.compute, device="cpu") if described else config.compute
    try:
        first_stage = retrieval.build(config.retriever, compute, store, dataset=config.dataset, weights=False)
        reranker = rerank.build(config.reranker, compute, dataset=config.dataset, weights=False)
    except (AbsentModel, MissingExtra):
        return Already()
    encoded = _encoded(first_stage, dataset, store)
    fused = first_stage.parts if isinstance(first_stage, FusionRetriever) else ()
    parts = tuple(_encoded(part, dataset, store) for part in fused)
    key = candidates_key(dataset, first_stage.identity, config.depth)
    folder, candidates = results.locate_candidates(config, dataset.name, key)
    if candidates is None:
        return Already(encoded, parts=parts)
    reranked = result_key(dataset, candidates.manifest["run_digest"], reranker.identity)
    _, found = results.locate_reranked(config, folder, reranked)
    run = candidates.read_pairs()
    places = _places(run, dataset, whole_lists=isinstance(reranker, Reranker) and reranker.by_query)
    pairs, scores = _pairs(run, dataset, places), 0.0
    if isinstance(reranker, Reranker) and not described:
        scores = _scores(reranker, dataset, store, pairs, run.row_queries[places])
    return Already(encoded, len(run), scores, found is not None, pairs, parts)


def _encoded(first_stage: FirstStage, dataset: Dataset, store: Store) -> float:
    """Share of a dataset's documents whose vectors or weights a first stage finds in the store."""
    facts = first_stage.corpus_facts(dataset)
    if facts is None:
        return 0.0
    folder = store.peek("embeddings", facts)
    if folder.is_dir():
        return 1.0
    left = folder.with_name(f"{PARTIAL}{folder.name}")
    done = vectors.rows_done(left) + growing_weights.rows_done(left)
    return min(done / max(len(dataset.documents), 1), 1.0)


def _places(run: Run, dataset: Dataset, *, whole_lists: bool) -> NDArray[np.int64]:
    """Evenly spaced candidates, or all those of evenly spaced queries, about as many; those that the corpus has."""
    places, count = _spaced(len(run), _PAIRS), len(run.query_ids)
    if whole_lists:
        queries = _spaced(count, max(_PAIRS * count // max(len(run), 1), 1))
        places = np.flatnonzero(np.isin(run.row_queries, queries))
    return places[dataset.rows(run.doc_ids)[run.codes[places]] >= 0]


def _spaced(count: int, wanted: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64))


def _pairs(run: Run, dataset: Dataset, places: NDArray[np.int64]) -> list[Pair]:
    """Some candidates as the reranker reads them."""
    texts = dataset.documents.texts(dataset.rows(run.doc_ids)[run.codes[places]])
    query_ids = [run.query_ids[query] for query in run.row_queries[places].tolist()]
    return [
        Pair(dataset.queries[query_id], text, dataset.instructions.get(query_id))
        for query_id, text in zip(query_ids, texts, strict=True)
    ]


def _scores(
    reranker: Reranker, dataset: Dataset, store: Store, pairs: Sequence[Pair], queries: NDArray[np.integer]
) -> float:
    path = store.peek("scores", score_facts(reranker.identity, reranker.facts(), dataset.name)) / SCORES
    if not path.is_file() or not pairs:
        return 0.0
    keys = pair_keys(pairs)
    found = KeptScores(path).find(list_keys(keys, queries) if reranker.by_query else keys)
    return float(found.known.mean())
