"""One evaluation from end to end. Read `evaluate` and you know the program; everything else is a leaf.

    config -> Dataset -> candidates (Run) -> reranked Run -> per-query values -> result on disk

Candidates and results are found by a key of everything that made them, so running twice computes nothing twice.
"""

from dataclasses import replace

from evalkit import datasets, rerank, retrieval
from evalkit.config import EvaluateConfig
from evalkit.datasets.language import warn_of_language
from evalkit.datasets.matching_ids import require_judged_documents
from evalkit.measures import canonical
from evalkit.results import Evaluation
from evalkit.results.recorder import Recorder
from evalkit.retrieval.own_candidates import settled, warn_of_unused
from evalkit.store import open_store
from evalkit.system.stages import Stages


def evaluate(config: EvaluateConfig, *, command: str = "") -> Evaluation:
    """Retrieve, rerank, measure and save, or find what an earlier run saved.

    Args:
        config: the settings.
        command: what the user typed, for the manifest.

    Raises:
        EvalkitError: a setting, a file or a checkpoint is wrong; nothing is half-written.
    """
    config = settled(config)
    config = replace(config, reranker=config.reranker.settled())
    store = open_store(config.cache_dir)

    # A typing mistake or an absent checkpoint shows now, not after hours of encoding.
    config = replace(config, measures=canonical(config.measures, level=config.dataset.relevance_level))
    rerank.require_one_score(config.reranker)
    first_stage = retrieval.build(config.retriever, config.compute, store, dataset=config.dataset)
    reranker = rerank.build(config.reranker, config.compute, dataset=config.dataset)

    stages = Stages()
    with stages.timed("load"):
        dataset = rerank.instructed(config.reranker, datasets.load(config.dataset, store))
    require_judged_documents(dataset, f"{dataset.name}: qrels", "the corpus")
    warn_of_language(config, dataset)
    warn_of_unused(config, dataset)
    recorder = Recorder(config, dataset, command, store)

    candidates = recorder.candidates(
        first_stage.identity, lambda: retrieval.apply(first_stage, dataset, config.depth), stages
    )
    reranked = recorder.reranked(
        reranker.identity, candidates, lambda run: rerank.apply(reranker, run, dataset, store, config.compute)
    )
    return Evaluation(reranked, candidates)
