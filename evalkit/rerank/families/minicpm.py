"""MiniCPM-Reranker and MiniCPM-Reranker-Light."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.config import ComputeConfig, MiniCPMRerankerConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import TokenizedPairs, Tokenizer
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layout import is_minicpm
from evalkit.models.loading import assemble
from evalkit.models.weights import Source
from evalkit.rerank.families import minicpm_template
from evalkit.types import Identity, Pair


@dataclass(frozen=True)
class MiniCPMFamily:
    """A bidirectional language model with a score head, asked as its card says."""

    config: MiniCPMRerankerConfig
    softcap: bool = False
    padding_side: str | None = "right"
    answers: tuple[str, ...] = ()

    @property
    def settings(self) -> Identity:
        """See `Family`."""
        return {"kind": "minicpm", "truncation": self.config.truncation, "pooling": self.config.pooling}

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse another architecture."""
        if not is_minicpm(checkpoint):
            raise ModelError(
                f"{checkpoint.path}/config.json: has no scale_emb and scale_depth, so it is not a MiniCPM-Reranker."
            )

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """See `Family`."""
        return minicpm_template.tokenize(
            tokenizer,
            pairs,
            max_length=self.config.tokens,
            truncation=self.config.truncation,
        )

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """See `Family`."""
        del tokenizer
        from evalkit.models.minicpm_decoder import MiniCPMReranker, granite_config

        config = granite_config(checkpoint, compute.padded_attention)
        return assemble(
            lambda: MiniCPMReranker(config, self.config.pooling), checkpoint, compute, lambda name, _: Source(name)
        )
