"""The layers of transformer models over packed tokens, made from those of transformers, whose weights they take over.

A layer can compute the states of a few tokens only, as the last layer of a model needs: keys and values of all tokens,
but query, output projection and feed-forward layer of the selected ones.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import nn

from evalkit.inference.activations import Gate, activation_kind
from evalkit.inference.attention import Attend, AttentionRule
from evalkit.inference.fused import HeadLayout, Norm, Turn, added, side_by_side
from evalkit.inference.linear import FusedLinear
from evalkit.inference.packed import Packed, Select


class Context(NamedTuple):
    """The inputs that all layers of a forward pass share.

    Attributes:
        batch: the sequences.
        rotary: from `fused.tables`; None without positions.
        local: likewise, of layers whose tokens see only those near them; None where these have no other.
    """

    batch: Packed
    rotary: torch.Tensor | None = None
    local: torch.Tensor | None = None


Layer = Callable[[torch.Tensor, Context, Select], torch.Tensor]
"""(states of all tokens, context, selection) -> states of the selected tokens. May overwrite the states."""


class _Attention:
    """Query, key and value projections, and attention among the tokens of a sequence.

    Args:
        attend: the kernel.
        rule: how tokens see each other.
        projections: to query, key, value, and from the result to states; the caller applies the last one.
        width: width of a head.
        norms: norms of queries and of keys; None without.
        way: how to compute the steps between multiplications, see `fused.choose`.
    """

    def __init__(
        self,
        attend: Attend,
        rule: AttentionRule,
        projections: tuple[Any, Any, Any, Any],
        width: int,
        *,
        norms: tuple[Any, Any] | None = None,
        way: str = "off",
    ) -> None:
        query, key, value, output = projections
        self.attend, self.rule, self.width = attend, rule, width
        self.sizes = [query.out_features, key.out_features, value.out_features]
        self.turn = Turn(HeadLayout(query.out_features // width, key.out_features // width, width), norms, way)
        self.all = FusedLinear([query, key, value])
        self.output = FusedLinear([output])

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """The input of `output` for the selected tokens, shape (tokens, widths of all heads)."""
        projected = self.all(states)
        query, key, value = (part.unflatten(1, (-1, self.width)) for part in projected.split(self.sizes, dim=1))
        rows = None if select == "all" else context.batch.rows(select)
        rotary = context.rotary if self.rule.window is None or context.local is None else context.local
        if rotary is not None:
            query, key = self.turn(projected, rotary, rows)
        elif rows is not None:
            query = query[rows]
        return self.attend(query, key, value, context.batch, select, self.rule).flatten(1)


def _of(states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
    return states if select == "all" else states[context.batch.rows(select)]


class PostNormParts(NamedTuple):
    """The parts of a layer with norms after each part, by their names in transformers.

    Attributes:
        projections: to query, key, value, and from the result to states.
        norms: after attention, and after the feed-forward layer.
        up: to the inner width.
        activation: of the inner states.
        down: back to the states.
    """

    projections: tuple[Any, Any, Any, Any]
    norms: tuple[Any, Any]
    up: Any
    activation: Any
    down: Any


def bert_parts(layer: Any) -> PostNormParts:
    """The parts of BERT, RoBERTa, XLM-RoBERTa, ELECTRA, and, but for its attention, of DeBERTa-v2."""
    own, output = layer.attention.self, layer.attention.output
    names = ("query", "key", "value") if hasattr(own, "query") else ("query_proj", "key_proj", "value_proj")
    query, key, value = (getattr(own, name) for name in names)
    inner = layer.intermediate
    return PostNormParts(
        (query, key, value, output.dense),
        (output.LayerNorm, layer.output.LayerNorm),
        inner.dense,
        inner.intermediate_act_fn,
        layer.output.dense,
    )


def distilbert_parts(layer: Any) -> PostNormParts:
    """The parts of DistilBERT."""
    own, inner = layer.attention, layer.ffn
    return PostNormParts(
        (own.q_lin, own.k_lin, own.v_lin, own.out_lin),
        (layer.sa_layer_norm, layer.output_layer_norm),
        inner.lin1,
        inner.activation,
        inner.lin2,
    )


class PostNormBlock:
    """Norms after each part: BERT and its like.

    Args:
        parts: of the layer, which lose their weights.
        attention: like `_Attention`; plain attention over heads of `width` when None.
        attend: the kernel of plain attention.
        width: width of a head of plain attention.
    """

    def __init__(self, parts: PostNormParts, attend: Attend, width: int, attention: Any = None) -> None:
        self.attention = attention or _Attention(attend, AttentionRule(width**-0.5), parts.projections, width)
        self.first_norm, self.second_norm = parts.norms
        fused = activation_kind(parts.activation) == "gelu"
        self.up = FusedLinear([parts.up], gelu=fused)
        self.activation = None if fused else parts.activation
        self.down = FusedLinear([parts.down])

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Layer`."""
        seen = self.attention(states, context, select)
        states = self.first_norm(self.attention.output.combined(seen, _of(states, context, select), "add"))
        inner = self.up(states)
        inner = inner if self.activation is None else self.activation(inner)
        result: torch.Tensor = self.second_norm(self.down.combined(inner, states, "add"))
        return result


