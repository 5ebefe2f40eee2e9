"""Sparse retrieval with SPLADE or bge-m3: weights of the vocabulary for each text, and exact dot products."""

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DatasetConfig
from evalkit.config.limits import at_least, given
from evalkit.config.retriever import RetrieverConfig
from evalkit.errors import ConfigError
from evalkit.inference.room import room
from evalkit.inference.workers import Pool, Shards, open_pool
from evalkit.retrieval.candidates import candidates_from_scores
from evalkit.retrieval.encoding import EncodingWorker, Texts, encode_corpus
from evalkit.retrieval.encoding_retriever import EncodingRetriever
from evalkit.retrieval.growing_weights import FILES, WEIGHTS, in_order, open_weights
from evalkit.retrieval.query_table import QueryTable
from evalkit.retrieval.sparse_encoder import SparseEncoder, VocabularyEncoder
from evalkit.retrieval.token_weights import TokenWeightEncoder
from evalkit.run import Run
from evalkit.store import Store
from evalkit.store.artefact import EMBEDDINGS
from evalkit.system.progress import progress
from evalkit.system.stages import LOADING, Meter, Stages
from evalkit.types import Dataset, Identity

_MODEL = "retriever"


@dataclass
class SpladeConfig(RetrieverConfig):
    """A SPLADE encoder: one weight for each entry of the vocabulary, ranked by dot product."""

    implementation: ClassVar[str] = "evalkit.retrieval.splade:SpladeRetriever"
    model: str | None = None
    """A hub id, a folder, or `package:NAME/PATH` for weights inside an installed package."""
    revision: str | None = None
    """Commit of the hub id."""
    query_instruction: str | None = None
    """Put before every query as it is; the checkpoint's prompt `query` when not set."""
    document_instruction: str | None = None
    """Put before every document as it is; the checkpoint's prompt `document` when not set."""
    max_length: int | None = None
    """Tokens of one text, special tokens included; as many as the checkpoint says when not set. A table of weights for
    queries, which some checkpoints have, reads as many as its tokenizer says."""
    projection: str | None = None
    """Linear layer that gives each token a weight, in place of a masked-language head, as a file in the checkpoint:
    bge-m3's `sparse_linear.pt`."""

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        given("retriever.model", self.model, "HUB_ID_OR_FOLDER")
        at_least("retriever.max_length", self.max_length, 8)


