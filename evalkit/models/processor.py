"""Facts about the processor that computes a model, for people, for manifests and for keys of stored numbers."""

from dataclasses import replace
from importlib import import_module
from itertools import takewhile

from evalkit.config import ComputeConfig
from evalkit.config.compute import FLASH, PACKED
from evalkit.inference import emulation
from evalkit.inference.flash import flash_version
from evalkit.inference.notices import say
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import capability, device_name, fused, hardware
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.kernels import Kernel, kernel
from evalkit.system.versions import version

# From these compute capabilities on, multiplications in float16 and bfloat16 have units of their own.
_FLOAT16, _BFLOAT16 = (7, 0), (8, 0)
# Releases of transformers whose numbers on a CPU were compared byte by byte: they share stored numbers.
_SAME_BYTES = ((5, 18), (5, 23))


def emulated(compute: ComputeConfig) -> str:
    """The dtype of these settings where this processor computes it and emulates it, else nothing."""
    return "" if compute.dtype == "float32" else emulation.emulated(compute.dtype, device_name(compute))


def warn_of_emulation(compute: ComputeConfig) -> None:
    """Say before anything runs that this machine emulates the dtype; workers on other machines say it themselves."""
    if compute.backend == "local" or compute.address is None:
        say(emulated(compute), "")


def noting(usage: Usage, compute: ComputeConfig, checkpoint: Checkpoint, *, softcap: bool = False) -> Usage:
    """The usage with what this processor does; emulation and what a GPU does slowly are also said on stderr."""
    chosen = _kernel(compute, checkpoint, softcap)
    notice = _notice_of_float32(compute) or (chosen.notice if chosen else "")
    kernel_used = chosen.name if chosen else ""
    noted = replace(usage, emulated=emulated(compute), kernel=kernel_used, notice=notice, fused=fused(compute))
    say(noted.emulated, noted.notice)
    return noted


def _kernel(compute: ComputeConfig, checkpoint: Checkpoint, softcap: bool) -> Kernel | None:
    """Which kernel computes a packed model on this machine's GPU; None on a CPU, or where transformers computes it."""
    found = capability(device_name(compute))
    if found is None or compute.attention not in PACKED:
        return None
    return kernel(compute, found, checkpoint.config, softcap=softcap)


def _notice_of_float32(compute: ComputeConfig) -> str:
    found = capability(device_name(compute))
    if compute.dtype != "float32" or found is None or found < _FLOAT16:
        return ""
    half = "compute=cuda (bfloat16)" if found >= _BFLOAT16 else "compute.dtype=float16"
    return (
        f"compute.dtype=float32 leaves the tensor cores of this GPU idle. {half} uses them: expect it to be several "
        "times as fast, and scores to differ a little."
    )


def facts(compute: ComputeConfig, checkpoint: Checkpoint | None = None, *, softcap: bool = False) -> dict[str, object]:
    """Facts other than model and settings that decide the last bits of a number; without a checkpoint, of a search."""
    found: dict[str, object] = {"torch": version("torch"), "hardware": hardware(compute)}
    if checkpoint is None:
        return found
    on_gpu = found["hardware"] != "cpu"
    if on_gpu or not _SAME_BYTES[0] <= _release("transformers") <= _SAME_BYTES[1]:
        found["transformers"] = version("transformers")
    if on_gpu:
        chosen = _kernel(compute, checkpoint, softcap)
        found["kernel"] = chosen.name if chosen else compute.attention
        if found["kernel"] in FLASH:
            found["flash_attn"] = flash_version()
    if way := fused(compute):
        found["fused"] = way
    if way == "triton":
        found["triton"] = str(import_module("triton").__version__)
    return found


def _release(package: str) -> tuple[int, int]:
    """The first two numbers of a version."""
    major, minor = version(package).split(".")[:2]
    return int(major), int("".join(takewhile(str.isdigit, minor)) or 0)
