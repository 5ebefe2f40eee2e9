"""The steps of a layer between its multiplications: norms, rotary positions, gates, residuals.

Memory bandwidth limits them, not arithmetic. Each step has up to four ways, and `choose` says which one a model takes:

* `off`: the formulas of transformers, one operation after another. The way of a CPU.
* `paired`: as `off`, where numbers that are turned together lie side by side (`side_by_side`), so that turning is one
  multiplication of complex numbers. The way of ModernBERT in float32 on a CPU.
* `torch`: one operation of torch where there is one; a residual is added by the multiplication before it.
* `triton`: as `torch`, and kernels of our own (`triton_kernels`) where they move fewer bytes: positions with the norms
  of queries and keys, gates, norms that are added to a residual (Gemma 2); and norms with an offset (Gemma), whose
  weight stays in float32 there.

The last bits differ from way to way. Knows neither attention nor whole layers.
"""

import logging
from functools import cache, partial
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import rms_norm, silu

from evalkit.errors import MissingExtra, ModelError
from evalkit.inference.linear import FusedLinear

logger = logging.getLogger(__name__)

PLAIN = ("off", "paired")
_ALONE = 32_767  # numbers that torch leaves to one thread
_TOKENS = 128  # whose queries stay in the cache of a CPU's core while they are turned

# Operations of torch's own kind, so that tensors without data can go through them.
_LIBRARY = torch.library.Library("evalkit", "DEF")
_LIBRARY.define("rms_norm(Tensor states, Tensor weight, float eps) -> Tensor")
_LIBRARY.define("add_rms_norm(Tensor(a!) residual, Tensor states, Tensor weight, float eps, float factor) -> ()")
_LIBRARY.define("turn(Tensor(a!) projected, Tensor tables, Tensor? weights, int queries, int heads, float eps) -> ()")
_LIBRARY.define("gate(Tensor both, str kind) -> Tensor")


def _launch(name: str, *arguments: Any) -> Any:
    from evalkit.inference import triton_kernels

    return getattr(triton_kernels, name)(*arguments)


for _name in ("rms_norm", "add_rms_norm", "turn", "gate"):
    _LIBRARY.impl(_name, partial(_launch, _name), "CUDA")
