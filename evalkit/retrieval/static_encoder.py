"""Static embeddings: a text's vector is the mean of its tokens' vectors in a table, without a transformer.

Reads `StaticEmbedding` of sentence-transformers, also with the tensors of model2vec. Special tokens are not added.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import FastTokenizer, Tokenized, Tokenizer, prepare, shortened
from evalkit.models.arithmetic import require_torch
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import Declared, Reading, declared, reading
from evalkit.models.loading import refusing
from evalkit.models.requirements import require_no_code
from evalkit.models.routes import Route, of_route
from evalkit.retrieval.encoder import DenseEncoder

if TYPE_CHECKING:
    from evalkit.inference.forward import Finish, States
    from evalkit.inference.packed import Select

_TABLE, _MODEL2VEC = "embedding.weight", "embeddings"
_OF_MODEL2VEC = {_MODEL2VEC, "mapping", "weights"}
_TOKENS_PER_BATCH = 16_384
_NO_LIMIT = 2**31 - 1  # tokens: nothing limits a table


class StaticEncoder(DenseEncoder):
    """A table of vectors with its tokenizer. It is computed on the CPU in float32."""

    def _declared(self, group: str) -> tuple[Declared, Reading]:
        require_no_code(self.checkpoint)
        said = replace(declared(self.checkpoint), max_length=_NO_LIMIT)
        return said, reading(self.checkpoint, said, self.config, group=group)

    @property
    def _folder(self) -> Checkpoint:
        """The folder with table and tokenizer."""
        return Checkpoint(self.checkpoint.path / (self.checkpoint.static or ""), {})

    def _loaded(self) -> Any:
        """The table, of shape (vocabulary, width)."""
        require_torch()
        from evalkit.models.weights import Stored, Tensors

        with refusing(self.checkpoint):
            tensors = Tensors(self._folder)
            names = set(tensors.shapes)
            read = {name: tensors.read(Stored(name)) for name in names}
            if names == {_TABLE}:
                return read[_TABLE].float()
            if _MODEL2VEC not in names or names - _OF_MODEL2VEC:
                raise ModelError(
                    f"{self._folder.path}: holds {', '.join(sorted(names))}. A table of vectors is {_TABLE}, or "
                    f"{_MODEL2VEC} with mapping and weights."
                )
            table = read[_MODEL2VEC].float()
            table = table[read["mapping"].long()] if "mapping" in read else table
            return table * read["weights"].float()[:, None] if "weights" in read else table

    @property
    def _token_width(self) -> int:
        return int(self.model.shape[1])

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """That of the table."""
        return self._table_tokenizer[0]

    @cached_property
    def _table_tokenizer(self) -> tuple[FastTokenizer, int]:
        """The tokenizer and how many tokens of a text it leaves."""
        import tokenizers

        with refusing(self.checkpoint):
            stored = tokenizers.Tokenizer.from_file(str(self._folder.path / "tokenizer.json"))
            truncation = stored.truncation or {}
            left = truncation.get("direction", "right") == "left"
            return FastTokenizer(stored, cuts_left=left), int(truncation.get("max_length", _NO_LIMIT))

    def tokenize(self, texts: Sequence[str], *, instruction: str = "") -> Tokenized:
        """Token ids of texts behind an instruction; none of an empty text, whose vector is 0.

        Raises:
            ModelError: an id is not in the table.
        """
        prepared = prepare(texts, instruction=instruction, lowercase=self.said.lowercase)
        tokenizer, most = self._table_tokenizer
        most, whole = min(most, self.reading.max_length), tokenizer.token_ids(prepared)
        if (largest := max((int(ids.max()) for ids in whole if len(ids)), default=-1)) >= len(self.model):
            raise ModelError(
                f"{self._folder.path}: the tokenizer gives token {largest}, and the table has {len(self.model)} rows."
            )
        ids = [shortened(own, most, left=tokenizer.cuts_left) for own in whole]
        cut = np.array([len(own) > most for own in whole], dtype=bool)
        return Tokenized(ids, [np.zeros(len(own), dtype=np.int32) for own in ids], cut)

    def forward(
        self,
        tokenized: Tokenized,
        finish: "Finish",
        *,
        select: "Select" = "all",
        known: NDArray[np.bool_] | None = None,
    ) -> "Iterator[States]":
        """See `TextEncoder`."""
        import torch

        from evalkit.inference.forward import States

        del select  # a mean reads all
        lengths = tokenized.lengths
        wanted = np.arange(len(lengths)) if known is None else np.flatnonzero(~known)
        parts = np.cumsum(lengths[wanted]) // _TOKENS_PER_BATCH
        for rows in np.split(wanted, np.flatnonzero(np.diff(parts)) + 1) if len(wanted) else ():
            ids = np.concatenate([tokenized.ids[row] for row in rows]).astype(np.int64)
            self.usage.add(tokens=len(ids), computed_tokens=len(ids), batches=1)
            with torch.inference_mode():
                states = finish(States(rows, self.model[torch.from_numpy(ids)], lengths[rows]))
            yield States(rows, states, lengths[rows])


def table_width(checkpoint: Checkpoint) -> int | None:
    """Values in a row of a checkpoint's table; None where its weights are not on disk."""
    from evalkit.models.weights import Tensors

    try:
        shapes = Tensors(Checkpoint(checkpoint.path / (checkpoint.static or ""), {})).shapes
    except ModelError:
        return None
    table = shapes.get(_TABLE) or shapes.get(_MODEL2VEC)
    return table[1] if table else None


def encoder_of(
    config: DenseConfig, compute: ComputeConfig, *, route: Route = "document", weights: bool
) -> DenseEncoder:
    """The encoder of a checkpoint, or of one route of a Router: a transformer, or a table.

    Raises:
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    found = of_route(resolve(str(config.model), config.revision, weights=False, routed=True), route)
    return (DenseEncoder if found.static is None else StaticEncoder)(config, compute, route=route, weights=weights)
