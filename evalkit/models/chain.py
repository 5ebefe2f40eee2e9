"""Rerankers whose head is a chain of modules behind a bare encoder (`modules.json`), such as Ettin's.

The pooled state goes through linear layers and norms; the last one writes the score.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from evalkit.config import ComputeConfig
from evalkit.inference.forward import PairInputs, last_states
from evalkit.inference.packed import Packed, Select
from evalkit.inference.pooling import pool, select_for
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.headed import Headed
from evalkit.models.loading import load_encoder
from evalkit.models.padding import minds_padding
from evalkit.models.sentence_transformer import stored_pooling
from evalkit.models.stored_layers import SCORES, VECTOR, load_stage


class ChainReranker(Headed):
    """Scores of a chain, in float64 behind the encoder and rounded to float32."""

    def __init__(self, model: Any, pooling: str, stages: Sequence[nn.Module], unpooled: int = 0) -> None:
        super().__init__()
        self.model, self.pooling, self.unpooled = model, pooling, unpooled
        self.stages = nn.Sequential(*stages)
        self.segmented = getattr(model.config, "type_vocab_size", 0) > 1

    @cached_property
    def alone(self) -> bool:
        """See `Headed`."""
        return minds_padding(self.model)

    @property
    def select(self) -> Select:
        """See `Headed`."""
        return select_for(self.pooling, self.unpooled)

    @property
    def bare(self) -> Any:
        """See `Headed`."""
        return self.model

    def head(self, states: Sequence[torch.Tensor], batch: Packed) -> torch.Tensor:
        """See `Headed`."""
        pooled = pool(states[-1], np.array(batch.lengths), self.pooling, self.unpooled)
        return cast("torch.Tensor", self.stages(pooled.double())).float()

    def forward(self, inputs: PairInputs) -> torch.Tensor:
        """Shape (pairs, 1), float32 scores."""
        mask = inputs.attention_mask
        segments = {"token_type_ids": inputs.token_type_ids} if self.segmented else {}
        states = self.model(input_ids=inputs.input_ids, attention_mask=mask, **segments).last_hidden_state
        if self.select == "first":
            chosen = states[:, 0]
        else:
            chosen = last_states(states, mask) if self.select == "last" else states[mask.bool()]
        pooled = pool(chosen, mask.sum(dim=1).cpu().numpy(), self.pooling, self.unpooled)
        return cast("torch.Tensor", self.stages(pooled.double())).float()


def load_chain(checkpoint: Checkpoint, compute: ComputeConfig, unpooled: int = 0) -> ChainReranker:
    """The encoder of a checkpoint with the modules behind it, on its device.

    Args:
        checkpoint: on disk.
        compute: where and how.
        unpooled: tokens at the start of every pair that the pooling leaves out.

    Raises:
        ModelError: the weights are not those of the configuration, or a module is of a kind that is not supported.
    """
    model = load_encoder(checkpoint, compute)
    behind = [(kind, checkpoint.path / folder) for kind, folder in checkpoint.modules()[2:]]
    stages = [
        load_stage(kind, folder, model.device, writes=SCORES if place == len(behind) else VECTOR)
        for place, (kind, folder) in enumerate(behind, 1)
    ]
    pooling = stored_pooling(checkpoint)
    assert pooling is not None
    return ChainReranker(model, pooling, stages, unpooled).eval()
