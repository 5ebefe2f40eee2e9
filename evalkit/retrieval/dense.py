"""Dense retrieval with a bi-encoder: a vector a text, exact search by dot product.

Vectors are pooled and normalised in float32, whatever the model computes in, and kept on disk under a key of everything
that made them; another model, instruction, length or corpus never finds them.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.errors import ResultError
from evalkit.models.checkpoint import resolve
from evalkit.models.loading import check, device_name, load_encoder, load_tokenizer, require_encoder
from evalkit.models.sentence_transformer import embedding_head, lowercases
from evalkit.progress import progress
from evalkit.retrieval.candidates import candidates_from_rows, search_depth
from evalkit.run import Run
from evalkit.store import Store
from evalkit.types import Dataset, Identity

_FORMAT = 1  # of stored vectors; a higher number makes old ones be computed anew
_DOCUMENTS_PER_WINDOW = 16_384  # read, tokenised and sorted by length together


class DenseRetriever:
    """A bi-encoder over a whole corpus. Resolves its checkpoint at once, and loads it for the first text."""

    def __init__(self, config: DenseConfig, compute: ComputeConfig, store: Store) -> None:
        self.config = config
        self.compute = compute
        self.store = store
        self.checkpoint = resolve(config.model, config.revision)
        self.head = embedding_head(self.checkpoint, config)
        self.lowercase = lowercases(self.checkpoint)
        require_encoder(self.checkpoint)
        check(self.checkpoint, compute, max_length=config.max_length)

    @property
    def identity(self) -> Identity:
        """Checkpoint, head, texts around the text, limits and arithmetic."""
        return {**self._document_identity, "query_instruction": self.config.query_instruction}

    @property
    def _document_identity(self) -> dict[str, object]:
        return {
            "kind": "dense",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "pooling": self.head.pooling,
            "normalize": self.head.normalize,
            "lowercase": self.lowercase,
            "document_instruction": self.config.document_instruction,
            "max_length": self.config.max_length,
            "embedding_dtype": self.config.embedding_dtype,
            "dtype": self.compute.dtype,
            "attention": self.compute.attention,
        }

    @cached_property
    def _model(self) -> Any:
        return load_encoder(self.checkpoint, self.compute)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.checkpoint, self.config.max_length)

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
            queries = self.encode(
                list(dataset.queries.values()), instruction=self.config.query_instruction, advance=advance
            )
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
        return self.store.folder("embeddings", facts, lambda new: self._encode_corpus(dataset, new)) / "vectors.npy"

    def _encode_corpus(self, dataset: Dataset, folder: Path) -> None:
        total, width = len(dataset.documents), int(self._model.config.hidden_size)
        vectors = np.lib.format.open_memmap(
            folder / "vectors.npy", mode="w+", dtype=self.config.embedding_dtype, shape=(total, width)
        )
        with progress("encoding documents", total, "documents") as advance:
            for start in range(0, total, _DOCUMENTS_PER_WINDOW):
                rows = range(start, min(start + _DOCUMENTS_PER_WINDOW, total))
                texts = dataset.documents.texts(rows)
                vectors[start : rows.stop] = self.encode(
                    texts, instruction=self.config.document_instruction, advance=advance
                )
        vectors.flush()

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
        import torch

        from evalkit.inference.forward import forward
        from evalkit.inference.tokens import prepare, tokenize

        prepared = prepare(texts, instruction=instruction, lowercase=self.lowercase)
        tokenized = tokenize(self._tokenizer, prepared, max_length=self.config.max_length)
        vectors = np.empty((len(texts), int(self._model.config.hidden_size)), dtype=np.float32)
        for batch in forward(self._model, tokenized, batch_tokens=self.compute.batch_tokens):
            pooled = _pool(batch.output.last_hidden_state, batch.mask, self.head.pooling)
            if self.head.normalize:
                pooled = torch.nn.functional.normalize(pooled, dim=-1)
            vectors[batch.rows] = pooled.cpu().numpy()
            advance(len(batch.rows))
        return vectors


def _pool(states: Any, mask: Any, pooling: str) -> Any:
    """One float32 vector a text, from states of shape (texts, tokens, width)."""
    if pooling == "cls":
        return states[:, 0].float()
    weights = mask.unsqueeze(-1).float()
    return (states.float() * weights).sum(dim=1) / weights.sum(dim=1)


def _id_ranks(dataset: Dataset) -> NDArray[np.int64]:
    order = pc.sort_indices(dataset.documents.ids).to_numpy()
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
