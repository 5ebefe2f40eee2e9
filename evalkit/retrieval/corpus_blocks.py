"""Documents block by block, from a file or from memory: as stored, and coarse for a quick multiplication."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.system.memory import let_go

DOCUMENTS_PER_BLOCK = 16_384
_NUMBERS_PER_BLOCK = 2**24  # bounds a block of wide documents
_NUMBERS_PER_PIECE = 2**22  # converted at a time


class Block(NamedTuple):
    """Documents that are searched together.

    Attributes:
        vectors: shape (documents, width), as stored.
        ranks: shape (documents,), of their ids.
        coarse: `vectors` less the center, rounded, on the device.
        longest: upper bound on the norm of what was rounded.
        center: shape (width,), float32 values.
    """

    vectors: NDArray[np.floating]
    ranks: NDArray[np.int64]
    coarse: torch.Tensor
    longest: float
    center: torch.Tensor


def blocks(documents: NDArray[np.floating], id_ranks: NDArray[np.integer], device: str) -> Iterator[Block]:
    """Documents in blocks that fit into memory; one is overwritten by the next.

    Args:
        documents: shape (documents, width), memory-mapped or not.
        id_ranks: shape (documents,), of their ids.
        device: where `coarse` is.
    """
    rows = _rows_per_block(documents)
    space = torch.empty((rows, documents.shape[1]), dtype=coarse_dtype(device), device=device)
    center = _center(documents[:rows])
    for start, vectors in _copies(documents, rows):
        coarse = _rounded(vectors, space, center)
        ranks = id_ranks[start : start + len(vectors)].astype(np.int64)
        yield Block(vectors, ranks, coarse, _longest(coarse), center)


def _center(documents: NDArray[np.floating]) -> torch.Tensor:
    """The mean of documents, of shape (width,) and float32 values; any vector would do."""
    mean = torch.from_numpy(np.asarray(documents.mean(axis=0, dtype=np.float64))).float()
    return mean if mean.isfinite().all() else torch.zeros_like(mean)


def _rows_per_block(documents: NDArray[np.floating]) -> int:
    count, width = documents.shape
    return max(1, min(DOCUMENTS_PER_BLOCK, int(count), _NUMBERS_PER_BLOCK // max(1, int(width))))


def _copies(documents: NDArray[np.floating], rows: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """First row and copy, (rows, width), of each block of documents; the next is read while one is worked on."""
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(_read, documents, 0, rows)
        for start in range(0, len(documents), rows):
            block = ahead.result()
            ahead = reader.submit(_read, documents, start + rows, rows)
            yield start, block


def _read(documents: NDArray[np.floating], start: int, rows: int) -> NDArray[np.floating]:
    """A copy of some rows. Pages of a file that were mapped for it are let go, or they would count as memory in use."""
    block = np.array(documents[start : start + rows], order="C")
    mapped: object = documents
    while isinstance(mapped, np.ndarray):
        mapped = mapped.base
    # A copy-on-write mapping keeps in its pages what is nowhere else.
    if getattr(documents, "mode", "c") != "c":
        let_go(mapped)
    return block


def coarse_dtype(device: str) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, which takes half the time of float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)() if device == "cpu" else {}
    return torch.bfloat16 if capabilities.get("avx512_bf16") else torch.float32


def _rounded(block: NDArray[np.floating], space: torch.Tensor, center: torch.Tensor) -> torch.Tensor:
    """The block less the center in the dtype of `space`, written there: to get new memory would take longer.

    Goes by way of float32, a piece at a time: PyTorch turns float16 into bfloat16 much more slowly. Pieces are large
    because on a busy machine processors wait for each other after each.
    """
    step, center = max(1, _NUMBERS_PER_PIECE // max(1, block.shape[1])), center.to(space.device)
    for start in range(0, len(block), step):
        piece = torch.from_numpy(block[start : start + step])
        space[start : start + len(piece)] = piece.to(space.device).float() - center
    return space[: len(block)]


def _longest(coarse: torch.Tensor) -> float:
    """Upper bound on the norm of all documents of a block before they were rounded; may be infinite.

    The norm is summed in float32 and may itself come out in bfloat16; squares below 2**-126 are lost in it.
    """
    longest: float = torch.linalg.vector_norm(coarse, dim=1).max().item()
    return longest * (1 + 2.0**-5) + math.sqrt(coarse.shape[1]) * 2.0**-62
