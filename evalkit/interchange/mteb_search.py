"""The whole two-stage pipeline as one `SearchProtocol` of mteb, so that `mteb.evaluate` runs it.

search = load_search("bm25", "bge_reranker_v2_m3", depth=100)
mteb.evaluate(search, mteb.get_tasks(["SciFact"]))

mteb sees one model. Its `experiment_kwargs` name first stage and depth, so mteb's cache distinguishes them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from evalkit.config.instructions import PER_QUERY
from evalkit.datasets import columns, mteb_task
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.mteb_task import MtebDatasetConfig
from evalkit.interchange.tasks import card_of
from evalkit.interchange.two_stages import TwoStages
from evalkit.retrieval.own_candidates import OwnRetriever
from evalkit.store.artefact import digest
from evalkit.types import Dataset


class PipelineSearch:
    """First stage and reranker as one searcher; see `evalkit.load_search`."""

    def __init__(self, stages: TwoStages) -> None:
        self._stages = stages
        self._documents: ArrowDocuments | None = None
        self._corpus_digest = ""

    @property
    def mteb_model_meta(self) -> Any:
        """The identity of this pipeline in mteb's cache."""
        from mteb.models.model_meta import ModelMeta

        depth, first_stage, reranker = self._stages.depth, self._stages.retriever.name, self._stages.reranker.name
        key = digest({**self._stages.identity, "depth": depth})
        settings = {"first_stage": first_stage, "top_k": depth, "key": key[:8]}
        name = first_stage if reranker == "none" else reranker
        return ModelMeta.create_empty(
            overwrites={"name": f"evalkit/{name}", "revision": key[:12], "experiment_kwargs": settings}
        )

    def index(self, corpus: Any, *, task_metadata: Any, **_: Any) -> None:
        """Take the documents; their vectors are made, or read from the cache, at the first search."""
        table = mteb_task.checked_corpus(task_metadata.name, corpus)
        self._documents = ArrowDocuments(table, title_separator=" ", id_column="id")
        self._corpus_digest = columns.content_digest(table)

    def search(
        self,
        queries: Any,
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        top_k: int,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """The scores of the last stage for at most `depth` candidates of every query.

        Args:
            queries: a table with columns `id`, `text` and perhaps `instruction`, which follows the text unless the
                reranker is set to read it.
            task_metadata: the task; where the reranker reads instructions, it gets the one of the task's dataset.
            hf_split: split of the task.
            hf_subset: subset of the task.
            top_k: documents that mteb asks for; fewer than `depth` truncate the ranking after reranking.
            top_ranked: candidates of mteb's own for each query, instead of the first stage's; or all documents that a
                query may have, for the first stage.

        Raises:
            DataError: the task is one of reranking, whose lists have no order, and `depth` would cut one.
        """
        config = _config(task_metadata, hf_split, hf_subset)
        dataset = self._dataset(config, queries, task_metadata, hf_subset)
        # Only `convert_to_reranking` gives tasks of retrieval lists of candidates, best first.
        is_ranking = task_metadata.type == "Retrieval"
        doc_ids = dataset.documents.ids.to_pylist() if top_ranked else []
        lists = mteb_task.own_lists(task_metadata, top_ranked, doc_ids, is_ranking=is_ranking)
        dataset, candidates = replace(dataset, excluded=lists.excluded), None
        if lists.candidates is not None:
            own = replace(dataset, candidates=lists.candidates.only_queries(dataset.queries))
            candidates = OwnRetriever().retrieve(own, self._stages.depth)
        return self._stages.search(dataset, config, top_k=top_k, candidates=candidates)

    def _dataset(self, config: MtebDatasetConfig, queries: Any, task_metadata: Any, subset: str) -> Dataset:
        assert self._documents is not None, "mteb indexes before it searches"
        names = [name for name in ("id", "text", "instruction") if name in queries.column_names]
        rows = queries.select_columns(names).with_format("arrow")[:]
        ids = rows.column("id").cast(pa.string()).to_pylist()
        texts = dict(sorted(zip(ids, rows.column("text").to_pylist(), strict=True)))
        said = rows.column("instruction").to_pylist() if "instruction" in names else [None] * len(ids)
        instructions = {query_id: text for query_id, text in zip(ids, said, strict=True) if text}
        reranker = self._stages.reranker
        if not (reranker.reads_instructions and str(getattr(reranker, "instructions", "")) == PER_QUERY):
            # As mteb's own wrappers give queries to models.
            texts |= {query_id: f"{texts[query_id]} {text}" for query_id, text in instructions.items()}
            instructions = {}
        return Dataset(
            name=config.name,
            split=config.split,
            language=mteb_task.language_of(task_metadata, subset, self._documents),
            documents=self._documents,
            queries=texts,
            qrels={},
            instructions=instructions,
            drop_identical_ids=_drops_identical_ids(task_metadata.name),
            corpus_digest=self._corpus_digest,
            digest=digest({"corpus": self._corpus_digest, "queries": texts}),
        )


def _config(task_metadata: Any, split: str, subset: str) -> MtebDatasetConfig:
    """The task as a dataset; its instruction has the name of our card, where we have one."""
    card = card_of(task_metadata.dataset["path"], subset) or {}
    key = card.get("instruction_key") or card.get("name")
    return MtebDatasetConfig(task=task_metadata.name, subset=subset, split=split, instruction_key=key)


def _drops_identical_ids(task: str) -> bool:
    """The rule of the task, so that `depth` counts documents that stay; False for a task that is not registered."""
    import mteb

    try:
        return bool(mteb.get_task(task).ignore_identical_ids)
    except KeyError:
        return False
