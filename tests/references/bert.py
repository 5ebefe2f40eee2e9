"""BERT in float64 (Devlin et al. 2019), one sequence at a time: the ms-marco-MiniLM cross-encoders."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from references.formulas import Weights, attended, embedded, gelu, heads, layer_norm, linear
from references.weights import below, read_config, read_weights


def score(folder: Path, ids: Sequence[int], segments: Sequence[int]) -> float:
    """The classifier on the pooled first token; segments are 0 for the query's side and 1 for the document's."""
    config, weights = read_config(folder), read_weights(folder)
    table = below(weights, "bert.embeddings.")
    states = embedded(table["word_embeddings.weight"], ids)
    states = states + table["position_embeddings.weight"][: len(ids)]
    states = states + embedded(table["token_type_embeddings.weight"], segments)
    states = layer_norm(states, table, "LayerNorm", config["layer_norm_eps"])
    for layer in range(config["num_hidden_layers"]):
        own = below(weights, f"bert.encoder.layer.{layer}.")
        states = _layer(states, own, config)
    pooled = np.tanh(linear(states[0], weights, "bert.pooler.dense"))
    return float(linear(pooled, weights, "classifier")[0])


def _layer(x: np.ndarray, own: Weights, config: dict) -> np.ndarray:
    """Each branch is added to its input and the sum is normed; names are those below `layer.N.`."""
    eps = config["layer_norm_eps"]
    queries, keys, values = (
        heads(linear(x, own, f"attention.self.{part}"), config["num_attention_heads"])
        for part in ("query", "key", "value")
    )
    read = attended(queries, keys, values, scale=1 / math.sqrt(queries.shape[-1]))
    x = layer_norm(x + linear(read, own, "attention.output.dense"), own, "attention.output.LayerNorm", eps)
    inner = gelu(linear(x, own, "intermediate.dense"))
    return layer_norm(x + linear(inner, own, "output.dense"), own, "output.LayerNorm", eps)
