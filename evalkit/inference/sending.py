"""Small arrays of the host on the model's device. Knows neither models nor batches."""

from typing import Any

import torch
from numpy.typing import NDArray


def sent(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array on a device; see `copied`."""
    return copied(torch.from_numpy(array), device)


def copied(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device, copied from pinned memory, so that neither the host nor the device's queue waits."""
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)
