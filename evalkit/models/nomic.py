"""nomic-embed-text in its published layout (nomic-ai/nomic-bert-2048) as the NomicBert classes of transformers.

transformers reads that layout with the sizes of the published model, whatever `config.json` says: none of its keys are
among those of the class. Query, key and value are one packed matrix there, and the gated MLP is `fc2(fc11(x) *
silu(fc12(x)))`.
"""

import re
from typing import Any

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.weights import Stored, third

try:
    from transformers import NomicBertConfig
except ImportError as error:
    raise ModelError("this version of transformers has no NomicBert. Run: pip install -U transformers") from error

# Heads that published encoders may hold and that no vector of a text depends on.
UNUSED_BY_ENCODERS = r"(pooler|cls)\..*"
# Settings that change the formula, and the value of each for which the class is right.
_SUPPORTED = {
    "activation_function": "swiglu",
    "causal": False,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "num_experts": 0,
    "parallel_block": False,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "scale_attn_by_inverse_layer_idx": False,
    "scale_attn_weights": True,
    "use_rms_norm": False,
}
# Part of a layer in transformers -> its stored name.
_NAMES = {
    "self_attn.o_proj": "attn.out_proj",
    "mlp.up_proj": "mlp.fc11",
    "mlp.gate_proj": "mlp.fc12",
    "mlp.down_proj": "mlp.fc2",
    "post_attention_layernorm": "norm1",
    "post_mlp_layernorm": "norm2",
}
_PROJECTIONS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def config_of(checkpoint: Checkpoint, attention: str) -> Any:
    """The configuration with which transformers computes this model.

    Raises:
        ModelError: a setting that this layout has and transformers does not, or one is absent.
    """
    raw = checkpoint.config
    if raw.get("type_vocab_size") == 0:
        raise ModelError(
            f"{checkpoint.path}/config.json: type_vocab_size=0, but the class of transformers has token types. "
            "In a copy of the folder, say 1 and store one row of zeros as embeddings.token_type_embeddings.weight."
        )
    checkpoint.require_sizes("layer_norm_epsilon", "rotary_emb_base", "n_positions", "type_vocab_size")
    checkpoint.require_settings(_SUPPORTED)
    sizes = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    return NomicBertConfig(
        **{key: raw[key] for key in (*sizes, "type_vocab_size")},
        hidden_act="silu",
        max_position_embeddings=raw["n_positions"],
        layer_norm_eps=raw["layer_norm_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": float(raw["rotary_emb_base"])},
        attn_implementation=attention,
    )


def source(name: str, config: Any) -> Stored:
    """Where a parameter is stored."""
    layer = re.fullmatch(r"layers\.(\d+)\.(.+)\.(weight|bias)", name)
    if layer is None:
        return Stored(name.replace("embeddings.LayerNorm.", "emb_ln."))
    number, part, kind = layer.groups()
    block = f"encoder.layers.{number}."
    if part in _NAMES:
        return Stored(f"{block}{_NAMES[part]}.{kind}")
    return third(f"{block}attn.Wqkv.{kind}", _PROJECTIONS.index(part), config.hidden_size)
