"""Sequence classifiers: bge-reranker-base, -large and -v2-m3, jina-reranker-v2, gte-multilingual, ms-marco-MiniLM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.config import ComputeConfig, CrossEncoderConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layout import layout
from evalkit.models.loading import require_classifier
from evalkit.templates import encoder
from evalkit.types import Identity, Pair


@dataclass(frozen=True)
class CrossEncoderFamily:
    """The tokenizer's own pair; one logit of the classification head."""

    config: CrossEncoderConfig
    softcap: bool = False
    padding_side: str | None = "right"
    answers: tuple[str, ...] = ()

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "cross_encoder", "truncation": self.config.truncation, "label": self.config.label}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse a checkpoint without a trained head, or another model than the name says."""
        require_classifier(checkpoint)
        found = layout(checkpoint)
        if self.config.layout not in {None, found}:
            raise ModelError(
                f"{checkpoint.path}: is a checkpoint of type {found}, and {self.config.name} one of type "
                f"{self.config.layout}. Use it as reranker=cross_encoder."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return encoder.tokenize(tokenizer, pairs, max_length=self.config.max_length, truncation=self.config.truncation)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.classifier import load_classifier

        return load_classifier(checkpoint, compute, self.config.label)
