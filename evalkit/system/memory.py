"""Memory of this process: how much is resident, and returning unused memory to the system."""

import ctypes
import mmap
import resource
import sys
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

GIB = 2**30
_STATUS = Path("/proc/self/status")


def resident() -> int:
    """Bytes that are resident now; where the system does not say, the peak."""
    return _status("VmRSS") or peak()


def peak() -> int:
    """Peak of resident bytes, pages of mapped files included."""
    scale = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def let_go(mapping: object) -> None:
    """Drop the resident pages of a mapped file, which would count as memory in use.

    Args:
        mapping: an `mmap` of a file that is shared or only read; anything else is left alone.
    """
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def give_back() -> None:
    """Return freed memory that allocators hold for later; after texts of many sizes that is much."""
    pa.default_memory_pool().release_unused()
    # Only glibc holds back so much that this is worth a call, and has it.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _status(key: str) -> int:
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="utf-8").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return 0
