"""Texts to vectors in shards, by workers: the documents of a corpus into a file, queries into memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.batches import windows
from evalkit.inference.budget import Budget, KeptBudget
from evalkit.inference.room import Room
from evalkit.inference.tokens import Tokenized
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Pool, Shards
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.retrieval.sparse_encoder import VocabularyEncoder
from evalkit.system.stages import LOADING, Meter
from evalkit.types import Documents

_TEXTS_PER_WINDOW = 16_384  # read, tokenised and sorted by length together; on CUDA at the least

Part = tuple[NDArray[np.int64], NDArray[np.float32]]


class Texts(NamedTuple):
    """A shard.

    Attributes:
        texts: to encode.
        instruction: put before each.
        known: shape (texts,), which are left out, though batches are made as if they were not; none when None.
        are_queries: whether they are read as a Router reads queries.
    """

    texts: Sequence[str]
    instruction: str
    known: NDArray[np.bool_] | None = None
    are_queries: bool = False


class Prepared(NamedTuple):
    """A shard that was tokenised, and what reads it."""

    encoder: DenseEncoder | VocabularyEncoder
    tokenized: Tokenized
    known: NDArray[np.bool_] | None


class EncodingWorker:
    """A `Worker` that gives (which texts of the shard, their vectors), batch by batch."""

    overlaps = True

    def __init__(self, encoder: DenseEncoder | VocabularyEncoder) -> None:
        self._encoder = encoder

    def facts(self) -> Mapping[str, object]:
        """See `Worker`."""
        return self._encoder.facts()

    def load(self) -> None:
        """See `Worker`."""
        self._encoder.load()

    def prepare(self, payload: Texts) -> Prepared:
        """See `Worker`."""
        encoder = self._encoder.queries if payload.are_queries else self._encoder
        return Prepared(encoder, encoder.tokenize(payload.texts, instruction=payload.instruction), payload.known)

    def work(self, prepared: Prepared) -> Iterator[Part]:
        """See `Worker`."""
        return prepared.encoder.vectors(prepared.tokenized, prepared.known)

    def spent(self) -> Usage:
        """See `Worker`."""
        return self._encoder.usage

    @property
    def budget(self) -> Budget:
        """See `Worker`."""
        return self._encoder.budget


class Growing(Protocol):
    """What is made of a corpus bit by bit: `GrowingVectors` or `GrowingWeights`."""

    known: NDArray[np.bool_]
    budget: KeptBudget

    def keep(self, rows: NDArray[np.int64], found: Any, /) -> None:
        """Write some rows, and that they are done."""

    def let_go(self) -> None:
        """Give memory back at the end of a window."""


def encode_corpus(
    pool: Pool,
    documents: Documents,
    opened: Callable[[Mapping[str, object]], AbstractContextManager[Growing]],
    *,
    instruction: str,
    room: Room,
    meter: Meter,
) -> None:
    """Write what is made of all documents; resume what a killed process left.

    `opened` gives where it is written to, from the facts of the workers that its last bits depend on.
    """
    count = room.count(len(documents), least=_TEXTS_PER_WINDOW)
    shards = windows(documents.sizes(), count=count, size=room.text)
    with meter.not_working(LOADING):
        facts = pool.facts()
    with opened(facts) as growing:
        meter.found(int(growing.known.sum()))

        def payload(shard: int) -> Texts | None:
            rows = shards[shard]
            known = growing.known[rows].copy()
            return None if known.all() else Texts(documents.texts(range(rows.start, rows.stop)), instruction, known)

        def keep(shard: int, part: tuple[NDArray[np.int64], Any]) -> None:
            rows, found = part
            growing.keep(shards[shard].start + rows, found)
            meter(len(rows))

        pool.run(Shards(len(shards), payload, keep, lambda _: _tidy(growing, room), meter, growing.budget))


def _tidy(growing: Growing, room: Room) -> None:
    growing.let_go()
    room.tidy()


def encode_texts(
    pool: Pool, texts: Sequence[str], *, width: int, instruction: str, meter: Meter
) -> NDArray[np.float32]:
    """Vectors of queries in memory, of shape (texts, width)."""
    vectors = np.empty((len(texts), width), dtype=np.float32)
    starts = range(0, len(texts), _TEXTS_PER_WINDOW)

    def payload(shard: int) -> Texts:
        return Texts(texts[starts[shard] : starts[shard] + _TEXTS_PER_WINDOW], instruction, are_queries=True)

    def keep(shard: int, part: Part) -> None:
        rows, found = part
        vectors[starts[shard] + rows] = found
        meter(len(rows))

    pool.run(Shards(len(starts), payload, keep, meter=meter))
    return vectors
