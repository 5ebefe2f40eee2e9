"""The formulas that several papers share, written out for one sequence: states are (tokens, width) in float64.

Nothing here is how the package computes: attention looks at one token after the other, so there is no mask;
rotation is a product of complex numbers; softmax subtracts in log space.
"""

import math
from collections.abc import Sequence

import numpy as np

Weights = dict[str, np.ndarray]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: np.ndarray) -> np.ndarray:
    """x * Phi(x) with the normal distribution Phi (Hendrycks & Gimpel 2016)."""
    return x * 0.5 * (1 + _erf(x / math.sqrt(2)))


def gelu_tanh(x: np.ndarray) -> np.ndarray:
    """The approximation with tanh from the same paper."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def silu(x: np.ndarray) -> np.ndarray:
    return x * np.exp(-np.logaddexp(0, -x))


def rms_norm(x: np.ndarray, weight: np.ndarray, eps: float) -> np.ndarray:
    """x / RMS(x) * weight over the last axis (Zhang & Sennrich 2019)."""
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * weight


def layer_norm(x: np.ndarray, weights: Weights, name: str, eps: float) -> np.ndarray:
    """(x - mean) / standard deviation * weight + bias over the last axis (Ba et al. 2016)."""
    centred = x - x.mean(axis=-1, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
    return unit * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def heads(x: np.ndarray, count: int) -> np.ndarray:
    """(tokens, count * size) as (tokens, count, size)."""
    return np.stack(np.split(x, count, axis=1), axis=1)


def frequencies(size: int, theta: float) -> np.ndarray:
    """Angle per position of each of the size/2 planes: theta^(-2i/size) (Su et al. 2021)."""
    return np.array([theta ** (-2 * plane / size) for plane in range(size // 2)])


def rotated(x: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Rotary embedding of (tokens, heads, size): component i and i + size/2 are one complex number that is turned."""
    half = x.shape[-1] // 2
    positions = np.arange(len(x))
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * np.outer(positions, angles))[:, None, :]
    return np.concatenate([turned.real, turned.imag], axis=-1)


def attended(
    queries: np.ndarray,
    keys: np.ndarray,
    values: np.ndarray,
    *,
    scale: float,
    causal: bool = False,
    softcap: float | None = None,
    window: int | None = None,
) -> np.ndarray:
    """What each token reads, its heads one after the other: (tokens, heads * size).

    Args:
        queries: (tokens, heads, size).
        keys: (tokens, key heads, size); head h reads key head h // (heads / key heads).
        values: as `keys`.
        scale: factor on the products of queries and keys.
        causal: a token sees itself and the tokens before it.
        softcap: logits x become softcap * tanh(x / softcap).
        window: how many tokens a causal token sees at most, itself included.
    """
    tokens, count, _ = queries.shape
    group = [head // (count // keys.shape[1]) for head in range(count)]
    keys, values = keys[:, group], values[:, group]
    rows = []
    for token in range(tokens):
        last = token + 1 if causal else tokens
        seen = slice(max(0, last - window) if window else 0, last)
        logits = np.einsum("hd,thd->ht", queries[token], keys[seen]) * scale
        if softcap is not None:
            logits = softcap * np.tanh(logits / softcap)
        weights = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        rows.append(np.einsum("ht,thd->hd", weights, values[seen]).reshape(-1))
    return np.array(rows)


def embedded(table: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    return np.array([table[token] for token in ids])
