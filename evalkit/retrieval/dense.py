"""Dense retrieval with a bi-encoder: a vector a text, exact search by dot product.

Vectors are pooled and normalised in float32, whatever the model computes in, and kept on disk under a key of everything
that made them; another model, instruction, length or corpus never finds them.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.errors import ConfigError, ModelError, ResultError
from evalkit.inference.finite import finite
from evalkit.inference.tokens import Tokenized, Tokenizer, prepare, tokenize
from evalkit.models.arithmetic import device_name, hardware, resolved, workers
from evalkit.models.checkpoint import resolve
from evalkit.models.loading import load_encoder, require_encoder, require_positions
from evalkit.models.packing import packed_encoder
from evalkit.models.sentence_transformer import embedding_head, load_dense, lowercases
from evalkit.models.tokenizers import load_tokenizer, require_vocabulary
from evalkit.progress import progress
from evalkit.retrieval.candidates import candidates_from_rows, search_depth
from evalkit.retrieval.vectors import VECTORS, open_vectors
from evalkit.run import Run
from evalkit.store import Store
from evalkit.types import Dataset, Identity

_FORMAT = 2  # of stored vectors; a higher number makes old ones be computed anew
_DOCUMENTS_PER_WINDOW = 16_384  # read, tokenised and sorted by length together


class DenseRetriever:
    """A bi-encoder over a whole corpus. Resolves its checkpoint at once, and loads it for the first text.

    Args:
        config: checkpoint, head and limits.
        compute: where and how.
        store: where vectors of corpora are kept.
        query_instruction: what is put before this dataset's queries; as configured when None.
    """

    def __init__(
        self, config: DenseConfig, compute: ComputeConfig, store: Store, query_instruction: str | None = None
    ) -> None:
        self.config = config
        self.store = store
        self.query_instruction = config.query_instruction if query_instruction is None else query_instruction
        self.checkpoint = resolve(str(config.model), config.revision)
        self.compute = resolved(compute, self.checkpoint)
        self.head = embedding_head(self.checkpoint, config)
        self.lowercase = lowercases(self.checkpoint)
        require_encoder(self.checkpoint)
        require_positions(self.checkpoint, config.max_length)

    @property
    def identity(self) -> Identity:
        """Checkpoint, head, texts around the text, limits and arithmetic."""
        return {**self._document_identity, "query_instruction": self.query_instruction}

    @property
    def _document_identity(self) -> dict[str, object]:
        return {
            "kind": "dense",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "pooling": self.head.pooling,
            "normalize": self.head.normalize,
            **({"dense": [folder.name for folder in self.head.dense]} if self.head.dense else {}),
            "lowercase": self.lowercase,
            "document_instruction": self.config.document_instruction,
            "max_length": self.config.max_length,
            "embedding_dtype": self.config.embedding_dtype,
            "dtype": self.compute.dtype,
            "attention": self.compute.attention,
        }

    @cached_property
    def _model(self) -> Any:
        return packed_encoder(load_encoder(self.checkpoint, self.compute), self.compute)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.checkpoint)

    @cached_property
    def _dense(self) -> list[Any]:
        """The linear layers behind the pooling."""
        layers: list[Any] = []
        for folder in self.head.dense:
            width = layers[-1][0].out_features if layers else self.checkpoint.config["hidden_size"]
            layer = load_dense(folder, self._model.device)
            if layer[0].in_features != width:
                raise ModelError(f"{folder}/config.json: in_features={layer[0].in_features}, but vectors have {width}.")
            layers.append(layer)
        return layers

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self._dense[-1][0].out_features if self._dense else self.checkpoint.config["hidden_size"])

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` documents whose vectors have the largest dot product with the query's."""
        from evalkit.retrieval.search import exact_top_k

        documents = np.load(self._document_vectors(dataset), mmap_mode="r")
        if len(documents) != len(dataset.documents):
            raise ResultError(
                f"{len(documents)} stored vectors for {len(dataset.documents)} documents. Empty cache_dir."
            )
        query_ids = list(dataset.queries)
        with progress("encoding queries", len(query_ids), "queries") as advance:
            queries = self.encode_queries(list(dataset.queries.values()), advance=advance)
        with progress("searching", len(documents), "documents") as advance:
            rows, scores = exact_top_k(
                queries,
                documents,
                id_ranks=_id_ranks(dataset),
                k=search_depth(dataset, depth),
                device=device_name(self.compute),
                advance=advance,
            )
        return candidates_from_rows(dataset, query_ids, list(rows), list(scores), depth)

    def _document_vectors(self, dataset: Dataset) -> Path:
        facts = {
            **self._document_identity,
            "corpus": dataset.corpus_digest,
            "title_separator": dataset.title_separator,
        }
        folder = self.store.folder(
            "embeddings",
            facts,
            lambda new: self._encode_corpus(dataset, new),
            label=f"{self.config.name}: {dataset.name}",
            resumable=True,
        )
        return folder / VECTORS

    def _encode_corpus(self, dataset: Dataset, folder: Path) -> None:
        total = len(dataset.documents)
        made_by = {"torch": version("torch"), "hardware": hardware(self.compute)}
        with (
            progress("encoding documents", total, "documents") as advance,
            open_vectors(folder, (total, self.width), self.config.embedding_dtype, made_by) as vectors,
        ):
            for start in range(0, total, _DOCUMENTS_PER_WINDOW):
                rows = range(start, min(start + _DOCUMENTS_PER_WINDOW, total))
                known = vectors.known[start : rows.stop].copy()
                advance(int(known.sum()))
                if known.all():
                    continue
                texts = dataset.documents.texts(rows)
                for some, found in self._stream(texts, self.config.document_instruction, known):
                    vectors.keep(start + some, found)
                    advance(len(some))

    def encode_queries(
        self,
        texts: Sequence[str],
        *,
        instruction: str | None = None,
        advance: Callable[[float], None] = lambda _: None,
    ) -> NDArray[np.float32]:
        """Vectors of queries, each behind the retriever's query instruction.

        Args:
            texts: any number.
            instruction: of the task, for retrievers that have a place for one; that of the dataset when None.
            advance: called with the number of texts done.

        Raises:
            ConfigError: there is no place for an instruction.
        """
        return self.encode(texts, instruction=self.before_query(instruction), advance=advance)

    def encode_documents(
        self, texts: Sequence[str], *, advance: Callable[[float], None] = lambda _: None
    ) -> NDArray[np.float32]:
        """Vectors of documents."""
        return self.encode(texts, instruction=self.config.document_instruction, advance=advance)

    def before_query(self, instruction: str | None) -> str:
        """What is put before a query with this task instruction.

        Raises:
            ConfigError: there is no place for one.
        """
        if not instruction:
            return self.query_instruction
        if self.config.instructed_query is None:
            raise ConfigError(
                f"{self.config.name} has no place for an instruction. Set retriever.instructed_query to a text with "
                "{instruction} in it."
            )
        return self.config.instructed_query.replace("{instruction}", instruction)

    def tokenize(self, texts: Sequence[str], *, instruction: str = "") -> Tokenized:
        """Token ids of texts, as `encode` has them read."""
        prepared = prepare(texts, instruction=instruction, lowercase=self.lowercase)
        tokenized = tokenize(self._tokenizer, prepared, max_length=self.config.max_length)
        require_vocabulary(self.checkpoint, tokenized.ids)
        return tokenized

    def encode(
        self, texts: Sequence[str], *, instruction: str = "", advance: Callable[[float], None] = lambda _: None
    ) -> NDArray[np.float32]:
        """Vectors of texts.

        Args:
            texts: any number.
            instruction: put before each text as it is.
            advance: called with the number of texts done.

        Returns:
            Shape (texts, width), float32, of length 1 where the head normalises.
        """
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        for rows, found in self._stream(texts, instruction):
            vectors[rows] = found
            advance(len(rows))
        return vectors

    def _stream(
        self, texts: Sequence[str], instruction: str, known: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """(which texts, their vectors), batch by batch; the batches are the same without those that are known."""
        import torch

        from evalkit.inference.forward import forward
        from evalkit.inference.pooling import pool, select_for

        for batch in forward(
            self._model,
            self.tokenize(texts, instruction=instruction),
            batch_tokens=self.compute.batch_tokens,
            select=select_for(self.head.pooling),
            workers=workers(self.compute),
            known=known,
        ):
            with torch.inference_mode():
                pooled = pool(batch.states, batch.lengths, self.head.pooling)
                for layer in self._dense:
                    pooled = layer(pooled.double()).float()
            if self.head.normalize:
                pooled = torch.nn.functional.normalize(pooled, dim=-1)
            yield batch.rows, finite(pooled.cpu().numpy())


def _id_ranks(dataset: Dataset) -> NDArray[np.int64]:
    order = pc.sort_indices(dataset.documents.ids).to_numpy()
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
