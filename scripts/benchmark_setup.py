"""What all contenders of the reranking benchmark have in common, and which kind of reranker a checkpoint is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from benchmark_inputs import Groups, flat, lengths_of
from numpy.typing import NDArray

from evalkit import rerank
from evalkit.config import ComputeConfig, RerankerConfig
from evalkit.errors import ConfigError
from evalkit.models.checkpoint import resolve
from evalkit.models.pair_head import head_of
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.flag_llm import FlagLLMConfig
from evalkit.rerank.families.language_model import LanguageModelConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.families.qwen3 import Qwen3RerankerConfig
from evalkit.rerank.late_interaction import LateInteractionConfig, LateInteractionReranker
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.rerank.recognition import AutoConfig

FAMILIES: dict[str, type[Any]] = {
    "auto": AutoConfig,
    "cross_encoder": CrossEncoderConfig,
    "language_model": LanguageModelConfig,
    "late_interaction": LateInteractionConfig,
    "minicpm": MiniCPMRerankerConfig,
    "gemma": FlagLLMConfig,
    "qwen3": Qwen3RerankerConfig,
}
Model = PairReranker | LateInteractionReranker


@dataclass(frozen=True)
class Setup:
    """What all contenders have in common.

    Attributes:
        model: checkpoint folder.
        family: which kind of reranker it is; `auto` for what its own files say.
        max_length: tokens of a pair. Late interaction has the lengths of its checkpoint.
        device: `cpu` or `cuda`.
        threads: of a CPU.
        batch_tokens: evalkit's; its own choice when None.
        compute: more of evalkit's settings.
    """

    model: Path
    family: str
    max_length: int
    device: str
    threads: int
    batch_tokens: int | None = None
    compute: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def config(self) -> RerankerConfig:
        """Settings of evalkit's reranker, of the kind that the checkpoint is."""
        limit = {} if self.family == "late_interaction" else {"max_length": self.max_length}
        settled = FAMILIES[self.family](name="benchmark", model=str(self.model), **limit).settled()
        # Of late interaction `max_length` is the length of a query.
        return replace(settled, max_length=None) if isinstance(settled, LateInteractionConfig) else settled

    @property
    def is_late(self) -> bool:
        """Whether query and document are encoded on their own."""
        return isinstance(self.config, LateInteractionConfig)

    @property
    def is_cross_encoder(self) -> bool:
        """Whether sentence-transformers' CrossEncoder gives the same scores."""
        config = self.config
        return isinstance(config, CrossEncoderConfig) or (isinstance(config, LanguageModelConfig) and not config.pieces)

    @property
    def is_classifier(self) -> bool:
        """Whether transformers' own class for sequence classification does, over the bare pair."""
        return isinstance(self.config, CrossEncoderConfig) and head_of(resolve(str(self.model))) == "classifier"

    def reranker(self, dtype: str, *, attention: str = "auto", batch_tokens: int | None = None) -> Model:
        """The reranker of evalkit.

        Raises:
            EvalkitError: it reads all documents of a query together, or cannot load the model.
        """
        compute = ComputeConfig(
            device=self.device,
            dtype=dtype,
            attention=attention,
            batch_tokens=batch_tokens or self.batch_tokens,
            threads=self.threads,
            **self.compute,
        )
        made = rerank.build(self.config, compute)
        return made if isinstance(made, LateInteractionReranker) else rerank.require_pairs(made)


def lengths_read(reranker: Model, groups: Groups) -> NDArray[np.int64]:
    """Tokens of each sequence that the model reads: a pair, or each distinct query and document on its own."""
    pairs = flat(groups)
    if isinstance(reranker, PairReranker):
        return lengths_of(reranker.tokenize(pairs))
    queries = reranker.read(list(dict.fromkeys(pair.query for pair in pairs)), "query")
    documents = reranker.read(list(dict.fromkeys(pair.document for pair in pairs)), "document")
    return np.concatenate([lengths_of(queries), lengths_of(documents)])


def require_dtype(model: torch.nn.Module, dtype: str) -> None:
    """Refuse a peer that keeps other weights than it was asked for.

    Raises:
        ConfigError: it does.
    """
    found = {str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters()}
    if found != {dtype}:
        raise ConfigError(f"weights are {', '.join(sorted(found))}, expected {dtype}")
