"""MiniCPM in float64 (Hu et al. 2024), one sequence at a time.

A Llama block whose embeddings are multiplied by `scale_emb` and whose branches are multiplied by
`scale_depth / sqrt(layers)`. Serves MiniCPM-Reranker, its Light form, MiniCPM-Embedding, and the layerwise reranker.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from references.formulas import Weights, attended, embedded, frequencies, heads, rms_norm, rotated, silu
from references.weights import below, read_config, read_weights


def score(folder: Path, ids: Sequence[int], pooling: str = "last") -> float:
    """The score head on the pooled state; pooling is `last`, `first` or `mean`."""
    config, weights = read_config(folder), read_weights(folder)
    states = _normed(list(_states(config, weights, ids, causal=_causal(config)))[-1], config, weights)
    pooled = {"last": states[-1], "first": states[0], "mean": states.mean(axis=0)}[pooling]
    return float(weights["score.weight"][0] @ pooled)


def layerwise_scores(folder: Path, ids: Sequence[int], cutoff_layers: Sequence[int]) -> list[float]:
    """For each cutoff c: head c - start_layer on the last token's normed state after c layers, causal."""
    config, weights = read_config(folder), read_weights(folder)
    states = list(_states(config, weights, ids, causal=True))
    first = config["start_layer"]
    heads_of = {layer: weights[f"lm_head.{layer - first}.linear_head.weight"][0] for layer in cutoff_layers}
    return [float(heads_of[layer] @ _normed(states[layer], config, weights)[-1]) for layer in cutoff_layers]


def embedding(folder: Path, ids: Sequence[int]) -> np.ndarray:
    """Mean of the normed states, token i (from 1) with weight i, at length 1 (Muennighoff 2022)."""
    config, stored = read_config(folder), read_weights(folder)
    weights = {f"model.{name.removeprefix('model.')}": array for name, array in stored.items()}
    states = _normed(list(_states(config, weights, ids, causal=_causal(config)))[-1], config, weights)
    vector = sum(place * state for place, state in enumerate(states, start=1)) / sum(range(1, len(ids) + 1))
    return vector / math.sqrt(vector @ vector)


def _causal(config: dict) -> bool:
    return config.get("is_causal", False)


def _normed(states: np.ndarray, config: dict, weights: Weights) -> np.ndarray:
    return rms_norm(states, weights["model.norm.weight"], config["rms_norm_eps"])


def _states(config: dict, weights: Weights, ids: Sequence[int], *, causal: bool) -> Iterator[np.ndarray]:
    """The states after 0, 1, ... layers, before the final norm."""
    branch = config["scale_depth"] / math.sqrt(config["num_hidden_layers"])
    angles, magnitude = _rotation(config)
    states = embedded(weights["model.embed_tokens.weight"], ids) * config["scale_emb"]
    yield states
    for layer in range(config["num_hidden_layers"]):
        own = below(weights, f"model.layers.{layer}.")
        normed = rms_norm(states, own["input_layernorm.weight"], config["rms_norm_eps"])
        states = states + branch * _attention(normed, own, config, angles, magnitude, causal=causal)
        normed = rms_norm(states, own["post_attention_layernorm.weight"], config["rms_norm_eps"])
        gate = silu(normed @ own["mlp.gate_proj.weight"].T)
        states = states + branch * (gate * (normed @ own["mlp.up_proj.weight"].T)) @ own["mlp.down_proj.weight"].T
        yield states


def _attention(
    x: np.ndarray, own: Weights, config: dict, angles: np.ndarray, magnitude: float, *, causal: bool
) -> np.ndarray:
    count, key_count = config["num_attention_heads"], config["num_key_value_heads"]
    queries = rotated(heads(x @ own["self_attn.q_proj.weight"].T, count), angles) * magnitude
    keys = rotated(heads(x @ own["self_attn.k_proj.weight"].T, key_count), angles) * magnitude
    values = heads(x @ own["self_attn.v_proj.weight"].T, key_count)
    scale = 1 / math.sqrt(queries.shape[-1])
    return attended(queries, keys, values, scale=scale, causal=causal) @ own["self_attn.o_proj.weight"].T


def _rotation(config: dict) -> tuple[np.ndarray, float]:
    """Angles of the rotary embedding and the factor on what it turns (LongRoPE: Ding et al. 2024).

    MiniCPM's own code makes one table, for `max_position_embeddings`, whatever the length of the input.
    """
    angles = frequencies(config["hidden_size"] // config["num_attention_heads"], config.get("rope_theta", 10000.0))
    scaling = config.get("rope_scaling")
    if scaling is None:
        return angles, 1.0
    assert scaling.get("rope_type", scaling.get("type")) == "longrope"
    trained, positions = scaling["original_max_position_embeddings"], config["max_position_embeddings"]
    factors = scaling["long_factor" if positions > trained else "short_factor"]
    return angles / np.array(factors), math.sqrt(1 + math.log(positions / trained) / math.log(trained))