class SpladeRetriever(EncodingRetriever):
    """A SPLADE encoder over a whole corpus. Documents that share no weight with the query are left out.

    Attributes:
        encoder: of documents, and of queries where these have no table.
        query_table: of the weights of queries; None where the encoder makes them.
    """

    stages: Stages

    def __init__(self, config: SpladeConfig, compute: ComputeConfig, store: Store, *, weights: bool = True) -> None:
        self.config, self.store = config, store
        kind = SparseEncoder if config.projection is None else TokenWeightEncoder
        self.encoder: VocabularyEncoder = kind(config, compute, weights=weights)
        queries = self.encoder.queries
        self.query_table = queries if isinstance(queries, QueryTable) else None
        self.compute, self.tokenize, self.encode = self.encoder.compute, self.encoder.tokenize, self.encoder.encode
        self.stages = Stages()

    @classmethod
    def build(
        cls, config: SpladeConfig, *, compute: ComputeConfig, store: Store, dataset: DatasetConfig | None, weights: bool
    ) -> "SpladeRetriever":
        """See `FirstStage`."""
        del dataset
        return cls(config, compute, store, weights=weights)

    @property
    def identity(self) -> Identity:
        """Checkpoint, pooling, texts around the text, limits and arithmetic."""
        own = {"query_instruction": self.encoder.reading.query_instruction}
        return {**self.encoder.identity, **own, **self.encoder.identity_of_queries}

    def corpus_facts(self, dataset: Dataset) -> Identity:
        """All that decides the weights of the documents."""
        return {
            **self.encoder.identity,
            "corpus": dataset.corpus_digest,
            "title_separator": dataset.title_separator,
        }

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` documents whose weights have the largest dot product with the query's, above 0."""
        from scipy import sparse

        self.stages = Stages()
        with ExitStack() as exits:
            with self.stages.timed(f"{LOADING} {_MODEL}"):
                pool = exits.enter_context(open_pool(EncodingWorker(self.encoder), self.compute))
            documents = sparse.load_npz(self._document_weights(dataset, pool) / WEIGHTS)
            queries = self._query_weights(dataset, pool)
            self.usage, self.workers = pool.spent(), pool.describe()
        return self._search(dataset, documents, queries, depth)

    def _document_weights(self, dataset: Dataset, pool: Pool) -> Path:
        """The folder with the weights of all documents, found or made."""

        def build(folder: Path) -> None:
            before = pool.spent()
            with progress("encoding documents", len(dataset.documents), "documents") as meter:
                encode_corpus(
                    pool,
                    dataset.documents,
                    partial(open_weights, folder, (len(dataset.documents), self.encoder.width)),
                    instruction=self.encoder.reading.document_instruction,
                    room=room(self.compute),
                    meter=meter,
                )
            self.stages.take("encode documents", meter, model=_MODEL, **pool.spent().read(before))

        label = f"{self.config.name}: {dataset.name}"
        return self.store.folder(EMBEDDINGS, self.corpus_facts(dataset), build, label=label, resumes=FILES)

    def _query_weights(self, dataset: Dataset, pool: Pool) -> Any:
        """A `csr_array` of shape (queries, vocabulary)."""
        texts, before = list(dataset.queries.values()), self.encoder.reading.query_instruction
        with progress("encoding queries", len(texts), "queries") as meter:
            if self.query_table is not None:
                weights = self.query_table.encode(texts, instruction=before, advance=meter)
            else:
                weights = self._by_encoder(Texts(texts, before, are_queries=True), pool, meter)
        self.stages.take("encode queries", meter, model=_MODEL)
        return weights

    def _by_encoder(self, texts: Texts, pool: Pool, meter: Meter) -> Any:
        parts: list[tuple[NDArray[np.int64], Any]] = []

        def keep(_: int, part: tuple[NDArray[np.int64], Any]) -> None:
            parts.append(part)
            meter(len(part[0]))

        pool.run(Shards(1, lambda _: texts, keep, meter=meter))
        return in_order(parts, self.encoder.width)

    def _search(self, dataset: Dataset, documents: Any, queries: Any, depth: int) -> Run:
        with progress("searching", len(dataset.queries), "queries") as meter:
            scores = (dot_products(documents, queries, query) for query in range(len(dataset.queries)))
            candidates = candidates_from_scores(dataset, scores, depth, meter)
        self.stages.take("search", meter, model=_MODEL)
        return candidates

    def before_query(self, instruction: str | None) -> str:
        """See `EncodingRetriever`."""
        if instruction:
            raise ConfigError(f"{self.config.name} has no place for an instruction.")
        return self.encoder.reading.query_instruction


def dot_products(documents: Any, queries: Any, query: int) -> NDArray[np.float32]:
    """The score of every document for one query, shape (documents,): summed in float64 and rounded once.

    Args:
        documents: `csc_array` of shape (documents, vocabulary): for each entry, the documents that have it.
        queries: `csr_array` of shape (queries, vocabulary).
        query: which of them.
    """
    of_all = np.zeros(documents.shape[0], dtype=np.float64)
    own = slice(queries.indptr[query], queries.indptr[query + 1])
    for term, weight in zip(queries.indices[own], queries.data[own].astype(np.float64), strict=True):
        posting = slice(documents.indptr[term], documents.indptr[term + 1])
        of_all[documents.indices[posting]] += weight * documents.data[posting]
    return of_all.astype(np.float32)
