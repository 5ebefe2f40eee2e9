"""The candidates that a dataset brings: a published first stage, or lists without an order as reranking samples have.

Lists without an order have equal scores, and ties are broken by document id as everywhere. So a reranker that says
nothing gives what the first stage gives, wherever a list has its relevant documents.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evalkit.config import DatasetConfig, EvaluateConfig
from evalkit.config.retriever import RetrieverConfig
from evalkit.datasets.reranking_samples import MEASURES, are_samples, begins_with_sample
from evalkit.errors import ConfigError, DataError
from evalkit.formats.doubts import ALL_RELEVANT, RELEVANT_FIRST, TIES, require_judged
from evalkit.formats.notes import Note, counted
from evalkit.retrieval.candidates import cut
from evalkit.retrieval.first_stage import FirstStage
from evalkit.retrieval.fusion import FusionConfig
from evalkit.retrieval.saved import SavedConfig
from evalkit.run import Run
from evalkit.types import Dataset, Identity

logger = logging.getLogger(__name__)

_ENOUGH = 5  # queries from which a pattern in all of them is no coincidence


@dataclass
class OwnConfig(RetrieverConfig):
    """The candidates that the dataset brings."""

    implementation: ClassVar[str] = "evalkit.retrieval.own_candidates:OwnRetriever"
    formerly: ClassVar[str] = "judged"


class OwnRetriever(FirstStage):
    """The candidates of the dataset, by their scores; all of them where they have no order."""

    def __init__(self, *, of_samples: bool = False) -> None:
        self._kind = "judged" if of_samples else "own"  # keys of results over samples hang on their older name

    @classmethod
    def build(cls, config: OwnConfig, *, dataset: DatasetConfig | None, **_: object) -> "OwnRetriever":
        """See `FirstStage`."""
        del config  # there is nothing to set
        return cls(of_samples=dataset is not None and are_samples(dataset))

    @property
    def identity(self) -> Identity:
        """Nothing but the dataset decides the candidates."""
        return {"kind": self._kind}

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` best of the dataset's candidates.

        Raises:
            ConfigError: the dataset has none.
            DataError: a query has more than `depth` of them without an order, so that a cut would be arbitrary, or ids
                are of another collection.
        """
        if dataset.candidates is None:
            raise ConfigError(
                f"{dataset.name} brings no candidates. Choose a first stage, such as retriever=bm25, or give a run: "
                "retriever=saved retriever.path=FILE."
            )
        if not len(dataset.candidates):
            raise DataError(f"{dataset.name}: its candidates are of none of its queries. Are the ids written alike?")
        whole = cut(dataset.candidates, dataset, len(dataset.candidates))
        name = f"{dataset.name}: candidates"
        require_judged(dataset.qrels, dataset.ranked(whole), name=name, judged_in="the judgments")
        self._require_order(whole, dataset, depth)
        candidates = whole.top(depth)
        self._warn_of_absent(candidates, dataset)
        ranked = dataset.ranked(candidates)
        found = (_without_order(ranked), _all_relevant(ranked, dataset), _relevant_first(ranked, dataset))
        self.notes = tuple(note for note in found if note is not None)
        return candidates

    def _require_order(self, run: Run, dataset: Dataset, depth: int) -> None:
        most = int(np.diff(run.offsets)[_unordered(run)].max(initial=0))
        if most > depth:
            raise DataError(
                f"{dataset.name}: a query has {most} candidates, which have no order, so depth={depth} would cut them "
                f"at random. Set depth={most}."
            )

    def _warn_of_absent(self, run: Run, dataset: Dataset) -> None:
        absent = np.unique(run.codes[dataset.rows(run.doc_ids)[run.codes] < 0])
        if len(absent):
            logger.warning(
                "%s: %s, such as %r, %s not in the corpus. A reranker has no text of it and refuses to rerank.",
                dataset.name,
                counted(len(absent), "candidate"),
                run.doc_ids[int(absent[0])].as_py(),
                "is" if len(absent) == 1 else "are",
            )


