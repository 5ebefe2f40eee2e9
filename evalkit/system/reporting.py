"""Failures as one line on stderr and an exit code: evalkit's own errors, a full disk, memory that ran out.

An error of another library is recognised by its type or by the system's error code. Texts decide only where a library
passes neither on; each of these is the whole text of one failure, or the name of a code.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from evalkit.errors import EvalkitError
from evalkit.system.terminal import naming_stdout, printable, stop_telling

_LONGEST = 4_000  # characters of a message
_LONGEST_VALUE = 60  # and of a value in one
_CUDA_NO_MEMORY = 2  # cudaErrorMemoryAllocation, and CUDA_ERROR_OUT_OF_MEMORY of the driver
# A RuntimeError of torch holds the name of a CUDA library's code or fixed words where it has no type for it:
# c10/core/impl/alloc_cpu.cpp, c10/cuda/CUDAException.h, c10/cuda/driver_api.h, ATen/cuda/Exceptions.h.
_TORCH_NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
)
_WHOLE_TEXTS = ("can't start new thread", "std::bad_alloc")  # CPython's RuntimeError, and C++'s by way of torch
_NOT_MAPPED = "failed to map segment from shared object"  # glibc's dlopen ends so, and leaves errno unset


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory ran out, of the machine or of a GPU, and nothing else."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's; torch may be absent
        return True
    if not isinstance(error, RuntimeError):
        return False
    code = getattr(error, "error_code", None)
    if type(error).__name__ == "AcceleratorError" and code is not None:
        return bool(code == _CUDA_NO_MEMORY)
    return any(words in str(error) for words in _TORCH_NO_MEMORY)


def explained(error: BaseException) -> EvalkitError | None:
    """An error as one that the user can put right; None where it is a mistake of this program.

    Every cause is looked at: memory may run out in an import, a thread, a mapped file or Rust's panic, and other errors
    are made of it.
    """
    from concurrent.futures import BrokenExecutor

    for link in _causes(error):
        if is_out_of_memory(link) or _says_no_memory(link):
            return EvalkitError(
                "out of memory. Finished work is saved: free memory, lower compute.batch_tokens or max_length, or "
                "use compute.dtype=bfloat16, and run again."
            )
        if isinstance(link, BrokenExecutor):
            return EvalkitError(
                "a process of the sweep was killed, perhaps for want of memory. Finished work is saved: run again, "
                "with fewer at a time, as in hydra.launcher.n_jobs=1."
            )
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return EvalkitError(f"{place}{error.strerror or error}.")
    return error if isinstance(error, EvalkitError) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _says_no_memory(error: BaseException) -> bool:
    """Whether the system's ENOMEM is behind an error: as its code, or as the system's text for it."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno == errno.ENOMEM
    text = str(error)
    if isinstance(error, ImportError | OSError) and text.endswith(_NOT_MAPPED):
        return True
    return text in _WHOLE_TEXTS or os.strerror(errno.ENOMEM) in text


def reason(error: BaseException) -> str:
    """Another library's message as one line: its first three lines, since some begin with an empty phrase."""
    lines = [line.strip() for line in _text(str, error).splitlines() if line.strip()]
    return " ".join(lines[:3]).rstrip(".") or type(error).__name__


def shown(value: object) -> str:
    """A value for an error: one line, cut where it is long."""
    text = " ".join((_text(repr, value) or f"<{type(value).__name__}>").split())
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _text(write: Callable[[object], str], value: object) -> str:
    """What an object says of itself; empty where its own method raises an error."""
    try:
        return write(value)
    except Exception:  # noqa: BLE001 - it may be of a class of the user's own
        return ""


def report_any(error: BaseException) -> int | None:
    """Print an error as one line on stderr; returns the exit code, 2, or 0 for a closed pipe, as of `| head`.

    None, and nothing printed, where it is a mistake of this program, which deserves its traceback.
    """
    if isinstance(error, BrokenPipeError):
        return 0
    return None if explained(error) is None else report(error)


def report(error: BaseException) -> int:
    """Print an error as one line on stderr; returns the exit code, 2."""
    line = printable(" ".join(str(explained(error)).split()))
    if len(line) > _LONGEST:  # it quotes an id or a setting
        line = f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 :]}"
    with suppress(OSError):  # nobody reads it
        sys.stderr.write(f"evalkit: error: {line}\n")
    return 2


def leave(code: int) -> int:
    """The exit code once stdout is flushed: 2, with a line on stderr, where it takes no more."""
    try:
        with naming_stdout():
            sys.stdout.flush()
    except BrokenPipeError:
        stop_telling()
    except OSError as error:
        stop_telling()
        return code or report(error)
    return code
