"""Attention among the tokens of each sequence, never across: on the CPU run by run, on CUDA by one kernel."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch.nn.functional import scaled_dot_product_attention

from evalkit.inference.flash import flash
from evalkit.inference.packed import Packed, Select, equal_runs

_FEW = 3  # queries of a sequence
_SHARED = 512  # tokens of the longest text whose mask is kept


class AttentionRule(NamedTuple):
    """How the tokens of a sequence see each other.

    Attributes:
        scale: factor of the dot products.
        causal: whether a token sees only itself and the tokens before it.
        window: number of tokens back that each one sees, itself included, and as many ahead where it is not causal;
            all when None.
        softcap: bound of the scaled dot products, by tanh; none when None.
    """

    scale: float
    causal: bool = False
    window: int | None = None
    softcap: float | None = None


Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, Packed, Select, AttentionRule], torch.Tensor]
"""(query, key, value, batch, whose queries, rule) -> shape of the query.

Query has shape (tokens or sequences, heads, width), key and value (tokens, key heads, width).
"""


def by_runs(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, batch: Packed, select: Select, rule: AttentionRule
) -> torch.Tensor:
    """Attention over neighbours of equal length at once; batches are sorted by length, so nothing is copied."""
    key, value = _seen(key, value, batch, select)
    keys = batch.keys if select == "all" else batch.scored_keys
    key_lengths = batch.lengths if keys is None else keys.lengths
    lengths = batch.lengths if select == "all" else (1,) * len(key_lengths)
    result = torch.empty_like(query)
    row = key_row = 0
    for count, queries, width in equal_runs(lengths, key_lengths):
        rows = slice(row, row + count * queries)
        key_rows = slice(key_row, key_row + count * width)
        q = query[rows].unflatten(0, (count, queries)).transpose(1, 2)
        k = key[key_rows].unflatten(0, (count, width)).transpose(1, 2)
        v = value[key_rows].unflatten(0, (count, width)).transpose(1, 2)
        seen = _mask(queries, width, rule, query)
        found = _capped(q, k, v, seen, rule) if rule.softcap else plain(q, k, v, seen, rule)
        result[rows].unflatten(0, (count, queries)).copy_(found.transpose(1, 2))
        row, key_row = rows.stop, key_rows.stop
    return result


def _seen(key: torch.Tensor, value: torch.Tensor, batch: Packed, select: Select) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values as the sequences see them, one sequence behind the other."""
    keys = batch.keys if select == "all" else batch.scored_keys
    return (key, value) if keys is None else (key[keys.rows], value[keys.rows])


def _mask(queries: int, keys: int, rule: AttentionRule, like: torch.Tensor) -> torch.Tensor | None:
    """Which keys each query sees, shape (queries, keys); None if it sees all, or if `is_causal` is enough.

    The queries are the last of the keys' tokens. On a CPU, short texts share a mask that is added to their scores.
    """
    windowed = rule.window is not None and rule.window < keys
    square = queries == keys and not rule.softcap
    if not windowed and (not rule.causal or square or queries == 1):
        return None
    window = rule.window or keys
    if like.device.type == "cpu" and keys <= _SHARED and rule.window and not rule.softcap:
        return _added(rule.causal, window, like.dtype)[keys - queries : keys, :keys]
    return _near(queries, keys, causal=rule.causal, window=window, device=like.device)


def _near(queries: int, keys: int, *, causal: bool, window: int, device: torch.device) -> torch.Tensor:
    back = torch.arange(keys - queries, keys, device=device)[:, None] - torch.arange(keys, device=device)[None]
    return (back >= 0) & (back < window) if causal else back.abs() < window


@cache
def _added(causal: bool, window: int, dtype: torch.dtype) -> torch.Tensor:
    """0 where a token sees another, else minus infinity, of the longest text that shares it."""
    seen = _near(_SHARED, _SHARED, causal=causal, window=window, device=torch.device("cpu"))
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)


