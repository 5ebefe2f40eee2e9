"""Exact nearest neighbours by dot product over vectors on disk, in a total order.

A score is a sum in float64, rounded to float32, always summed in the same order: equal documents get equal scores
wherever they stand, on every device. Equal scores are then decided by document id, descending, as `Run` does.

Few pairs of a query and a document need that sum. Blocks of documents first go through a quick, coarse matrix
multiplication, whose error has a bound: what cannot longest the k best even so is left out, and the rest is summed.
"""

import math
import mmap
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

_DOCUMENTS_PER_BLOCK = 16_384
_NUMBERS_PER_BLOCK = 2**24  # bounds a block of wide documents
_QUERIES_PER_BLOCK = 512
_NUMBERS_PER_PIECE = 2**22  # converted at a time
_NUMBERS_PER_SUM = 2**18  # multiplied by one processor at a time in float64: they stay in its cache
_DENSE = 1 / 16  # share of pairs from which one float64 matrix multiplication is quicker than a sum a pair
_ID_BITS = 32
_NO_KEY = torch.iinfo(torch.int64).min

# Of a number in a coarse multiplication: bfloat16, to nearest. TF32, which a user may have allowed, is finer.
_ROUNDOFF = 2.0**-8
_TINY = 2.0**-124  # above what is lost where a processor takes subnormal numbers for zero
_HUGE = 2.0**120  # below what overflows in float32


