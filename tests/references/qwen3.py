"""Qwen3 in float64 (Qwen team 2025), one sequence at a time: Qwen3-Reranker, and the states of jina-reranker-v3.

A Llama block with grouped key heads whose queries and keys are normed per head before they are rotated.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from references.formulas import Weights, attended, embedded, frequencies, heads, rms_norm, rotated, silu
from references.weights import below, read_config, read_weights


def score(folder: Path, ids: Sequence[int], yes_id: int, no_id: int) -> float:
    """logit(yes) - logit(no) after the last of `ids`."""
    config, weights = read_config(folder), read_weights(folder)
    output = weights["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return float((output[yes_id] - output[no_id]) @ states_of(folder, ids)[-1])


def states_of(folder: Path, ids: Sequence[int]) -> np.ndarray:
    """Shape (tokens, width), after the final norm."""
    config, weights = read_config(folder), read_weights(folder)
    eps = config["rms_norm_eps"]
    states = embedded(weights["model.embed_tokens.weight"], ids)
    for layer in range(config["num_hidden_layers"]):
        own = below(weights, f"model.layers.{layer}.")
        normed = rms_norm(states, own["input_layernorm.weight"], eps)
        states = states + _attention(normed, own, config)
        normed = rms_norm(states, own["post_attention_layernorm.weight"], eps)
        gate = silu(normed @ own["mlp.gate_proj.weight"].T)
        states = states + (gate * (normed @ own["mlp.up_proj.weight"].T)) @ own["mlp.down_proj.weight"].T
    return rms_norm(states, weights["model.norm.weight"], eps)


def _attention(x: np.ndarray, own: Weights, config: dict) -> np.ndarray:
    eps, angles = config["rms_norm_eps"], frequencies(config["head_dim"], config["rope_theta"])
    queries = heads(x @ own["self_attn.q_proj.weight"].T, config["num_attention_heads"])
    keys = heads(x @ own["self_attn.k_proj.weight"].T, config["num_key_value_heads"])
    values = heads(x @ own["self_attn.v_proj.weight"].T, config["num_key_value_heads"])
    queries = rotated(rms_norm(queries, own["self_attn.q_norm.weight"], eps), angles)
    keys = rotated(rms_norm(keys, own["self_attn.k_norm.weight"], eps), angles)
    read = attended(queries, keys, values, scale=1 / math.sqrt(config["head_dim"]), causal=True)
    return read @ own["self_attn.o_proj.weight"].T
