"""Makes an error of what would have the host wait for a device."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_FETCHES = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_consecutive"}


class _Refuse(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        name, kwargs = func._schema.name.removeprefix("aten::"), kwargs or {}
        tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor) and each.dim()]
        assert name == "_to_copy" or len({each.device for each in tensors}) < 2, f"{name} takes tensors of two devices"
        assert name not in _FETCHES, f"{name} waits for the device"
        assert name != "segment_reduce" or kwargs.get("unsafe"), "segment_reduce fetches its lengths to check them"
        if name == "repeat_interleave":
            assert kwargs.get("output_size") is not None, "repeat_interleave fetches its output size"
        return func(*args, **kwargs)


@contextlib.contextmanager
def forbid_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Within, tensors of this thread may not be read; copies to the device must be of pinned memory and not block."""
    pinned: set[int] = set()
    copy = torch.Tensor.to

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.add(tensor.data_ptr())
        return tensor

    def checked(tensor: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        moved = copy(tensor, *args, **kwargs)
        if moved.device != tensor.device:
            assert tensor.device.type == "cpu", "a copy to the host waits for the device"
            assert kwargs.get("non_blocking"), "the copy blocks"
            assert tensor.data_ptr() in pinned, "a copy of pageable memory blocks"
        return moved

    def refuse(tensor: torch.Tensor, *_: Any) -> None:
        raise AssertionError(f"a tensor of shape {tuple(tensor.shape)} is read")

    with monkeypatch.context() as patch, _Refuse():
        patch.setattr(torch.Tensor, "pin_memory", pin)
        patch.setattr(torch.Tensor, "to", checked)
        for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__"):
            patch.setattr(torch.Tensor, name, refuse)
        yield
