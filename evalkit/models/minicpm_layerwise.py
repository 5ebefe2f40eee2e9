"""bge-reranker-v2-minicpm-layerwise: a causal MiniCPM with a score head after every layer from `start_layer` on.

With cut-off c the blocks above layer c are not computed, nor loaded: the state after layer c goes through the model's
final norm to head c - start_layer (FlagEmbedding, `modeling_minicpm_reranker.py`, head type "simple").
"""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import GraniteConfig, GraniteModel
from transformers.masking_utils import create_causal_mask

from evalkit.inference.forward import PairInputs, last_states
from evalkit.inference.linear import summed
from evalkit.inference.packed import Packed
from evalkit.models.headed import Headed


class LayerwiseMiniCPM(Headed):
    """Scores after the layers `cutoffs`, in ascending order."""

    def __init__(self, config: GraniteConfig, cutoffs: Sequence[int]) -> None:
        super().__init__()
        self.model = GraniteModel(config)
        self.heads = nn.ModuleList([nn.Linear(config.hidden_size, 1, bias=False) for _ in cutoffs])
        self.cutoffs = tuple(cutoffs)

    @property
    def layers(self) -> Sequence[int]:
        """See `Headed`."""
        return self.cutoffs

    @property
    def bare(self) -> GraniteModel:
        """See `Headed`."""
        return self.model

    def head(self, states: Sequence[torch.Tensor], batch: Packed) -> torch.Tensor:
        """See `Headed`."""
        del batch
        return torch.cat([self._score(state, index) for index, state in enumerate(states)], dim=1)

    def _score(self, state: torch.Tensor, index: int) -> torch.Tensor:
        weight = self.heads[index].get_parameter("weight")
        return summed(state, weight)

    def forward(self, inputs: PairInputs) -> torch.Tensor:
        """Shape (pairs, cut-offs), float32 logits."""
        model, mask = self.model, inputs.attention_mask
        states = model.embed_tokens(inputs.input_ids) * model.embedding_multiplier
        positions = torch.arange(states.shape[1], device=states.device)[None]
        causal = create_causal_mask(
            config=model.config,
            inputs_embeds=states,
            attention_mask=mask,
            past_key_values=None,
            position_ids=positions,
        )
        rotary = model.rotary_emb(states, position_ids=positions)
        scores: list[torch.Tensor] = []
        for depth, block in enumerate(model.layers, start=1):
            states = block(states, attention_mask=causal, position_ids=positions, position_embeddings=rotary)
            if depth in self.cutoffs:
                scores.append(self._score(model.norm(last_states(states, mask)), len(scores)))
        return torch.cat(scores, dim=1)