_LIBRARY.impl("rms_norm", lambda states, *_: torch.empty_like(states), "Meta")
_LIBRARY.impl("add_rms_norm", lambda *_: None, "Meta")
_LIBRARY.impl("turn", lambda *_: None, "Meta")
_LIBRARY.impl("gate", lambda both, _: both.new_empty(len(both), both.shape[1] // 2), "Meta")


def choose(asked: str, device: torch.device, dtype: torch.dtype) -> str:
    """The way of a model, `off`, `torch` or `triton`, for `compute.fused`.

    `auto` is `triton` on CUDA where that works, else `torch` on CUDA, and `off` elsewhere.

    Raises:
        MissingExtra: Triton was asked for and is absent.
        ModelError: Triton was asked for and cannot run there.
    """
    if asked == "auto":
        if device.type != "cuda":
            return "off"
        fault = fault_of_triton(device, dtype)
        if fault:
            _note(fault)
        return "torch" if fault else "triton"
    if asked == "triton":
        if device.type != "cuda":
            raise ModelError("compute.fused=triton runs on CUDA only. Set compute.fused=auto.")
        if find_spec("triton") is None:
            raise MissingExtra("triton", extra="triton", purpose="compute.fused=triton")
        if fault := fault_of_triton(device, dtype):
            raise ModelError(f"compute.fused=triton cannot run here: {fault}. Set compute.fused=torch.")
    return asked


@cache
def fault_of_triton(device: torch.device, dtype: torch.dtype) -> str:
    """Why our Triton kernels cannot run there, by running the smallest of them; empty where they can."""
    if find_spec("triton") is None:
        return "triton is not installed"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    both = torch.linspace(-3, 3, 64, device=device).to(dtype).view(2, 32)
    first, second = both.double().chunk(2, dim=1)
    try:
        found = torch.ops.evalkit.gate(both, "silu")
        torch.testing.assert_close(found, (silu(first) * second).to(dtype))
    except Exception as error:  # noqa: BLE001 - no C compiler, no ptxas, an old GPU: each raises a class of its own
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return ""


@cache
def _note(fault: str) -> None:
    logger.warning("compute.fused=auto takes torch's own operations and no Triton kernels: %s.", fault)


class Norm:
    """A norm of transformers over the last axis.

    Args:
        module: an RMSNorm, with or without an offset of 1 on its weight. Any other norm is called unchanged.
        way: see `choose`.
    """

    def __init__(self, module: Any, way: str) -> None:
        offset = _OFFSETS.get(type(module).__name__)
        self.module = module
        self.way = "off" if offset is None else way
        if self.way == "off":
            return
        self.eps, self.shape = _eps(module), tuple(module.weight.shape)
        weight = module.weight.detach()
        self.weight = weight.float() + offset if offset else weight
        if offset and way == "triton":
            return  # the kernel takes a float32 weight with states in half precision; torch's operation does not
        self.way, self.weight = "torch", self.weight.to(weight.dtype)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Shape of the states."""
        if self.way == "off":
            result: torch.Tensor = self.module(states)
            return result
        if self.way == "triton":
            normed: torch.Tensor = torch.ops.evalkit.rms_norm(states, self.weight, self.eps)
            return normed
        return rms_norm(states, self.shape, self.weight, self.eps)

    def onto(self, residual: torch.Tensor, states: torch.Tensor, factor: float) -> torch.Tensor:
        """Residual + factor * the normed states; may overwrite the residual."""
        if self.way == "off":
            return residual + _scaled(self(states), factor)
        if self.way == "triton":
            torch.ops.evalkit.add_rms_norm(residual, states, self.weight, self.eps, factor)
            return residual
        return residual.add_(self(states), alpha=factor)


# The offset that an RMSNorm of transformers adds to its weight.
_OFFSETS = {
    "GemmaRMSNorm": 1.0,
    "Gemma2RMSNorm": 1.0,
    "Gemma3RMSNorm": 1.0,
    "GraniteRMSNorm": 0.0,
    "LlamaRMSNorm": 0.0,
    "MistralRMSNorm": 0.0,
    "Qwen2RMSNorm": 0.0,
    "Qwen3RMSNorm": 0.0,
}


def _eps(module: Any) -> float:
    return float(module.eps if hasattr(module, "eps") else module.variance_epsilon)


class HeadLayout(NamedTuple):
    """Number of query heads (a multiple of the others), of key and of value heads, and the width of a head."""

    query: int
    key: int
    width: int


def tables(rotary: Any, states: torch.Tensor, positions: torch.Tensor, way: str) -> torch.Tensor:
    """Shape (tokens, 2 * width of a head): the cosines of each token's position, then its sines.

    Args:
        rotary: rotary embeddings of transformers.
        states: shape (tokens, width); the tables have their dtype, but float32 for the Triton kernel.
        positions: shape (tokens,).
        way: see `choose`. For `paired` the result is complex, of shape (tokens, half the width of a head).
    """
    like = states if way != "triton" else states.new_empty(0, dtype=torch.float32)
    cosine, sine = rotary(like[None], positions[None])
    if way == "paired":
        half = cosine.shape[2] // 2
        return torch.complex(cosine[0, :, :half], sine[0, :, :half])
    return torch.cat((cosine[0], sine[0]), dim=1)


class Turn:
    """Queries and keys, normed if the model has norms for both, and turned by their positions."""

    def __init__(self, heads: HeadLayout, norms: tuple[Any, Any] | None, way: str) -> None:
        self.heads, self.norms, self.way = heads, norms, way
        self.weights: torch.Tensor | None = None
        self.eps = 0.0
        if norms is None or way == "off":
            return
        assert _eps(norms[0]) == _eps(norms[1])
        self.eps = _eps(norms[0])
        query, key = (norm.weight.detach().float() + _OFFSETS[type(norm).__name__] for norm in norms)
        if way == "triton":
            self.weights = torch.stack((query, key))
            return
        query, key = (weight.to(norms[0].weight.dtype) for weight in (query, key))
        # The sine of a number multiplies its counterpart in the other half, which has that one's weight.
        both = [torch.cat((weight, weight.roll(heads.width // 2))) for weight in (query, key)]
        self.weights = torch.stack([both[0]] * (heads.query // heads.key) + [both[1]])

    def __call__(
        self, projected: torch.Tensor, tables: torch.Tensor, rows: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries of shape (tokens or rows, heads, width) and keys of shape (tokens, key heads, width).

        Args:
            projected: shape (tokens, widths of all heads together); may be overwritten, except the values.
            tables: from `tables`.
            rows: tokens whose queries are needed; all when None.
        """
        heads = self.heads
        if self.way == "off":
            return self._plain(projected, tables, rows)
        if self.way == "triton":
            count = heads.query + heads.key
            torch.ops.evalkit.turn(projected, tables, self.weights, heads.query, count, self.eps)
            turned = projected[:, : count * heads.width].unflatten(1, (count, heads.width))
        elif self.way == "paired":
            turned = projected[:, : (heads.query + heads.key) * heads.width].unflatten(1, (-1, heads.width))
            _turn_pairs(turned, tables)
        else:
            turned = self._together(projected, tables)
        query, key = turned[:, : heads.query], turned[:, heads.query :]
        return (query if rows is None else query[rows]), key

    def _plain(
        self, projected: torch.Tensor, tables: torch.Tensor, rows: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        heads = self.heads
        both = projected[:, : (heads.query + heads.key) * heads.width].unflatten(1, (-1, heads.width))
        if rows is None and self.norms is None:
            query, key = rotated(both, *tables.chunk(2, dim=1)).split((heads.query, heads.key), dim=1)
            return query, key
        query, key = both.split((heads.query, heads.key), dim=1)
        chosen = tables
        if rows is not None:
            query, chosen = query[rows], tables[rows]
        if self.norms is not None:
            query, key = self.norms[0](query), self.norms[1](key)
        return rotated(query, *chosen.chunk(2, dim=1)), rotated(key, *tables.chunk(2, dim=1))

    def _together(self, projected: torch.Tensor, tables: torch.Tensor) -> torch.Tensor:
        """Queries and keys at once, as groups of as many heads as there are keys; weights go into the tables.

        Computed in the dtype of the tables, where that is the wider one, and rounded once.
        """
        heads, half = self.heads, self.heads.width // 2
        both = projected[:, : (heads.query + heads.key) * heads.width].unflatten(1, (-1, heads.key, heads.width))
        tables = tables[:, None, None]
        if self.weights is not None:
            both = rms_norm(both, (heads.width,), None, self.eps)
            tables = tables * self.weights[:, None]
        cosine, sine = tables.chunk(2, dim=-1)
        turned = both * cosine
        turned[..., :half].addcmul_(both[..., half:], sine[..., :half], value=-1)
        turned[..., half:].addcmul_(both[..., :half], sine[..., half:])
        result: torch.Tensor = turned.to(projected.dtype).flatten(1, 2)
        return result


def rotated(vectors: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Vectors of shape (tokens, heads, width) turned by their positions (Su et al. 2021, half-split layout).

    In place. Where the dtype of cosine and sine is the wider one, computed in that, and rounded once into a new tensor.
    """
    if vectors.dtype != cosine.dtype:
        return rotated(vectors.to(cosine.dtype), cosine, sine).to(vectors.dtype)
    half = vectors.shape[2] // 2
    parts = len(vectors) if vectors.device.type == "cuda" else _TOKENS
    across = sine.roll(half, dims=1)  # each half of a vector goes into the other half with that one's sine
    for own, cosines, sines in zip(*(part.split(max(parts, 1)) for part in (vectors, cosine, across)), strict=True):
        other = own * sines[:, None]
        own.mul_(cosines[:, None])
        own[..., :half].sub_(other[..., half:])
        own[..., half:].add_(other[..., :half])
    return vectors


def side_by_side(linear: nn.Linear, width: int) -> nn.Linear:
    """The projection to queries or keys, in place, with the numbers of a head that are turned together side by side.

    Products of a query and a key are the same, up to the order of summing.
    """
    for own in (linear.weight, linear.bias):
        if own is not None:
            own.data = own.detach().unflatten(0, (-1, 2, width // 2)).transpose(1, 2).flatten(0, 2).contiguous()
    return linear


def _turn_pairs(vectors: torch.Tensor, turns: torch.Tensor) -> None:
    """Turn vectors of shape (tokens, heads, width), whose pairs lie side by side, in place.

    By so few tokens that torch does not share them among threads, which would divide a row: the last numbers of a
    part are rounded in another way than those before.
    """
    pairs = torch.view_as_complex(vectors.unflatten(2, (-1, 2)))
    tokens = max(_ALONE // pairs[0].numel(), 1)
    for own, angles in zip(pairs.split(tokens), turns.split(tokens), strict=True):
        own.mul_(angles[:, None])


def added(states: torch.Tensor, linear: FusedLinear, inner: torch.Tensor, factor: float, way: str) -> torch.Tensor:
    """States + factor * linear(inner); may overwrite the states."""
    if way in PLAIN and factor == 1.0:
        return linear.combined(inner, states, "add")
    if way in PLAIN:
        return _scaled(linear(inner), factor).add_(states)
    return linear.onto(states, inner, factor)


def _scaled(states: torch.Tensor, factor: float) -> torch.Tensor:
    return states if factor == 1.0 else states * factor