def _unordered(run: Run) -> NDArray[np.bool_]:
    """Shape (queries,): whether all candidates have the same score."""
    return np.asarray(run.scores[run.offsets[:-1]] == run.scores[run.offsets[1:] - 1])


def _without_order(run: Run) -> Note | None:
    """Queries all of whose candidates have the same score."""
    several = np.diff(run.offsets) > 1
    found = [run.query_ids[index] for index in np.flatnonzero(_unordered(run) & several)]
    if not found:
        return None
    of = counted(len(run.query_ids), "query", "queries")
    text = f"the candidates of {len(found)} of {of} have no order; ties are broken by document id"
    return Note(TIES, text, {"queries": len(found), "of": len(run.query_ids), "example": found[0]})


def _all_relevant(run: Run, dataset: Dataset) -> Note | None:
    """Whether the candidates have all relevant documents of all queries, as hardly a first stage finds them."""
    relevant = _relevant(dataset)
    found = {query_id: set(doc_ids) for query_id, doc_ids, _ in run}
    if not relevant or any(not doc_ids <= found.get(query_id, set()) for query_id, doc_ids in relevant.items()):
        return None
    text = (
        f"the candidates have every relevant document of {counted(len(relevant), 'query', 'queries')}, as in lists to "
        "which relevant documents were added; values say how documents are ordered, not what a search and its "
        "reranking reach"
    )
    return Note(ALL_RELEVANT, text, {"queries": len(relevant)})


def _relevant_first(run: Run, dataset: Dataset) -> Note | None:
    """Whether the relevant candidates come first in all queries that have others too: then the order knows them."""
    relevant, mixed = _relevant(dataset), 0
    for query_id, doc_ids, _ in run:
        is_relevant = np.isin(doc_ids, list(relevant.get(query_id, ())))
        if is_relevant.all() or not is_relevant.any():
            continue
        if not is_relevant[: is_relevant.sum()].all():
            return None
        mixed += 1
    if mixed < _ENOUGH:
        return None
    text = (
        f"relevant documents come first in all {mixed} queries that have candidates of both kinds, so the order, or "
        "the ids that break ties, tell which they are; a comparison with this first stage says nothing"
    )
    return Note(RELEVANT_FIRST, text, {"queries": mixed})


def _relevant(dataset: Dataset) -> Mapping[str, set[str]]:
    """Relevant documents of each query that has some."""
    found = {
        query_id: {doc_id for doc_id, grade in grades.items() if grade > 0}
        for query_id, grades in dataset.qrels.items()
    }
    return {query_id: doc_ids for query_id, doc_ids in found.items() if doc_ids}


def warn_of_unused(config: EvaluateConfig, dataset: Dataset) -> None:
    """Say so where a first stage searches a dataset that brings candidates of its own."""
    parts = config.retriever.parts if isinstance(config.retriever, FusionConfig) else [config.retriever]
    if dataset.candidates is not None and not any(isinstance(part, OwnConfig | SavedConfig) for part in parts):
        logger.warning(
            "%s: brings candidates of its own, which retriever=%s does not use. Set retriever=own to rerank them.",
            dataset.name,
            config.retriever.name,
        )


def settled(config: EvaluateConfig) -> EvaluateConfig:
    """The settings of an evaluation as they are used: reranking samples bring their own measures and candidates.

    A saved run of these candidates is used, as it has their order.
    """
    if not are_samples(config.dataset):
        return config
    if not isinstance(config.retriever, OwnConfig | SavedConfig) and begins_with_sample(config.dataset):
        logger.warning(
            "%s: reranking samples bring their own candidates, so retriever=%s is not used.",
            config.dataset.name,
            config.retriever.name,
        )
    measures = list(dict.fromkeys([*MEASURES, *config.measures]))
    if isinstance(config.retriever, SavedConfig):  # such as the order in which a retriever wrote them
        return replace(config, measures=measures)
    return replace(config, retriever=OwnConfig(name="own"), measures=measures)
