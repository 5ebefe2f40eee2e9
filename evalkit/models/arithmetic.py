"""What a model computes with: torch itself, device, dtype, attention. What was asked for, or an error."""

import importlib.util
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.config.compute import FLASH, PACKED
from evalkit.errors import MissingExtra, ModelError
from evalkit.inference import emulation
from evalkit.inference.budget import Budget
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
    return {"torch": version("torch"), "hardware": hardware(compute)}


def budget_of(compute: ComputeConfig) -> Budget:
    """Tokens of a batch of one model, for as long as it is loaded."""
    return Budget(compute.batch_tokens, sharers=compute.processes_per_device)


def workers(compute: ComputeConfig) -> int:
    """How many batches run side by side on a CPU: one a core."""
    return compute.threads or int(require_torch().get_num_threads())
