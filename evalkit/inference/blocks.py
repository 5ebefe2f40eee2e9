"""The layers of transformer models over packed tokens, made from those of transformers, whose weights they take over.

Every block can give the states of a few tokens only: keys and values are still those of all, but query, output
projection and feed-forward layer are computed for the tokens that are asked for. That is what the last layer needs.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from evalkit.inference.attention import Attend, Rule
from evalkit.inference.linear import FusedLinear
from evalkit.inference.packed import Packed, Select


class Context(NamedTuple):
    """What all layers of a forward pass share.

    Attributes:
        batch: the tokens.
        rotary: cosine and sine of each token's position, of shape (tokens, width of a head) each; None without.
    """

    batch: Packed
    rotary: tuple[torch.Tensor, torch.Tensor] | None = None


class Block(Protocol):
    """**Protocol:** one layer."""

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """States of all tokens, shape (tokens, width), to those of the selected ones."""
        ...


class _Attention:
    """Query, key and value projections, attention among the tokens of a sequence, output projection."""

    def __init__(self, attend: Attend, rule: Rule, projections: tuple[Any, Any, Any, Any], width: int) -> None:
        query, key, value, output = projections
        self.attend, self.rule, self.width = attend, rule, width
        self.sizes = [query.out_features, key.out_features, value.out_features]
        self.query_norm: Any = None
        self.key_norm: Any = None
        self.all = FusedLinear([query, key, value])
        self.output = FusedLinear([output])

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        query, key, value = (part.unflatten(1, (-1, self.width)) for part in self.all(states).split(self.sizes, dim=1))
        rotary = context.rotary
        chosen = rotary
        if select != "all":
            rows = context.batch.rows(select)
            query = query[rows]
            chosen = rotary and (rotary[0][rows], rotary[1][rows])
        if self.query_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if rotary is not None and chosen is not None:
            query, key = rotated(query, *chosen), rotated(key, *rotary)
        seen = self.attend(query, key, value, context.batch, select, self.rule)
        return self.output(seen.flatten(1))


def rotated(vectors: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Vectors of shape (tokens, heads, width) turned by their positions (Su et al. 2021, half-split layout).

    Computed in the dtype of cosine and sine, where that is the wider one, and rounded once.
    """
    first, second = vectors.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return (vectors * cosine.unsqueeze(1) + turned * sine.unsqueeze(1)).to(vectors.dtype)


def _of(states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
    return states if select == "all" else states[context.batch.rows(select)]


class BertBlock:
    """Norms behind each part: BERT, RoBERTa, XLM-RoBERTa."""

    def __init__(self, layer: Any, attend: Attend) -> None:
        own = layer.attention.self
        width = int(own.attention_head_size)
        projections = (own.query, own.key, own.value, layer.attention.output.dense)
        self.attention = _Attention(attend, Rule(width**-0.5), projections, width)
        self.first_norm, self.second_norm = layer.attention.output.LayerNorm, layer.output.LayerNorm
        activation = layer.intermediate.intermediate_act_fn
        fused = exact_gelu(activation)
        self.up = FusedLinear([layer.intermediate.dense], gelu=fused)
        self.activation = None if fused else activation
        self.down = FusedLinear([layer.output.dense])

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Block`."""
        states = self.first_norm(_of(states, context, select) + self.attention(states, context, select))
        inner = self.up(states)
        inner = inner if self.activation is None else self.activation(inner)
        result: torch.Tensor = self.second_norm(states + self.down(inner))
        return result


class _GatedMlp:
    """Down(activation(gate) * up)."""

    def __init__(self, mlp: Any) -> None:
        self.both = FusedLinear([mlp.gate_proj, mlp.up_proj])
        self.down, self.activation = FusedLinear([mlp.down_proj]), mlp.act_fn

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        gate, up = self.both(states).chunk(2, dim=1)
        return self.down(self.activation(gate) * up)


class GteBlock:
    """Norms behind each part, rotary positions and a gated feed-forward layer: gte (new-impl)."""

    def __init__(self, layer: Any, attend: Attend) -> None:
        own = layer.self_attn
        projections = (own.q_proj, own.k_proj, own.v_proj, own.o_proj)
        self.attention = _Attention(attend, Rule(own.scaling), projections, own.head_dim)
        self.first_norm, self.second_norm = layer.post_attention_layernorm, layer.post_mlp_layernorm
        self.mlp = _GatedMlp(layer.mlp)

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Block`."""
        states = self.first_norm(_of(states, context, select) + self.attention(states, context, select))
        result: torch.Tensor = self.second_norm(states + self.mlp(states))
        return result


class DecoderBlock:
    """Norms before each part and rotary positions: Gemma, Gemma 2, Granite (MiniCPM), Qwen3 and their like.

    Args:
        layer: of a decoder of transformers.
        attend: the kernel.
        rule: how tokens see each other.
    """

    def __init__(self, layer: Any, attend: Attend, rule: Rule) -> None:
        own = layer.self_attn
        projections = (own.q_proj, own.k_proj, own.v_proj, own.o_proj)
        self.attention = _Attention(attend, rule, projections, own.head_dim)
        self.attention.query_norm = getattr(own, "q_norm", None)
        self.attention.key_norm = getattr(own, "k_norm", None)
        self.mlp = _GatedMlp(layer.mlp)
        self.branch = float(getattr(layer, "residual_multiplier", 1.0))
        sandwiched = hasattr(layer, "pre_feedforward_layernorm")  # Gemma 2 has norms behind each part too
        self.before_attention = layer.input_layernorm
        self.after_attention = layer.post_attention_layernorm if sandwiched else nn.Identity()
        self.before_mlp = layer.pre_feedforward_layernorm if sandwiched else layer.post_attention_layernorm
        self.after_mlp = layer.post_feedforward_layernorm if sandwiched else nn.Identity()

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Block`."""
        seen = self.after_attention(self.attention(self.before_attention(states), context, select))
        states = _of(states, context, select) + seen * self.branch
        result: torch.Tensor = states + self.after_mlp(self.mlp(self.before_mlp(states))) * self.branch
        return result


def exact_gelu(activation: Any) -> bool:
    """Whether an activation of transformers is the GELU with the error function."""
    return (
        type(activation).__name__ in {"GELUActivation", "GELU"} and getattr(activation, "approximate", "none") == "none"
    )
