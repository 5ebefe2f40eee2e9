"""Common starts of pairs, computed once for all of them, in models whose tokens see only the tokens before them.

Two levels: most pairs share template and instruction before the query; the candidates of a query also share the query.
A batch has each start once, as a sequence of its own, and later tokens attend to it and to their own sequence. Nothing
else can be shared, since documents differ and later tokens see them.

The split of a pair depends on that pair alone, so its score has the same bits in any batch.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.packed import Packed, keys_of, pack
from evalkit.inference.tokens import Ids, TokenizedPairs

# PyTorch's attention on a CPU takes 32 queries at a time if there are fewer than 192 (`q_split_size` in
# FlashAttentionKernel.cpp). A start of whole blocks has the same bits as within a longer sequence.
_BLOCK = 32
_LONGEST = 191
_FEWEST = 4  # queries after a start; `attention.by_runs` computes fewer in another dtype


class Prefixes(NamedTuple):
    """The common starts of pairs.

    Attributes:
        groups: shape (pairs,); pairs with the same number have the same start.
        lengths: shape (pairs,), tokens of the start.
        above: shorter starts that several groups share, of the same pairs; 0 tokens where a pair has none.
    """

    groups: NDArray[np.int64]
    lengths: NDArray[np.int64]
    above: "Prefixes | None" = None

    def of(self, rows: NDArray[np.int64]) -> "Prefixes":
        """The starts of some pairs."""
        above = None if self.above is None else self.above.of(rows)
        return Prefixes(self.groups[rows], self.lengths[rows], above)

    @property
    def tokens(self) -> int:
        """Tokens of all starts together, each start counted once."""
        firsts = self.of(np.unique(self.groups, return_index=True)[1])
        if firsts.above is None:
            return int(firsts.lengths.sum())
        return int((firsts.lengths - firsts.above.lengths).sum()) + firsts.above.tokens


def prefixes(tokenized: TokenizedPairs) -> Prefixes:
    """The tokens before each document, and above them, in whole blocks, those before each query."""
    # The last token belongs to the pair alone: its state gives the score.
    lengths = np.minimum(tokenized.documents[:, 0], tokenized.lengths - 1)
    groups = _alike(tokenized.ids, lengths)
    if tokenized.starts is None:
        return Prefixes(groups, lengths)
    starts = np.minimum(tokenized.starts, np.maximum(lengths - _FEWEST, 0)) // _BLOCK * _BLOCK
    starts[lengths > _LONGEST] = 0
    return Prefixes(groups, lengths, Prefixes(_alike(tokenized.ids, starts), starts))


def _alike(ids: Sequence[Ids], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shape (pairs,), the same number for pairs with the same first tokens, and the same number of them."""
    known: dict[bytes, int] = {}
    starts = (row[:length].tobytes() for row, length in zip(ids, lengths, strict=True))
    return np.array([known.setdefault(start, len(known)) for start in starts], dtype=np.int64)


def batches_by_prefix(lengths: NDArray[np.int64], shared: Prefixes, budget: int) -> Iterator[NDArray[np.int64]]:
    """As `batches.batches`, with pairs of the same start together and their common tokens counted once a batch."""
    longest = np.zeros(int(shared.groups.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(longest, shared.groups, lengths)
    order = np.lexsort((-lengths, shared.groups, -longest[shared.groups]))
    batch: list[int] = []
    tokens, held = 0, set[tuple[int, int]]()
    for row in order.tolist():
        parts = _parts(row, shared)
        cost = int(lengths[row]) - sum(count for part, count in parts.items() if part in held)
        if batch and tokens + cost > budget:
            yield np.array(batch)
            batch, tokens, held = [], 0, set()
            cost = int(lengths[row])
        batch.append(row)
        tokens += cost
        held.update(parts)
    if batch:
        yield np.array(batch)


def _parts(row: int, shared: Prefixes) -> dict[tuple[int, int], int]:
    """The starts of a pair as (level, group), and the tokens that each adds to the one above it."""
    if shared.above is None:
        return {(0, int(shared.groups[row])): int(shared.lengths[row])}
    above = int(shared.above.lengths[row])
    own = (0, int(shared.groups[row])), (1, int(shared.above.groups[row]))
    return {own[0]: int(shared.lengths[row]) - above, own[1]: above}


class _Layout:
    """Sequences of a batch; each may continue another.

    Attributes:
        sequences: ids of each, without those of the sequence it continues.
        behind: index of the sequence that it continues; None if it begins a pair.
        before: tokens before each.
    """

    def __init__(self) -> None:
        self.sequences: list[Ids] = []
        self.behind: list[int | None] = []
        self.before: list[int] = []

    def add(self, ids: Ids, behind: int | None) -> int:
        """Add a sequence, given with the ids of all before it; returns its index."""
        before = 0 if behind is None else self.before[behind] + len(self.sequences[behind])
        self.sequences.append(ids[before:])
        self.behind.append(behind)
        self.before.append(before)
        return len(self.sequences) - 1

    def rows(self, offsets: NDArray[np.int32]) -> list[NDArray[np.int64]]:
        """Tokens of the batch that each sequence sees: the ones before it, then its own."""
        found: list[NDArray[np.int64]] = []
        for number, behind in enumerate(self.behind):
            own = np.arange(offsets[number], offsets[number + 1], dtype=np.int64)
            found.append(own if behind is None else np.concatenate([found[behind], own]))
        return found


def pack_shared(ids: Sequence[Ids], shared: Prefixes) -> Packed:
    """Pairs packed with every common start once. `shared` has the starts of these pairs.

    A pair with a start of its own is split, too, so that its score does not depend on the batch.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for pair, group in enumerate(shared.groups.tolist()):
        members[group].append(pair)
    layout = _Layout()
    starts: dict[int, int] = {}  # group above -> index of its sequence
    scored = np.empty(len(ids), dtype=np.int64)
    for pairs in members.values():
        first, length = pairs[0], int(shared.lengths[pairs[0]])
        behind = None
        if shared.above is not None and (start := int(shared.above.lengths[first])):
            behind = starts.get(int(shared.above.groups[first]))
            if behind is None:
                behind = starts[int(shared.above.groups[first])] = layout.add(ids[first][:start], None)
        if length:
            behind = layout.add(ids[first][:length], behind)
        for pair in pairs:
            scored[pair] = layout.add(ids[pair], behind)
    plain = pack(layout.sequences, [np.zeros_like(sequence) for sequence in layout.sequences])
    shift = np.repeat(np.array(layout.before), plain.lengths)
    rows = layout.rows(plain.offsets.numpy())
    return plain._replace(
        positions=plain.positions + torch.from_numpy(shift),
        keys=keys_of(rows),
        scored=torch.from_numpy(scored),
        scored_keys=keys_of([rows[sequence] for sequence in scored.tolist()]),
    )
