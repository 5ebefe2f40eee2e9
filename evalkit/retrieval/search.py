"""Exact nearest neighbours by dot product over vectors on disk, in a total order.

A score is a sum in float64, rounded to float32, always summed in the same order: equal documents get equal scores
wherever they stand, on every device. Equal scores are then decided by document id, descending, as `Run` does.

Few pairs of a query and a document need that sum. Blocks of documents first go through a quick, coarse matrix
multiplication, whose error has a bound: what cannot be among the k best even so is left out, and the rest is summed.
Documents are taken as what sets them apart from a center, since the error grows with their length: vectors of one
model lie in a narrow cone.
"""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.retrieval.corpus_blocks import Block, blocks, coarse_dtype
from evalkit.retrieval.keys import NO_KEY, best, keys_of, ranked, scores_of, table

_QUERIES_PER_BLOCK = 512
_NUMBERS_PER_SUM = 2**18  # multiplied by one processor at a time in float64: they stay in its cache
_DOCUMENTS_PER_PRODUCT = 2048  # in a float64 matrix multiplication
_DENSE = 1 / 16  # share of pairs from which one float64 matrix multiplication is quicker than a sum a pair

# Of a number in a coarse multiplication: bfloat16, to nearest. TF32, which a user may have allowed, is finer.
_ROUNDOFF = 2.0**-8
_TINY = 2.0**-124  # above what is lost where a processor takes subnormal numbers for zero
_HUGE = 2.0**120  # below what overflows in float32


