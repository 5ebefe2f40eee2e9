"""First stage and reranker over documents and queries that another library holds: what its searchers share."""

from functools import cached_property

from evalkit import rerank, retrieval
from evalkit.config import ComputeConfig, DatasetConfig, RerankerConfig, RetrieverConfig
from evalkit.errors import ConfigError
from evalkit.run import Run
from evalkit.store import Store
from evalkit.types import Dataset, Identity


class TwoStages:
    """The two stages by their settings; models are built for each dataset, as it may have an instruction.

    Args:
        retriever: the first stage.
        reranker: of its candidates.
        compute: where and how models run.
        depth: candidates of each query that are reranked.
        store: where vectors are kept.

    Raises:
        ConfigError: no candidates, or a reranker of several scores.
    """

    def __init__(
        self, retriever: RetrieverConfig, reranker: RerankerConfig, compute: ComputeConfig, *, depth: int, store: Store
    ) -> None:
        if depth < 1:
            raise ConfigError(f"depth={depth} is not a number of candidates. Give 1 or more.")
        rerank.require_one_score(reranker)
        self.retriever, self.reranker, self.depth = retriever, reranker, depth
        self._compute, self._store = compute, store

    @cached_property
    def identity(self) -> Identity:
        """All that decides the scores, apart from the depth. An object without an identity gets one, which stays."""
        return {
            "first_stage": retrieval.build(self.retriever, self._compute, self._store).identity,
            "reranker": rerank.build(self.reranker, self._compute).identity,
        }

    def search(
        self, dataset: Dataset, config: DatasetConfig, *, top_k: int, candidates: Run | None = None
    ) -> dict[str, dict[str, float]]:
        """The scores of the last stage for at most `depth` documents of every query.

        Args:
            dataset: documents and queries; it needs no judgments.
            config: its settings, for its instruction.
            top_k: fewer than `depth` truncate the ranking after reranking.
            candidates: to take instead of the first stage's.
        """
        dataset = rerank.instructed(self.reranker, dataset)
        if candidates is None:
            first_stage = retrieval.build(self.retriever, self._compute, self._store, dataset=config)
            candidates = first_stage.retrieve(dataset, self.depth)
        reranker = rerank.build(self.reranker, self._compute, dataset=config)
        run = rerank.apply(reranker, candidates, dataset).run.top(top_k)
        found = {query_id: dict(zip(doc_ids, scores.tolist(), strict=True)) for query_id, doc_ids, scores in run}
        return {query_id: found.get(query_id, {}) for query_id in dataset.queries}
