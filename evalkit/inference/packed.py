"""Sequences laid end to end, without padding: what the packed forward pass reads."""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch

from evalkit.inference.tokens import Ids

Select = Literal["all", "first", "last"]
"""Whose states are wanted: of every token, or of the first or the last one of each sequence."""


class Packed(NamedTuple):
    """Token sequences one behind the other. Tensors are on the model's device.

    Attributes:
        input_ids: shape (tokens,).
        segments: shape (tokens,), token type of each.
        positions: shape (tokens,), place in its own sequence, from 0.
        offsets: shape (sequences + 1,), int32; where each sequence starts, and the end.
        lengths: tokens of each sequence, on the host.
    """

    input_ids: torch.Tensor
    segments: torch.Tensor
    positions: torch.Tensor
    offsets: torch.Tensor
    lengths: tuple[int, ...]

    def rows(self, select: Select) -> torch.Tensor:
        """Shape (sequences,), the first or last token of each sequence."""
        return (self.offsets[:-1] if select == "first" else self.offsets[1:] - 1).long()

    def to(self, device: torch.device) -> "Packed":
        """On another device; from pinned memory, so that the host does not wait."""
        if device.type == "cpu":
            return self
        ids, segments, positions, offsets = (
            tensor.pin_memory().to(device, non_blocking=True)
            for tensor in (self.input_ids, self.segments, self.positions, self.offsets)
        )
        return Packed(ids, segments, positions, offsets, self.lengths)

    def runs(self) -> Iterator[tuple[int, int, int]]:
        """(start, sequences, tokens of each) of neighbours that have the same length."""
        return equal_runs(self.lengths)


def equal_runs(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(start, sequences, tokens of each) of neighbours of the same length; together they are all tokens."""
    start = first = 0
    for index in range(1, len(lengths) + 1):
        if index == len(lengths) or lengths[index] != lengths[first]:
            count, length = index - first, lengths[first]
            yield start, count, length
            start, first = start + count * length, index


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
