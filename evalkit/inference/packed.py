"""Sequences end to end, without padding: the input of the packed forward pass."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.sending import copied
from evalkit.inference.tokens import Ids

Select = Literal["all", "first", "last"]
"""The tokens whose states are needed: all, or the first or the last one of each sequence."""


class Keys(NamedTuple):
    """The tokens that each sequence sees, if it sees more than its own.

    Attributes:
        rows: shape (keys,), tokens of the batch, one sequence after another.
        offsets: shape (sequences + 1,), int32; where the keys of each sequence start, and the end.
        lengths: keys of each sequence, on the host.
    """

    rows: torch.Tensor
    offsets: torch.Tensor
    lengths: tuple[int, ...]


class Packed(NamedTuple):
    """Token sequences one after another. Tensors are on the model's device.

    Attributes:
        input_ids: shape (tokens,).
        segments: shape (tokens,), token type of each.
        positions: shape (tokens,), place in its own sequence, from 0.
        offsets: shape (sequences + 1,), int32; where each sequence starts, and the end.
        lengths: tokens of each sequence, on the host.
        keys: the tokens that each sequence sees, with common starts; None where all see only their own.
        scored: shape (texts,), the sequence of each text, where some sequences are only starts of others.
        scored_keys: `keys` of these sequences alone.
    """

    input_ids: torch.Tensor
    segments: torch.Tensor
    positions: torch.Tensor
    offsets: torch.Tensor
    lengths: tuple[int, ...]
    keys: Keys | None = None
    scored: torch.Tensor | None = None
    scored_keys: Keys | None = None

    def rows(self, select: Select) -> torch.Tensor:
        """Shape (texts,), the first or last token of each text."""
        rows = (self.offsets[:-1] if select == "first" else self.offsets[1:] - 1).long()
        return rows if self.scored is None else rows[self.scored]

    def to(self, device: torch.device) -> "Packed":
        """The same on another device, copied from pinned memory, so that the host does not wait."""
        if device.type == "cpu":
            return self
        return Packed(*(_moved(part, device) for part in self))


def _moved(part: Any, device: torch.device) -> Any:
    """A tensor, or every tensor of `Keys`, on another device."""
    if isinstance(part, Keys):
        return Keys(*(_moved(own, device) for own in part))
    return copied(part, device) if isinstance(part, torch.Tensor) else part


def equal_runs(queries: Sequence[int], keys: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(sequences, queries of each, keys of each) of neighbours with equal numbers of both."""
    first = 0
    for index in range(1, len(queries) + 1):
        if index == len(queries) or (queries[index], keys[index]) != (queries[first], keys[first]):
            yield index - first, queries[first], keys[first]
            first = index


def pack(ids: Sequence[Ids], segments: Sequence[Ids]) -> Packed:
    """Sequences and their token types, each of at least one token."""
    lengths = np.array([len(sequence) for sequence in ids], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    positions = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    return Packed(
        torch.from_numpy(np.concatenate(ids).astype(np.int64)),
        torch.from_numpy(np.concatenate(segments).astype(np.int64)),
        torch.from_numpy(positions.astype(np.int64)),
        torch.from_numpy(offsets),
        tuple(lengths.tolist()),
    )


def keys_of(rows: Sequence[NDArray[np.int64]]) -> Keys:
    """The tokens that each of some sequences sees, one sequence after another."""
    lengths = [len(own) for own in rows]
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return Keys(torch.from_numpy(np.concatenate(rows)), torch.from_numpy(ends), tuple(lengths))


def pack_attended(ids: Sequence[Ids], segments: Sequence[Ids], attended: Sequence[int]) -> Packed:
    """Sequences of which only the first tokens are seen; those behind see the first ones, and not themselves.

    The tokens behind are a sequence of their own in the batch, so that states come in the order of the tokens.
    """
    parts = [
        (row, start, stop)
        for row, (count, whole) in enumerate(zip(attended, ids, strict=True))
        for start, stop in ((0, count), (count, len(whole)))
        if stop > start
    ]
    plain = pack([ids[row][a:b] for row, a, b in parts], [segments[row][a:b] for row, a, b in parts])
    owners = [row for row, _, _ in parts]
    firsts = plain.offsets.numpy()[np.searchsorted(owners, owners)]  # of the tokens that are seen
    seen = [np.arange(first, first + attended[row], dtype=np.int64) for first, row in zip(firsts, owners, strict=True)]
    moved = plain.positions + torch.from_numpy(np.repeat([start for _, start, _ in parts], plain.lengths))
    return plain._replace(positions=moved, keys=keys_of(seen))