class _GatedMlp:
    """Activation(gate) * up; the caller applies `down`.

    In the way `paired` GELU is part of one multiplication, and the product part of another.
    """

    def __init__(self, gate: nn.Linear, up: nn.Linear, down: nn.Linear, activation: Any, way: str) -> None:
        self.alone = way == "paired" and activation_kind(activation) == "gelu"
        self.gate = FusedLinear([gate], gelu=True) if self.alone else Gate(activation, way)
        self.up = FusedLinear([up] if self.alone else [gate, up])
        self.down = FusedLinear([down])

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (tokens, inner width)."""
        return self.up.combined(states, self.gate(states), "mul") if self.alone else self.gate(self.up(states))


def _gated(mlp: Any, way: str) -> _GatedMlp:
    return _GatedMlp(mlp.gate_proj, mlp.up_proj, mlp.down_proj, mlp.act_fn, way)


class GteBlock:
    """Norms after each part, rotary positions and a gated feed-forward layer: gte (new-impl), nomic-embed-text."""

    def __init__(self, layer: Any, attend: Attend, way: str) -> None:
        own = layer.self_attn
        projections = (own.q_proj, own.k_proj, own.v_proj, own.o_proj)
        self.attention = _Attention(attend, AttentionRule(own.scaling), projections, own.head_dim, way=way)
        self.first_norm, self.second_norm = layer.post_attention_layernorm, layer.post_mlp_layernorm
        self.mlp, self.way = _gated(layer.mlp, way), way

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Layer`."""
        seen = self.attention(states, context, select)
        states = self.first_norm(added(_of(states, context, select), self.attention.output, seen, 1.0, self.way))
        inner = self.mlp(states)
        result: torch.Tensor = self.second_norm(added(states, self.mlp.down, inner, 1.0, self.way))
        return result


class DecoderBlock:
    """Norms before each part and rotary positions: Gemma 1 to 3, Granite (MiniCPM), Mistral, Qwen3 and their like."""

    def __init__(self, layer: Any, attend: Attend, rule: AttentionRule, way: str) -> None:
        own = layer.self_attn
        projections = (own.q_proj, own.k_proj, own.v_proj, own.o_proj)
        norms = (own.q_norm, own.k_norm) if hasattr(own, "q_norm") else None
        self.attention = _Attention(attend, rule, projections, own.head_dim, norms=norms, way=way)
        self.mlp, self.way = _gated(layer.mlp, way), way
        self.branch = float(getattr(layer, "residual_multiplier", 1.0))
        sandwiched = hasattr(layer, "pre_feedforward_layernorm")  # Gemma 2 and 3 have norms after each part too
        before_mlp = layer.pre_feedforward_layernorm if sandwiched else layer.post_attention_layernorm
        self.before_attention, self.before_mlp = Norm(layer.input_layernorm, way), Norm(before_mlp, way)
        self.after_attention = Norm(layer.post_attention_layernorm, way) if sandwiched else None
        self.after_mlp = Norm(layer.post_feedforward_layernorm, way) if sandwiched else None

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Layer`."""
        seen = self.attention(self.before_attention(states), context, select)
        states = self._onto(_of(states, context, select), self.attention.output, seen, self.after_attention)
        return self._onto(states, self.mlp.down, self.mlp(self.before_mlp(states)), self.after_mlp)

    def _onto(self, states: torch.Tensor, linear: FusedLinear, inner: torch.Tensor, after: Norm | None) -> torch.Tensor:
        """The states plus the output of a part of the layer."""
        if after is not None:
            return after.onto(states, linear(inner), self.branch)
        return added(states, linear, inner, self.branch, self.way)


class ModernBertBlock:
    """Norms before each part, one matrix for query, key and value, gated feed-forward: ModernBERT."""

    def __init__(self, layer: Any, attend: Attend, rule: AttentionRule, way: str) -> None:
        own = layer.attn
        query, key, value = _parts(own.Wqkv, 3)
        if way == "paired":
            query, key = (side_by_side(linear, own.head_dim) for linear in (query, key))
        self.attention = _Attention(attend, rule, (query, key, value, own.Wo), own.head_dim, way=way)
        self.before_attention, self.before_mlp = layer.attn_norm, layer.mlp_norm
        gate, up = _parts(layer.mlp.Wi, 2)
        self.mlp = _GatedMlp(gate, up, layer.mlp.Wo, layer.mlp.act, way)
        self.way = way

    def __call__(self, states: torch.Tensor, context: Context, select: Select) -> torch.Tensor:
        """See `Layer`."""
        seen = self.attention(self.before_attention(states), context, select)
        states = added(_of(states, context, select), self.attention.output, seen, 1.0, self.way)
        return added(states, self.mlp.down, self.mlp(self.before_mlp(states)), 1.0, self.way)


def _parts(layer: Any, count: int) -> list[nn.Linear]:
    """A linear layer as several with as many of its outputs each; it loses its weights to them."""
    found = []
    biases = [None] * count if layer.bias is None else layer.bias.detach().chunk(count)
    for weight, bias in zip(layer.weight.detach().chunk(count), biases, strict=True):
        part = nn.Linear(1, 1, bias=bias is not None)
        part.in_features, part.out_features = weight.shape[1], weight.shape[0]
        part.weight = torch.nn.Parameter(weight, requires_grad=False)
        if bias is not None:
            part.bias = torch.nn.Parameter(bias, requires_grad=False)
        found.append(part)
    layer.weight = torch.nn.Parameter(layer.weight.new_empty(0), requires_grad=False)
    return found
