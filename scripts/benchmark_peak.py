"""How fast this machine multiplies matrices of a model's shapes: measured, in a fraction of a second."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from evalkit.models.shape import Shape

_SECONDS = 0.25  # that each kind of multiplication is repeated for
_ROWS = {"cpu": (2048,), "cuda": (2048, 16_384)}
# On a CPU a multiplication has so many operations at most: that of a large model would take seconds. From 256 rows on
# the rate hardly depends on them.
_CPU_FLOPS, _FEWEST_ROWS = 2e10, 256


def matmul_peak(shape: Shape, dtype: str, device: str) -> dict[str, float]:
    """FLOP/s of each way to multiply states with the first feed-forward matrix; the best of many repetitions."""
    kind = getattr(torch, dtype)
    rates: dict[str, float] = {}
    with torch.inference_mode():
        weight = torch.randn(shape.inner, shape.hidden, device=device).to(kind)
        for most in _ROWS[device]:
            each = 2.0 * shape.hidden * shape.inner
            rows = min(most, max(int(_CPU_FLOPS / each), _FEWEST_ROWS)) if device == "cpu" else most
            states = torch.randn(rows, shape.hidden, device=device).to(kind)
            flops = rows * each
            for name, multiply in _multiplications(states, weight):
                rates[name] = max(rates.get(name, 0.0), flops / _fastest(multiply, device))
    return rates


def _multiplications(states: torch.Tensor, weight: torch.Tensor) -> Iterator[tuple[str, Callable[[], Any]]]:
    yield "torch.matmul", lambda: torch.matmul(states, weight.T)
    if states.device.type != "cpu" or weight.dtype == torch.float16:
        return
    try:
        # What inductor emits: weights laid out once as oneDNN reads them. There is no public name.
        laid_out = torch.ops.mkldnn._reorder_linear_weight(weight)  # noqa: SLF001
        linear = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001
        linear(states, laid_out, None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return
    yield "oneDNN, laid out", lambda: linear(states, laid_out, None, "none", [], "")


def _fastest(multiply: Callable[[], Any], device: str) -> float:
    """Seconds of the fastest repetition."""
    calls = 8 if device == "cuda" else 1
    best, until = float("inf"), time.perf_counter() + _SECONDS
    multiply()
    while True:
        _wait(device)
        start = time.perf_counter()
        for _ in range(calls):
            multiply()
        _wait(device)
        now = time.perf_counter()
        best = min(best, (now - start) / calls)
        if now >= until:
            return best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
