"""Sparse encoders: texts to weights of the vocabulary. SPLADE, by the masked-language head of a checkpoint."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.finite import finite
from evalkit.inference.tokens import Tokenized
from evalkit.models.arithmetic import arithmetic
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import SENTENCE_TRANSFORMERS, Declared, Reading, declared, reading, whole_number
from evalkit.models.masked_language_model import HEADS, MaskedLanguageModel, load_masked
from evalkit.models.requirements import architectures, require_no_code, require_whole
from evalkit.models.routes import Route, of_route
from evalkit.retrieval.encoder import RetrievalEncoder
from evalkit.retrieval.growing_weights import in_order
from evalkit.retrieval.query_table import QueryTable, query_table
from evalkit.types import Identity

if TYPE_CHECKING:
    from evalkit.inference.forward import States
    from evalkit.models.packing import Contents

_FORMAT = 1  # of weights; a higher number has old ones computed again
_CHAINS: tuple[list[str], ...] = ([], ["MLMTransformer", "SpladePooling"], ["Transformer", "SpladePooling"])
_POOLINGS = ("max", "sum")
_LOGARITHMS = {"relu": 1, "log1p_relu": 2}  # how often log(1 + x) is taken
_OF_POOLING = {
    *("pooling_strategy", "activation_function"),
    *("word_embedding_dimension", "embedding_dimension", "chunk_size"),  # these change no number
}


class SpladePooling(NamedTuple):
    """How the logits of a text's tokens become one weight for each entry of the vocabulary.

    Attributes:
        strategy: `max` or `sum` over the tokens.
        logarithms: how often log(1 + x) is taken of the positive logits.
    """

    strategy: str
    logarithms: int


class VocabularyEncoder(RetrievalEncoder):
    """An encoder that gives each text a weight for every entry of the vocabulary, most of them 0."""

    @property
    def width(self) -> int:
        """Entries of the vocabulary."""
        return int(self.checkpoint.numbers("vocab_size")["vocab_size"])

    def encode(
        self, texts: Sequence[str], *, instruction: str = "", advance: Callable[[float], None] = lambda _: None
    ) -> Any:
        """Weights of texts: a `scipy.sparse.csr_array` of shape (texts, vocabulary), float32, in their order."""
        parts = []
        for part in self.vectors(self.tokenize(texts, instruction=instruction)):
            parts.append(part)
            advance(len(part[0]))
        return in_order(parts, self.width)

    @abstractmethod
    def vectors(
        self, tokenized: Tokenized, known: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """(which texts, their weights as `csr_array`), batch by batch."""


class SparseEncoder(VocabularyEncoder):
    """A SPLADE encoder.

    Attributes:
        pooling: what makes weights of logits.
        most: how many weights of a text are kept, the largest; all when None.
    """

    def __init__(self, config: Any, compute: ComputeConfig, *, route: Route = "document", weights: bool = True) -> None:
        super().__init__(config, compute, route=route, weights=weights)
        self.pooling = _pooling(self.checkpoint)
        stored = self.checkpoint.read_json(SENTENCE_TRANSFORMERS) or {}
        self.most = whole_number(f"{self.checkpoint.file(SENTENCE_TRANSFORMERS)}", stored, "max_active_dims")

    def _declared(self, group: str) -> tuple[Declared, Reading]:
        _require_masked(self.checkpoint)
        said = declared(self.checkpoint)
        if said.task not in {None, "fill-mask"}:
            raise ModelError(f"{self.checkpoint.path}: transformer_task is {said.task}, so it has no masked head.")
        # sentence-transformers 6 writes null for it, and then compares by the dot product.
        stored = (self.checkpoint.read_json(SENTENCE_TRANSFORMERS) or {}).get("similarity_fn_name")
        if stored not in {None, "dot"}:
            raise ModelError(
                f"{self.checkpoint.file(SENTENCE_TRANSFORMERS)}: similarity_fn_name={said.similarity}. Sparse vectors "
                "are searched by their dot product alone."
            )
        return replace(said, task=None), reading(self.checkpoint, said, self.config, group=group)

    def _for_queries(self) -> "QueryTable | SparseEncoder":
        assert self.checkpoint.router is not None
        table = query_table(of_route(self.checkpoint.router, "query"), self.width)
        if table is None:
            return SparseEncoder(self.config, self._asked, route="query", weights=False)
        if self.most:
            raise ModelError(
                f"{self.checkpoint.file(SENTENCE_TRANSFORMERS)}: max_active_dims={self.most}, and queries have a table "
                "of weights, of which evalkit does not leave any out."
            )
        return table

    @property
    def identity(self) -> Identity:
        """All that decides the weights of a document."""
        return {
            "kind": "splade",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            **self.pooling._asdict(),
            **({"max_active_dims": self.most} if self.most else {}),
            "lowercase": self.said.lowercase,
            "document_instruction": self.reading.document_instruction,
            "max_length": self.reading.max_length,
            **arithmetic(self.compute, self.checkpoint),
        }

    @cached_property
    def whole(self) -> MaskedLanguageModel:
        """Encoder and masked head; loaded when first asked for."""
        return load_masked(self.checkpoint, self.compute) if self.shares is None else self.shares.whole

    @property
    def contents(self) -> "Contents":
        """Size of encoder and masked head."""
        return self.whole.contents

    def _loaded(self) -> Any:
        """The bare encoder."""
        from evalkit.models.packing import packed_encoder  # imports torch, and settings must not

        return packed_encoder(self.whole.bare, self.compute)

    def vectors(
        self, tokenized: Tokenized, known: NDArray[np.bool_] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """See `VocabularyEncoder`."""
        from scipy import sparse

        for batch in self.forward(tokenized, self._weights, known=known):
            yield batch.rows, sparse.csr_array(finite(batch.states.cpu().numpy()))

    def _weights(self, batch: "States") -> Any:
        """Shape (texts, vocabulary), float32. Text by text: the logits of a whole batch may not fit into memory."""
        import torch

        return torch.stack([self._of_text(states) for states in batch.states.split(batch.lengths.tolist())])

    def _of_text(self, states: Any) -> Any:
        logits = self.whole.head(states).float().relu()
        # The logarithm rises, so that of the maximum is the maximum of logarithms.
        weights = logits.amax(dim=0) if self.pooling.strategy == "max" else logits
        for _ in range(self.pooling.logarithms):
            weights = weights.log1p()
        weights = weights if self.pooling.strategy == "max" else weights.sum(dim=0)
        if self.most is None or self.most >= len(weights):
            return weights
        largest = weights.topk(self.most)
        return weights.new_zeros(len(weights)).scatter(0, largest.indices, largest.values)


def _require_masked(checkpoint: Checkpoint) -> None:
    require_whole(checkpoint)
    require_no_code(checkpoint)
    kinds, names = checkpoint.kinds, architectures(checkpoint)
    if "SparseAutoEncoder" in kinds:
        raise ModelError(
            f"{checkpoint.path}: modules.json has SparseAutoEncoder, the layer of a sparse encoder (CSR), which "
            "evalkit does not run yet."
        )
    if kinds not in _CHAINS or not any(name.endswith("ForMaskedLM") for name in names):
        raise ModelError(
            f"{checkpoint.path}: is {', '.join(names) or 'no architecture'} with modules {', '.join(kinds) or 'none'}. "
            "SPLADE is a ...ForMaskedLM, with Transformer (of older versions MLMTransformer) and SpladePooling in "
            "modules.json, or without that file. "
            "bge-m3, which has a layer for the weights of tokens, needs retriever.projection=sparse_linear.pt."
        )
    if (kind := checkpoint.config.get("model_type")) not in HEADS:
        raise ModelError(
            f"{checkpoint.path}/config.json: model_type={kind!r}. evalkit has the masked head of {', '.join(HEADS)}."
        )


def _pooling(checkpoint: Checkpoint) -> SpladePooling:
    folder = next((folder for kind, folder in checkpoint.modules() if kind == "SpladePooling"), None)
    if folder is None:
        return SpladePooling("max", 1)
    file = f"{folder}/config.json"
    stored = checkpoint.read_json(file)
    if stored is None:
        raise ModelError(f"{checkpoint.path}/{file} is absent. Download the checkpoint again.")
    strategy, activation = stored.get("pooling_strategy", "max"), stored.get("activation_function", "relu")
    unknown = sorted(set(stored) - _OF_POOLING)
    if unknown or strategy not in _POOLINGS or activation not in _LOGARITHMS:
        odd = f"{unknown[0]}={stored[unknown[0]]!r}" if unknown else f"{strategy} of {activation}"
        raise ModelError(
            f"{checkpoint.path}/{file}: {odd}. Supported is pooling_strategy {' or '.join(_POOLINGS)} with "
            f"activation_function {' or '.join(_LOGARITHMS)}."
        )
    return SpladePooling(strategy, _LOGARITHMS[activation])
