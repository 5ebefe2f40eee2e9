"""Gemma in float64 (Gemma team 2024), one sequence at a time: bge-reranker-v2-gemma.

A Llama block with embeddings times sqrt(width), norms that multiply by 1 + weight, one key head for all heads, a
tanh-gelu gate, and an output layer that is the embedding table.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from references.formulas import Weights, attended, embedded, frequencies, gelu_tanh, heads, rms_norm, rotated
from references.weights import below, read_config, read_weights


def score(folder: Path, ids: Sequence[int], yes_id: int) -> float:
    """The logit of the token `yes_id` after the last of `ids`."""
    config, weights = read_config(folder), read_weights(folder)
    eps = config["rms_norm_eps"]
    table = weights["model.embed_tokens.weight"]
    states = embedded(table, ids) * math.sqrt(config["hidden_size"])
    for layer in range(config["num_hidden_layers"]):
        own = below(weights, f"model.layers.{layer}.")
        normed = rms_norm(states, 1 + own["input_layernorm.weight"], eps)
        states = states + _attention(normed, own, config)
        normed = rms_norm(states, 1 + own["post_attention_layernorm.weight"], eps)
        gate = gelu_tanh(normed @ own["mlp.gate_proj.weight"].T)
        states = states + (gate * (normed @ own["mlp.up_proj.weight"].T)) @ own["mlp.down_proj.weight"].T
    return float(table[yes_id] @ rms_norm(states[-1], 1 + weights["model.norm.weight"], eps))


def _attention(x: np.ndarray, own: Weights, config: dict) -> np.ndarray:
    angles = frequencies(config["head_dim"], config["rope_theta"])
    queries = rotated(heads(x @ own["self_attn.q_proj.weight"].T, config["num_attention_heads"]), angles)
    keys = rotated(heads(x @ own["self_attn.k_proj.weight"].T, config["num_key_value_heads"]), angles)
    values = heads(x @ own["self_attn.v_proj.weight"].T, config["num_key_value_heads"])
    read = attended(queries, keys, values, scale=1 / math.sqrt(config["head_dim"]), causal=True)
    return read @ own["self_attn.o_proj.weight"].T
