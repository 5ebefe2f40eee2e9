"""Cross-encoders: any sequence-classification checkpoint that reads query and document as one sequence.

The pair is built by the checkpoint's own tokenizer; the score is the raw logit, cast to float32 before anything else.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from evalkit.config import ComputeConfig, CrossEncoderConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import resolve
from evalkit.models.loading import check, load_classifier, load_tokenizer, require_classifier
from evalkit.types import Identity, Pair, PairScores


class CrossEncoderReranker:
    """A sequence classifier over pairs. Resolves its checkpoint at once, and loads it for the first pair."""

    def __init__(self, config: CrossEncoderConfig, compute: ComputeConfig) -> None:
        self.config = config
        self.compute = compute
        self.checkpoint = resolve(str(config.model), config.revision)
        require_classifier(self.checkpoint)
        check(self.checkpoint, compute, max_length=config.max_length)

    @property
    def identity(self) -> Identity:
        """Checkpoint, limits and arithmetic."""
        return {
            "kind": "cross_encoder",
            "checkpoint": self.checkpoint.identity,
            "max_length": self.config.max_length,
            "truncation": self.config.truncation,
            "label": self.config.label,
            "dtype": self.compute.dtype,
            "attention": self.compute.attention,
        }

    @cached_property
    def _model(self) -> Any:
        return load_classifier(self.checkpoint, self.compute)

    @cached_property
    def _tokenizer(self) -> Any:
        return load_tokenizer(self.checkpoint, self.config.max_length)

    @cached_property
    def _label(self) -> int:
        """Which logit is the score."""
        labels = int(self._model.config.num_labels)
        label = 0 if labels == 1 and self.config.label is None else self.config.label
        if label is None or not 0 <= label < labels:
            raise ModelError(
                f"{self.checkpoint.path}: the model has {labels} logits and reranker.label={self.config.label}. "
                f"Set reranker.label to the one that means relevant, 0 to {labels - 1}."
            )
        return label

    def score(self, pairs: Sequence[Pair], *, advance: Callable[[int], None]) -> PairScores:
        """The raw logit of every pair. Equal pairs are scored once."""
        from evalkit.inference.forward import forward
        from evalkit.inference.pairs import tokenize_pairs

        distinct = {pair: index for index, pair in enumerate(dict.fromkeys(pairs))}
        index_of = np.array([distinct[pair] for pair in pairs], dtype=np.int64)
        repeats = np.bincount(index_of, minlength=len(distinct))
        tokenized = tokenize_pairs(
            self._tokenizer, list(distinct), max_length=self.config.max_length, truncation=self.config.truncation
        )
        scores = np.empty(len(distinct), dtype=np.float32)
        for batch in forward(self._model, tokenized, batch_tokens=self.compute.batch_tokens):
            scores[batch.rows] = batch.output.logits[:, self._label].float().cpu().numpy()
            advance(int(repeats[batch.rows].sum()))
        return PairScores(scores[index_of], truncated=int(tokenized.truncated[index_of].sum()))
