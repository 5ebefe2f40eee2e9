"""Kernels that a CPU has none of: variable-length attention with the checks of FlashAttention 2, and evalkit's own.

Checks are those of `mha_varlen_fwd` in flash-attn's flash_api.cpp, which torch's own kernel shares. Sums are in float32
and rounded where the kernels round. Tensors here are the host's behind those of the card.
"""

import math
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from itertools import pairwise
from types import ModuleType
from typing import Any, NamedTuple

import torch
from pretend.card import Card
from torch.nn.functional import gelu, silu

_WIDEST = 256


class Window(NamedTuple):
    """How many keys to the left and right of its own a query sees; all where negative."""

    left: int
    right: int


def varlen(
    card: Card,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: tuple[torch.Tensor, torch.Tensor],
    longest: tuple[int, int],
    *,
    window: Window,
    scale: float | None,
    softcap: float = 0.0,
) -> torch.Tensor:
    """Attention of each sequence in float32; the queries are the last of the keys' tokens."""
    _check(card, query, key, value, starts)
    ends = [own.tolist() for own in starts]
    _require(ends[0][-1] == len(query) and ends[1][-1] == len(key), "the offsets do not cover the tokens")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    q, k, v = (part.float().transpose(0, 1) for part in (query, key, value))
    k, v = (part.repeat_interleave(len(q) // len(part), dim=0) for part in (k, v))
    out = torch.empty_like(query)
    for (first, last), (start, stop) in zip(pairwise(ends[0]), pairwise(ends[1]), strict=True):
        # The real kernels would leave out what is beyond the longest.
        _require(0 < last - first <= longest[0] and 0 < stop - start <= longest[1], "a sequence is beyond the longest")
        scores = torch.matmul(q[:, first:last], k[:, start:stop].transpose(1, 2)) * scale
        scores = softcap * torch.tanh(scores / softcap) if softcap else scores
        shares = scores.masked_fill(_unseen(last - first, stop - start, window), -math.inf).softmax(-1)
        seen = torch.matmul(shares.to(query.dtype).float(), v[:, start:stop])
        out[first:last] = seen.transpose(0, 1).to(query.dtype)
    return out


def _unseen(queries: int, keys: int, window: Window) -> torch.Tensor:
    back = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None]
    behind = back < -window.right if window.right >= 0 else torch.zeros_like(back, dtype=torch.bool)
    before = back > window.left if window.left >= 0 else torch.zeros_like(back, dtype=torch.bool)
    return behind | before


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise RuntimeError(text)


def _check(
    card: Card,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: Sequence[torch.Tensor],
) -> None:
    """What FlashAttention says of its inputs."""
    heads, width = query.shape[1:]
    _require(card.capability >= (8, 0), "FlashAttention only supports Ampere GPUs or newer.")
    _require(query.dtype in (torch.float16, torch.bfloat16), "FlashAttention only support fp16 and bf16 data type")
    _require(query.dtype == key.dtype == value.dtype, "query and key must have the same dtype")
    _require(all(own.dtype == torch.int32 for own in starts), "cu_seqlens_q must have dtype int32")
    _require(all(own.is_contiguous() for own in starts), "cu_seqlens_q must be contiguous")
    _require(len(starts[0]) == len(starts[1]) > 1, "cu_seqlens_k must have shape (batch_size + 1)")
    contiguous = all(part.stride(-1) == 1 for part in (query, key, value))
    _require(contiguous, "Input tensor must have contiguous last dimension")
    _require(width % 8 == 0, "head_size must be a multiple of 8")
    _require(width <= _WIDEST, "FlashAttention forward only supports head dimension at most 256")
    _require(heads % key.shape[1] == 0, "Number of heads in key/value must divide number of heads in query")
    _require(key.shape == value.shape and key.shape[2] == width, "value must have the shape of key")


def torch_varlen(
    card: Card,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_starts: torch.Tensor,
    key_starts: torch.Tensor,
    longest_query: int,
    longest_key: int,
    is_causal: bool = False,
    scale: float | None = None,
    window_size: Sequence[int] | None = None,
    enable_gqa: bool = False,
    *_: Any,
    **__: Any,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`torch_attn::_varlen_attn`, of which the first result alone is used."""
    _require(enable_gqa or query.shape[1] == key.shape[1], "enable_gqa must be set where there are fewer keys")
    left, right = window_size or (-1, -1)
    window = Window(left, 0 if is_causal else right)
    starts, longest = (query_starts, key_starts), (longest_query, longest_key)
    found = varlen(card, query, key, value, starts, longest, window=window, scale=scale)
    return found, torch.zeros(query.shape[1], len(query)), torch.zeros(2)


def flash_attn(card: Card, inner: Callable[[Any], Any], outer: Callable[[Any], Any]) -> ModuleType:
    """A module with flash-attn's function; `inner` and `outer` go from a tensor of the card to the host's and back."""

    def flash_attn_varlen_func(
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        cu_seqlens_q: torch.Tensor,
        cu_seqlens_k: torch.Tensor,
        max_seqlen_q: int,
        max_seqlen_k: int,
        dropout_p: float = 0.0,
        softmax_scale: float | None = None,
        causal: bool = False,
        window_size: tuple[int, int] = (-1, -1),
        softcap: float = 0.0,
    ) -> torch.Tensor:
        _require(dropout_p == 0.0, "the pretended device drops nothing out")
        tensors = (q, k, v, cu_seqlens_q, cu_seqlens_k)
        _require(all(part.is_cuda for part in tensors), "Input tensors must be on CUDA")
        q, k, v, *starts = (inner(part) for part in tensors)
        card.run("flash_attn_varlen_func")
        window = Window(window_size[0], 0 if causal else window_size[1])
        longest = (max_seqlen_q, max_seqlen_k)
        return outer(
            varlen(card, q, k, v, (starts[0], starts[1]), longest, window=window, scale=softmax_scale, softcap=softcap)
        )

    module = ModuleType("flash_attn")
    module.__spec__ = ModuleSpec("flash_attn", loader=None, origin="pretended")
    module.flash_attn_varlen_func = flash_attn_varlen_func
    return module


# What evalkit's Triton kernels compute (`inference/triton_kernels.py`); their own code needs Triton.


def _normed(states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    wide = states.float()
    return wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps) * weight.float()


def _rms_norm(_: Card, states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return _normed(states, weight, eps).to(states.dtype)


def _add_rms_norm(
    _: Card, residual: torch.Tensor, states: torch.Tensor, weight: torch.Tensor, eps: float, factor: float
) -> None:
    _require(residual.is_contiguous(), "the kernel writes dense rows")
    residual.copy_(residual.float() + factor * _normed(states, weight, eps))


def _turn(
    _: Card,
    projected: torch.Tensor,
    tables: torch.Tensor,
    weights: torch.Tensor | None,
    queries: int,
    heads: int,
    eps: float,
) -> None:
    _require(tables.is_contiguous(), "the kernel reads dense tables")
    width = tables.shape[1] // 2
    own = projected[:, : heads * width].unflatten(1, (heads, width))
    wide, (cosine, sine) = own.float(), tables.float()[:, None].chunk(2, dim=-1)
    if weights is not None:
        wide = _normed(wide, weights.repeat_interleave(torch.tensor([queries, heads - queries]), dim=0), eps)
    first, second = wide.chunk(2, dim=-1)
    own.copy_(wide * cosine + torch.cat((-second, first), dim=-1) * sine)


def _gate(_: Card, both: torch.Tensor, kind: str) -> torch.Tensor:
    _require(both.is_contiguous(), "the kernel reads dense rows")
    gate, up = both.float().chunk(2, dim=1)
    activate = {"silu": silu, "gelu": gelu, "gelu_tanh": lambda part: gelu(part, approximate="tanh")}[kind]
    return (activate(gate) * up).to(both.dtype)


KERNELS: dict[str, Callable[..., Any]] = {
    "torch_attn::_varlen_attn": torch_varlen,
    "evalkit::rms_norm": _rms_norm,
    "evalkit::add_rms_norm": _add_rms_norm,
    "evalkit::turn": _turn,
    "evalkit::gate": _gate,
}
