"""gte-multilingual-reranker in float64 (Zhang et al. 2024, mGTE), one sequence at a time, in its published layout.

A BERT block with rotary positions, and a gated inner layer whose matrix holds the up half before the gate half.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from references.formulas import Weights, attended, embedded, frequencies, gelu, heads, layer_norm, linear, rotated
from references.weights import below, read_config, read_weights


def score(folder: Path, ids: Sequence[int]) -> float:
    """The classifier on the pooled first token."""
    config, weights = read_config(folder), read_weights(folder)
    angles, eps = _angles(config), config["layer_norm_eps"]
    states = embedded(weights["new.embeddings.word_embeddings.weight"], ids)
    states = states + weights["new.embeddings.token_type_embeddings.weight"][0]
    states = layer_norm(states, weights, "new.embeddings.LayerNorm", eps)
    for layer in range(config["num_hidden_layers"]):
        own = below(weights, f"new.encoder.layer.{layer}.")
        states = layer_norm(states + _attention(states, own, config, angles), own, "attn_ln", eps)
        up, gate = np.split(states @ own["mlp.up_gate_proj.weight"].T, 2, axis=1)
        states = layer_norm(states + linear(gelu(gate) * up, own, "mlp.down_proj"), own, "mlp_ln", eps)
    pooled = np.tanh(linear(states[0], weights, "new.pooler.dense"))
    return float(linear(pooled, weights, "classifier")[0])


def _angles(config: dict) -> np.ndarray:
    """NTK scaling by a factor f at every length: theta becomes theta * f, and every angle is divided by f^(2/size)."""
    size, theta = config["hidden_size"] // config["num_attention_heads"], config["rope_theta"]
    scaling = config.get("rope_scaling")
    if scaling is None:
        return frequencies(size, theta)
    assert scaling["type"] == "ntk"
    return frequencies(size, theta * scaling["factor"]) / scaling["factor"] ** (2 / size)


def _attention(x: np.ndarray, own: Weights, config: dict, angles: np.ndarray) -> np.ndarray:
    packed = np.split(linear(x, own, "attention.qkv_proj"), 3, axis=1)
    queries, keys, values = (heads(part, config["num_attention_heads"]) for part in packed)
    scale = 1 / math.sqrt(queries.shape[-1])
    read = attended(rotated(queries, angles), rotated(keys, angles), values, scale=scale)
    return linear(read, own, "attention.o_proj")
