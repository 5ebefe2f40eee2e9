"""Dtypes that a processor emulates with float32, slower than float32 itself, since it lacks instructions for them."""

import logging
import platform
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

# By architecture and dtype: capabilities, one of which is enough, in the names of torch and of Linux.
_X86 = {"bfloat16": {"avx512_bf16", "amx_bf16"}, "float16": {"avx512_fp16", "amx_fp16"}}
_ARM = {"bfloat16": {"bf16", "sve_bf16", "svebf16"}, "float16": {"fp16_arith", "asimdhp"}}
_ENOUGH = {"x86_64": _X86, "amd64": _X86, "arm64": _ARM, "aarch64": _ARM}
_NAMES = {
    "bfloat16": "AVX512-BF16 or AMX on x86, BF16 on ARM",
    "float16": "AVX512-FP16 or AMX-FP16 on x86, FP16 arithmetic on ARM",
}


def emulated(dtype: str, device: str) -> str:
    """The dtype if this processor emulates it; empty if not, if that is unknown, and for any device but `cpu`."""
    enough = _ENOUGH.get(platform.machine().lower(), {}).get(dtype)
    there = capabilities() if enough and device == "cpu" else frozenset()
    return dtype if enough and there and not there & enough else ""


@cache
def warn(dtype: str) -> None:
    """Log, once, that a dtype is emulated."""
    logger.warning(
        "compute.dtype=%s is emulated: this processor has no instructions for it (%s), so expect it to be slower than "
        "float32. Set compute.dtype=float32 unless memory is short.",
        dtype,
        _NAMES[dtype],
    )


@cache
def capabilities() -> frozenset[str]:
    """Capabilities of this processor in torch's names, or in those of Linux with a torch that has none."""
    import torch

    if found := getattr(torch.cpu, "get_capabilities", None):  # since torch 2.12; delete the rest once that is required
        return frozenset(name for name, has in found().items() if has is True)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(listed, "").split())
