"""The environment that made a result: versions, commit, machine. Facts for the manifest, not for the key."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from evalkit.system.versions import version

_PACKAGES = (
    "evalkit",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "pyarrow",
    "numpy",
    "bm25s",
    "pytrec_eval-terrier",
    "hydra-core",
)


def environment(device: str) -> dict[str, Any]:
    """Versions, source commit, machine and time; `device` is the setting, `auto`, `cpu` or `cuda`."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "git_commit": _git_commit(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "cpu": _cpu(),
        "device": _device(device),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def _git_commit() -> str | None:
    """Commit of the checkout that this code runs from, `+changes` if it was edited; None for an installed wheel.

    Read once a process: later edits are not in the code that runs.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return f"{commit}+changes" if _git(root, "status", "--porcelain", "--untracked-files=no") else commit
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603 - fixed arguments


def _cpu() -> dict[str, Any]:
    """Which processor, and once torch is loaded which of its instructions and how many threads torch uses.

    These decide the last bits of a score: kernels for other instructions sum in other orders.
    """
    found: dict[str, Any] = {"model": platform.processor() or platform.machine()}
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        found["model"] = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), found["model"]
        )
    if torch := sys.modules.get("torch"):
        found |= {"instructions": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads()}
    return found


def _device(setting: str) -> str:
    """Name of the accelerator in use, or `cpu`; torch is not loaded to find out."""
    torch = sys.modules.get("torch")
    if setting == "cpu" or torch is None or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name())
