"""bge-reranker-v2.5-gemma2-lightweight in float64: Gemma 2 (Gemma team 2024b) cut after a layer, tokens merged.

The document's states may be merged before a layer: each run of `compress_ratio` neighbours becomes its mean, and
positions are counted anew.
"""

import math
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from references.formulas import Weights, attended, embedded, frequencies, gelu_tanh, heads, rms_norm, rotated
from references.weights import below, read_config, read_weights


def scores(
    folder: Path,
    ids: Sequence[int],
    document_start: int,
    document_end: int,
    cutoff_layers: Collection[int] | None = None,
    compress_ratio: int = 1,
    compress_layers: Collection[int] = (),
    softcap: bool = True,
    head_index: str = "official",
) -> list[float]:
    """One score per cutoff, in the order of the layers; without cutoffs one score, of the full model.

    Args:
        folder: the checkpoint.
        ids: one unpadded input, special tokens included.
        document_start: index of the document's first token.
        document_end: index after the document's last token.
        cutoff_layers: a cutoff c scores the states after c layers, before any merging listed at c.
        compress_ratio: how many neighbouring document states become one.
        compress_layers: before which layers they do; 0 is ignored.
        softcap: whether attention logits are capped (the cap on the score always is).
        head_index: `official` scores the n-th output with head n; `layer` with head c - start_layer.
    """
    config, weights = read_config(folder), read_weights(folder)
    layers = config["num_hidden_layers"]
    cutoffs = sorted(set(cutoff_layers or [layers]))
    query, prompt = document_start, len(ids) - document_end
    states = embedded(weights["model.embed_tokens.weight"], ids) * math.sqrt(config["hidden_size"])
    cap = config["attn_logit_softcapping"] if softcap else None
    found = []
    for layer in range(cutoffs[-1] + 1):
        if layer in cutoffs:
            head = len(found) if head_index == "official" else layer - config["start_layer"]
            found.append(_score(states[-1], weights, config, head))
        if layer == cutoffs[-1]:
            break
        if layer in compress_layers and layer != 0:
            states = _merged(states, query, len(states) - prompt, compress_ratio)
        own = below(weights, f"model.layers.{layer}.")
        # Even layers see a window of tokens only.
        window = config["sliding_window"] if layer % 2 == 0 else None
        states = _layer(states, own, config, softcap=cap, window=window)
    return found


def _score(state: np.ndarray, weights: Weights, config: dict, head: int) -> float:
    normed = rms_norm(state, 1 + weights["model.norm.weight"], config["rms_norm_eps"])
    cap = config["final_logit_softcapping"]
    return float(cap * np.tanh(weights[f"lm_head.{head}.linear_head.weight"][0] @ normed / cap))


def _merged(states: np.ndarray, start: int, end: int, ratio: int) -> np.ndarray:
    """The states with those of the document, [start, end), replaced by means of `ratio`; the last run may be short."""
    means = [states[first : min(first + ratio, end)].mean(axis=0) for first in range(start, end, ratio)]
    return np.array([*states[:start], *means, *states[end:]])


def _layer(x: np.ndarray, own: Weights, config: dict, *, softcap: float | None, window: int | None) -> np.ndarray:
    """Each branch is normed on its way in and on its way out."""

    def norm(y: np.ndarray, name: str) -> np.ndarray:
        return rms_norm(y, 1 + own[f"{name}.weight"], config["rms_norm_eps"])

    x = x + norm(_attention(norm(x, "input_layernorm"), own, config, softcap, window), "post_attention_layernorm")
    y = norm(x, "pre_feedforward_layernorm")
    y = gelu_tanh(y @ own["mlp.gate_proj.weight"].T) * (y @ own["mlp.up_proj.weight"].T)
    return x + norm(y @ own["mlp.down_proj.weight"].T, "post_feedforward_layernorm")


def _attention(x: np.ndarray, own: Weights, config: dict, softcap: float | None, window: int | None) -> np.ndarray:
    angles = frequencies(config["head_dim"], config["rope_theta"])
    queries = rotated(heads(x @ own["self_attn.q_proj.weight"].T, config["num_attention_heads"]), angles)
    keys = rotated(heads(x @ own["self_attn.k_proj.weight"].T, config["num_key_value_heads"]), angles)
    values = heads(x @ own["self_attn.v_proj.weight"].T, config["num_key_value_heads"])
    scale = 1 / math.sqrt(config["query_pre_attn_scalar"])
    read = attended(queries, keys, values, scale=scale, causal=True, softcap=softcap, window=window)
    return read @ own["self_attn.o_proj.weight"].T
