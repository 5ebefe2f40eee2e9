"""bge-reranker-v2.5-gemma2-lightweight: Gemma 2 with score heads on its layers and passage tokens merged on the way.

FlagEmbedding, `inference/reranker/decoder_only/models/gemma_model.py` (7ed43d67). Before block c runs, a cut-off c
scores the normed state of the last token, and a compression at c replaces every `ratio` consecutive tokens of the
passage by their mean; query and prompt keep their tokens, and positions are counted again. The blocks are those of
transformers' Gemma2Model.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import Gemma2Config, Gemma2Model
from transformers.masking_utils import create_causal_mask, create_sliding_window_causal_mask

from evalkit.inference.backbone import Backbone, embedded, embedding_factor
from evalkit.inference.forward import PairInputs, last_states
from evalkit.inference.linear import summed
from evalkit.inference.packed import Packed
from evalkit.models.checkpoint import Checkpoint


class LightweightGemma2(nn.Module):
    """Scores after the layers `cutoffs`, in ascending order.

    Args:
        config: with as many layers as the last cut-off needs.
        attention: as transformers names it; `sdpa` only where the configuration has no cap.
        cutoffs: after how many blocks to score.
        compress_ratio: passage tokens that become one.
        compress_layers: before which blocks (counted from 0) tokens are merged.
    """

    unscored: int | None = None
    alone = False

    def __init__(
        self,
        config: Gemma2Config,
        attention: str,
        cutoffs: Sequence[int],
        compress_ratio: int,
        compress_layers: Sequence[int],
    ) -> None:
        super().__init__()
        self.model = Gemma2Model(copy.deepcopy(config))
        # Set afterwards, in a copy: Gemma2Model refuses sdpa even where no cap is left that sdpa could leave out.
        self.model.config._attn_implementation = attention  # noqa: SLF001 - the checked setter refuses it likewise
        self.heads = nn.ModuleList([nn.Linear(config.hidden_size, 1, bias=False) for _ in cutoffs])
        self.cutoffs = tuple(cutoffs)
        self.compress_ratio = compress_ratio
        # The official code merges nothing before the first block.
        self.compress_layers = frozenset(compress_layers) - {0} if compress_ratio > 1 else frozenset()

    def forward(self, inputs: PairInputs) -> torch.Tensor:
        """Shape (pairs, cut-offs), float32 logits."""
        states = embedded(self.model, inputs.input_ids, embedding_factor(self.model))
        mask, documents = inputs.attention_mask, inputs.documents
        context = self._context(states, mask)
        scores: list[torch.Tensor] = []
        for depth, block in enumerate(self.model.layers):
            if depth in self.cutoffs:
                scores.append(self._score(states, mask, len(scores)))
            if depth in self.compress_layers:
                states, mask, documents = merge_documents(states, mask, documents, self.compress_ratio)
                context = self._context(states, mask)
            masks, positions, rotary = context
            states = block(
                states,
                position_embeddings=rotary,
                attention_mask=masks[self.model.config.layer_types[depth]],
                position_ids=positions,
            )
        if len(scores) < len(self.cutoffs):
            scores.append(self._score(states, mask, len(scores)))
        return torch.cat(scores, dim=1)

    def _context(
        self, states: torch.Tensor, mask: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor | None], torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Attention masks by kind of layer, positions, and their rotary embeddings."""
        positions = torch.arange(states.shape[1], device=states.device)[None]
        make = {"full_attention": create_causal_mask, "sliding_attention": create_sliding_window_causal_mask}
        masks = {
            kind: function(
                config=self.model.config,
                inputs_embeds=states,
                attention_mask=mask,
                past_key_values=None,
                position_ids=positions,
            )
            for kind, function in make.items()
        }
        return masks, positions, self.model.rotary_emb(states, positions)

    def _score(self, states: torch.Tensor, mask: torch.Tensor, head: int) -> torch.Tensor:
        return self.head(self.model.norm(last_states(states, mask)), head)

    def head(self, state: torch.Tensor, head: int) -> torch.Tensor:
        """Logits of shape (pairs, 1) from normed states of shape (pairs, width)."""
        logits = summed(state, self.heads[head].get_parameter("weight"))
        cap = self.model.config.final_logit_softcapping
        return cap * torch.tanh(logits / cap) if cap else logits


