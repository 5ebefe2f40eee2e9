"""evalkit alone on more and more pairs: does it keep its rate, and what does memory do?"""

import gc
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benchmark_inputs import Source
from benchmark_setup import Model
from benchmarking import synchronise


def growth(reranker: Model, source: Source, counts: Sequence[int], *, seed: int, device: str) -> list[dict[str, Any]]:
    """Pairs per second, and how far peak memory lies above that before, in one call with so many distinct pairs.

    A count that the queries and documents do not reach is skipped, with the reason.
    """
    reranker.score(source.distinct(64, (seed, 0)))
    steps: list[dict[str, Any]] = []
    for count in sorted(counts):
        pairs = source.distinct(count, (seed, count))
        if len(pairs) < count:
            steps.append({"pairs": count, "skipped": f"only {len(pairs):,} distinct pairs can be made; give --folder"})
            continue
        sys.stderr.write(f"growth: {count:,} pairs\n")
        gc.collect()
        before = _reset_peak(device)
        start = time.perf_counter()
        reranker.score(pairs)
        synchronise(device)
        seconds = time.perf_counter() - start
        step = {
            "pairs": count,
            "dtype": reranker.compute.dtype,
            "seconds": seconds,
            "pairs_per_second": count / seconds,
            "memory_increase_mib": (_peak_bytes() - before) / 2**20,
        }
        if device == "cuda":
            step["device_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
        steps.append(step)
    return steps


def _reset_peak(device: str) -> int:
    """Start the peak anew where the system can; bytes resident now, or at the old peak."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return _peak_bytes()
    return _status_bytes("VmRSS") or _peak_bytes()


def _peak_bytes() -> int:
    """The highest resident size since the last reset."""
    scale = 1 if sys.platform == "darwin" else 1024
    return _status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _status_bytes(key: str) -> int | None:
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    for line in status.read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return None
