"""Dense retrieval with a bi-encoder: a vector a text, exact search by dot product.

Vectors are stored on disk under a key of everything that made them; another model, instruction, length or corpus never
finds them. Nothing here has all documents or all vectors in memory.
"""

import logging
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DatasetConfig, DenseConfig
from evalkit.config.instructions import query_instruction
from evalkit.errors import ConfigError, ResultError
from evalkit.inference.room import room
from evalkit.inference.workers import Pool, open_pool, together
from evalkit.models.declared import unused_prompts
from evalkit.retrieval.candidates import candidates_from_rows, id_ranks, search_depth
from evalkit.retrieval.encoding import EncodingWorker, encode_corpus, encode_texts
from evalkit.retrieval.encoding_retriever import EncodingRetriever
from evalkit.retrieval.static_encoder import encoder_of
from evalkit.retrieval.vectors import FILES, VECTORS, open_vectors
from evalkit.run import Run
from evalkit.store import Store
from evalkit.store.artefact import EMBEDDINGS, content_digest
from evalkit.system.progress import progress
from evalkit.system.stages import LOADING, Stages
from evalkit.types import Dataset, Identity

logger = logging.getLogger(__name__)

_MODEL = "retriever"


class DenseRetriever(EncodingRetriever):
    """A bi-encoder over a whole corpus.

    Args:
        config: checkpoint, head and limits.
        compute: where and how.
        store: where vectors of corpora are stored.
        query_instruction: what is put before this dataset's queries; as settings or checkpoint say when None.
        weights: whether a hub id's weights are downloaded too.

    Attributes:
        encoder: of texts.
    """

    stages: Stages

    def __init__(
        self,
        config: DenseConfig,
        compute: ComputeConfig,
        store: Store,
        query_instruction: str | None = None,
        *,
        weights: bool = True,
    ) -> None:
        self.config = config
        self.store = store
        self.encoder = encoder_of(config, compute, weights=weights)
        own = self.encoder.queries.reading.query_instruction
        self.query_instruction = own if query_instruction is None else query_instruction
        for role, name in unused_prompts(self.encoder.said, config).items():
            logger.warning(
                "%s stores a prompt named %r. Like sentence-transformers, evalkit gives it to no %s. To use it: "
                "retriever.%s_instruction=%r",
                config.name,
                name,
                role,
                role,
                self.encoder.said.prompts[name],
            )
        self.checkpoint, self.compute = self.encoder.checkpoint, self.encoder.compute
        self.tokenize, self.encode = self.encoder.tokenize, self.encoder.encode
        self.stages = Stages()

    @classmethod
    def build(
        cls, config: DenseConfig, *, compute: ComputeConfig, store: Store, dataset: DatasetConfig | None, weights: bool
    ) -> "DenseRetriever":
        """One with the instruction for the dataset's queries."""
        return cls(config, compute, store, query_instruction(config, dataset), weights=weights)

    @property
    def identity(self) -> Identity:
        """Checkpoint, head, texts around the text, limits and arithmetic."""
        own = {"query_instruction": self.query_instruction}
        return {**self.encoder.identity, **own, **self.encoder.identity_of_queries}

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` documents whose vectors have the largest dot product with the query's."""
        self.stages = Stages()
        with ExitStack() as exits:
            with self.stages.timed(f"{LOADING} {_MODEL}"):
                from evalkit.retrieval.sharded import SearchWorker, search_corpus

                pool = exits.enter_context(open_pool(EncodingWorker(self.encoder), self.compute))
            folder = self._document_vectors(dataset, pool)
            # Opened before the queries take their time: an open file stays readable when it is pruned.
            documents, content = np.load(folder / VECTORS, mmap_mode="r"), content_digest(folder)
            queries = self._query_vectors(dataset, pool)
            self.usage, encoding = pool.spent(), pool.describe()
        if len(documents) != len(dataset.documents):
            raise ResultError(
                f"{len(documents)} stored vectors for {len(dataset.documents)} documents. Empty cache_dir."
            )
        k = min(search_depth(dataset, depth), len(documents))
        with progress("searching", len(documents), "documents") as meter, ExitStack() as exits:
            with meter.not_working(LOADING):
                pool = exits.enter_context(open_pool(SearchWorker(queries, k, self.compute), self.compute))
            rows, scores = search_corpus(
                pool,
                queries,
                documents,
                id_ranks=id_ranks(dataset),
                k=k,
                store=self.store,
                content=content,
                meter=meter,
            )
            self.workers = together(encoding, pool.describe())
            candidates = candidates_from_rows(dataset, list(dataset.queries), rows, scores, depth)
        self.stages.take("search", meter, model=_MODEL)
        return candidates

    def corpus_facts(self, dataset: Dataset) -> Identity:
        """All that decides the vectors of the documents."""
        return {
            **self.encoder.identity,
            "corpus": dataset.corpus_digest,
            "title_separator": dataset.title_separator,
        }

    def _document_vectors(self, dataset: Dataset, pool: Pool) -> Path:
        """The folder with the vectors of all documents, found or made."""

        def build(folder: Path) -> None:
            before = pool.spent()
            with progress("encoding documents", len(dataset.documents), "documents") as meter:
                shape = (len(dataset.documents), self.encoder.width)
                encode_corpus(
                    pool,
                    dataset.documents,
                    partial(open_vectors, folder, shape, self.config.embedding_dtype),
                    instruction=self.encoder.reading.document_instruction,
                    room=room(self.compute),
                    meter=meter,
                )
            self.stages.take("encode documents", meter, model=_MODEL, **pool.spent().read(before))

        label = f"{self.config.name}: {dataset.name}"
        return self.store.folder(EMBEDDINGS, self.corpus_facts(dataset), build, label=label, resumes=FILES)

    def _query_vectors(self, dataset: Dataset, pool: Pool) -> NDArray[np.float32]:
        texts, width, before = list(dataset.queries.values()), self.encoder.width, pool.spent()
        with progress("encoding queries", len(texts), "queries") as meter:
            found = encode_texts(pool, texts, width=width, instruction=self.query_instruction, meter=meter)
        self.stages.take("encode queries", meter, model=_MODEL, **pool.spent().read(before))
        return found

    def before_query(self, instruction: str | None) -> str:
        """See `EncodingRetriever`."""
        if not instruction:
            return self.query_instruction
        if self.config.instructed_query is None:
            raise ConfigError(
                f"{self.config.name} has no place for an instruction. Set retriever.instructed_query to a text with "
                "{instruction} in it."
            )
        return self.config.instructed_query.replace("{instruction}", instruction)
