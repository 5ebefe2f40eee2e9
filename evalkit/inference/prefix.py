"""The query once for all its candidates, in models whose tokens see only what is before them.

Template, instruction and query come before the document, so their states are the same for every candidate of a query.
A batch holds them once, as a sequence of its own, and each candidate's tokens attend to them and to their own.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.packed import Keys, Packed, pack
from evalkit.inference.tokens import Ids, TokenizedPairs


class Prefixes(NamedTuple):
    """What pairs have in common at their start.

    Attributes:
        groups: shape (pairs,); pairs with the same number begin alike.
        lengths: shape (pairs,), tokens in which they do.
    """

    groups: NDArray[np.int64]
    lengths: NDArray[np.int64]


def prefixes(tokenized: TokenizedPairs) -> Prefixes:
    """The tokens before each document."""
    # The last token is the pair's own: its state is the one that is scored.
    lengths = np.minimum(tokenized.documents[:, 0], tokenized.lengths - 1)
    known: dict[bytes, int] = {}
    starts = (ids[:length].tobytes() for ids, length in zip(tokenized.ids, lengths, strict=True))
    groups = np.array([known.setdefault(start, len(known)) for start in starts], dtype=np.int64)
    return Prefixes(groups, lengths)


def batches_by_prefix(lengths: NDArray[np.int64], shared: Prefixes, budget: int) -> Iterator[NDArray[np.int64]]:
    """As `plan.batches`, with pairs that begin alike side by side and their common tokens counted once a batch."""
    longest = np.zeros(int(shared.groups.max(initial=0)) + 1, dtype=np.int64)
    np.maximum.at(longest, shared.groups, lengths)
    order = np.lexsort((-lengths, shared.groups, -longest[shared.groups]))
    batch: list[int] = []
    tokens, begun = 0, -1
    for row in order.tolist():
        group, own = int(shared.groups[row]), int(lengths[row] - shared.lengths[row])
        cost = own if group == begun else own + int(shared.lengths[row])
        if batch and tokens + cost > budget:
            yield np.array(batch)
            batch, tokens = [], 0
            cost = own + int(shared.lengths[row])
        batch.append(row)
        tokens, begun = tokens + cost, group
    if batch:
        yield np.array(batch)


def pack_shared(ids: Sequence[Ids], shared: Prefixes) -> Packed:
    """Pairs packed with every common start once. `shared` is of these pairs.

    A pair that shares its start with no other is taken apart too: its score does not depend on what else is in a batch.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for pair, group in enumerate(shared.groups.tolist()):
        members[group].append(pair)
    sequences: list[Ids] = []
    before: list[int] = []  # tokens before each sequence's own, in the prefix
    start_of: list[int] = []  # which sequence that prefix is; its own number where there is none
    scored = np.empty(len(ids), dtype=np.int64)
    for pairs in members.values():
        length = int(shared.lengths[pairs[0]])
        common = length > 0
        first = len(sequences)
        if common:
            sequences.append(ids[pairs[0]][:length])
            before.append(0)
            start_of.append(first)
        for pair in pairs:
            scored[pair] = len(sequences)
            start_of.append(first if common else len(sequences))
            before.append(length if common else 0)
            sequences.append(ids[pair][length:] if common else ids[pair])
    plain = pack(sequences, [np.zeros_like(sequence) for sequence in sequences])
    shift = np.repeat(np.array(before), plain.lengths)
    everything = np.arange(len(sequences))
    offsets = plain.offsets.numpy()
    return plain._replace(
        positions=plain.positions + torch.from_numpy(shift),
        keys=_keys(offsets, start_of, before, everything),
        scored=torch.from_numpy(scored),
        scored_keys=_keys(offsets, start_of, before, scored),
    )


def _keys(offsets: NDArray[np.int32], start_of: list[int], before: list[int], which: NDArray[np.int64]) -> Keys:
    """Rows of the keys that each of some sequences sees: those of its prefix, then its own."""
    rows = []
    for sequence in which.tolist():
        start = offsets[start_of[sequence]]
        rows.append(np.arange(start, start + before[sequence]))
        rows.append(np.arange(offsets[sequence], offsets[sequence + 1]))
    lengths = [before[sequence] + int(offsets[sequence + 1] - offsets[sequence]) for sequence in which.tolist()]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return Keys(torch.from_numpy(np.concatenate(rows).astype(np.int64)), torch.from_numpy(ends), tuple(lengths))
