"""`pytest -p pretend.plugin -m gpu`: runs the tests for a GPU on a device that is none.

torch is changed for the whole process, before any test is collected.
"""

import sys
import threading
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch._dynamo  # looks for Triton when it is imported, and must not find ours
from pretend.building import install_guard, missing
from pretend.card import NAME, cuda_of
from pretend.kernels import flash_attn
from pretend.tensors import CARD, CUDA, Dispatch, on_card

FAULT = missing()


def _install() -> None:
    install_guard()
    torch.set_num_threads(1)  # conftest.py is read too late to say so
    for name, value in cuda_of(CARD).items():
        setattr(torch.cuda, name, value)
    sys.modules["flash_attn"] = flash_attn(CARD, lambda tensor: tensor.held, on_card)
    sys.modules["triton"] = _triton()
    run = threading.Thread.run

    def dispatching(thread: threading.Thread) -> None:
        with Dispatch():
            run(thread)

    threading.Thread.run = dispatching
    torch.load = _loading(torch.load)
    # Else torch.tensor(..., device="cuda") would ask the device itself for memory.
    torch._C._set_only_lift_cpu_tensors(True)  # noqa: FBT003
    Dispatch().__enter__()


def _triton() -> ModuleType:
    """What says that Triton is installed; the operations of its kernels are those of `pretend.kernels`."""
    module = ModuleType("triton")
    module.__spec__, module.__version__ = ModuleSpec("triton", loader=None, origin="pretended"), "0"
    return module


def _loading(read: Any) -> Any:
    def load(*args: Any, map_location: Any = None, **kwargs: Any) -> Any:
        """`torch.load`, whose own way to a device is not by operations."""
        found = read(*args, map_location="cpu", **kwargs)
        there = map_location is not None and torch.device(map_location).type == "cuda"
        moved = lambda part: part.to(CUDA) if there and isinstance(part, torch.Tensor) else part  # noqa: E731
        return torch.utils._pytree.tree_map(moved, found)

    return load


if not FAULT:
    _install()


def pytest_report_header() -> list[str]:
    spec = find_spec("evalkit")
    return [f"device: {FAULT or NAME}", f"package: {Path(str(spec and spec.origin)).parent}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items if FAULT else []:
        item.add_marker(pytest.mark.skip(reason=FAULT))
