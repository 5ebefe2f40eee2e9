"""The machine: what it is, how fast it multiplies matrices of a model's shapes, and what the model needs of it."""

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open

from evalkit.errors import ConfigError
from evalkit.models.checkpoint import Checkpoint

_IN_LAYER = re.compile(r"(^|\.)(layers?|blocks?|h)\.\d+\.")
_PACKAGES = ("torch", "transformers", "tokenizers", "sentence-transformers", "FlagEmbedding", "mteb", "numpy")
_SECONDS = 0.25  # that each kind of multiplication is repeated for
_ROWS = {"cpu": (2048,), "cuda": (2048, 16_384)}


class Shape(NamedTuple):
    """What decides how many operations a model needs.

    Attributes:
        hidden: width of the states.
        inner: width inside the feed-forward part.
        layers: how many.
        attention: width of all heads together.
        parameters: in the matrices of the layers; embeddings and heads are not multiplied with every token.
        causal: whether a token sees only those before it.
    """

    hidden: int
    inner: int
    layers: int
    attention: int
    parameters: int
    causal: bool

    def flops(self, lengths: NDArray[np.int64]) -> float:
        """Floating-point operations for texts of these lengths in tokens: twice the parameters a token, and attention.

        All layers count in full at every token, also for an engine that leaves out what no score depends on.
        """
        tokens, squares = float(lengths.sum()), float(np.square(lengths, dtype=np.float64).sum())
        attention = 4.0 * self.layers * self.attention * squares
        return 2.0 * self.parameters * tokens + (attention / 2 if self.causal else attention)


def shape_of(checkpoint: Checkpoint, *, causal: bool = False) -> Shape:
    """A checkpoint's, from its configuration and the headers of its weights.

    Raises:
        ModelError: the configuration lacks a width.
        ConfigError: there is no safetensors file to count parameters in.
    """
    found = checkpoint.numbers("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    heads = int(found["num_attention_heads"])
    head = int(checkpoint.config.get("head_dim") or found["hidden_size"] // heads)
    return Shape(
        hidden=int(found["hidden_size"]),
        inner=int(found["intermediate_size"]),
        layers=int(found["num_hidden_layers"]),
        attention=heads * head,
        parameters=_layer_parameters(checkpoint),
        causal=causal,
    )


def _layer_parameters(checkpoint: Checkpoint) -> int:
    files = sorted(checkpoint.path.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{checkpoint.path}: no safetensors file, so parameters cannot be counted. Convert it first.")
    total = 0
    for file in files:
        with safe_open(str(file), framework="pt") as weights:
            shapes = [(name, weights.get_slice(name).get_shape()) for name in weights.keys()]  # noqa: SIM118
        total += sum(
            int(np.prod(shape)) for name, shape in shapes if len(shape) > 1 and _IN_LAYER.search(name) is not None
        )
    return total


def matmul_peak(shape: Shape, dtype: str, device: str) -> dict[str, float]:
    """FLOP/s of each way to multiply states with the first feed-forward matrix; the best of many repetitions."""
    kind = getattr(torch, dtype)
    rates: dict[str, float] = {}
    with torch.inference_mode():
        weight = torch.randn(shape.inner, shape.hidden, device=device).to(kind)
        for rows in _ROWS[device]:
            states = torch.randn(rows, shape.hidden, device=device).to(kind)
            flops = 2.0 * rows * shape.hidden * shape.inner
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


def chosen_device(name: str) -> str:
    """`cpu` or `cuda`.

    Raises:
        ConfigError: there is no such device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {name} is not a choice. Legal are: auto, cpu, cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda was asked for, but torch sees no CUDA device. Use --device cpu.")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def machine(threads: int, device: str) -> dict[str, Any]:
    """What ran the benchmark, and how busy it was before."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_average_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "cuda": torch.version.cuda if device == "cuda" else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
