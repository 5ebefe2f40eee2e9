"""Three steps of a decoder layer as Triton kernels of one pass each. Imported only where Triton is installed.

All compute in float32 and round once, whatever the dtype of the tensors. Nothing depends on the number of rows, so a
model compiles each kernel once, and a row's bytes do not depend on its neighbours.
"""

import torch
import triton
import triton.language as tl

FIXED = {"enable_fp_fusion": True}
"""Options that decide last bits and whose defaults differ between versions of Triton."""
_HEADS = 16  # of a token that one program turns
_COLUMNS = 1024  # of a row that four warps take at once
ACTIVATIONS = {"silu": 0, "gelu_tanh": 1, "gelu": 2}
"""Activation -> its number in the kernel of `gate`."""


@triton.jit
def rms_norm_kernel(states, weight, out, stride, eps, factor, width, BLOCK: tl.constexpr, ADD: tl.constexpr) -> None:
    """One row a program; with ADD the normed row times `factor` is added to `out`."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    inside = at < width
    values = tl.load(states + row * stride + at, mask=inside, other=0.0).to(tl.float32)
    values *= tl.rsqrt(tl.sum(values * values) / width + eps)
    values *= tl.load(weight + at, mask=inside, other=0.0).to(tl.float32)
    place = out + row * width + at
    if ADD:
        values = tl.load(place, mask=inside, other=0.0).to(tl.float32) + factor * values
    tl.store(place, values.to(out.dtype.element_ty), mask=inside)


@triton.jit
def turn_kernel(
    projected, tables, weights, stride, eps, queries, heads,
    WIDTH: tl.constexpr, HALF: tl.constexpr, HEADS: tl.constexpr, NORM: tl.constexpr,
) -> None:  # fmt: skip
    """HEADS heads of a token a program, in place. The first `queries` heads take the first row of `weights`."""
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)[:, None]
    at = tl.arange(0, HALF)[None, :]
    of_half = at < WIDTH // 2
    inside = (head < heads) & of_half
    place = projected + row * stride + head * WIDTH + at
    first = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(place + WIDTH // 2, mask=inside, other=0.0).to(tl.float32)
    if NORM:
        squares = tl.sum(first * first, axis=1) + tl.sum(second * second, axis=1)
        scale = tl.rsqrt(squares / WIDTH + eps)[:, None]
        own = weights + (head >= queries) * WIDTH + at
        first *= scale * tl.load(own, mask=inside, other=0.0)
        second *= scale * tl.load(own + WIDTH // 2, mask=inside, other=0.0)
    table = tables + row * 2 * WIDTH + at
    cos_first = tl.load(table, mask=of_half, other=0.0).to(tl.float32)
    cos_second = tl.load(table + WIDTH // 2, mask=of_half, other=0.0).to(tl.float32)
    sin_first = tl.load(table + WIDTH, mask=of_half, other=0.0).to(tl.float32)
    sin_second = tl.load(table + WIDTH + WIDTH // 2, mask=of_half, other=0.0).to(tl.float32)
    dtype = projected.dtype.element_ty
    tl.store(place, (first * cos_first - second * sin_first).to(dtype), mask=inside)
    tl.store(place + WIDTH // 2, (second * cos_second + first * sin_second).to(dtype), mask=inside)


@triton.jit
def gate_kernel(both, out, inner, BLOCK: tl.constexpr, KIND: tl.constexpr) -> None:
    """BLOCK numbers of a row a program."""
    row = tl.program_id(0).to(tl.int64)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = at < inner
    gate = tl.load(both + row * 2 * inner + at, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(both + row * 2 * inner + inner + at, mask=inside, other=0.0).to(tl.float32)
    if KIND == 0:
        gate = gate * tl.sigmoid(gate)
    elif KIND == 1:  # (1 + tanh(x)) / 2 is sigmoid(2 x), and 2 sqrt(2 / pi) is 1.5957...
        gate = gate * tl.sigmoid(1.5957691216057308 * (gate + 0.044715 * gate * gate * gate))
    else:
        gate = 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    tl.store(out + row * inner + at, (gate * up).to(out.dtype.element_ty), mask=inside)


def rms_norm(states: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    """Rows of shape (rows, width), whose last axis is dense, over their root mean square, times the weight."""
    out = torch.empty(states.shape, dtype=states.dtype, device=states.device)
    _normed(states, weight, out, eps=eps, factor=1.0, add=False)
    return out


def add_rms_norm(residual: torch.Tensor, states: torch.Tensor, weight: torch.Tensor, eps: float, factor: float) -> None:
    """`rms_norm` of the states, times `factor`, added to the residual in place."""
    _normed(states, weight, residual, eps=eps, factor=factor, add=True)


def _normed(
    states: torch.Tensor, weight: torch.Tensor, out: torch.Tensor, *, eps: float, factor: float, add: bool
) -> None:
    rows, width = states.shape
    with torch.cuda.device_of(states):
        rms_norm_kernel[(rows,)](
            states, weight, out, states.stride(0), eps, factor, width,
            BLOCK=triton.next_power_of_2(width), ADD=add, num_warps=8 if width > _COLUMNS else 4, **FIXED,
        )  # fmt: skip


def turn(
    projected: torch.Tensor, tables: torch.Tensor, weights: torch.Tensor | None, queries: int, heads: int, eps: float
) -> None:
    """Query and key heads normed, where there are weights, and turned by their positions, in place.

    Args:
        projected: shape (tokens, at least heads * width); values after the heads do not change.
        tables: shape (tokens, 2 * width), cosines and sines, dense.
        weights: shape (2, width), float32, of queries and of keys.
        queries: number of query heads, which come first.
        heads: number of query and key heads.
        eps: epsilon of the norm.
    """
    width = tables.shape[1] // 2
    with torch.cuda.device_of(projected):
        turn_kernel[(len(projected), triton.cdiv(heads, _HEADS))](
            projected, tables, tables if weights is None else weights, projected.stride(0), eps, queries, heads,
            WIDTH=width, HALF=triton.next_power_of_2(width // 2), HEADS=_HEADS, NORM=weights is not None,
            num_warps=4, **FIXED,
        )  # fmt: skip


def gate(both: torch.Tensor, kind: str) -> torch.Tensor:
    """Shape (rows, inner): the activation of the first half of dense rows of 2 * inner, times the second half."""
    rows, inner = len(both), both.shape[1] // 2
    out = torch.empty((rows, inner), dtype=both.dtype, device=both.device)
    with torch.cuda.device_of(both):
        gate_kernel[(rows, triton.cdiv(inner, _COLUMNS))](
            both, out, inner, BLOCK=_COLUMNS, KIND=ACTIVATIONS[kind], num_warps=4, **FIXED
        )
    return out
