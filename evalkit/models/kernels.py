"""Which attention kernel computes a packed model, by what is installed, the GPU and the model. Loads no weights."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.flash import flash
from evalkit.models.layout import runs_by_lengths

# What FlashAttention 2 asks for, in flash-attn and in torch (`mha_varlen_fwd` in flash_api.cpp).
_CAPABILITY = (8, 0)
_WIDTHS = 8  # the width of a head is a multiple
_WIDEST = 256


class Kernel(NamedTuple):
    """A choice.

    Attributes:
        name: a key of `inference.attention.KERNELS`.
        notice: what to tell people where a GPU could do better; empty where it could not.
    """

    name: str
    notice: str = ""


def head_width(config: Mapping[str, Any]) -> int | None:
    """Numbers in an attention head of a model with this `config.json`; None where it does not say."""
    hidden, count = (
        config.get(name, config.get(of_distilbert))
        for name, of_distilbert in (("hidden_size", "dim"), ("num_attention_heads", "n_heads"))
    )
    width = config.get("head_dim")
    if not isinstance(width, int) and isinstance(hidden, int) and isinstance(count, int) and count > 0:
        width = hidden // count
    return width if isinstance(width, int) else None


def kernel(
    compute: ComputeConfig, capability: tuple[int, int] | None, config: Mapping[str, Any], *, softcap: bool
) -> Kernel:
    """The kernel for `compute.attention`, one of `PACKED`, on a GPU of this capability, or a CPU when None.

    float32 has none of its own on CUDA.

    Raises:
        ModelError: a kernel was asked for by name, and this machine, its GPU or the model cannot have it.
    """
    asked = compute.attention
    if capability is None and asked != "packed":
        raise ModelError(f"compute.attention={asked} runs on CUDA only. Set compute.attention=packed.")
    if runs_by_lengths(config.get("model_type")) and asked != "packed":
        raise ModelError(f"compute.attention={asked} cannot attend to positions as this model does. Set "
                         "compute.attention=auto.")  # fmt: skip
    if capability is None or compute.dtype == "float32" or runs_by_lengths(config.get("model_type")):
        return Kernel("packed")
    missing = _missing(capability, head_width(config))
    if missing and asked != "packed":
        raise ModelError(f"compute.attention={asked} {missing}. Set compute.attention=packed.")
    if missing:
        return Kernel("packed", f"attention runs by lengths, which is slow: variable-length attention {missing}.")
    if asked == "flash_attn" or (asked == "packed" and flash().function is not None):
        return Kernel("flash_attn")
    if softcap:
        return Kernel(
            "packed",
            "attention runs by lengths, which is slow: torch's own kernel cannot cap scores, as this model does. "
            f"{_flash_fault()}Run: pip install --no-build-isolation 'evalkit[flash]'",
        )
    return Kernel("torch_varlen", f"{fault}torch's own kernel is used." if (fault := _flash_fault()) else "")


def _missing(capability: tuple[int, int], width: int | None) -> str:
    """The reason why FlashAttention cannot be used, as the end of a sentence; empty if it can."""
    if capability < _CAPABILITY:
        own, least = (".".join(map(str, numbers)) for numbers in (capability, _CAPABILITY))
        return f"needs a GPU of compute capability {least} or higher, and this one has {own}"
    if width is not None and (width % _WIDTHS or width > _WIDEST):
        return f"needs heads whose width is a multiple of {_WIDTHS} up to {_WIDEST}, and this model has {width}"
    return ""


def _flash_fault() -> str:
    fault = flash().fault
    return f"flash_attn is installed and cannot be imported ({fault}): " if fault else ""
