"""What of an evaluation is in the store and the results already, found by the same keys as the evaluation finds it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from evalkit import rerank, results, retrieval
from evalkit.config import EvaluateConfig
from evalkit.errors import AbsentModel, MissingExtra
from evalkit.rerank.known_scores import SCORES, KeptScores, pair_keys, score_facts
from evalkit.rerank.seam import Reranker
from evalkit.results.recorder import candidates_key, result_key
from evalkit.retrieval.first_stage import FirstStage
from evalkit.retrieval.vectors import DIGEST_BYTES, DONE
from evalkit.run import Run
from evalkit.store import PARTIAL, Store
from evalkit.store.journal import Journal
from evalkit.types import Dataset, Pair

_PAIRS = 512


class Kept(NamedTuple):
    """Shares of the stages that need not be done again, from 0 to 1.

    Attributes:
        vectors: of the documents that are encoded.
        candidates: how many were found; None where they have to be.
        scores: of the candidates that have a score; estimated from some.
        result: whether all of it is there.
        pairs: some of the candidates, as the reranker reads them.
        libraries: whether torch and transformers are imported already.
    """

    vectors: float = 0.0
    candidates: int | None = None
    scores: float = 0.0
    result: bool = False
    pairs: Sequence[Pair] = ()
    libraries: bool = False


def kept_of(config: EvaluateConfig, dataset: Dataset, store: Store) -> Kept:
    """What there is for an evaluation on a dataset that is on disk.

    Scores of single pairs are told for this machine alone.

    Raises:
        ResultError: a result that is there is damaged.
    """
    dataset = rerank.instructed(config.reranker, dataset)
    described = bool(config.compute.machine.name)
    # The keys of vectors and results do not tell the device, so a machine without a GPU can look; those of scores do.
    compute = replace(config.compute, device="cpu") if described else config.compute
    try:
        first_stage = retrieval.build(config.retriever, compute, store, dataset=config.dataset, weights=False)
        reranker = rerank.build(config.reranker, compute, dataset=config.dataset, weights=False)
    except (AbsentModel, MissingExtra):
        return Kept()
    vectors = vectors_share(first_stage, dataset, store)
    key = candidates_key(dataset, first_stage.identity, config.depth)
    folder, candidates = results.locate_candidates(config, dataset.name, key)
    if candidates is None:
        return Kept(vectors)
    reranked = result_key(dataset, candidates.manifest["run_digest"], reranker.identity)
    _, found = results.locate(folder, config.reranker.name, reranked)
    kept = scored(reranker, candidates.read_run(), dataset, store)._replace(vectors=vectors, result=found is not None)
    return kept._replace(scores=0.0) if described else kept


def vectors_share(first_stage: FirstStage, dataset: Dataset, store: Store) -> float:
    """How many of the vectors that a first stage needs of a dataset are there."""
    facts = first_stage.corpus_facts(dataset)
    if facts is None:
        return 0.0
    folder = store.peek("embeddings", facts)
    if folder.is_dir():
        return 1.0
    done = sum(
        (len(record) - DIGEST_BYTES) // 8
        for number, record in enumerate(Journal(folder.with_name(f"{PARTIAL}{folder.name}") / DONE).replay())
        if number  # the first says who made the others
    )
    return min(done / max(len(dataset.documents), 1), 1.0)


def scored(reranker: rerank.AnyReranker, run: Run, dataset: Dataset, store: Store) -> Kept:
    """What there is of a reranker's scores of candidates."""
    pairs = _some_pairs(run, dataset)
    scores = _scores(reranker, dataset, store, pairs) if isinstance(reranker, Reranker) else 0.0
    return Kept(1.0, len(run), scores, pairs=pairs)


def _some_pairs(run: Run, dataset: Dataset) -> list[Pair]:
    """Texts of candidates at even distances; those that the corpus lacks are left out."""
    places = np.unique(np.linspace(0, len(run) - 1, min(len(run), _PAIRS)).round().astype(np.int64))
    rows = dataset.rows(run.doc_ids)[run.codes[places]]
    queries = run.row_queries[places]
    there = np.flatnonzero(rows >= 0)
    texts = dataset.documents.texts(rows[there])
    query_ids = [run.query_ids[query] for query in queries[there].tolist()]
    return [
        Pair(dataset.queries[query_id], text, dataset.instructions.get(query_id))
        for query_id, text in zip(query_ids, texts, strict=True)
    ]


def _scores(reranker: Reranker, dataset: Dataset, store: Store, pairs: Sequence[Pair]) -> float:
    path = store.peek("scores", score_facts(reranker.identity, reranker.facts(), dataset.name)) / SCORES
    if not path.is_file() or not pairs:
        return 0.0
    found = KeptScores(path).find(pair_keys(pairs))
    return float(found.known.mean())
