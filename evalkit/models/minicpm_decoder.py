"""MiniCPM (OpenBMB): the backbone of MiniCPM-Reranker, MiniCPM-Embedding and bge-reranker-v2-minicpm-layerwise.

MiniCPM-2B is a Llama whose embeddings are scaled by `scale_emb` and whose residual branches by
`scale_depth / sqrt(layers)` (Hu et al. 2024, arXiv:2404.06395). transformers has the same formula as Granite, with the
same tensor names, so that GraniteModel computes it. MiniCPM's third factor, hidden size over `dim_model_base`, is
applied before a vocabulary head only; none of these models has one. Nor does Granite turn queries and keys by their
positions in float32, as MiniCPM does: in half precision the engine does (`rotary_dtype`), padded models do not.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from transformers import GraniteConfig, GraniteModel

from evalkit.errors import ModelError
from evalkit.inference.forward import PairInputs, last_states
from evalkit.inference.linear import summed
from evalkit.inference.packed import Packed, Select
from evalkit.inference.pooling import pool
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.headed import Headed

_BOTH_WAYS = False  # where config.json does not say: the cards of the published models say that they read both ways


class MiniCPMReranker(Headed):
    """MiniCPM with a score head: one logit a pair, from the state of the last token (or the first, or their mean).

    The head reads the normed state as it is (MiniCPMForSequenceClassification).
    """

    def __init__(self, config: GraniteConfig, pooling: str) -> None:
        super().__init__()
        self.model = GraniteModel(config)
        self.score = nn.Linear(config.hidden_size, 1, bias=False)
        self.pooling = pooling

    @property
    def select(self) -> Select:
        """See `Headed`."""
        return "all" if self.pooling == "mean" else cast("Select", self.pooling)

    @property
    def bare(self) -> GraniteModel:
        """See `Headed`."""
        return self.model

    def head(self, states: Sequence[torch.Tensor], batch: Packed) -> torch.Tensor:
        """See `Headed`."""
        pooled = pool(states[-1], np.array(batch.lengths), "mean") if self.select == "all" else states[-1]
        return summed(pooled, self.score.weight)

    def forward(self, inputs: PairInputs) -> torch.Tensor:
        """Shape (pairs, 1), float32 logits."""
        states = self.model(
            input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, use_cache=False
        ).last_hidden_state
        if self.pooling == "last":
            pooled = last_states(states, inputs.attention_mask)
        elif self.pooling == "first":
            pooled = states[:, 0]
        else:
            mask = inputs.attention_mask.unsqueeze(-1)
            pooled = (states.float() * mask).sum(dim=1) / mask.sum(dim=1)
        return summed(pooled, self.score.weight)


def granite_config(
    checkpoint: Checkpoint, attention: str, *, is_causal: bool | None = None, layers: int | None = None
) -> GraniteConfig:
    """The configuration with which Granite computes this MiniCPM.

    Args:
        checkpoint: with a MiniCPM's `config.json`.
        attention: as transformers names it.
        is_causal: whether tokens see only what is before them; as `config.json` says when None, and not causal where
            it says nothing, as the cards of the bidirectional models describe them.
        layers: how many to compute; all when None.

    Raises:
        ModelError: `config.json` is not a MiniCPM's.
    """
    config = checkpoint.config
    checkpoint.require_sizes("rms_norm_eps", "scale_emb", "scale_depth")
    causal = config.get("is_causal", _BOTH_WAYS) if is_causal is None else is_causal
    if not isinstance(causal, bool):
        raise ModelError(f"{checkpoint.path}/config.json: is_causal={causal!r} is neither true nor false.")
    heads, depth = config["num_attention_heads"], config["num_hidden_layers"]
    positions = config.get("max_position_embeddings", 2048)
    return GraniteConfig(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
        num_hidden_layers=depth if layers is None else layers,
        num_attention_heads=heads,
        num_key_value_heads=config.get("num_key_value_heads") or heads,
        hidden_act=config.get("hidden_act", "silu"),
        max_position_embeddings=positions,
        rms_norm_eps=config["rms_norm_eps"],
        rope_parameters=_rope(config, positions, checkpoint),
        attention_bias=config.get("attention_bias", False),
        embedding_multiplier=float(config["scale_emb"]),
        residual_multiplier=config["scale_depth"] / math.sqrt(depth),
        attention_multiplier=(config["hidden_size"] // heads) ** -0.5,
        is_causal=causal,
        rotary_dtype="float32",  # MiniCPM's code turns queries and keys in float32, whatever the dtype of the weights
        pad_token_id=config.get("pad_token_id"),
        bos_token_id=config.get("bos_token_id", 1),
        eos_token_id=config.get("eos_token_id", 2),
        use_cache=False,
        tie_word_embeddings=False,
        attn_implementation=attention,
    )


def _rope(config: Mapping[str, Any], positions: int, checkpoint: Checkpoint) -> dict[str, Any]:
    """`rope_parameters` of transformers 5: plain, or LongRoPE as MiniCPM's code has it.

    That code makes its table once, for `max_position_embeddings`, and so chooses the long or short factors by the
    configuration alone, where transformers chooses by the longest text of a batch; and its magnitude may be below 1.
    """
    theta = float(config.get("rope_theta", 10000.0))
    scaling = config.get("rope_scaling")
    if not scaling:
        return {"rope_type": "default", "rope_theta": theta}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind != "longrope" or not {"short_factor", "long_factor"} <= set(scaling):
        raise ModelError(
            f"{checkpoint.path}/config.json: rope_scaling of type {kind!r}. Supported are none, and longrope with "
            "short_factor and long_factor."
        )
    original = scaling.get("original_max_position_embeddings", positions)
    factors = scaling["long_factor" if positions > original else "short_factor"]
    pairs = config["hidden_size"] // config["num_attention_heads"] // 2
    if not isinstance(factors, list) or len(factors) != pairs:
        raise ModelError(f"{checkpoint.path}/config.json: rope_scaling needs a list of {pairs} factors.")
    return {
        "rope_type": "longrope",
        "rope_theta": theta,
        "short_factor": factors,
        "long_factor": factors,
        "original_max_position_embeddings": original,
        "attention_factor": math.sqrt(1 + math.log(positions / original) / math.log(original)),
    }
