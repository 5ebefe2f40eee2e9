"""A bi-encoder: texts to vectors. Vectors are pooled and normalised in float32, whatever the model computes in."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.errors import ModelError
from evalkit.inference.finite import finite
from evalkit.inference.tokens import Tokenized, prompt_tokens
from evalkit.models.arithmetic import arithmetic
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.loading import refusing
from evalkit.models.processor import noting
from evalkit.models.routes import Route, of_route
from evalkit.models.sentence_transformer import embedding_head, pooled_width
from evalkit.models.text_encoder import TextEncoder
from evalkit.store.artefact import digest
from evalkit.types import Identity

if TYPE_CHECKING:
    from evalkit.inference.forward import States
    from evalkit.models.packing import Contents

_FORMAT = 3  # of vectors; a higher number has old ones computed again


class RetrievalEncoder(TextEncoder, ABC):
    """An encoder of queries and documents, whatever it makes of a text.

    Attributes:
        route: what it reads where a Router has queries and documents go through different modules.
        shares: another one with the same first module, whose weights it takes; None where it loads its own.
    """

    shares: Self | None = None

    def __init__(
        self,
        config: Any,
        compute: ComputeConfig,
        *,
        route: Route = "document",
        weights: bool = True,
        also: Sequence[str] = (),
    ) -> None:
        super().__init__(config, compute, group="retriever", also=also, weights=weights, route=route)
        self.route = route

    def __reduce__(self) -> tuple[Any, ...]:
        """See `TextEncoder`."""
        return partial(type(self), route=self.route), (self.config, self._asked.on_worker())

    @cached_property
    def queries(self) -> Any:
        """What reads queries: itself, unless a Router has them go through other modules.

        Raises:
            ModelError: those are not supported.
        """
        router = self.checkpoint.router
        if router is None or of_route(router, "query") == self.checkpoint:
            return self
        found = self._for_queries()
        if isinstance(found, RetrievalEncoder):
            found.usage = self.usage
            found.shares = self if found.checkpoint.path == self.checkpoint.path else None
        return found

    @abstractmethod
    def _for_queries(self) -> Any:
        """What reads the queries of a Router. Their weights are on disk with those of the documents."""

    @property
    def identity_of_queries(self) -> Identity:
        """All that decides what is made of a query and `identity` does not have; empty of an encoder of both."""
        if self.queries is self or not isinstance(self.queries, RetrievalEncoder):
            return {}
        return {"queries": {key: value for key, value in self.queries.identity.items() if key != "checkpoint"}}

    @cached_property
    def model(self) -> Any:
        """See `TextEncoder`."""
        return self._loaded() if self.shares is None else self.shares.model

    def _loaded(self) -> Any:
        return super().model

    @property
    def contents(self) -> "Contents":
        """Size of the loaded model, without modules behind it."""
        from evalkit.models.packing import contents  # imports torch

        return contents(self.model)

    def unload(self) -> None:
        """See `TextEncoder`: also the weights of the encoder of queries, and of a head."""
        for holder in (self, self.queries):
            for weights in ("model", "whole"):
                vars(holder).pop(weights, None)

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """All that decides what it makes of a document."""

    @abstractmethod
    def encode(self, texts: Sequence[str], *, instruction: str = "") -> Any:
        """A row for each text, in their order."""

    def facts(self) -> Mapping[str, object]:
        """See `Worker`."""
        return {**super().facts(), "encoder": digest(self.identity)}

    def load(self) -> None:
        """See `Worker`: also a first pass through the model, which takes longer than the others."""
        before = replace(self.usage)
        width = self.encode(["a"]).shape[1]
        if self.queries is not self and (found := self.queries.encode(["a"]).shape[1]) != width:
            raise ModelError(f"{self.checkpoint.path}: makes {width} numbers of a document, and {found} of a query.")
        self.usage = noting(before, self.compute, self.checkpoint)
        if isinstance(self.queries, RetrievalEncoder):
            self.queries.usage = self.usage


class DenseEncoder(RetrievalEncoder):
    """A bi-encoder.

    Attributes:
        head: what makes a vector of the states.
    """

    def __init__(
        self, config: DenseConfig, compute: ComputeConfig, *, route: Route = "document", weights: bool = True
    ) -> None:
        super().__init__(config, compute, route=route, weights=weights)
        self.head = embedding_head(self.checkpoint, config, self.said)
        if config.truncate_dim is not None and self.checkpoint.static is None:
            _ = self.width  # at once; a table has to be read for it

    def _for_queries(self) -> "DenseEncoder":
        from evalkit.retrieval.static_encoder import encoder_of  # imports this module

        return encoder_of(self.config, self._asked, route="query", weights=False)

    @property
    def identity(self) -> Identity:
        """All that decides the vector of a document: checkpoint, head, texts around the text, limits, arithmetic."""
        return {
            "kind": "dense",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "pooling": self.head.pooling,
            "normalize": self.head.ranked_normalized,
            **({"dense": [folder.name for _, folder in self.head.layers]} if self.head.layers else {}),
            **({"truncate_dim": self.head.truncate_dim} if self.head.truncate_dim else {}),
            "lowercase": self.said.lowercase,
            "document_instruction": self.reading.document_instruction,
            "max_length": self.reading.max_length,
            "embedding_dtype": self.config.embedding_dtype,
            **arithmetic(self.compute, self.checkpoint),
        }

    @cached_property
    def _layers(self) -> list[Any]:
        """The modules behind the pooling, in float64."""
        from evalkit.models.stored_layers import load_stage  # imports torch

        with refusing(self.checkpoint):
            return [load_stage(kind, folder, self.model.device) for kind, folder in self.head.layers]

    @property
    def _token_width(self) -> int:
        return pooled_width(self.checkpoint, self.head.pooling)

    @cached_property
    def width(self) -> int:
        """Numbers in a vector.

        Raises:
            ModelError: the layers behind the pooling do not fit, or `retriever.truncate_dim` is more than that.
        """
        width = self._token_width
        for kind, folder in self.head.layers:
            if kind == "Normalize":
                continue
            reads, writes = ("in_features", "out_features") if kind == "Dense" else ("dimension", "dimension")
            found = Checkpoint(folder, {}).numbers(reads, writes)
            if found[reads] != width:
                raise ModelError(f"{folder}/config.json: {reads}={found[reads]}, but vectors have {width}.")
            width = int(found[writes])
        if (self.config.truncate_dim or 0) > width:
            raise ModelError(
                f"{self.checkpoint.path}: retriever.truncate_dim={self.config.truncate_dim}, but vectors have {width} "
                f"numbers. Set it to {width} or less."
            )
        return min(width, self.head.truncate_dim or width)

    def tokenize(self, texts: Sequence[str], *, instruction: str = "") -> Tokenized:
        """See `TextEncoder`: also how many tokens of the instruction the pooling leaves out."""
        found = super().tokenize(texts, instruction=instruction)
        if not (instruction and self.head.skips_prompt):
            return found
        alone = super().tokenize([""], instruction=instruction).ids[0]
        return found._replace(unpooled=prompt_tokens(self.tokenizer, alone))

    def encode(
        self,
        texts: Sequence[str],
        *,
        instruction: str = "",
        advance: Callable[[float], None] = lambda _: None,
        ranked: bool = False,
    ) -> NDArray[np.float32]:
        """Vectors of texts.

        Returns:
            Shape (texts, width), float32, as the checkpoint's own modules give them, or `ranked` as in `vectors`.
        """
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        for rows, found in self.vectors(self.tokenize(texts, instruction=instruction), ranked=ranked):
            vectors[rows] = found
            advance(len(rows))
        return vectors

    def vectors(
        self, tokenized: Tokenized, known: NDArray[np.bool_] | None = None, *, ranked: bool = True
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """(which texts, their vectors), batch by batch; the batches are the same without those that are known.

        Vectors that are `ranked` are for dot products: of length 1 where the checkpoint's similarity is the cosine.
        """
        from evalkit.inference.pooling import select_for

        select = select_for(self.head.pooling, tokenized.unpooled)
        finish = partial(self._ranked if ranked else self._pooled, unpooled=tokenized.unpooled)
        for batch in self.forward(tokenized, finish, select=select, known=known):
            yield batch.rows, finite(batch.states.cpu().numpy())

    def _pooled(self, batch: "States", unpooled: int = 0) -> Any:
        """One vector a text, of shape (texts, width) and float32."""
        import torch

        from evalkit.inference.pooling import pool

        pooled = pool(batch.states, batch.lengths, self.head.pooling, unpooled)
        for layer in self._layers:
            pooled = layer(pooled.double()).float()
        vectors = torch.nn.functional.normalize(pooled, dim=-1) if self.head.normalize else pooled
        return vectors[:, : self.head.truncate_dim]

    def _ranked(self, batch: "States", unpooled: int = 0) -> Any:
        import torch

        vectors = self._pooled(batch, unpooled)
        whole = self.head.normalize and self.head.truncate_dim is None
        return torch.nn.functional.normalize(vectors, dim=-1) if self.head.ranked_normalized and not whole else vectors