def exact_top_k(
    queries: NDArray[np.float32],
    documents: NDArray[np.floating],
    *,
    id_ranks: NDArray[np.int64],
    k: int,
    device: str = "cpu",
    advance: Callable[[float], None] = lambda _: None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and scores of the `k` best documents of every query, best first.

    Args:
        queries: shape (queries, width), finite.
        documents: shape (documents, width), finite, any float type, memory-mapped or not.
        id_ranks: shape (documents,); position of each document's id in ascending order, below 2**32.
        k: documents a query; all of them where there are fewer.
        device: where to multiply.
        advance: called with the number of documents searched.

    Returns:
        Two arrays of shape (queries, k): rows of `documents`, and float32 scores.
    """
    k = min(k, len(documents))
    if not len(queries):
        return np.empty((0, k), dtype=np.int64), np.empty((0, k), dtype=np.float32)
    starts = range(0, len(queries), _QUERIES_PER_BLOCK)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        parts = [_Best(queries[start : start + _QUERIES_PER_BLOCK], k, device, pool) for start in starts]
        space = torch.empty(
            (_rows_per_block(documents), documents.shape[1]), dtype=_coarse_dtype(device), device=device
        )
        for start, block in _blocks(documents):
            ranks = id_ranks[start : start + len(block)]
            coarse = _rounded(block, space)
            longest = _longest(coarse)
            for part in parts:
                part.add(block, ranks, coarse, longest)
            advance(len(block))
    keys = torch.cat([part.keys for part in parts]).sort(dim=1, descending=True).values
    row_of_rank = np.empty(len(documents), dtype=np.int64)
    row_of_rank[id_ranks] = np.arange(len(documents))
    return row_of_rank[(keys & (2**_ID_BITS - 1)).numpy()], _scores(keys).numpy()


def _rows_per_block(documents: NDArray[np.floating]) -> int:
    count, width = documents.shape
    return max(1, min(_DOCUMENTS_PER_BLOCK, int(count), _NUMBERS_PER_BLOCK // max(1, int(width))))


def _blocks(documents: NDArray[np.floating]) -> Iterator[tuple[int, NDArray[np.floating]]]:
    """First row and copy, (rows, width), of each block of documents; the next is read while one is worked on."""
    rows = _rows_per_block(documents)
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
    if isinstance(mapped, mmap.mmap) and getattr(documents, "mode", "c") != "c" and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
    return block


def _coarse_dtype(device: str) -> torch.dtype:
    """bfloat16 where the processor multiplies it natively, which takes half the time of float32."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)() if device == "cpu" else {}
    return torch.bfloat16 if capabilities.get("avx512_bf16") else torch.float32


def _rounded(block: NDArray[np.floating], space: torch.Tensor) -> torch.Tensor:
    """The block in the dtype of `space`, written there: new memory would take longer to get than to fill.

    Goes by way of float32, a piece at a time: PyTorch turns float16 into bfloat16 much more slowly. Pieces are large
    because on a busy machine processors wait for each other after each.
    """
    step = max(1, _NUMBERS_PER_PIECE // max(1, block.shape[1]))
    for start in range(0, len(block), step):
        piece = torch.from_numpy(block[start : start + step])
        space[start : start + len(piece)] = piece.to(space.device).float()
    return space[: len(block)]


def _longest(coarse: torch.Tensor) -> float:
    """Upper bound on the norm of all documents of a block before they were rounded; may be infinite.

    The norm is summed in float32 and may itself come out in bfloat16; squares below 2**-126 are lost in it.
    """
    longest: float = torch.linalg.vector_norm(coarse, dim=1).max().item()
    return longest * (1 + 2.0**-5) + math.sqrt(coarse.shape[1]) * 2.0**-62


class _Best:
    """The best documents so far of some queries.

    Attributes:
        keys: shape (queries, documents), `_keys` of up to k documents a query, in no order.
    """

    def __init__(self, queries: NDArray[np.float32], k: int, device: str, pool: Executor) -> None:
        self._queries, self._k, self._device, self._pool = queries, k, device, pool
        self.keys = torch.empty((len(queries), 0), dtype=torch.int64)
        exact = torch.from_numpy(np.ascontiguousarray(queries)).to(device)
        self._coarse = exact.to(_coarse_dtype(device))
        wide = exact.double()
        self._norms = wide.norm(dim=1).cpu()
        # |q·d - q'·d'| <= |q - q'||d| + |q'||d - d'|, and what summing in float32 adds, for d of norm 1.
        moved = (wide - self._coarse.double()).norm(dim=1).cpu()
        if self._coarse.dtype == torch.float32:
            moved = moved + _ROUNDOFF * self._norms
        self._error = (moved + (_ROUNDOFF + queries.shape[1] * 2.0**-21) * self._norms) * (1 + 2.0**-6)

    def add(self, block: NDArray[np.floating], ranks: NDArray[np.int64], coarse: torch.Tensor, longest: float) -> None:
        """Search documents.

        Args:
            block: shape (documents, width), as stored.
            ranks: shape (documents,), of their ids.
            coarse: `block`, rounded, on the device.
            longest: upper bound on the norm of a document.
        """
        possible = self._possible(coarse, longest)
        count = np.count_nonzero(possible)
        if count > _DENSE * possible.size:
            self._add_all(block, ranks)
        elif count:
            query_rows, rows = np.divmod(np.flatnonzero(possible), len(block))
            scores = torch.from_numpy(self._summed(block, query_rows, rows)).float()
            keys = _keys(scores, torch.from_numpy(ranks[rows]))
            # The documents of a query come one after the other: its keys go to the left of its row.
            counts = np.bincount(query_rows, minlength=len(possible))
            places = np.arange(count) - np.repeat(np.cumsum(counts) - counts, counts)
            table = torch.full((len(possible), int(counts.max())), _NO_KEY)
            table[torch.from_numpy(query_rows), torch.from_numpy(places)] = keys
            self._merge(table)

    def _possible(self, coarse: torch.Tensor, longest: float) -> NDArray[np.bool_]:
        """Whether a document may be among the best k; shape (queries, documents)."""
        error = self._error * longest + coarse.shape[1] * _TINY * (1 + self._norms) * (1 + longest)
        error = torch.where(error < _HUGE, error, torch.inf)
        products = self._coarse @ coarse.T
        if self.keys.shape[1] == self._k:
            kth = _scores(self.keys.amin(dim=1)).double()
            least = kth - 2.0**-23 * kth.abs() - error - _TINY
        elif len(coarse) >= self._k:
            kth = products.topk(self._k, dim=1, sorted=False).values.amin(dim=1).double().cpu()
            least = kth - 2 * _ROUNDOFF * kth.abs() - 2 * error - _TINY
        else:
            return np.ones(products.shape, dtype=np.bool_)
        least = least.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        # Products may come out rounded to bfloat16: the least, rounded in the same way, is still not above them.
        least = least.float().to(products.dtype).to(self._device)
        # "Not less" and not "at least": what overflowed to NaN is possible.
        possible: NDArray[np.bool_] = (products < least[:, None]).logical_not_().cpu().numpy()
        return possible

    def _add_all(self, block: NDArray[np.floating], ranks: NDArray[np.int64]) -> None:
        """Search all documents by a float64 matrix multiplication.

        It sums in an order of its own. Where that could show in float32, the pair is summed again.
        """
        wide = torch.from_numpy(self._queries).to(self._device).double()
        step = max(1, _DOCUMENTS_PER_BLOCK // 8)
        for start in range(0, len(block), step):
            documents = block[start : start + step]
            other = torch.from_numpy(documents).to(self._device).double()
            scores = (wide @ other.T).cpu()
            error = torch.outer(self._norms, other.norm(dim=1).cpu()) * (block.shape[1] * 2.0**-51)
            unsure = ((scores - error).float() != (scores + error).float()).numpy()
            query_rows, rows = np.divmod(np.flatnonzero(unsure), len(documents))
            scores.numpy()[query_rows, rows] = self._summed(documents, query_rows, rows)
            self._merge(_keys(scores.float(), torch.from_numpy(ranks[start : start + step])))

    def _summed(
        self, block: NDArray[np.floating], query_rows: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Dot products of pairs of a query and a document of the block; shape of `rows`.

        NumPy sums each row by itself, so that its neighbours do not matter, as they do in a matrix multiplication.
        """
        step = max(1, _NUMBERS_PER_SUM // max(1, block.shape[1]))

        def summed(start: int) -> NDArray[np.float64]:
            queries = self._queries[query_rows[start : start + step]]
            products = np.multiply(queries, block[rows[start : start + step]], dtype=np.float64)
            return np.asarray(products.sum(axis=1), dtype=np.float64)

        parts = self._pool.map(summed, range(0, len(rows), step))
        return np.concatenate([np.empty(0), *parts])

    def _merge(self, keys: torch.Tensor) -> None:
        keys = torch.cat([self.keys, keys], dim=1)
        self.keys = keys.topk(min(self._k, keys.shape[1]), dim=1, sorted=False).values


def _keys(scores: torch.Tensor, ranks: torch.Tensor) -> torch.Tensor:
    """Integers that order as (score, id rank) does; int64, shape of `scores`.

    The bits of a non-negative float32 order as an integer; those of a negative one in reverse. Adding 0 turns -0 to 0.
    """
    bits = (scores + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.long() << _ID_BITS) | ranks


def _scores(keys: torch.Tensor) -> torch.Tensor:
    """The float32 scores that `_keys` was given."""
    ordered = (keys >> _ID_BITS).int()
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(torch.float32)
