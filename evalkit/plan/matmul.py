"""How fast this machine multiplies matrices, measured in about a second."""

import time
from collections.abc import Callable
from functools import cache

import torch

_SECONDS = 1.0
_ROWS = {"cpu": 2048, "cuda": 16_384}
_HIDDEN, _INNER = 1024, 4096  # the feed-forward part of the large models of the tables
_CALLS = {"cpu": 1, "cuda": 8}  # between two looks at the clock


@cache
def matmul_rate(dtype: str, device: str, threads: int | None = None) -> float:
    """FLOP/s of the fastest repetition of one matrix multiplication.

    Args:
        dtype: of both matrices.
        device: `cpu` or `cuda`.
        threads: of the CPU; those that torch has when None.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.inference_mode():
            states = torch.randn(_ROWS[device], _HIDDEN, device=device).to(getattr(torch, dtype))
            weight = torch.randn(_HIDDEN, _INNER, device=device).to(states.dtype)
            return 2.0 * _ROWS[device] * _HIDDEN * _INNER / _fastest(states, weight, device)
    finally:
        torch.set_num_threads(before)


def _fastest(states: torch.Tensor, weight: torch.Tensor, device: str) -> float:
    """Seconds of the fastest multiplication; the first one, which sets things up, does not count."""
    wait: Callable[[], object] = torch.cuda.synchronize if device == "cuda" else lambda: None
    torch.matmul(states, weight)
    wait()
    best, now, end = float("inf"), time.perf_counter(), time.perf_counter() + _SECONDS
    while now < end or best == float("inf"):
        start = now
        for _ in range(_CALLS[device]):
            torch.matmul(states, weight)
        wait()
        now = time.perf_counter()
        best = min(best, (now - start) / _CALLS[device])
    return best
