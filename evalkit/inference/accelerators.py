"""The CUDA devices of this machine."""

import os

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError


def on_cuda(compute: ComputeConfig) -> bool:
    """Whether models run on CUDA with these settings."""
    return compute.device == "cuda" or (compute.device == "auto" and _count() > 0)


def shared_devices(compute: ComputeConfig) -> list[str]:
    """`CUDA_VISIBLE_DEVICES` for each process that does the work; empty if this process does it alone.

    Raises:
        ConfigError: more devices were asked for than there are.
    """
    if compute.device == "cpu" or (compute.devices == "1" and compute.processes_per_device == 1):
        return []
    there = _names()
    wanted = len(there) if compute.device_count is None else compute.device_count
    if wanted > len(there) or (not there and compute.device == "cuda"):
        raise ConfigError(
            f"compute.devices={compute.devices} was asked for, and torch sees {len(there)} CUDA devices. "
            + ("Set compute.devices=all." if there else "Set compute.device=cpu, and leave compute.devices out.")
        )
    # All devices once, then again, so that the first processes that are ready have different ones.
    names = there[:wanted] * compute.processes_per_device
    return names if len(names) > 1 else []


def _names() -> list[str]:
    """Each device as `CUDA_VISIBLE_DEVICES` names it; if that is set, the devices in it that torch sees."""
    listed = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    count = _count()
    return listed[:count] if listed else [str(number) for number in range(count)]


def _count() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
