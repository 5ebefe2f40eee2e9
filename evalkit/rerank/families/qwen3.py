"""Qwen3-Reranker 0.6B, 4B and 8B."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.config import ComputeConfig, Qwen3RerankerConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.checkpoint import Checkpoint
from evalkit.templates import qwen3
from evalkit.types import Identity, Pair


@dataclass(frozen=True)
class Qwen3Family:
    """The logit of "yes" less that of "no" after a chat prompt."""

    config: Qwen3RerankerConfig
    softcap: bool = False
    padding_side: str | None = "left"
    answers: tuple[str, ...] = ("yes", "no")

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "qwen3", "default_instruction": self.config.default_instruction}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture."""
        names = checkpoint.config.get("architectures", [])
        if checkpoint.config.get("model_type") != "qwen3" or "Qwen3ForCausalLM" not in names:
            raise ModelError(f"{checkpoint.path}/config.json: names {names}, expected Qwen3ForCausalLM.")

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return qwen3.tokenize(
            tokenizer,
            pairs,
            max_length=self.config.max_length,
            default_instruction=self.config.default_instruction,
        )

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        import transformers

        from evalkit.models.answer import answer_ids, load_answer_reranker

        return load_answer_reranker(checkpoint, compute, transformers.Qwen3Model, answer_ids(tokenizer, self.answers))
