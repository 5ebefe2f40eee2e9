"""Tensors that say `cuda:0`, compute on the CPU, and refuse what a GPU refuses.

`Dispatch` stands between torch and its operations: it runs in every thread. An operation with a tensor of the card, or
that makes one, is computed on the host's tensors behind them; everything else passes through.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Self

import torch
from pretend.card import Allocation, Card, place
from pretend.kernels import KERNELS
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

CUDA = torch.device("cuda:0")
CPU = torch.device("cpu")
CARD = Card()

# Made of others in torch, and one kernel on a device; or refused there if taken apart.
_WHOLE = {"linear", "scaled_dot_product_attention", "repeat_interleave", "layer_norm", "matmul", "rms_norm"}
_READ = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_consecutive"}
_INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}


class OnCard(torch.Tensor):
    """A tensor of the card.

    Attributes:
        held: the tensor of the host that has its numbers.
        allocation: its bytes on the card, shared with its views.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor, allocation: Allocation) -> Self:
        del allocation
        return torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            layout=held.layout,
            device=CUDA,
        )

    def __init__(self, held: torch.Tensor, allocation: Allocation) -> None:
        self.held, self.allocation = held, allocation

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        return _outside(func, args, kwargs or {})

    def __repr__(self) -> str:
        return f"OnCard({self.held!r})"

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")

    # Modules then exchange their parameters whole when they move to the card.
    def __tensor_flatten__(self) -> tuple[list[str], Allocation]:
        return ["held"], self.allocation

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, torch.Tensor], allocation: Allocation, *_: Any) -> "OnCard":
        return OnCard(inner["held"], allocation)


class Dispatch(TorchDispatchMode):
    """Has every operation of a thread go by way of `dispatch`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        return _outside(func, args, kwargs or {})


def _outside(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    # Outside inference mode, a view of an ordinary tensor stays an ordinary one, as it does in torch.
    with torch.inference_mode(mode=False), torch.no_grad():
        return dispatch(func, args, dict(kwargs))


def dispatch(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operation gives."""
    name = func._schema.name.split("::")[1]
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    there = [leaf for leaf in given if isinstance(leaf, OnCard)]
    device = kwargs.get("device")
    onto = _is_cuda(device) if device is not None else bool(there)
    if name in _COPIES:
        return _COPIES[name](func, args, kwargs, onto)
    if not there and not onto:
        return _on_host(func, name, args, kwargs)
    if name not in _WHOLE and _is_composite(func):
        with Dispatch():
            return func.decompose(*args, **kwargs)
    _refuse(func, name, args, given)
    if there:
        _note_waits(name, args, kwargs)
    CARD.run(name)
    return _computed(func, args, kwargs, there, onto=onto)


def _is_cuda(device: Any) -> bool:
    return torch.device(device).type == "cuda"


@cache
def _is_composite(func: Any) -> bool:
    return func.namespace == "aten" and torch._C._dispatch_has_kernel_for_dispatch_key(
        func.name(), "CompositeImplicitAutograd"
    )


def _refuse(func: Any, name: str, args: Sequence[Any], given: Sequence[torch.Tensor]) -> None:
    """What a GPU would not compute."""
    if func.namespace == "mkldnn":
        raise NotImplementedError(f"Could not run '{func}' with arguments from the 'CUDA' backend (at {place()})")
    host = [tensor for tensor in given if not isinstance(tensor, OnCard) and tensor.dim()]
    if not host:
        return
    if name in _INDEXED and isinstance(args[0], OnCard) and all(isinstance(each, OnCard) for each in args[2:3]):
        return
    raise RuntimeError(
        "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
        f"(in {func}, at {place()})"
    )


