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


class LayerwiseMiniCPM(nn.Module):
    """Scores after the layers `cutoffs`, in ascending order."""

    def __init__(self, config: GraniteConfig, cutoffs: Sequence[int]) -> None:
        super().__init__()
        self.model = GraniteModel(config)
        self.heads = nn.ModuleList([nn.Linear(config.hidden_size, 1, bias=False) for _ in cutoffs])
        self.cutoffs = tuple(cutoffs)

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
                weight = self.heads[len(scores)].get_parameter("weight")
                state = model.norm(last_states(states, mask))
                scores.append(nn.functional.linear(state.float(), weight.float()))
        return torch.cat(scores, dim=1)