class PackedLightweight:
    """The same over packed pairs. The module keeps only its heads."""

    unscored: int | None = None
    alone = False

    def __init__(self, module: LightweightGemma2, backbone: Backbone) -> None:
        self.module, self.backbone, self.device = module, backbone, backbone.device
        self.contents: Any = None

    @property
    def shares_prefixes(self) -> bool:
        """See `PackedScorer`. Merging moves the tokens behind the query."""
        return False

    def score(self, batch: Packed, documents: torch.Tensor) -> torch.Tensor:
        """See `PackedScorer`."""
        module, blocks = self.module, self.backbone.blocks
        states = self.backbone.embed(batch)
        context = self.backbone.context(states, batch)
        scores: list[torch.Tensor] = []
        for depth, block in enumerate(blocks):
            if depth in module.cutoffs:
                scores.append(self._score(states[batch.rows("last")], len(scores)))
            if depth in module.compress_layers:
                states, batch, documents = merge_packed(states, batch, documents, module.compress_ratio)
                context = self.backbone.context(states, batch)
            states = block(states, context, "last" if depth + 1 == len(blocks) else "all")
        if len(scores) < len(module.cutoffs):
            scores.append(self._score(states, len(scores)))
        return torch.cat(scores, dim=1)

    def _score(self, states: torch.Tensor, head: int) -> torch.Tensor:
        return self.module.head(self.backbone.norm(states), head)


def merge_packed(
    states: torch.Tensor, batch: Packed, documents: torch.Tensor, ratio: int
) -> tuple[torch.Tensor, Packed, torch.Tensor]:
    """`merge_documents` of packed pairs: states of shape (tokens, width), documents on the host.

    Token ids of the new batch are dropped. Positions are computed on the host, so that nothing waits for a device.
    """
    old = np.array(batch.lengths, dtype=np.int64)
    start, stop = documents.numpy().astype(np.int64).T
    kept = (stop - start + ratio - 1) // ratio
    new = old - (stop - start) + kept
    offsets = np.concatenate([[0], np.cumsum(new)])
    positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1], new)
    behind = positions - np.repeat(start, new)  # the document's start
    inside = (behind >= 0) & (behind < np.repeat(kept, new))
    sizes = np.where(inside, np.minimum(np.repeat(stop - start, new) - behind * ratio, ratio), 1)
    places = torch.from_numpy(positions)
    # The sizes of the groups travel in the place of the token ids.
    sent = Packed(
        torch.from_numpy(sizes),
        torch.zeros_like(places),
        places,
        torch.from_numpy(offsets.astype(np.int32)),
        tuple(new.tolist()),
    ).to(states.device)
    # Groups are neighbours, and sums of neighbours have one order; `index_add_` on CUDA has another one every time.
    merged = torch.segment_reduce(states.float(), "mean", lengths=sent.input_ids, axis=0, unsafe=True).to(states.dtype)
    moved = torch.from_numpy(np.stack([start, start + kept], axis=1))
    return merged, sent._replace(input_ids=sent.positions), moved


def merge_documents(
    states: torch.Tensor, mask: torch.Tensor, documents: torch.Tensor, ratio: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Every `ratio` consecutive tokens of each document replaced by their mean, the last group by that of its rest.

    Args:
        states: shape (pairs, tokens, width).
        mask: shape (pairs, tokens), 1 where there is a token; padding is on the right.
        documents: shape (pairs, 2), where each document starts and stops.
        ratio: tokens in a group.

    Returns:
        The same three of the shorter rows.
    """
    start, stop = documents[:, :1], documents[:, 1:]
    kept = (stop - start + ratio - 1) // ratio
    lengths = mask.sum(dim=1, keepdim=True)
    shorter = lengths - (stop - start) + kept
    width = int(shorter.max())
    # How many old tokens each new one is of; padding is a last group, which is cut off.
    place = torch.arange(width + 1, device=states.device)[None]
    inside = (place >= start) & (place < start + kept)
    sizes = torch.where(inside, (stop - start - (place - start) * ratio).clamp(max=ratio), 1)
    sizes = torch.where(place < shorter, sizes, 0)
    sizes[:, width:] = states.shape[1] - lengths
    merged = torch.segment_reduce(states.float(), "sum", lengths=sizes, axis=1, unsafe=True, initial=0)
    means = (merged / sizes.clamp(min=1).unsqueeze(-1))[:, :width].to(states.dtype)
    new_mask = (torch.arange(width, device=states.device)[None] < shorter).to(mask.dtype)
    return means * new_mask.unsqueeze(-1).to(means.dtype), new_mask, torch.cat([start, start + kept], dim=1)


def gemma2_config(checkpoint: Checkpoint, *, softcap: bool, layers: int) -> Gemma2Config:
    """The configuration of the first `layers` blocks, with or without the cap on attention scores."""
    checkpoint.require_sizes("num_key_value_heads", "head_dim", "query_pre_attn_scalar", "rms_norm_eps")
    raw = checkpoint.read_json("config.json") or {}
    for key in ("model_type", "auto_map", "architectures", "torch_dtype", "dtype", "layer_types"):
        raw.pop(key, None)
    if not softcap:
        raw["attn_logit_softcapping"] = None
    return Gemma2Config(**(raw | {"num_hidden_layers": layers, "use_cache": False}))
