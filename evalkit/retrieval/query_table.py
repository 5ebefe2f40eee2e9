"""Sparse queries without a model: a table has a weight for each entry of the vocabulary, and no network runs."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ModelError
from evalkit.inference.finite import finite
from evalkit.inference.tokens import Tokenized, Tokenizer, prepare, shortened
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import tokenizer_length
from evalkit.models.loading import refusing
from evalkit.models.tokenizers import load_tokenizer

QUERY_TABLE = "SparseStaticEmbedding"
"""The module of such a table."""
_TABLE = "weight"
_SETTINGS = {"frozen"}  # whether training changes the table


class QueryTable:
    """`SparseStaticEmbedding` of sentence-transformers: each different token of a text has its weight, once.

    Special tokens are not added, and `max_length` of the documents does not count: the tokenizer's own does.

    Args:
        checkpoint: the route of queries, in whose folder table and tokenizer are.
        width: entries of the vocabulary of the documents.
    """

    def __init__(self, checkpoint: Checkpoint, width: int) -> None:
        self._checkpoint, self._width = checkpoint, width
        self._folder = Checkpoint(checkpoint.path, {})
        stored = self._folder.read_json("config.json")
        if stored is None or set(stored) - _SETTINGS:
            odd = "is absent" if stored is None else f"{min(set(stored) - _SETTINGS)} is not supported"
            raise ModelError(f"{self._folder.path}/config.json: {odd}, and the table has to be in this folder.")

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        from evalkit.models.weights import Stored, Tensors

        with refusing(self._checkpoint):
            tensors = Tensors(self._folder)
            if tensors.shapes != {_TABLE: (self._width,)}:
                found = ", ".join(f"{name} of shape {shape}" for name, shape in tensors.shapes.items())
                raise ModelError(
                    f"{self._folder.path}: holds {found}. A table for queries is {_TABLE} of shape ({self._width},), "
                    "as many as the documents' model has in its vocabulary."
                )
            return np.asarray(finite(tensors.read(Stored(_TABLE)).float().numpy()), dtype=np.float32)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """That of its folder."""
        with refusing(self._checkpoint):
            return load_tokenizer(self._folder)

    def tokenize(self, texts: Sequence[str], *, instruction: str = "") -> Tokenized:
        """Token ids of texts behind an instruction; none of an empty text.

        Raises:
            ModelError: an id is not in the table.
        """
        whole = self.tokenizer.token_ids(prepare(texts, instruction=instruction, lowercase=False))
        if (largest := max((int(ids.max()) for ids in whole if len(ids)), default=-1)) >= self._width:
            raise ModelError(
                f"{self._folder.path}: the tokenizer gives token {largest}, and the table has {self._width} weights."
            )
        most = tokenizer_length(self._folder)
        ids = whole if most is None else [shortened(own, most, left=self.tokenizer.cuts_left) for own in whole]
        cut = np.array([len(own) < len(all_) for own, all_ in zip(ids, whole, strict=True)], dtype=bool)
        return Tokenized(ids, [np.zeros(len(own), dtype=np.int32) for own in ids], cut)

    def encode(
        self, texts: Sequence[str], *, instruction: str = "", advance: Callable[[float], None] = lambda _: None
    ) -> Any:
        """Weights of texts: a `scipy.sparse.csr_array` of shape (texts, vocabulary), float32, in their order."""
        from scipy import sparse

        once = [np.unique(ids) for ids in self.tokenize(texts, instruction=instruction).ids]
        ends = np.cumsum([0, *map(len, once)])
        terms = np.concatenate([np.empty(0, dtype=np.int32), *once])
        weights = sparse.csr_array((self._weights[terms], terms, ends), shape=(len(texts), self._width))
        weights.eliminate_zeros()
        advance(len(texts))
        return weights


def query_table(route: Checkpoint, width: int) -> QueryTable | None:
    """What makes the weights of queries; None where a model does.

    Raises:
        ModelError: the table's settings are absent or not supported.
    """
    return QueryTable(route, width) if route.kinds == [QUERY_TABLE] else None
