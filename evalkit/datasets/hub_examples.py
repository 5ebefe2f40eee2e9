"""Published datasets whose queries list their relevant documents, on the Hugging Face hub: BRIGHT, LitSearch.

    queries      id, query, gold_ids, excluded_ids     a row a query; without ids they are q1, q2, ...
    documents    id, content

A query is never given the documents that it excludes.

Each is a configuration of the repository, with a split for every collection that it holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

from evalkit.config import DatasetConfig
from evalkit.config.limits import MISSING, require_commit
from evalkit.datasets import hub
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.candidate_lists import with_columns
from evalkit.datasets.columns import judged_texts, judgments
from evalkit.datasets.hub import Repository
from evalkit.datasets.loader import Loader, RemoteFile
from evalkit.errors import ConfigError, DataError
from evalkit.types import Dataset

_PARTS = ("queries", "corpus")


@dataclass
class ExamplesDatasetConfig(DatasetConfig):
    """A published dataset on the hub, at a pinned revision, whose queries list their relevant documents."""

    implementation: ClassVar[str] = "evalkit.datasets.hub_examples:ExamplesLoader"
    hub_id: str = MISSING
    """Repository on the Hugging Face hub."""
    revision: str = MISSING
    """A full commit: a branch moves, and what was made from it would be taken for what it is now."""
    part: str = MISSING
    """Which of its collections, a split of both configurations, such as `biology`."""
    examples: str = "examples"
    """The configuration that has the queries."""
    documents: str = "documents"
    """The configuration that has the documents, such as `long_documents`."""
    relevant: str = "gold_ids"
    """The column of queries that lists the relevant documents."""
    task: str | None = None
    """What mteb calls it, where several of its tasks read this repository."""

    @property
    def is_hub_copy(self) -> bool:
        """It is read from nowhere else."""
        return True

    def __post_init__(self) -> None:
        """Check that what is published is pinned."""
        super().__post_init__()
        require_commit("dataset.revision", self.revision)
        if self.path:
            raise ConfigError(f"dataset={self.name} is read from the hub. For a collection on disk set dataset=folder.")


class ExamplesLoader(Loader):
    """Reads one collection of a repository."""

    config: ExamplesDatasetConfig

    @property
    def _repository(self) -> Repository:
        one = self.config
        return Repository(one.hub_id, one.revision, called={"queries": one.examples, "corpus": one.documents})

    def load(self) -> Dataset:
        """See `Loader`."""
        config, repository = self.config, self._repository
        found = _judged(hub.table(repository, "queries", config.part), config)
        opened = hub.open_documents(repository, self.store, title_separator=config.title_separator, split=config.part)
        return assemble(config, self.store, documents=opened.documents, judged=found, corpus_digest=opened.digest)

    def remote_files(self) -> list[RemoteFile]:
        """See `Loader`."""
        return hub.remote_files(self._repository, _PARTS)

    def is_here(self) -> bool:
        """See `Loader`."""
        return hub.is_here(self._repository, _PARTS)


def _judged(examples: pa.Table, config: ExamplesDatasetConfig) -> Judged:
    """The queries that list a relevant document, and what they list and exclude."""
    where, names = f"{config.hub_id} ({config.examples})", examples.column_names
    if absent := sorted({"query", config.relevant} - set(names)):
        raise DataError(f"{where}: columns {', '.join(names)}, expected also {' and '.join(absent)}.")
    texts = examples.column("query").to_pylist()
    ids = examples.column("id").to_pylist() if "id" in names else [f"q{row + 1}" for row in range(len(texts))]
    lists = examples.column(config.relevant).to_pylist()
    qrels = judgments(_pairs(ids, lists), where)
    found = Judged(judged_texts(ids, texts, qrels, where), qrels, unjudged_queries=len(ids) - len(qrels))
    return with_columns(found, examples, ids)


def _pairs(ids: list[Any], lists: list[Any]) -> Iterator[tuple[Any, Any, int]]:
    """(query, document, 1) of each that a query lists, once."""
    for query_id, doc_ids in zip(ids, lists, strict=True):
        for doc_id in dict.fromkeys(doc_ids or ()):
            yield query_id, doc_id, 1
