"""MaxSim of queries with documents, many pairs at once, on the device of the token vectors.

Cosines and means are float64 and rounded to float32 at the end, so that the order of summing does not matter: a score
depends neither on the other pairs nor on the kernel.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.sending import sent

_Indices = NDArray[np.int64]

_ROWS = 4096  # of queries against one document at a time, or little more
_NUMBERS = 1 << 20  # on a CPU: float64, in its cache
_CUDA_NUMBERS = 1 << 25  # 256 MiB


class TokenVectors(NamedTuple):
    """Vectors of the tokens of several texts, of length 1 where the products are cosines.

    Attributes:
        vectors: shape (tokens, width), float32.
        starts: shape (texts,), where the tokens of each text begin.
        lengths: shape (texts,), tokens of each; at least 1.
    """

    vectors: torch.Tensor
    starts: _Indices
    lengths: _Indices


class _Blocks(NamedTuple):
    """Queries that are compared with the same document, as one matrix; arrays of shape (blocks,).

    Attributes:
        documents: index of the document.
        starts: first of the block's rows among those of all pairs.
        heights: number of rows: tokens of the queries.
    """

    documents: _Indices
    starts: _Indices
    heights: _Indices


def max_sim(
    queries: TokenVectors,
    documents: TokenVectors,
    query_of: _Indices,
    document_of: _Indices,
    *,
    mean: bool = True,
) -> torch.Tensor:
    """Mean or sum over a query's tokens of the best product with a token of the document; shape (pairs,), float32.

    Args:
        queries: on the device of the documents.
        documents: of similar length, since short ones are padded to the longest.
        query_of: shape (pairs,).
        document_of: shape (pairs,); all pairs of a document are neighbours.
        mean: whether the sum is divided by the number of the query's tokens.
    """
    device = documents.vectors.device
    if not len(query_of):
        return torch.empty(0, device=device)
    rows = queries.lengths[query_of]
    tokens = spans(queries.starts[query_of], rows)
    blocks = _blocks(rows, document_of)
    place, best, filled = np.empty(len(tokens), dtype=np.int64), [], 0
    for chosen in _chunks(blocks, documents, _NUMBERS if device.type == "cpu" else _CUDA_NUMBERS):
        starts, heights = blocks.starts[chosen], blocks.heights[chosen]
        read, compared = _filled(starts, heights), blocks.documents[chosen]
        place[spans(starts, heights)] = filled + spans(np.arange(len(chosen)) * read.shape[1], heights)
        filled += read.size
        best.append(
            _best(queries, tokens[read], documents, _filled(documents.starts[compared], documents.lengths[compared]))
        )
    in_order = torch.cat(best).index_select(0, sent(place, device))
    return torch.segment_reduce(in_order, "mean" if mean else "sum", lengths=sent(rows, device), unsafe=True).float()


def spans(starts: _Indices, lengths: _Indices) -> _Indices:
    """The indices from each start on, as many as its length, one span after another."""
    ends = np.cumsum(lengths)
    found: _Indices = np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - (ends - lengths), lengths)
    return found


def _filled(starts: _Indices, lengths: _Indices) -> _Indices:
    """The spans as a matrix; a short one repeats its last index, which changes no maximum."""
    steps = np.arange(lengths.max())
    found: _Indices = starts[:, None] + np.minimum(steps, lengths[:, None] - 1)
    return found


def _blocks(rows: _Indices, document_of: _Indices) -> _Blocks:
    """The pairs of each document, split where they have too many rows; `rows` are the query tokens of each pair."""
    before = np.cumsum(rows) - rows
    begins = np.concatenate([[True], document_of[1:] != document_of[:-1]])
    within = before - before[begins][np.cumsum(begins) - 1]
    begins[1:] |= within[1:] // _ROWS != within[:-1] // _ROWS
    first = np.flatnonzero(begins)
    return _Blocks(document_of[first], before[first], np.add.reduceat(rows, first))


def _chunks(blocks: _Blocks, documents: TokenVectors, numbers: int) -> Iterator[_Indices]:
    """Blocks to multiply together: of similar height, so that little is padding, and within memory."""
    order = np.argsort(-blocks.heights, kind="stable")
    width, start = documents.vectors.shape[1], 0
    length, lengths = 0, documents.lengths[blocks.documents]
    for stop, block in enumerate(order.tolist()):
        height, longer = int(blocks.heights[order[start]]), max(length, int(lengths[block]))
        held = (stop - start + 1) * ((height + longer) * width + height * longer)
        if stop > start and (held > numbers or 4 * int(blocks.heights[block]) < 3 * height):
            yield order[start:stop]
            start, longer = stop, int(lengths[block])
        length = longer
    yield order[start:]


def _best(queries: TokenVectors, rows: _Indices, documents: TokenVectors, columns: _Indices) -> torch.Tensor:
    """The best cosine of each row of each block, float64, one block after another.

    `rows` of shape (blocks, rows) are indices into `queries`; `columns` of shape (blocks, tokens) into `documents`.
    """
    sides = [
        texts.vectors.index_select(0, sent(index.ravel(), texts.vectors.device)).double().view(*index.shape, -1)
        for texts, index in ((queries, rows), (documents, columns))
    ]
    return torch.bmm(sides[0], sides[1].transpose(1, 2)).amax(dim=2).flatten()