def exact_top_k(
    queries: NDArray[np.float32],
    documents: NDArray[np.floating],
    *,
    id_ranks: NDArray[np.integer],
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
    search = Search(queries, min(k, len(documents)), device=device)
    search.add(documents, id_ranks, advance=advance)
    return ranked(search.keys, id_ranks)


class Search:
    """The best documents of queries, among documents that come in any number of parts.

    Args:
        queries: shape (queries, width), finite.
        k: documents a query.
        device: where to multiply.
    """

    def __init__(self, queries: NDArray[np.float32], k: int, *, device: str = "cpu") -> None:
        self._k, self._device = k, device
        starts = range(0, len(queries), _QUERIES_PER_BLOCK)
        self._parts = [_Best(queries[start : start + _QUERIES_PER_BLOCK], k, device) for start in starts]

    @property
    def keys(self) -> torch.Tensor:
        """Keys of the best so far, in no order; shape (queries, k), filled up with `NO_KEY`."""
        return torch.cat([part.keys for part in self._parts]) if self._parts else torch.empty((0, self._k)).long()

    def restart(self, floor: torch.Tensor) -> None:
        """Forget what was found; from now on only what is above a key of each query, of shape (queries,), matters."""
        for part, own in zip(self._parts, floor.split(_QUERIES_PER_BLOCK), strict=bool(self._parts)):
            part.floor = own
            part.keys.fill_(NO_KEY)

    def add(
        self,
        documents: NDArray[np.floating],
        id_ranks: NDArray[np.integer],
        *,
        advance: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Search documents too.

        Args:
            documents: shape (documents, width), finite, any float type, memory-mapped or not.
            id_ranks: shape (documents,); distinct, below 2**32, ascending as the ids.
            advance: called with the number of documents searched.
        """
        if not self._parts or not len(documents):
            return
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            for block in blocks(documents, id_ranks, self._device):
                for part in self._parts:
                    part.add(block, pool)
                advance(len(block.vectors))


class _Best:
    """The best documents so far of some queries.

    Args:
        queries: shape (queries, width).
        k: documents a query.
        device: where to multiply.

    Attributes:
        keys: shape (queries, k), in no order, filled up with `NO_KEY`.
        floor: shape (queries,), keys below which nothing matters.
    """

    def __init__(self, queries: NDArray[np.float32], k: int, device: str) -> None:
        self._queries, self._k, self._device = queries, k, device
        self.keys = torch.full((len(queries), k), NO_KEY)
        self.floor = torch.full((len(queries),), NO_KEY)
        exact = torch.from_numpy(np.ascontiguousarray(queries)).to(device)
        self._coarse = exact.to(coarse_dtype(device))
        self._wide = exact.double()
        self._norms = self._wide.norm(dim=1).cpu()
        # |q·d - q'·d'| <= |q - q'||d| + |q'||d - d'|, and what summing in float32 adds, for d of norm 1.
        moved = (self._wide - self._coarse.double()).norm(dim=1).cpu()
        if self._coarse.dtype == torch.float32:
            moved = moved + _ROUNDOFF * self._norms
        self._error = (moved + (_ROUNDOFF + queries.shape[1] * 2.0**-21) * self._norms) * (1 + 2.0**-6)

    def add(self, block: Block, pool: Executor) -> None:
        """Search documents; threads of the pool may be used."""
        possible = self._possible(block)
        count = np.count_nonzero(possible)
        if count > _DENSE * possible.size:
            self._add_all(block, pool)
        elif count:
            query_rows, rows = np.divmod(np.flatnonzero(possible), len(block.vectors))
            scores = torch.from_numpy(self._summed(block.vectors, query_rows, rows, pool)).float()
            keys = keys_of(scores, torch.from_numpy(block.ranks[rows]))
            # The documents of a query come one after the other: its keys go to the left of its row.
            self._merge(table(query_rows, keys, len(possible)))

    def _possible(self, block: Block) -> NDArray[np.bool_]:
        """Whether a document may be among the best k; shape (queries, documents)."""
        coarse, longest = block.coarse, block.longest
        error = self._error * longest + coarse.shape[1] * _TINY * (1 + self._norms) * (1 + longest)
        # What subtracting the center in float32 loses, and what turning a float64 document to float32 does.
        error = error + 2.0**-22 * self._norms * (longest + float(block.center.double().norm()))
        error = torch.where(error < _HUGE, error, torch.inf)
        products = self._coarse @ coarse.T  # with documents less the center
        of_center = (self._wide @ block.center.double().to(self._device)).cpu()
        kth = self._kth()
        if kth is not None:
            least = (kth - of_center) - 2.0**-22 * (kth.abs() + of_center.abs()) - error - _TINY
        elif len(coarse) >= self._k:
            kth = products.topk(self._k, dim=1, sorted=False).values.amin(dim=1).double().cpu()
            least = kth - 2 * _ROUNDOFF * kth.abs() - 2.0**-22 * of_center.abs() - 2 * error - _TINY
        else:
            return np.ones(products.shape, dtype=np.bool_)
        least = least.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        # Products may come out rounded to bfloat16: the least, rounded in the same way, is still not above them.
        least = least.float().to(products.dtype).to(self._device)
        # "Not less" and not "at least": what overflowed to NaN is possible.
        possible: NDArray[np.bool_] = (products < least[:, None]).logical_not_().cpu().numpy()
        return possible

    def _kth(self) -> torch.Tensor | None:
        """A score of each query, float64, below which nothing is among the best; None where none is known yet."""
        keys = torch.maximum(self.floor, self.keys.amin(dim=1))
        return None if (keys == NO_KEY).any() else scores_of(keys).double()

    def _add_all(self, block: Block, pool: Executor) -> None:
        """Search all documents by a float64 matrix multiplication.

        It sums in an order of its own. Where that could show in float32, the pair is summed again.
        """
        for start in range(0, len(block.vectors), _DOCUMENTS_PER_PRODUCT):
            stop = start + _DOCUMENTS_PER_PRODUCT
            documents = block.vectors[start:stop]
            other = torch.from_numpy(documents).to(self._device).double()
            scores = (self._wide @ other.T).cpu()
            error = torch.outer(self._norms, other.norm(dim=1).cpu()) * (documents.shape[1] * 2.0**-51)
            unsure = ((scores - error).float() != (scores + error).float()).numpy()
            query_rows, rows = np.divmod(np.flatnonzero(unsure), len(documents))
            scores.numpy()[query_rows, rows] = self._summed(documents, query_rows, rows, pool)
            self._add_scores(scores.float(), block.ranks[start:stop])

    def _add_scores(self, scores: torch.Tensor, ranks: NDArray[np.int64]) -> None:
        """Add documents by their scores, of shape (queries, documents)."""
        kth, of_row = self._kth(), torch.from_numpy(ranks)
        if kth is None:
            self._merge(keys_of(scores, of_row))
            return
        query_rows, rows = np.divmod(np.flatnonzero((scores >= kth.float()[:, None]).numpy()), len(ranks))
        keys = keys_of(scores[query_rows, rows], of_row[rows])
        self._merge(table(query_rows, keys, len(scores)))

    def _summed(
        self,
        vectors: NDArray[np.floating],
        query_rows: NDArray[np.int64],
        rows: NDArray[np.int64],
        pool: Executor,
    ) -> NDArray[np.float64]:
        """Dot products of pairs of a query and a document; shape of `rows`.

        NumPy sums each row by itself, so that its neighbours do not matter, as they do in a matrix multiplication.
        """
        step = max(1, _NUMBERS_PER_SUM // max(1, vectors.shape[1]))

        def summed(start: int) -> NDArray[np.float64]:
            queries = self._queries[query_rows[start : start + step]]
            products = np.multiply(queries, vectors[rows[start : start + step]], dtype=np.float64)
            return np.asarray(products.sum(axis=1), dtype=np.float64)

        parts = pool.map(summed, range(0, len(rows), step))
        return np.concatenate([np.empty(0), *parts])

    def _merge(self, keys: torch.Tensor) -> None:
        self.keys = best(self.keys, keys)
