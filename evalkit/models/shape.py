"""How large a model is: what decides its operations and its memory, from its configuration alone. Reads no weights."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from evalkit.config.cards import published_shape
from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layout import is_gte, is_minicpm

_DECODERS = {"cost_wise_gemma", "gemma", "gemma2", "granite", "llama", "minicpm", "mistral", "qwen2", "qwen3"}
_GATED = {"gemma3_text", "modernbert", "nomic_bert"}  # encoders with three matrices in the feed-forward part
_KEYS = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


class Shape(NamedTuple):
    """The sizes that decide how many operations a model needs.

    Attributes:
        hidden: width of the states.
        inner: width inside the feed-forward part.
        layers: how many are computed.
        attention: width of all heads together.
        parameters: in the matrices of the layers; embeddings and heads are not multiplied with every token.
        causal: whether a token sees only those before it.
        embeddings: parameters of the token embeddings.
    """

    hidden: int
    inner: int
    layers: int
    attention: int
    parameters: int
    causal: bool
    embeddings: int = 0

    def flops(self, tokens: float, squared_tokens: float) -> float:
        """Floating-point operations for texts: twice the parameters a token, and attention.

        All layers count in full at every token, also for an engine that leaves out what no score depends on.

        Args:
            tokens: of all texts together.
            squared_tokens: the squares of the tokens of each text, summed up.
        """
        attention = 4.0 * self.layers * self.attention * squared_tokens
        return 2.0 * self.parameters * tokens + (attention / 2 if self.causal else attention)


def shape_of(checkpoint: Checkpoint, *, layers: int | None = None) -> Shape:
    """The shape of a checkpoint, from its configuration; of its first `layers` layers, or all when None.

    Raises:
        ModelError: the configuration lacks a width.
    """
    decoder = is_minicpm(checkpoint) or checkpoint.config.get("model_type") in _DECODERS
    facts = {**checkpoint.config, **checkpoint.numbers(*_KEYS)}
    facts.setdefault("is_causal", decoder)
    gated = decoder or is_gte(checkpoint) or checkpoint.config.get("model_type") in _GATED
    return _shape(facts, gated=gated, layers=layers)


def known_shape(model: str, *, layers: int | None = None) -> Shape:
    """The shape of a published checkpoint that is not on disk, by its hub id.

    Raises:
        ModelError: nothing is known of it.
    """
    known = published_shape(model)
    if known is None:
        raise ModelError(f"{model}: is not on disk, and nothing is known of its size. Download it first.")
    return _shape(known, gated=known.get("gated", False), layers=layers)


def _shape(facts: Mapping[str, Any], *, gated: bool, layers: int | None) -> Shape:
    hidden, inner, heads = (int(facts[key]) for key in ("hidden_size", "intermediate_size", "num_attention_heads"))
    head = int(facts.get("head_dim") or hidden // heads)
    attention, keys = heads * head, int(facts.get("num_key_value_heads") or heads) * head
    # Query and output, key and value, and two or three matrices of the feed-forward part.
    a_layer = 2 * hidden * attention + 2 * hidden * keys + (3 if gated else 2) * hidden * inner
    count = min(int(facts["num_hidden_layers"]), layers or int(facts["num_hidden_layers"]))
    return Shape(
        hidden=hidden,
        inner=inner,
        layers=count,
        attention=attention,
        parameters=count * a_layer,
        causal=bool(facts.get("is_causal", False)),
        embeddings=hidden * int(facts.get("vocab_size", 0)),
    )
