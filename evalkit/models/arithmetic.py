"""Torch, device, dtype and attention of a model: as asked for, or an error."""

import os
import sys
from dataclasses import replace
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.config.compute import FLASH, PACKED
from evalkit.errors import MissingExtra, ModelError
from evalkit.inference.budget import Budget
from evalkit.inference.flash import flash
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layout import can_pack, has_sdpa, is_minicpm, runs_by_lengths
from evalkit.system.reporting import reason
from evalkit.system.versions import require_version

_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")


def require_torch() -> Any:
    """The torch module.

    Raises:
        MissingExtra: torch or transformers is not installed.
        ModelError: they are installed, and one of them does not start.
        WrongVersion: transformers is too old to give the same numbers.
    """
    try:
        import torch
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "torch", extra="models", purpose="a neural model") from error
    except ImportError as error:  # such as transformers with an unsupported version of tokenizers
        raise ModelError(f"torch or transformers cannot be imported: {reason(error)}.") from error
    require_version("transformers")
    logging = transformers.utils.logging
    if logging.get_verbosity() != logging.ERROR:  # loading bars and advice of the library would land between ours
        logging.set_verbosity_error()
        logging.disable_progress_bar()
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
    if compute.device == "cpu" or not available:
        return "cpu"
    _let_segments_grow()
    return "cuda"


def _let_segments_grow() -> None:
    """Have CUDA's memory in segments that can grow, unless the user has chosen: no two batches are of one size.

    torch reads the setting when it first takes memory of a GPU, and Windows has no such segments.
    """
    if sys.platform == "linux" and not any(os.environ.get(name) for name in _ALLOCATOR):
        os.environ[_ALLOCATOR[0]] = "expandable_segments:True"


def capability(device: Any) -> tuple[int, int] | None:
    """Compute capability of a GPU, a device of torch or its name; None for the CPU."""
    torch = require_torch()
    device = torch.device(device)
    if device.type != "cuda":
        return None
    major, minor = torch.cuda.get_device_capability(device)
    return int(major), int(minor)


def hardware(compute: ComputeConfig) -> str:
    """`cpu`, or the name of the GPU that is used."""
    return "cpu" if device_name(compute) == "cpu" else str(require_torch().cuda.get_device_name())


def resolved(compute: ComputeConfig, checkpoint: Checkpoint, *, softcap: bool = False) -> ComputeConfig:
    """The same settings with `auto` attention replaced by what it means for this checkpoint.

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
        slow = runs_by_lengths(checkpoint.config.get("model_type")) and _on_cuda(compute)
        return replace(compute, attention="packed" if can_pack(checkpoint) and not slow else padded)
    if compute.attention == "sdpa" and plain:
        raise ModelError(f"{checkpoint.path}: this model has no sdpa attention. Set compute.attention=eager.")
    return compute


def _on_cuda(compute: ComputeConfig) -> bool:
    """Whether models run on a GPU; of workers elsewhere, whether they were asked to."""
    return compute.device == "cuda" or (compute.backend == "local" and device_name(compute) == "cuda")


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
    if compute.attention not in FLASH or (found := flash()).function is not None:
        return
    if found.fault:
        raise ModelError(
            f"compute.attention={compute.attention}: flash_attn is installed and cannot be imported ({found.fault}). "
            "Install a build of it for this torch, or set compute.attention=auto."
        )
    raise MissingExtra("flash_attn", extra="flash", purpose=f"compute.attention={compute.attention}")


def arithmetic(compute: ComputeConfig, checkpoint: Checkpoint) -> dict[str, str]:
    """The part of a model's identity that says how its numbers are computed; `compute` with the attention resolved.

    Packed MiniCPM in half precision turns queries and keys in float32, which earlier versions of evalkit did not.
    """
    exact = is_minicpm(checkpoint) and compute.dtype != "float32" and compute.attention in PACKED
    return compute.arithmetic | ({"rotary": "float32"} if exact else {})


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


def budget_of(compute: ComputeConfig) -> Budget:
    """Tokens of a batch of one model, for as long as it is loaded."""
    return Budget(compute.batch_tokens, sharers=compute.processes_per_device)


def workers(compute: ComputeConfig) -> int:
    """How many batches run side by side on a CPU: one a core."""
    return compute.threads or int(require_torch().get_num_threads())