def _note_waits(name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """What would have the host wait for its answer, or for what it needs to know first."""
    if name in _READ:
        CARD.wait(f"{name} reads")
    if name in _INDEXED:
        indices = [index for index in args[1] if index is not None]
        if any(index.dtype in (torch.bool, torch.uint8) for index in indices):
            CARD.wait(f"{name} by a mask counts")
        if not all(isinstance(index, OnCard) for index in indices):
            CARD.wait(f"{name} copies indices of the host")
    if name == "repeat_interleave" and kwargs.get("output_size") is None and not isinstance(args[-1], int):
        CARD.wait("repeat_interleave without output_size counts")
    if name == "segment_reduce" and not kwargs.get("unsafe"):
        CARD.wait("segment_reduce checks its lengths")


def _computed(func: Any, args: Any, kwargs: dict[str, Any], there: Sequence[OnCard], *, onto: bool) -> Any:
    """An operation on the tensors behind those of the card; its results are where they belong."""
    if "device" in kwargs:
        kwargs["device"] = CPU
    kwargs.pop("pin_memory", None)
    if func._schema.name in KERNELS:
        found = KERNELS[func._schema.name](CARD, *tree_map(_held, args), **tree_map(_held, kwargs))
    else:
        found = _natively(func, tree_map(_held, args), tree_map(_held, kwargs))
    if not onto:
        return found
    known = {id(tensor.held): tensor for tensor in there}
    allocations = {_address(tensor.held): tensor.allocation for tensor in there}

    def outer(part: Any) -> Any:
        if not isinstance(part, torch.Tensor):
            return part
        return known[id(part)] if id(part) in known else on_card(part, allocations.get(_address(part)))

    return tree_map(outer, found)


def _natively(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if func is torch.ops.aten._softmax.default and args[2]:  # from half to float, of which a CPU has no kernel
        args = (args[0].float(), args[1], False)
    return func(*args, **kwargs)


def _held(part: Any) -> Any:
    return part.held if isinstance(part, OnCard) else part


def _address(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def on_card(held: torch.Tensor, allocation: Allocation | None = None) -> OnCard:
    """A tensor of the host as one of the card, which allocates its bytes unless it is a view."""
    return OnCard(held, allocation or Allocation(CARD, held.untyped_storage().nbytes()))


# Copies, and memory of the host that is pinned


def is_pinned(tensor: torch.Tensor) -> bool:
    """Whether the tensor itself, no view of it, was made in pinned memory."""
    return getattr(tensor, "pinned", False)


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    CARD.fault("pin_memory")
    tensor.pinned = True
    return tensor


def _on_host(func: Any, name: str, args: Any, kwargs: dict[str, Any]) -> Any:
    if name in ("pin_memory", "_pin_memory"):
        return _pinned(args[0].clone())
    if name == "is_pinned":
        return is_pinned(args[0])
    pin = kwargs.pop("pin_memory", False)
    found = func(*args, **kwargs)
    return _pinned(found) if pin else found


def _to_copy(func: Any, args: Any, kwargs: dict[str, Any], onto: bool) -> torch.Tensor:
    """`_to_copy`: another device or dtype, in memory of its own."""
    source, blocks = args[0], not kwargs.get("non_blocking", False)
    rest = {key: value for key, value in kwargs.items() if key not in ("device", "non_blocking", "pin_memory")}
    made = func(_held(source), **rest)
    made = made.clone() if made is _held(source) else made
    if not isinstance(source, OnCard):
        if onto:
            _note_sending(source, blocks=blocks)
        return on_card(made) if onto else made
    if onto:
        CARD.run("_to_copy")
        return on_card(made)
    if blocks:
        CARD.wait("a copy to the host")
        return made
    return _later(made)


def _copy(func: Any, args: Any, kwargs: dict[str, Any], onto: bool) -> torch.Tensor:
    """`copy_`: into memory that is there."""
    del func, onto
    target, source = args[:2]
    blocks = not (args[2] if len(args) > 2 else kwargs.get("non_blocking", False))
    if isinstance(source, OnCard) and not isinstance(target, OnCard):
        if blocks or not is_pinned(target):
            CARD.wait("a copy to the host")
            return target.copy_(source.held)
        return _later(source.held.to(target.dtype, copy=True).expand_as(target), target)
    if isinstance(target, OnCard) and not isinstance(source, OnCard):
        _note_sending(source, blocks=blocks)
    if isinstance(target, OnCard):
        CARD.run("copy_")
    _held(target).copy_(_held(source))
    return target


def _later(made: torch.Tensor, target: torch.Tensor | None = None) -> torch.Tensor:
    """What the device will have copied once it is waited for; until then the target holds no number of it."""
    CARD.run("copy to the host")
    target = torch.empty_like(made) if target is None else target
    target.fill_(float("nan") if target.is_floating_point() else -1)
    CARD.queue(lambda: target.copy_(made))
    return target


def _note_sending(source: torch.Tensor, *, blocks: bool) -> None:
    CARD.run("copy to the device")
    if blocks:
        CARD.wait("a copy to the device")
    if not is_pinned(source):
        CARD.pageable[f"a copy to the device at {place()}"] += 1


_COPIES: dict[str, Callable[[Any, Any, dict[str, Any], bool], torch.Tensor]] = {"_to_copy": _to_copy, "copy_": _copy}
