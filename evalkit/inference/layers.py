"""The layers of transformer models over packed tokens, made from those of transformers, whose weights they take over.

Every block can give the states of a few tokens only: keys and values are still those of all, but query, output
projection and feed-forward layer are computed for the tokens that are asked for. That is what the last layer needs.
"""

from typing import Any, NamedTuple, Protocol

import torch

from evalkit.inference.activations import Gate, activation_kind
from evalkit.inference.attention import Attend, Rule
from evalkit.inference.fused import Heads, Norm, Turn, added
from evalkit.inference.linear import FusedLinear
from evalkit.inference.packed import Packed, Select


class Context(NamedTuple):
    """What all layers of a forward pass share.

    Attributes:
        batch: the tokens.
        rotary: cosines and sines of each token's position, of `fused.tables`; None without.
    """

    batch: Packed
    rotary: torch.Tensor | None = None


class Block(Protocol):
    """**Protocol:** one layer."""

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """States of all tokens, shape (tokens, width), to those of the selected ones. May overwrite the states."""
        ...


class _Attention:
    """Query, key and value projections, and attention among the tokens of a sequence.

    Args:
        attend: the kernel.
        rule: how tokens see each other.
        projections: to query, key, value, and from what was seen to states; the last is left to the caller.
        width: of a head.
        norms: of queries and of keys; None without.
        way: of the steps between multiplications, see `fused.choose`.
    """

    def __init__(
        self,
        attend: Attend,
        rule: Rule,
        projections: tuple[Any, Any, Any, Any],
        width: int,
        *,
        norms: tuple[Any, Any] | None = None,
        way: str = "off",
    ) -> None:
        query, key, value, output = projections
        self.attend, self.rule, self.width = attend, rule, width
        self.sizes = [query.out_features, key.out_features, value.out_features]
        self.turn = Turn(Heads(query.out_features // width, key.out_features // width, width), norms, way)
        self.all = FusedLinear([query, key, value])
        self.output = FusedLinear([output])

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """What the selected tokens see, of shape (tokens, widths of all heads), for `output`."""
        projected = self.all(states)
        query, key, value = (part.unflatten(1, (-1, self.width)) for part in projected.split(self.sizes, dim=1))
        rows = None if select == "all" else context.batch.rows(select)
        if context.rotary is not None:
            query, key = self.turn(projected, context.rotary, rows)
        elif rows is not None:
            query = query[rows]
        return self.attend(query, key, value, context.batch, select, self.rule).flatten(1)


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
        fused = activation_kind(activation) == "gelu"
        self.up = FusedLinear([layer.intermediate.dense], gelu=fused)
        self.activation = None if fused else activation
        self.down = FusedLinear([layer.output.dense])

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Block`."""
        seen = self.attention.output(self.attention(states, context, select))
        states = self.first_norm(_of(states, context, select) + seen)
        inner = self.up(states)
        inner = inner if self.activation is None else self.activation(inner)
        result: torch.Tensor = self.second_norm(states + self.down(inner))
        return result


class _GatedMlp:
    """Activation(gate) * up; `down` is left to the caller."""

    def __init__(self, mlp: Any, way: str) -> None:
        self.both, self.gate = FusedLinear([mlp.gate_proj, mlp.up_proj]), Gate(mlp.act_fn, way)
        self.down = FusedLinear([mlp.down_proj])

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (tokens, inner width)."""
        return self.gate(self.both(states))


class GteBlock:
    """Norms behind each part, rotary positions and a gated feed-forward layer: gte (new-impl)."""

    def __init__(self, layer: Any, attend: Attend, way: str) -> None:
        own = layer.self_attn
        projections = (own.q_proj, own.k_proj, own.v_proj, own.o_proj)
        self.attention = _Attention(attend, Rule(own.scaling), projections, own.head_dim, way=way)
        self.first_norm, self.second_norm = layer.post_attention_layernorm, layer.post_mlp_layernorm
        self.mlp, self.way = _GatedMlp(layer.mlp, way), way

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Block`."""
        seen = self.attention(states, context, select)
        states = self.first_norm(added(_of(states, context, select), self.attention.output, seen, 1.0, self.way))
        inner = self.mlp(states)
        result: torch.Tensor = self.second_norm(added(states, self.mlp.down, inner, 1.0, self.way))
        return result


class DecoderBlock:
    """Norms before each part and rotary positions: Gemma, Gemma 2, Granite (MiniCPM), Qwen3 and their like.

    Args:
        layer: of a decoder of transformers.
        attend: the kernel.
        rule: how tokens see each other.
        way: of the steps between multiplications, see `fused.choose`.
    """

    def __init__(self, layer: Any, attend: Attend, rule: Rule, way: str) -> None:
        own = layer.self_attn
        projections = (own.q_proj, own.k_proj, own.v_proj, own.o_proj)
        norms = (own.q_norm, own.k_norm) if hasattr(own, "q_norm") else None
        self.attention = _Attention(attend, rule, projections, own.head_dim, norms=norms, way=way)
        self.mlp, self.way = _GatedMlp(layer.mlp, way), way
        self.branch = float(getattr(layer, "residual_multiplier", 1.0))
        sandwiched = hasattr(layer, "pre_feedforward_layernorm")  # Gemma 2 has norms behind each part too
        before_mlp = layer.pre_feedforward_layernorm if sandwiched else layer.post_attention_layernorm
        self.before_attention, self.before_mlp = Norm(layer.input_layernorm, way), Norm(before_mlp, way)
        self.after_attention = Norm(layer.post_attention_layernorm, way) if sandwiched else None
        self.after_mlp = Norm(layer.post_feedforward_layernorm, way) if sandwiched else None

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Block`."""
        seen = self.attention(self.before_attention(states), context, select)
        states = self._onto(_of(states, context, select), self.attention.output, seen, self.after_attention)
        return self._onto(states, self.mlp.down, self.mlp(self.before_mlp(states)), self.after_mlp)

    def _onto(self, states: torch.Tensor, linear: FusedLinear, inner: torch.Tensor, after: Norm | None) -> torch.Tensor:
        """The states and what a part of the layer adds to them."""
        if after is not None:
            return after.onto(states, linear(inner), self.branch)
        return added(states, linear, inner, self.branch, self.way)
