"""Sequence classifiers: bge-reranker-base, -large and -v2-m3, jina-reranker-v2, gte-multilingual, ms-marco-MiniLM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.config import ComputeConfig, CrossEncoderConfig
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.checkpoint import Checkpoint
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
        """Refuse a checkpoint without a trained head."""
        require_classifier(checkpoint)

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return encoder.tokenize(tokenizer, pairs, max_length=self.config.max_length, truncation=self.config.truncation)

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.classifier import load_classifier

        return load_classifier(checkpoint, compute, self.config.label)
