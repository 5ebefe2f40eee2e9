"""The machine that a benchmark runs on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from evalkit.errors import ConfigError

_PACKAGES = ("torch", "transformers", "tokenizers", "sentence-transformers", "FlagEmbedding", "mteb", "numpy")


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
