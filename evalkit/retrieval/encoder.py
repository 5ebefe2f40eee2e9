"""A bi-encoder: texts to vectors. Vectors are pooled and normalised in float32, whatever the model computes in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.errors import ModelError
from evalkit.inference.finite import finite
from evalkit.inference.tokens import Tokenized, Tokenizer, prepare, tokenize
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import arithmetic, budget_of, resolved, workers
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import declared, reading
from evalkit.models.loading import load_encoder, refusing
from evalkit.models.packing import packed_encoder
from evalkit.models.processor import facts, noting, warn_of_emulation
from evalkit.models.requirements import require_encoder, require_positions, require_text
from evalkit.models.sentence_transformer import embedding_head, load_dense
from evalkit.models.tokenizers import load_tokenizer, require_vocabulary
from evalkit.store.artefact import digest
from evalkit.types import Identity

if TYPE_CHECKING:
    from evalkit.inference.forward import States

_FORMAT = 3  # of vectors; a higher number has old ones computed again


class DenseEncoder:
    """A bi-encoder. Resolves its checkpoint at once, and loads it for the first text.

    Attributes:
        usage: what the engine took so far.
    """

    def __init__(self, config: DenseConfig, compute: ComputeConfig, *, weights: bool = True) -> None:
        self.config = config
        self._asked = compute
        self.checkpoint = resolve(str(config.model), config.revision, weights=weights)
        self.compute = resolved(compute, self.checkpoint)
        self.usage, self.budget = Usage(), budget_of(compute)
        require_encoder(self.checkpoint)
        self.said = declared(self.checkpoint)
        self.head = embedding_head(self.checkpoint, config, self.said)
        self.reading = reading(self.checkpoint, self.said, config, group="retriever")
        require_text(self.checkpoint, self.said)
        require_positions(self.checkpoint, self.reading.max_length)
        if weights:
            warn_of_emulation(compute)

    def __reduce__(self) -> tuple[type["DenseEncoder"], tuple[DenseConfig, ComputeConfig]]:
        """The same in another process, which finds the checkpoint for itself."""
        return DenseEncoder, (self.config, self._asked.on_worker())

    @property
    def identity(self) -> Identity:
        """All that decides the vector of a document: checkpoint, head, texts around the text, limits, arithmetic."""
        return {
            "kind": "dense",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "pooling": self.head.pooling,
            "normalize": self.head.ranked_normalized,
            **({"dense": [folder.name for folder in self.head.dense]} if self.head.dense else {}),
            **({"truncate_dim": self.head.truncate_dim} if self.head.truncate_dim else {}),
            "lowercase": self.said.lowercase,
            "document_instruction": self.reading.document_instruction,
            "max_length": self.reading.max_length,
            "embedding_dtype": self.config.embedding_dtype,
            **arithmetic(self.compute, self.checkpoint),
        }

    def facts(self) -> Mapping[str, object]:
        """See `Worker`."""
        return {**facts(self.compute, self.checkpoint), "encoder": digest(self.identity)}

    @cached_property
    def _model(self) -> Any:
        return packed_encoder(load_encoder(self.checkpoint, self.compute), self.compute)

    @cached_property
    def _alone(self) -> bool:
        """Whether each text is run by itself, as its states would depend on the padding of its batch."""
        from evalkit.models.padding import runs_alone

        return runs_alone(self._model, self.checkpoint, self.compute)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return load_tokenizer(self.checkpoint)

    @cached_property
    def _dense(self) -> list[Any]:
        """The linear layers behind the pooling."""
        with refusing(self.checkpoint):
            return [load_dense(folder, self._model.device) for folder in self.head.dense]

    @cached_property
    def width(self) -> int:
        """Numbers in a vector.

        Raises:
            ModelError: the layers behind the pooling do not fit.
        """
        width = int(self.checkpoint.numbers("hidden_size")["hidden_size"])
        for folder in self.head.dense:
            found = Checkpoint(folder, {}).numbers("in_features", "out_features")
            if found["in_features"] != width:
                raise ModelError(f"{folder}/config.json: in_features={found['in_features']}, but vectors have {width}.")
            width = int(found["out_features"])
        return min(width, self.head.truncate_dim or width)

    def load(self) -> None:
        """See `Worker`: also a first pass through the model, which takes longer than the others."""
        before = replace(self.usage)
        self.encode(["a"])
        self.usage = noting(before, self.compute, self.checkpoint)

    def tokenize(self, texts: Sequence[str], *, instruction: str = "") -> Tokenized:
        """Token ids of texts, as `encode` has them read."""
        prepared = prepare(texts, instruction=instruction, lowercase=self.said.lowercase)
        tokenized = tokenize(self._tokenizer, prepared, max_length=self.reading.max_length)
        require_vocabulary(self.checkpoint, tokenized.ids)
        return tokenized

    def encode(
        self, texts: Sequence[str], *, instruction: str = "", advance: Callable[[float], None] = lambda _: None
    ) -> NDArray[np.float32]:
        """Vectors of texts.

        Returns:
            Shape (texts, width), float32, as the checkpoint's own modules give them.
        """
        vectors = np.empty((len(texts), self.width), dtype=np.float32)
        for rows, found in self.vectors(self.tokenize(texts, instruction=instruction), ranked=False):
            vectors[rows] = found
            advance(len(rows))
        return vectors

    def vectors(
        self, tokenized: Tokenized, known: NDArray[np.bool_] | None = None, *, ranked: bool = True
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """(which texts, their vectors), batch by batch; the batches are the same without those that are known.

        Vectors that are `ranked` are for dot products: of length 1 where the checkpoint's similarity is the cosine.
        """
        from evalkit.inference.forward import forward
        from evalkit.inference.pooling import select_for

        for batch in forward(
            self._model,
            tokenized,
            batch_tokens=1 if self._alone else self.budget,
            select=select_for(self.head.pooling),
            workers=workers(self.compute),
            known=known,
            usage=self.usage,
            finish=self._ranked if ranked else self._pooled,
        ):
            yield batch.rows, finite(batch.states.cpu().numpy())

    def _pooled(self, batch: "States") -> Any:
        """One vector a text, of shape (texts, width) and float32."""
        import torch

        from evalkit.inference.pooling import pool

        pooled = pool(batch.states, batch.lengths, self.head.pooling)
        for layer in self._dense:
            pooled = layer(pooled.double()).float()
        vectors = torch.nn.functional.normalize(pooled, dim=-1) if self.head.normalize else pooled
        return vectors[:, : self.head.truncate_dim]

    def _ranked(self, batch: "States") -> Any:
        import torch

        vectors = self._pooled(batch)
        whole = self.head.normalize and self.head.truncate_dim is None
        return torch.nn.functional.normalize(vectors, dim=-1) if self.head.ranked_normalized and not whole else vectors
