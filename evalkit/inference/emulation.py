"""Dtypes that a processor has no instructions for: it computes them by way of float32, slower than float32 itself."""

import logging
import platform
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

# By architecture and dtype, capabilities of which one is enough: as torch names them, then as Linux does.
_X86 = {"bfloat16": {"avx512_bf16", "amx_bf16"}, "float16": {"avx512_fp16", "amx_fp16"}}
_ARM = {"bfloat16": {"bf16", "sve_bf16", "svebf16"}, "float16": {"fp16_arith", "asimdhp"}}
_ENOUGH = {"x86_64": _X86, "amd64": _X86, "arm64": _ARM, "aarch64": _ARM}
_NAMES = {
    "bfloat16": "AVX512-BF16 or AMX on x86, BF16 on ARM",
    "float16": "AVX512-FP16 or AMX-FP16 on x86, FP16 arithmetic on ARM",
}


def emulated(dtype: str, device: str) -> str:
    """The dtype where this processor emulates it, else nothing; nothing also where that is not known.

    Args:
        dtype: such as `bfloat16`.
        device: `cpu`, or an accelerator, which is taken to have instructions for every dtype.
    """
    enough = _ENOUGH.get(platform.machine().lower(), {}).get(dtype)
    there = capabilities() if enough and device == "cpu" else frozenset()
    return dtype if enough and there and not there & enough else ""


@cache
def warn(dtype: str) -> None:
    """Say, once, that a dtype is emulated."""
    logger.warning(
        "compute.dtype=%s is emulated: this processor has no instructions for it (%s), so expect it to be slower than "
        "float32. Set compute.dtype=float32 unless memory is short.",
        dtype,
        _NAMES[dtype],
    )


@cache
def capabilities() -> frozenset[str]:
    """What this processor can do, by torch's names; by those of Linux with a torch that does not tell."""
    import torch

    if found := getattr(torch.cpu, "get_capabilities", None):  # since torch 2.12; delete the rest once that is required
        return frozenset(name for name, has in found().items() if has is True)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    listed = (line.partition(":")[2] for line in lines if line.startswith(("flags", "Features")))
    return frozenset(next(listed, "").split())