def plain(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: torch.Tensor | None, rule: AttentionRule
) -> torch.Tensor:
    """Attention of tensors of shape (texts, heads, tokens, width); `seen` is a mask, or is added to the scores."""
    dtype = q.dtype
    if q.device.type == "cpu" and dtype == torch.float32 and q.shape[2] <= _FEW:
        # Several threads share the sums of few queries, in an order of their own: see `linear.summed`.
        q, k, v = q.double(), k.double(), v.double()
        seen = seen if seen is None or seen.dtype == torch.bool else seen.double()
    # A single query is the last token, which sees all others anyway.
    causal = rule.causal and seen is None and q.shape[2] > 1
    grouped = q.shape[1] != k.shape[1]
    return scaled_dot_product_attention(
        q, k, v, attn_mask=seen, is_causal=causal, scale=rule.scale, enable_gqa=grouped
    ).to(dtype)


def _capped(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: torch.Tensor | None, rule: AttentionRule
) -> torch.Tensor:
    repeats = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeats, dim=1), v.repeat_interleave(repeats, dim=1)
    scores = torch.matmul(q, k.transpose(2, 3)) * rule.scale
    if rule.softcap:
        scores = rule.softcap * torch.tanh(scores / rule.softcap)
    if seen is not None:
        scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    return torch.matmul(torch.softmax(scores, dim=-1, dtype=torch.float32).to(q.dtype), v)


def by_torch_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, batch: Packed, select: Select, rule: AttentionRule
) -> torch.Tensor:
    """PyTorch's own variable-length kernel (CUDA, bfloat16 or float16)."""
    from torch.nn.attention.varlen import varlen_attn

    if rule.softcap:
        return by_runs(query, key, value, batch, select, rule)  # the kernel has no cap
    # torch 2.11 has neither, and takes grouped heads as they are. One split: the sums of a sequence do not depend on
    # its batch, and torch 2.15 does not turn to cuDNN, which makes a plan for every new shape.
    newer = {"enable_gqa": query.shape[1] != key.shape[1], "num_splits": 1}
    kernel: Callable[..., Any] = varlen_attn
    known = {name: setting for name, setting in newer.items() if name in _parameters(kernel)}
    tensors = _arguments(query, key, value, batch, select)
    result = kernel(*tensors, scale=rule.scale, window_size=_window(rule), **known)
    assert isinstance(result, torch.Tensor)  # a pair only where the normaliser is asked for too
    return result


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def by_flash_attn(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, batch: Packed, select: Select, rule: AttentionRule
) -> torch.Tensor:
    """The variable-length kernel of flash-attn (CUDA, bfloat16 or float16)."""
    settings = {"softmax_scale": rule.scale, "causal": rule.causal, "window_size": _window(rule)}
    tensors = _arguments(query, key, value, batch, select)
    result: torch.Tensor = flash().function(*tensors, **settings, softcap=rule.softcap or 0.0)
    return result


def _arguments(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, batch: Packed, select: Select
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, int, int]:
    """The tensors of both kernels: query, key, value, starts of queries and of keys, the most of both a sequence."""
    keys = batch.keys if select == "all" else batch.scored_keys
    offsets, lengths = (batch.offsets, batch.lengths) if keys is None else (keys.offsets, keys.lengths)
    starts, most = batch.offsets, max(batch.lengths)
    if select != "all":
        starts, most = torch.arange(len(lengths) + 1, dtype=torch.int32, device=query.device), 1
    return query, *_seen(key, value, batch, select), starts, offsets, most, max(lengths)


def _window(rule: AttentionRule) -> tuple[int, int]:
    """Tokens seen to the left and right, -1 for all. Both kernels align the queries with the last keys."""
    seen = -1 if rule.window is None else rule.window - 1
    return (seen, 0 if rule.causal else seen)


KERNELS: dict[str, Any] = {"packed": by_runs, "torch_varlen": by_torch_varlen, "flash_attn": by_flash_attn}
"""Names of `compute.attention` under which nothing is padded."""
