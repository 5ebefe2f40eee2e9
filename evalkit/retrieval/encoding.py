"""Texts to vectors in shards, by workers: the documents of a corpus into a file, queries into memory."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.batches import windows
from evalkit.inference.budget import Budget
from evalkit.inference.room import Room
from evalkit.inference.tokens import Tokenized
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Pool, Shards
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.retrieval.sparse_encoder import SparseEncoder
from evalkit.retrieval.vectors import GrowingVectors, open_vectors
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
    """

    texts: Sequence[str]
    instruction: str
    known: NDArray[np.bool_] | None = None


class EncodingWorker:
    """A `Worker` that gives (which texts of the shard, their vectors), batch by batch."""

    overlaps = True

    def __init__(self, encoder: DenseEncoder | SparseEncoder) -> None:
        self._encoder = encoder

    def facts(self) -> Mapping[str, object]:
        """See `Worker`."""
        return self._encoder.facts()

    def load(self) -> None:
        """See `Worker`."""
        self._encoder.load()

    def prepare(self, payload: Texts) -> tuple[Tokenized, NDArray[np.bool_] | None]:
        """See `Worker`."""
        return self._encoder.tokenize(payload.texts, instruction=payload.instruction), payload.known

    def work(self, prepared: tuple[Tokenized, NDArray[np.bool_] | None]) -> Iterator[Part]:
        """See `Worker`."""
        return self._encoder.vectors(*prepared)

    def spent(self) -> Usage:
        """See `Worker`."""
        return self._encoder.usage

    @property
    def budget(self) -> Budget:
        """See `Worker`."""
        return self._encoder.budget


def encode_corpus(
    pool: Pool,
    documents: Documents,
    folder: Path,
    *,
    width: int,
    dtype: str,
    instruction: str,
    room: Room,
    meter: Meter,
) -> None:
    """Write vectors of all documents, shape (documents, width), into a folder; resume what a killed process left."""
    count = room.count(len(documents), least=_TEXTS_PER_WINDOW)
    shards = windows(documents.sizes(), count=count, size=room.text)
    with meter.not_working(LOADING):
        facts = pool.facts()
    with open_vectors(folder, (len(documents), width), dtype, facts) as vectors:
        meter.found(int(vectors.known.sum()))

        def payload(shard: int) -> Texts | None:
            rows = shards[shard]
            known = vectors.known[rows].copy()
            return None if known.all() else Texts(documents.texts(range(rows.start, rows.stop)), instruction, known)

        def keep(shard: int, part: Part) -> None:
            rows, found = part
            vectors.keep(shards[shard].start + rows, found)
            meter(len(rows))

        pool.run(Shards(len(shards), payload, keep, lambda _: _tidy(vectors, room), meter, vectors.budget))


def _tidy(vectors: GrowingVectors, room: Room) -> None:
    vectors.let_go()
    room.tidy()


def encode_texts(
    pool: Pool, texts: Sequence[str], *, width: int, instruction: str, meter: Meter
) -> NDArray[np.float32]:
    """Vectors of texts in memory, of shape (texts, width)."""
    vectors = np.empty((len(texts), width), dtype=np.float32)
    starts = range(0, len(texts), _TEXTS_PER_WINDOW)

    def payload(shard: int) -> Texts:
        return Texts(texts[starts[shard] : starts[shard] + _TEXTS_PER_WINDOW], instruction)

    def keep(shard: int, part: Part) -> None:
        rows, found = part
        vectors[starts[shard] + rows] = found
        meter(len(rows))

    pool.run(Shards(len(starts), payload, keep, meter=meter))
    return vectors
