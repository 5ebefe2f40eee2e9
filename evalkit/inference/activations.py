"""The gated activation of a feed-forward layer, in the ways of `fused.choose`."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.nn.functional import gelu, silu


class Gate:
    """Activation(gate) * up, for an activation of transformers, in a way of `fused.choose`."""

    def __init__(self, activation: Any, way: str) -> None:
        self.activation = activation
        self.kind = activation_kind(activation)
        self.way = "torch" if way == "triton" and self.kind is None else way

    def __call__(self, both: torch.Tensor) -> torch.Tensor:
        """Shape (tokens, inner), from gate and up side by side, shape (tokens, 2 * inner)."""
        if self.way == "triton":
            result: torch.Tensor = torch.ops.evalkit.gate(both, self.kind)
            return result
        gate, up = both.chunk(2, dim=1)
        known = self.kind if self.way == "torch" else None
        active: torch.Tensor = _ACTIVATIONS[known](gate) if known else self.activation(gate)
        return active.mul_(up)


_ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "silu": silu,
    "gelu": gelu,
    "gelu_tanh": partial(gelu, approximate="tanh"),
}


def activation_kind(activation: Any) -> str | None:
    """`silu`, `gelu` (with the error function), `gelu_tanh`, or None for any other activation of transformers."""
    name = type(activation).__name__
    if name in {"SiLU", "SiLUActivation"}:
        return "silu"
    if name in {"GELUTanh", "PytorchGELUTanh", "NewGELUActivation"} or getattr(activation, "approximate", "") == "tanh":
        return "gelu_tanh"
    return "gelu" if name in {"GELUActivation", "GELU"} else None
