"""Matrix multiplications of a forward pass: several layers with the same input as one, laid out for the processor."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn


class FusedLinear:
    """Linear layers with the same input as one multiplication; their outputs are side by side.

    On a CPU, weights are laid out for oneDNN once instead of at every call, and an exact GELU (`gelu`) runs while the
    results are still in the cache. The layers lose their weights, so that a model is never in memory twice.
    """

    def __init__(self, layers: Sequence[nn.Linear], *, gelu: bool = False) -> None:
        weight = torch.cat([layer.weight.detach() for layer in layers])
        self.bias = _biases(layers, weight)
        self.gelu = gelu
        self.laid_out = weight.device.type == "cpu" and _onednn(weight.dtype)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self.laid_out else weight  # noqa: SLF001 - what inductor emits; no public name
        for layer in layers:
            layer.weight = nn.Parameter(weight.new_empty(0), requires_grad=False)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (tokens, sum of the widths)."""
        if self.laid_out and len(states) == 1:
            return self(_twice(states))[:1]
        if self.laid_out:
            after: tuple[str, list[float], str] = ("gelu", [], "none") if self.gelu else ("none", [], "")
            result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, self.weight, self.bias, *after)  # noqa: SLF001
            return result
        result = nn.functional.linear(states, self.weight, self.bias)
        return nn.functional.gelu(result) if self.gelu else result

    def combined(self, states: torch.Tensor, other: torch.Tensor, how: Literal["add", "mul"]) -> torch.Tensor:
        """The outputs plus, or times, another tensor of their shape.

        In float32 on a CPU the multiplication itself does it, which gives the same bits.
        """
        if not self.laid_out or self.gelu or states.dtype != torch.float32:
            outputs = self(states)
            return outputs.add_(other) if how == "add" else outputs.mul_(other)
        if len(states) == 1:
            return self.combined(_twice(states), _twice(other), how)[:1]
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(states, other, self.weight, self.bias, how)  # noqa: SLF001
        return result

    def onto(self, residual: torch.Tensor, states: torch.Tensor, factor: float) -> torch.Tensor:
        """The residual plus factor * the outputs, in place; added by the multiplication itself where possible."""
        if self.laid_out or self.gelu or self.bias is not None:
            return residual.add_(self(states), alpha=factor)
        return torch.addmm(residual, states, self.weight.t(), alpha=factor, out=residual)


def _twice(states: torch.Tensor) -> torch.Tensor:
    """A single row as two; alone, a row goes through a kernel that sums in another order."""
    return states.expand(2, -1).contiguous()


def summed(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """A linear layer summed in float64 and rounded to float32, so that the order of summing does not matter.

    Kernels choose that order by the number of rows and of threads, and a score must not depend on its neighbours.
    """
    return nn.functional.linear(states.double(), weight.double(), None if bias is None else bias.double()).float()


def _biases(layers: Sequence[nn.Linear], weight: torch.Tensor) -> torch.Tensor | None:
    if all(layer.bias is None for layer in layers):
        return None
    parts = [weight.new_zeros(layer.out_features) if layer.bias is None else layer.bias.detach() for layer in layers]
    return torch.cat(parts)


def _onednn(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies this dtype here without a conversion."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
    return dtype == torch.float32
