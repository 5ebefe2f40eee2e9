"""Sequence classifiers: bge-reranker-base, -large and -v2-m3, jina-reranker-v2, gte-multilingual, ms-marco-MiniLM."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.config import ComputeConfig, CrossEncoderConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.chat_template import writes_pairs
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import declared
from evalkit.models.layout import layout
from evalkit.models.loading import require_classifier
from evalkit.rerank.families import encoder_template
from evalkit.types import Identity, Pair

logger = logging.getLogger(__name__)

_RULES = 2  # of which files of a checkpoint are obeyed; a higher number makes old scores be computed anew


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
        instruction = self.config.query_instruction
        return {
            "kind": "cross_encoder",
            "rules": _RULES,
            "truncation": self.config.truncation,
            "label": self.config.label,
            **({"query_instruction": instruction} if instruction else {}),
        }

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse what is no classifier of a bare pair, or another model than the name says."""
        require_classifier(checkpoint)
        _require_pair(checkpoint)
        found = layout(checkpoint)
        if self.config.layout not in {None, found}:
            raise ModelError(
                f"{checkpoint.path}: is a checkpoint of type {found}, and {self.config.name} one of type "
                f"{self.config.layout}. Use it as reranker=cross_encoder."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return encoder_template.tokenize(
            tokenizer,
            pairs,
            max_length=self.config.tokens,
            truncation=self.config.truncation,
            instruction=self.config.query_instruction or "",
        )

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.classifier import load_classifier

        return load_classifier(checkpoint, compute, self.config.label)


def _require_pair(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that is given a prompt written by a chat template, and not the pair."""
    said = declared(checkpoint, pairs=True)
    if said.task not in {None, "sequence-classification"}:
        raise ModelError(f"{checkpoint.path}: transformer_task is {said.task}, so it is not a sequence classifier.")
    if said.chat is False:  # it says that it reads bare pairs
        return
    template = writes_pairs(checkpoint)
    if said.chat or template:
        raise ModelError(
            f"{checkpoint.path}: its chat template writes query and document into a prompt, which evalkit does not do "
            "for classifiers yet. If the model reads the bare pair, remove chat_template in a copy of the folder."
        )
    if template is False:
        logger.warning("%s: its chat template is for conversations. The model is given the bare pair.", checkpoint.path)
