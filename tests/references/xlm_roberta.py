"""XLM-RoBERTa in float64 (Conneau et al. 2020), one sequence at a time, in two layouts of the same model.

The native layout (bge-reranker-v2-m3) and that of xlm-roberta-flash (jina-reranker-v2), whose queries, keys and
values are one matrix. Positions count from the padding id + 1.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from references.formulas import Weights, attended, embedded, gelu, heads, layer_norm, linear
from references.weights import below, read_config, read_weights


class Names(NamedTuple):
    """What a layout calls the parts of a layer; more than one name in `qkv` means three matrices."""

    embedding_norm: str
    layer: str
    qkv: tuple[str, ...]
    output: str
    first_norm: str
    inner: str
    outer: str
    second_norm: str


NATIVE = Names(
    embedding_norm="roberta.embeddings.LayerNorm",
    layer="roberta.encoder.layer.{}.",
    qkv=("attention.self.query", "attention.self.key", "attention.self.value"),
    output="attention.output.dense",
    first_norm="attention.output.LayerNorm",
    inner="intermediate.dense",
    outer="output.dense",
    second_norm="output.LayerNorm",
)
FLASH = Names(
    embedding_norm="roberta.emb_ln",
    layer="roberta.encoder.layers.{}.",
    qkv=("mixer.Wqkv",),
    output="mixer.out_proj",
    first_norm="norm1",
    inner="mlp.fc1",
    outer="mlp.fc2",
    second_norm="norm2",
)


def score(folder: Path, ids: Sequence[int]) -> float:
    """The classification head on the first token."""
    config, weights = read_config(folder), read_weights(folder)
    names = FLASH if f"{FLASH.embedding_norm}.weight" in weights else NATIVE
    table = below(weights, "roberta.embeddings.")
    states = embedded(table["word_embeddings.weight"], ids)
    states = states + embedded(table["position_embeddings.weight"], _positions(ids, config["pad_token_id"]))
    states = states + table["token_type_embeddings.weight"][0]
    states = layer_norm(states, weights, names.embedding_norm, config["layer_norm_eps"])
    for layer in range(config["num_hidden_layers"]):
        own = below(weights, names.layer.format(layer))
        states = _layer(states, own, names, config)
    pooled = np.tanh(linear(states[0], weights, "classifier.dense"))
    return float(linear(pooled, weights, "classifier.out_proj")[0])


def _positions(ids: Sequence[int], pad: int) -> list[int]:
    """A padding token written in a text takes no position: it stays at `pad`, and the next token does not count it."""
    positions, last = [], pad
    for token in ids:
        last += token != pad
        positions.append(pad if token == pad else last)
    return positions


def _layer(x: np.ndarray, own: Weights, names: Names, config: dict) -> np.ndarray:
    eps = config["layer_norm_eps"]
    projected = np.concatenate([linear(x, own, name) for name in names.qkv], axis=1)
    queries, keys, values = (heads(part, config["num_attention_heads"]) for part in np.split(projected, 3, axis=1))
    read = attended(queries, keys, values, scale=1 / math.sqrt(queries.shape[-1]))
    x = layer_norm(x + linear(read, own, names.output), own, names.first_norm, eps)
    inner = gelu(linear(x, own, names.inner))
    return layer_norm(x + linear(inner, own, names.outer), own, names.second_norm, eps)
