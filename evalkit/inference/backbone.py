"""A model of transformers as layers over packed tokens: same weights and results, no padding, no wasted work."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from evalkit.inference.attention import KERNELS, Attend, AttentionRule
from evalkit.inference.disentangled import Disentangled
from evalkit.inference.fused import Norm, choose, tables
from evalkit.inference.layers import (
    Context,
    DecoderBlock,
    GteBlock,
    Layer,
    ModernBertBlock,
    PostNormBlock,
    bert_parts,
    distilbert_parts,
)
from evalkit.inference.packed import Packed, Select

FULL, LOCAL = "full_attention", "sliding_attention"  # kinds of layers, as transformers calls them


class Backbone:
    """Token states of packed sequences.

    Args:
        embed: batch -> states of shape (tokens, width).
        blocks: the layers.
        norm: norm after the last layer, and before a head on an earlier one.
        rotary: (states, positions) -> cosine and sine of each token; None for absolute positions.
        local_rotary: likewise for layers whose tokens see only those near them; None where they have no other.
        device: device of the weights.
        causal: whether tokens see only the tokens before them.
        way: how to compute the steps between multiplications, see `fused.choose`.
    """

    def __init__(
        self,
        embed: Callable[[Packed], torch.Tensor],
        blocks: Sequence[Layer],
        *,
        norm: Any,
        rotary: Any,
        device: torch.device,
        causal: bool,
        way: str = "off",
        local_rotary: Any = None,
    ) -> None:
        self.embed, self.blocks, self.norm, self.local_rotary = embed, blocks, norm, local_rotary
        self.rotary, self.device, self.causal, self.way = rotary, device, causal, way
        self.contents: Any = None

    def context(self, states: torch.Tensor, batch: Packed) -> Context:
        """The inputs that all layers share; made again after tokens are merged."""
        if self.rotary is None:
            return Context(batch)
        rotary = (self.rotary, self.local_rotary)
        return Context(batch, *(made and tables(made, states, batch.positions, self.way) for made in rotary))

    def __call__(self, batch: Packed, select: Select) -> torch.Tensor:
        """Normed states after the last layer: of all tokens, or of the first or last of each sequence."""
        return self.after(batch, select, [len(self.blocks)])[0]

    def after(self, batch: Packed, select: Select, layers: Sequence[int]) -> list[torch.Tensor]:
        """Normed states after each of some layers (in ascending order); layers above the last are not computed."""
        states = self.embed(batch)
        context = self.context(states, batch)
        # A kernel sees a single query at the end of its sequence; the first token of a causal model sees no other.
        # Nor does a window know that a single query is the first of its sequence.
        late = select == "first" and (self.causal or _windowed(self.blocks[layers[-1] - 1]))
        found = []
        for depth, block in enumerate(self.blocks[: layers[-1]], start=1):
            last = depth == layers[-1]
            states = block(states, context, select if last and not late else "all")
            if depth in layers:
                chosen = states if select == "all" or (last and not late) else states[batch.rows(select)]
                found.append(self.norm(chosen) if self.norm is not None else chosen)
        return found


def _windowed(block: Any) -> bool:
    """Whether tokens see only those near them; in a block of another kind of attention they see all."""
    rule = getattr(block.attention, "rule", None)
    return rule is not None and rule.window is not None


def supported(model: Any) -> bool:
    """Whether `backbone_of` can take the model."""
    return type(model).__name__ in _MAKERS


def backbone_of(model: Any, attention: str, fused: str = "auto") -> Backbone:
    """The layers of a bare model of transformers, which loses its weights to them.

    Args:
        model: without head, in evaluation mode on its device.
        attention: a key of `KERNELS`.
        fused: `compute.fused`.

    Raises:
        EvalkitError: `fused` does not work there; see `fused.choose`.
    """
    return _MAKERS[type(model).__name__](model, KERNELS[attention], choose(fused, model.device, model.dtype))


def _encoder(model: Any, attend: Attend, way: str) -> Backbone:
    del way  # a LayerNorm is one operation already, and there is no gate
    embeddings = model.embeddings
    padding = getattr(embeddings, "padding_idx", None)

    def embed(batch: Packed) -> torch.Tensor:
        states: torch.Tensor = embeddings(
            input_ids=batch.input_ids[None],
            token_type_ids=batch.segments[None] if model.config.type_vocab_size > 1 else None,
            position_ids=(batch.positions if padding is None else _behind_padding(batch, padding))[None],
        )
        project = getattr(model, "embeddings_project", None)  # of ELECTRA with narrower embeddings
        return states[0] if project is None else project(states[0])

    width = model.config.hidden_size // model.config.num_attention_heads
    blocks = [PostNormBlock(bert_parts(layer), attend, width) for layer in model.encoder.layer]
    return Backbone(embed, blocks, norm=None, rotary=None, device=model.device, causal=False)


def _distilbert(model: Any, attend: Attend, way: str) -> Backbone:
    del way  # as BERT

    def embed(batch: Packed) -> torch.Tensor:
        states: torch.Tensor = model.embeddings(batch.input_ids[None], position_ids=batch.positions[None])
        return states[0]

    width = model.config.dim // model.config.n_heads
    blocks = [PostNormBlock(distilbert_parts(layer), attend, width) for layer in model.transformer.layer]
    return Backbone(embed, blocks, norm=None, rotary=None, device=model.device, causal=False)


def _deberta(model: Any, attend: Attend, way: str) -> Backbone:
    del way  # as BERT
    relative = model.encoder.get_rel_embedding().detach()

    def embed(batch: Packed) -> torch.Tensor:
        segments = batch.segments[None] if model.config.type_vocab_size > 0 else None
        states: torch.Tensor = model.embeddings(batch.input_ids[None], segments, batch.positions[None])
        return states[0]

    blocks = []
    for layer in model.encoder.layer:
        own = Disentangled(layer.attention.self, layer.attention.output.dense, relative)
        blocks.append(PostNormBlock(bert_parts(layer), attend, own.width, own))
    return Backbone(embed, blocks, norm=None, rotary=None, device=model.device, causal=False)


def _behind_padding(batch: Packed, padding: int) -> torch.Tensor:
    """Positions as RoBERTa counts them: from the padding id on, without counting that token in a text."""
    if batch.keys is not None:  # a part of a text is a sequence of its own, and no text with parts has that token
        return batch.positions + padding + 1
    counted = (batch.input_ids != padding).long()
    upto = counted.cumsum(0)
    before = (upto - counted)[batch.offsets[:-1].long()]
    lengths = batch.offsets.diff().long()
    return (upto - before.repeat_interleave(lengths, output_size=len(counted))) * counted + padding


def _gte(model: Any, attend: Attend, way: str) -> Backbone:
    def embed(batch: Packed) -> torch.Tensor:
        segments = batch.segments[None] if model.config.type_vocab_size > 1 else None
        states: torch.Tensor = model.embeddings(input_ids=batch.input_ids[None], token_type_ids=segments)
        return states[0]

    blocks = [GteBlock(layer, attend, way) for layer in model.layers]
    return Backbone(embed, blocks, norm=None, rotary=model.rotary_emb, device=model.device, causal=False, way=way)


def _modernbert(model: Any, attend: Attend, way: str) -> Backbone:
    config, kinds = model.config, model.config.layer_types

    def embed(batch: Packed) -> torch.Tensor:
        states: torch.Tensor = model.embeddings(input_ids=batch.input_ids[None])
        return states[0]

    if way == "off" and model.device.type == "cpu" and model.dtype == torch.float32:
        way = "paired"
    scale = (config.hidden_size // config.num_attention_heads) ** -0.5
    window = {LOCAL: int(config.sliding_window) + 1}
    blocks = [
        ModernBertBlock(layer, attend, AttentionRule(scale, window=window.get(kind)), way)
        for layer, kind in zip(model.layers, kinds, strict=True)
    ]
    rotary, local = _by_kind(model)
    return Backbone(
        embed,
        blocks,
        norm=model.final_norm,
        rotary=rotary,
        local_rotary=local,
        device=model.device,
        causal=False,
        way=way,
    )


def _decoder(model: Any, attend: Attend, way: str) -> Backbone:
    config = model.config
    factor = embedding_factor(model)

    def embed(batch: Packed) -> torch.Tensor:
        return embedded(model, batch.input_ids, factor)

    if type(model).__name__ == "GemmaModel" and config.hidden_act == "gelu":
        for layer in model.layers:  # means the approximation by tanh, which transformers knows since 5.18
            layer.mlp.act_fn = torch.nn.GELU(approximate="tanh")
    rules = _rules(model)
    blocks = [DecoderBlock(layer, attend, rule, way) for layer, rule in zip(model.layers, rules, strict=True)]
    rotary, local = model.rotary_emb, None
    if type(model).__name__ == "Gemma3TextModel":
        rotary, local = _by_kind(model)
    elif getattr(config, "rotary_dtype", "") == "float32":
        rotary = _in_float32(rotary)
    return Backbone(
        embed,
        blocks,
        norm=Norm(model.norm, way),
        rotary=rotary,
        local_rotary=local,
        device=model.device,
        causal=rules[0].causal,
        way=way,
    )


def _rules(model: Any) -> list[AttentionRule]:
    """How the tokens of each layer of a decoder see each other."""
    config, name = model.config, type(model).__name__
    both_ways = name == "Gemma3TextModel" and config.use_bidirectional_attention
    causal = bool(getattr(config, "is_causal", True)) and not both_ways
    window = getattr(config, "sliding_window", None)
    kinds = [LOCAL] * len(model.layers) if name == "MistralModel" else getattr(config, "layer_types", None)
    cap = config.attn_logit_softcapping if name == "Gemma2Model" else None
    return [
        AttentionRule(float(layer.self_attn.scaling), causal, window if kind == LOCAL else None, cap)
        for layer, kind in zip(model.layers, kinds or [""] * len(model.layers), strict=True)
    ]


def _by_kind(model: Any) -> tuple[Any, Any]:
    """Rotary embeddings of layers that see all tokens, else of all layers; and of those that see near ones, or None."""
    kinds = model.config.layer_types
    full, local = (partial(model.rotary_emb, layer_type=kind) if kind in kinds else None for kind in (FULL, LOCAL))
    return full or local, local


def embedding_factor(model: Any) -> float:
    """The factor of a decoder's embeddings.

    Versions of transformers differ in where they apply it for Gemma. Here it is the square root of the width, rounded
    to the dtype of the weights, as in Gemma's own code.
    """
    if type(model).__name__ in _GEMMAS:
        return float(torch.tensor(model.config.hidden_size**0.5, dtype=model.embed_tokens.weight.dtype))
    return float(getattr(model, "embedding_multiplier", 1.0))


def embedded(model: Any, input_ids: torch.Tensor, factor: float) -> torch.Tensor:
    """States of a decoder's tokens before the first layer; `factor` is its `embedding_factor`."""
    states = torch.nn.functional.embedding(input_ids, model.embed_tokens.weight)
    return states if factor == 1.0 else states * factor


def _in_float32(rotary: Any) -> Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Rotary embeddings with cosines and sines in float32, whatever the dtype of the states."""

    def exact(states: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found: tuple[torch.Tensor, torch.Tensor] = rotary(states.new_empty(0, dtype=torch.float32), positions)
        return found

    return exact


_GEMMAS = ("GemmaModel", "Gemma2Model", "Gemma3TextModel")
_MAKERS: dict[str, Callable[[Any, Attend, str], Backbone]] = {
    "BertModel": _encoder,
    "CamembertModel": _encoder,
    "DebertaV2Model": _deberta,
    "DistilBertModel": _distilbert,
    "ElectraModel": _encoder,
    "RobertaModel": _encoder,
    "XLMRobertaModel": _encoder,
    "GteModel": _gte,
    "ModernBertModel": _modernbert,
    "NomicBertModel": _gte,
    "GemmaModel": _decoder,
    "Gemma2Model": _decoder,
    "Gemma3TextModel": _decoder,
    "GraniteModel": _decoder,
    "LlamaModel": _decoder,
    "MistralModel": _decoder,
    "Qwen2Model": _decoder,
    "Qwen3Model": _decoder,
}
