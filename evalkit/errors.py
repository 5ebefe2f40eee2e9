"""The exception tree. Every mistake that a user can make ends in one of these, and in one line on the terminal.

EvalkitError                something that the user can put right; the command line exits with code 2
├── ConfigError             a setting is unknown, of the wrong type, or contradicts another
├── DataError               a file or a collection is malformed; the message names file and line
│   └── Unreachable         a server does not answer at all
├── ModelError              a checkpoint cannot be used as asked
│   └── AbsentModel         there is no such checkpoint, or it cannot be downloaded
├── ResultError             an artefact on disk is incomplete or damaged
├── MissingExtra            an optional package is needed; the message holds the install command
└── WrongVersion            an installed package is too old to give the numbers that evalkit reports

A message says what was found, what is legal, and what to do next:

    try:
        run = read_run(Path("bm25.trec"))
    except EvalkitError as error:
        print(error)  # bm25.trec:7: 5 fields, expected 6 (query_id Q0 doc_id rank score tag)
"""

import sys
from contextlib import suppress

_LONGEST = 4_000  # characters of a message
_LOOP = "Symlink loop from "  # what pathlib raises is a plain RuntimeError
_NO_MEMORY = ("cannot allocate memory", "failed to map segment", "can't start new thread", "bad_alloc")
_CUDA_NO_MEMORY = 2  # cudaErrorMemoryAllocation, and CUDA_ERROR_OUT_OF_MEMORY of the driver
# How a RuntimeError says that memory of the machine, or of a GPU and its libraries, ran out. These are codes of CUDA's
# libraries, or fixed words of torch where it passes no code on: c10/core/impl/alloc_cpu.cpp, c10/cuda/CUDAException.h,
# c10/cuda/driver_api.h, ATen/cuda/Exceptions.h.
_CODES_OF_NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
)


class EvalkitError(Exception):
    """Base of everything that evalkit raises on purpose."""


class ConfigError(EvalkitError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""


class DataError(EvalkitError):
    """A file or a collection is malformed."""


class Unreachable(DataError):  # noqa: N818 - names the situation
    """A server cannot be reached at all."""


class ModelError(EvalkitError):
    """A checkpoint is absent, incomplete, or not what the configuration says it is."""


class AbsentModel(ModelError):  # noqa: N818 - names the situation
    """There is no such checkpoint on disk, or the hub does not give it."""


class ResultError(EvalkitError):
    """An artefact on disk is incomplete, damaged, or made from something else."""


class MissingExtra(EvalkitError):  # noqa: N818 - names the situation; "MissingExtraError" says nothing more
    """An optional package is absent."""

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package {package!r}. Run: pip install 'evalkit[{extra}]'")


class WrongVersion(EvalkitError):  # noqa: N818 - names the situation
    """An installed package gives other numbers than the versions that evalkit is tested with."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the machine or of a GPU, and nothing else.

    By its type, by CUDA's code where torch passes it on, and else by the name of the code in its text. Types of torch
    are known by name, since torch may be absent.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if not isinstance(error, RuntimeError):
        return False
    code = getattr(error, "error_code", None)
    if type(error).__name__ == "AcceleratorError" and code is not None:
        return bool(code == _CUDA_NO_MEMORY)
    return any(words in str(error) for words in _CODES_OF_NO_MEMORY)


def reason(error: BaseException) -> str:
    """What a foreign error says, as one line: its first three lines, since some begin with an empty phrase."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]).rstrip(".") or type(error).__name__


def printable(text: str) -> str:
    """A text for a terminal: what would move its cursor or change its colours is written as an escape."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def explained(error: BaseException) -> EvalkitError | None:
    """An error as one that the user can put right; None where it is a mistake of this program.

    Memory runs out under any name: of an import, a thread, a mapped file, Rust's panic. Whatever was made of it, the
    cause tells.
    """
    link: BaseException | None = error
    while link is not None:
        if is_out_of_memory(link) or any(phrase in str(link).lower() for phrase in _NO_MEMORY):
            return EvalkitError(
                "out of memory. What was finished is kept: free memory, lower compute.batch_tokens or max_length, or "
                "use compute.dtype=bfloat16, and run again."
            )
        if any(kind.__name__ == "BrokenExecutor" for kind in type(link).__mro__):
            return EvalkitError(
                "a process of the sweep was killed, perhaps for want of memory. What was finished is kept: run again, "
                "with fewer at a time, as in hydra.launcher.n_jobs=1."
            )
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    if str(error).startswith(_LOOP):
        return EvalkitError(f"{error}: the links lead to each other. Remove them, or choose another place.")
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return EvalkitError(f"{place}{error.strerror or error}.")
    return error if isinstance(error, EvalkitError) else None


def report_any(error: BaseException) -> int | None:
    """Print an error as one line on stderr; returns the exit code, 2, or 0 for a pipe nobody reads, as of `| head`.

    None where it is a mistake of this program, which is to be shown whole.
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
