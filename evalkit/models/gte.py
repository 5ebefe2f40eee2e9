"""gte models in their published layout (Alibaba-NLP/new-impl) as the Gte classes of transformers.

Published names and layout differ: query, key and value are one packed matrix, the gated MLP is one matrix with `up`
above `gate`, and rotary frequencies are stretched by the NTK rule, which transformers does not know by that name. With
base t, factor f and head width d it is `(t f)^(-2i/d) / f^(2/d)`: plain scaling by `f^(2/d)` of a base `t f`.
"""

import re
from typing import Any

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.weights import Stored, Tensors, third

try:
    from transformers import GteConfig
except ImportError as error:
    raise ModelError("this version of transformers has no GTE. Run: pip install 'transformers>=5.18'") from error

# Heads that published encoders hold and that no vector of a text depends on: term weights, and for masked words.
UNUSED_BY_ENCODERS = r"(classifier|lm_head|(new\.)?pooler)\..*"
# Part of a layer in transformers -> its stored name.
_NAMES = {
    "post_attention_layernorm": "attn_ln",
    "post_mlp_layernorm": "mlp_ln",
    "self_attn.o_proj": "attention.o_proj",
    "mlp.down_proj": "mlp.down_proj",
}
# Where settings of the published configuration change the formula, and what this module computes.
_SUPPORTED = {
    "position_embedding_type": "rope",
    "pack_qkv": True,
    "layer_norm_type": "layer_norm",
    "logn_attention_scale": False,
}


def config_of(checkpoint: Checkpoint, attention: str) -> GteConfig:
    """The configuration with which transformers computes this model.

    Raises:
        ModelError: a setting that this layout has and transformers does not.
    """
    raw = checkpoint.config
    checkpoint.require_sizes("layer_norm_eps")
    checkpoint.require_settings(_SUPPORTED)
    width = raw["hidden_size"] // raw["num_attention_heads"]
    rope = _rope(raw.get("rope_scaling"), float(raw.get("rope_theta", 10000.0)), width, checkpoint)
    fields = set(GteConfig().to_dict()) | {"id2label", "label2id", "num_labels"}
    fields -= {"model_type", "rope_parameters", "dtype", "architectures", "transformers_version", "tie_word_embeddings"}
    kept = {key: value for key, value in raw.items() if key in fields}
    return GteConfig(**kept, rope_parameters=rope, attn_implementation=attention)


def _rope(scaling: Any, theta: float, width: int, checkpoint: Checkpoint) -> dict[str, Any]:
    if not scaling:
        return {"rope_type": "default", "rope_theta": theta}
    if (
        scaling.get("type", scaling.get("rope_type")) != "ntk"
        or "factor" not in scaling
        or scaling.get("mixed_b") is not None
    ):
        raise ModelError(
            f"{checkpoint.path}/config.json: rope_scaling={scaling}. Supported are none, and type ntk with a factor."
        )
    factor = float(scaling["factor"])
    return {"rope_type": "linear", "rope_theta": theta * factor, "factor": factor ** (2 / width)}


def bare_source(name: str, config: GteConfig, tensors: Tensors) -> Stored:
    """Where a parameter of a bare encoder is stored; published ones have `new.` before their names, or nothing."""
    found = source(f"gte.{name}", config)
    return found if found.name in tensors.shapes else found._replace(name=found.name.removeprefix("new."))


def source(name: str, config: GteConfig) -> Stored:
    """Where a parameter is stored."""
    if name.startswith("classifier."):
        return Stored(name)
    layer = re.fullmatch(r"gte\.layers\.(\d+)\.(.+)\.(weight|bias)", name)
    if layer is None:
        return Stored("new." + name.removeprefix("gte."))
    number, part, kind = layer.groups()
    block = f"new.encoder.layer.{number}."
    hidden, inner = config.hidden_size, config.intermediate_size
    if part in _NAMES:
        return Stored(f"{block}{_NAMES[part]}.{kind}")
    if part in {"mlp.up_proj", "mlp.gate_proj"}:
        first = 0 if part == "mlp.up_proj" else inner
        return Stored(f"{block}mlp.up_gate_proj.{kind}", slice(first, first + inner), (2 * inner, hidden))
    index = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj").index(part)
    return third(f"{block}attention.qkv_proj.{kind}", index, hidden)
