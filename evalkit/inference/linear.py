"""Matrix multiplications of a forward pass: several layers with the same input as one, laid out for the processor."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn

from evalkit.inference.emulation import capabilities

# Fewer rows go through kernels that sum in another order, and a score must not depend on its neighbours.
_ONEDNN_ROWS = 2
_MKL_ROWS = 12


class FusedLinear:
    """Linear layers with the same input as one multiplication; their outputs are side by side.

    On most CPUs, weights are laid out for oneDNN once instead of at every call, and an exact GELU (`gelu`) runs while
    the results are still in the cache. On AMD's without AVX-512, MKL is the faster one in float32, and takes the
    weights as they are. The layers lose their weights, so that a model is never in memory twice.
    """

    def __init__(self, layers: Sequence[nn.Linear], *, gelu: bool = False) -> None:
        weight = torch.cat([layer.weight.detach() for layer in layers])
        self.bias = _biases(layers, weight)
        self.gelu = gelu
        on_cpu = weight.device.type == "cpu"
        self.mkl = on_cpu and weight.dtype == torch.float32 and _mkl_is_faster()
        self.laid_out = on_cpu and not self.mkl and _onednn(weight.dtype)
        self.least = _MKL_ROWS if self.mkl else _ONEDNN_ROWS if self.laid_out else 1
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self.laid_out else weight  # noqa: SLF001 - what inductor emits; no public name
        for layer in layers:
            layer.weight = nn.Parameter(weight.new_empty(0), requires_grad=False)

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (tokens, sum of the widths)."""
        if len(states) < self.least:
            return self(_repeated(states, self.least))[: len(states)]
        if self.laid_out:
            after: tuple[str, list[float], str] = ("gelu", [], "none") if self.gelu else ("none", [], "")
            result: torch.Tensor = torch.ops.mkldnn._linear_pointwise(states, self.weight, self.bias, *after)  # noqa: SLF001
            return result
        result = nn.functional.linear(states, self.weight, self.bias)
        return nn.functional.gelu(result) if self.gelu else result

    def combined(self, states: torch.Tensor, other: torch.Tensor, how: Literal["add", "mul"]) -> torch.Tensor:
        """The outputs plus, or times, another tensor of their shape, which may be overwritten.

        In float32 on a CPU the multiplication itself does it: oneDNN's gives the same bits, MKL's can only add.
        """
        if len(states) < self.least:
            return self.combined(_repeated(states, self.least), _repeated(other, self.least), how)[: len(states)]
        if self.mkl and not self.gelu and how == "add":
            start = other if self.bias is None else other.add_(self.bias)
            return torch.addmm(start, states, self.weight.t(), out=start)
        if not self.laid_out or self.gelu or states.dtype != torch.float32:
            outputs = self(states)
            return outputs.add_(other) if how == "add" else outputs.mul_(other)
        result: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(states, other, self.weight, self.bias, how)  # noqa: SLF001
        return result

    def onto(self, residual: torch.Tensor, states: torch.Tensor, factor: float) -> torch.Tensor:
        """The residual plus factor * the outputs, in place; added by the multiplication itself where possible."""
        if self.laid_out or self.gelu or self.bias is not None:
            return residual.add_(self(states), alpha=factor)
        return torch.addmm(residual, states, self.weight.t(), alpha=factor, out=residual)


def _repeated(states: torch.Tensor, rows: int) -> torch.Tensor:
    """So many rows, of fewer, over and over."""
    return states[torch.arange(rows) % len(states)]


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


def _mkl_is_faster() -> bool:
    """Whether MKL multiplies in float32 faster than oneDNN, with the same bits for a row whatever is beside it.

    On AMD's processors without AVX-512, by about an eighth. On Intel's, MKL sums in an order of its own for the last
    rows of a batch, and with several threads for batches up to some hundred rows.
    """
    amd = "sse4a" in capabilities()  # which no other maker has
    return amd and torch.backends.mkl.is_available() and torch.backends.cpu.get_cpu_capability() == "AVX2"


def _onednn(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies this dtype here without a conversion."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001
    return dtype == torch.float32
