"""What a model computes with: torch itself, device, dtype, attention. What was asked for, or an error."""

import importlib.util
from dataclasses import replace
from importlib import import_module
from importlib.metadata import version
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.config.compute import FLASH, PACKED
from evalkit.errors import MissingExtra, ModelError
from evalkit.inference import emulation
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layout import can_pack, has_sdpa


def require_torch() -> Any:
    """The torch module.

    Raises:
        MissingExtra: torch or transformers is not installed.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(error.name or "torch", extra="models", purpose="a neural model") from error
    # Loading bars and advice of the library would land between ours.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch


def device_name(compute: ComputeConfig) -> str:
    """`cuda` or `cpu`.

    Raises:
        ModelError: CUDA was asked for and there is none.
    """
    torch = require_torch()
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise ModelError("compute.device=cuda was asked for, but torch sees no CUDA device. Set compute.device=cpu.")
    return "cuda" if compute.device != "cpu" and available else "cpu"


def hardware(compute: ComputeConfig) -> str:
    """`cpu`, or the name of the GPU that is used."""
    return "cpu" if device_name(compute) == "cpu" else str(require_torch().cuda.get_device_name())


def resolved(compute: ComputeConfig, checkpoint: Checkpoint, *, softcap: bool = False) -> ComputeConfig:
    """The same settings with `auto` attention replaced by what it means.

    Args:
        compute: as configured.
        checkpoint: of the model; some have no `sdpa`.
        softcap: whether the model caps its attention scores, which `sdpa` cannot.

    Raises:
        ModelError: CUDA was asked for and there is none, or an attention that the model does not have.
        MissingExtra: flash-attn was asked for and is absent.
    """
    if compute.backend == "local":  # what workers elsewhere have, they say themselves
        _require_kernels(compute)
    if compute.attention in ("flash_attn", "torch_varlen") and compute.dtype == "float32":
        raise ModelError(f"compute.attention={compute.attention} has no float32. Set compute.dtype=bfloat16.")
    if compute.attention in PACKED and not can_pack(checkpoint):
        raise ModelError(
            f"{checkpoint.path}: compute.attention={compute.attention} does not know this model. Set "
            "compute.attention=auto."
        )
    if compute.fused in ("torch", "triton") and not can_pack(checkpoint):
        raise ModelError(
            f"{checkpoint.path}: compute.fused={compute.fused} does not know this model. Set compute.fused=auto."
        )
    if compute.attention == "sdpa" and softcap:
        raise ModelError(
            "compute.attention=sdpa cannot cap attention scores, as this model does. Set compute.attention=eager or "
            "flash_attention_2, or leave the cap out with reranker.attention_softcap=false."
        )
    plain = softcap or not has_sdpa(checkpoint)
    if compute.attention == "auto":
        padded = "eager" if plain else "sdpa"
        return replace(compute, attention="packed" if can_pack(checkpoint) else padded)
    if compute.attention == "sdpa" and plain:
        raise ModelError(f"{checkpoint.path}: this model has no sdpa attention. Set compute.attention=eager.")
    return compute


def _require_kernels(compute: ComputeConfig) -> None:
    if compute.device == "cuda":
        device_name(compute)
    if compute.fused in ("torch", "triton") and compute.attention not in ("auto", *PACKED):
        raise ModelError(
            f"compute.attention={compute.attention} is a padded model of transformers, which compute.fused="
            f"{compute.fused} does not reach. Set compute.attention=auto or compute.fused=auto."
        )
    if compute.fused == "triton":
        _way(compute)
    if compute.attention in FLASH and importlib.util.find_spec("flash_attn") is None:
        raise MissingExtra("flash_attn", extra="flash", purpose=f"compute.attention={compute.attention}")


def emulated(compute: ComputeConfig) -> str:
    """The dtype of these settings where this processor computes it and emulates it, else nothing."""
    return "" if compute.dtype == "float32" else emulation.emulated(compute.dtype, device_name(compute))


def warn_of_emulation(compute: ComputeConfig) -> None:
    """Say before anything runs that this machine emulates the dtype; workers on other machines say it themselves."""
    if (compute.backend == "local" or compute.address is None) and (dtype := emulated(compute)):
        emulation.warn(dtype)


def facts(compute: ComputeConfig) -> dict[str, object]:
    """What decides the last bits of a number beside the model and the settings."""
    way = fused(compute)
    own = {"fused": way} if way else {}
    own |= {"triton": str(import_module("triton").__version__)} if way == "triton" else {}
    return {"torch": version("torch"), "hardware": hardware(compute), **own}


def fused(compute: ComputeConfig) -> str:
    """How resolved settings compute the steps between multiplications here; empty where padded, or `off` on a CPU."""
    if compute.attention not in PACKED:
        return ""
    way = _way(compute)
    return "" if way == "off" and device_name(compute) == "cpu" else way


def _way(compute: ComputeConfig) -> str:
    torch = require_torch()
    from evalkit.inference.fused import choose

    return choose(compute.fused, torch.device(device_name(compute)), getattr(torch, compute.dtype))


def workers(compute: ComputeConfig) -> int:
    """How many batches run side by side on a CPU: one a core."""
    return compute.threads or int(require_torch().get_num_threads())
