"""Sparse vectors of bge-m3: each token of a text has a weight, and each entry of the vocabulary its largest one.

A linear layer and a ReLU over the states of the encoder (Chen et al. 2024, arXiv:2402.03216). Tokens that begin, end or
fill up a text and unknown ones have none, as in FlagEmbedding.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.finite import finite
from evalkit.inference.tokens import Ids, Tokenized
from evalkit.models.arithmetic import arithmetic
from evalkit.models.declared import TOKENIZER
from evalkit.models.multi_vector import special_token
from evalkit.models.routes import Route
from evalkit.retrieval.sparse_encoder import VocabularyEncoder
from evalkit.types import Identity

if TYPE_CHECKING:
    from evalkit.inference.forward import States

_FORMAT = 1  # of weights; a higher number has old ones computed again
_UNUSED = ("cls_token", "eos_token", "pad_token", "unk_token")


class TokenWeightEncoder(VocabularyEncoder):
    """An encoder with a layer that weights tokens."""

    def __init__(self, config: Any, compute: ComputeConfig, *, route: Route = "document", weights: bool = True) -> None:
        super().__init__(config, compute, route=route, weights=weights, also=[config.projection])

    def _for_queries(self) -> Any:
        raise ModelError(
            f"{self.checkpoint.path}: has a Router, and retriever.projection is for one encoder of all texts."
        )

    @property
    def identity(self) -> Identity:
        """All that decides the weights of a document."""
        return {
            "kind": "token_weights",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "projection": self.config.projection,
            "lowercase": self.said.lowercase,
            "document_instruction": self.reading.document_instruction,
            "max_length": self.reading.max_length,
            **arithmetic(self.compute, self.checkpoint),
        }

    @cached_property
    def _layer(self) -> tuple[Any, Any]:
        """Weight and bias."""
        from evalkit.models.token_layer import load_token_layer  # imports torch

        found = load_token_layer(self.checkpoint, self.config.projection, self.model.device)
        if len(found[0]) != 1:
            raise ModelError(
                f"{self.checkpoint.inside(self.config.projection)}: gives a token {len(found[0])} numbers, expected "
                "one weight. bge-m3's layer for weights is sparse_linear.pt."
            )
        return found

    @cached_property
    def _unused(self) -> NDArray[np.int32]:
        """Tokens without a weight."""
        texts = [text for name in _UNUSED if (text := special_token(self.checkpoint, name))]
        if not texts:
            raise ModelError(
                f"{self.checkpoint.path}/{TOKENIZER}: names none of {', '.join(_UNUSED)}, so nothing says which tokens "
                "have no weight. Download it again."
            )
        ids = [self.tokenizer.token_id(text) for text in texts]
        return np.array([index for index in ids if index is not None], dtype=np.int32)

    def vectors(
        self, tokenized: Tokenized, known: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """See `VocabularyEncoder`."""
        _ = self._layer  # loaded, or refused, before the threads of the batches ask for it
        for batch in self.forward(tokenized, self._weights, known=known):
            weights = finite(batch.states.cpu().numpy())
            yield batch.rows, self._largest([tokenized.ids[row] for row in batch.rows], weights)

    def _weights(self, batch: "States") -> Any:
        """Shape (tokens,), float32."""
        from evalkit.inference.linear import summed  # imports torch

        return summed(batch.states, *self._layer)[:, 0].relu()

    def _largest(self, texts: Sequence[Ids], weights: NDArray[np.float32]) -> Any:
        """Of the weights of all tokens, one text after another, the largest of each entry of the vocabulary."""
        from scipy import sparse

        ends = np.cumsum([len(ids) for ids in texts])
        terms, found = [], []
        for ids, own in zip(texts, np.split(weights, ends[:-1]), strict=True):
            distinct, place = np.unique(ids, return_inverse=True)
            largest = np.zeros(len(distinct), dtype=np.float32)
            np.maximum.at(largest, place, own)
            kept = (largest > 0) & ~np.isin(distinct, self._unused)
            terms.append(distinct[kept])
            found.append(largest[kept])
        bounds = np.cumsum([0, *map(len, terms)])
        return sparse.csr_array((np.concatenate(found), np.concatenate(terms), bounds), shape=(len(texts), self.width))
