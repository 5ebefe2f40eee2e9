"""Candidates that are the judged documents of each query, in no order: what reranking samples bring."""

import logging
from dataclasses import dataclass, replace
from typing import ClassVar

from evalkit.config import EvaluateConfig
from evalkit.config.retriever import RetrieverConfig
from evalkit.datasets.reranking_samples import MEASURES, are_samples, begins_with_sample
from evalkit.errors import DataError
from evalkit.retrieval.candidates import cut
from evalkit.retrieval.first_stage import FirstStage
from evalkit.retrieval.saved import SavedConfig
from evalkit.run import Run
from evalkit.types import Dataset, Identity

logger = logging.getLogger(__name__)


@dataclass
class JudgedConfig(RetrieverConfig):
    """The judged documents of each query, in no order."""

    implementation: ClassVar[str] = "evalkit.retrieval.judged:JudgedRetriever"


class JudgedRetriever(FirstStage):
    """All judged documents of a query, relevant or not, with equal scores."""

    def __init__(self, config: JudgedConfig | None = None) -> None:
        del config  # there is nothing to set

    @property
    def identity(self) -> Identity:
        """Nothing but the dataset decides the candidates."""
        return {"kind": "judged"}

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The judged documents that the corpus has.

        Raises:
            DataError: a query has more than `depth` of them; as they have no order, a cut would be arbitrary.
        """
        judged = sorted({doc_id for grades in dataset.qrels.values() for doc_id in grades})
        absent = set(dataset.lacking(judged))
        scores = {
            query_id: {doc_id: 0.0 for doc_id in grades if doc_id not in absent}
            for query_id, grades in dataset.qrels.items()
        }
        run = Run.from_dict(scores, source="judged documents")
        candidates = cut(run, dataset, len(run))
        most = max((len(doc_ids) for _, doc_ids, _ in candidates), default=0)
        if most > depth:
            raise DataError(
                f"{dataset.name}: a query has {most} judged documents, which have no order, so depth={depth} would cut "
                f"them at random. Set depth={most}."
            )
        return candidates


def settled(config: EvaluateConfig) -> EvaluateConfig:
    """The settings of an evaluation as they are used: reranking samples bring their own measures and candidates.

    A saved run of these candidates is used, as it has their order.
    """
    if not are_samples(config.dataset):
        return config
    if not isinstance(config.retriever, JudgedConfig | SavedConfig) and begins_with_sample(config.dataset):
        logger.warning(
            "%s: reranking samples bring their own candidates, so retriever=%s is not used.",
            config.dataset.name,
            config.retriever.name,
        )
    measures = list(dict.fromkeys([*MEASURES, *config.measures]))
    if isinstance(config.retriever, SavedConfig):  # such as the order in which a retriever wrote them
        return replace(config, measures=measures)
    return replace(config, retriever=JudgedConfig(name="judged"), measures=measures)
