"""Scores of pairs, kept as they are made: a run that was killed goes on, and only new pairs are ever scored.

A score is found again by what was read, the texts of query and document, in a file by all else that decides it. So a
corpus that was changed, a greater depth, more queries or another first stage find exactly the pairs that are the same.
"""

import hashlib
import threading
from collections.abc import Sequence
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.journal import Journal
from evalkit.store import Store
from evalkit.types import Pair, Scored, StreamingReranker

_FORMAT = 1  # of the records; a higher number makes old ones be computed anew
_RECORD = np.dtype([("key", "V16"), ("score", "<f4"), ("cut", "?")])


class Found(NamedTuple):
    """What is known of some pairs.

    Attributes:
        known: shape (pairs,), whether the pair was scored before.
        scores: shape (pairs,), float32; meaningless where not known.
        cut: shape (pairs,), whether the pair was cut to fit the model.
    """

    known: NDArray[np.bool_]
    scores: NDArray[np.float32]
    cut: NDArray[np.bool_]


class KeptScores:
    """Scores of one reranker over one collection.

    Args:
        journal: where they are.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._parts: list[NDArray[np.void]] = []
        self._all = np.empty(0, dtype=_RECORD)
        self._lock = threading.Lock()  # a window is looked up by a thread while that before it is scored

    @classmethod
    def of(cls, reranker: StreamingReranker, store: Store, collection: str) -> "KeptScores":
        """The scores of a reranker on this machine's kind of processor.

        Args:
            reranker: that is asked.
            store: where scores are kept.
            collection: its name; only so that two collections need not wait for each other.
        """
        facts = {
            "format": _FORMAT,
            "reranker": reranker.identity,
            "hardware": reranker.hardware,
            "torch": version("torch"),
            "collection": collection,
        }
        label = f"{getattr(getattr(reranker, 'config', None), 'name', 'reranker')}: {collection}"
        return cls(Journal(store.growing("scores", facts, label=label) / "scores.log"))

    def find(self, keys: NDArray[np.void]) -> Found:
        """What is known of the pairs with these keys."""
        known = self._up_to_date()
        distinct = _binary(keys).dictionary_encode()
        # Scanning what is known for the few that are asked for keeps memory small.
        asked = pc.index_in(_binary(known["key"]), value_set=distinct.dictionary)
        place = np.full(len(distinct.dictionary), -1, dtype=np.int64)
        hits = np.flatnonzero(asked.is_valid())
        place[asked.take(pa.array(hits)).to_numpy(zero_copy_only=False)] = hits
        rows = place[distinct.indices.to_numpy()]
        found = known[rows] if len(known) else np.zeros(len(rows), dtype=_RECORD)
        return Found(rows >= 0, found["score"], found["cut"])

    def keep(self, keys: NDArray[np.void], scored: Scored) -> None:
        """Add scores of some of the pairs with these keys.

        Raises:
            ResultError: the disk is full, or cannot be written to.
        """
        records = np.empty(len(scored.rows), dtype=_RECORD)
        records["key"], records["score"], records["cut"] = keys[scored.rows], scored.scores, scored.cut
        with self._lock:
            self._note([*self._journal.append(records.tobytes()), records.tobytes()])

    def _up_to_date(self) -> NDArray[np.void]:
        with self._lock:
            self._note(self._journal.fresh())
            if self._parts:
                self._all = np.concatenate([self._all, *self._parts])
                self._parts = []
            return self._all

    def _note(self, payloads: Sequence[bytes]) -> None:
        self._parts += [np.frombuffer(payload, dtype=_RECORD) for payload in payloads]


def pair_keys(pairs: Sequence[Pair]) -> NDArray[np.void]:
    """A digest of the texts of every pair, of shape (pairs,) and 16 bytes each."""
    of_text: dict[str, bytes] = {}

    def digest(text: str) -> bytes:
        if text not in of_text:
            of_text[text] = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return of_text[text]

    joined = (digest(pair.query) + digest(pair.document) for pair in pairs)
    return np.frombuffer(b"".join(hashlib.blake2b(both, digest_size=16).digest() for both in joined), dtype="V16")


def _binary(keys: NDArray[np.void]) -> pa.Array:
    flat = pa.py_buffer(np.ascontiguousarray(keys).tobytes())
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(keys), [None, flat])
