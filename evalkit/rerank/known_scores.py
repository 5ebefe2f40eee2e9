"""Scores of pairs on disk, written as they are made: a killed run resumes, and no pair is scored twice.

A score is found again by what was read, the texts of query and document, in a file by all else that decides it. So a
corpus that was changed, a greater depth, more queries or another first stage find exactly the pairs that are the same.
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.budget import KeptBudget, budget_name
from evalkit.store import Store
from evalkit.store.artefact import SCORES as KIND
from evalkit.store.journal import Journal
from evalkit.types import Identity, Pair, Scored

_FORMAT = 2  # of the records; raise it to have old ones recomputed
SCORES = "scores.log"
_KEY = np.dtype([("high", "<u8"), ("low", "<u8")])
_RECORD = np.dtype([*_KEY.descr, ("score", "<f4"), ("cut", "?")])
_SHARE_OF_SMALL = 8


class Lookup(NamedTuple):
    """Known scores of some pairs.

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
        path: of the journal with them. Its first record is the name of the artefact that it is in, so that scores of
            another one that came into its place are none.

    Attributes:
        budget: tokens of a batch that these scores were made with.
    """

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path, head=path.parent.name.encode(), fits=_are_scores)
        self.budget = KeptBudget(path.with_name(budget_name(path.name)))
        # Looked up by bisection: a large part that is sorted once in a while, and a small one of what came since.
        self._large, self._small = np.empty(0, dtype=_RECORD), np.empty(0, dtype=_RECORD)
        self._new: list[NDArray[np.void]] = []
        self._lock = threading.Lock()  # a window is looked up by a thread while that before it is scored

    @classmethod
    def of(
        cls, identity: Identity, facts: Mapping[str, object], store: Store, *, name: str, collection: str
    ) -> "KeptScores":
        """The scores of a reranker on a kind of processor.

        Args:
            identity: of the reranker.
            facts: what decides the last bits of its scores; see `Reranker`.
            store: where scores are stored.
            name: of the reranker, for people.
            collection: its name; only so that two collections need not wait for each other.
        """
        own = score_facts(identity, facts, collection)
        return cls(store.growing(KIND, own, label=f"{name}: {collection}") / SCORES)

    def read(self) -> None:
        """Read what others wrote since."""
        with self._lock:
            self._bring_up_to_date()

    def find(self, keys: NDArray[np.void]) -> Lookup:
        """Known scores of the pairs with these keys."""
        wanted = keys.view(_KEY)
        found = np.zeros(len(keys), dtype=_RECORD)
        known = np.zeros(len(keys), dtype=bool)
        with self._lock:
            self._bring_up_to_date()
            for part in (self._large, self._small):
                place = np.searchsorted(part["high"], wanted["high"])
                inside = np.flatnonzero(place < len(part))
                same = (part["high"][place[inside]] == wanted["high"][inside]) & (
                    part["low"][place[inside]] == wanted["low"][inside]
                )
                known[inside[same]] = True
                found[inside[same]] = part[place[inside[same]]]
        return Lookup(known, found["score"], found["cut"])

    def keep(self, keys: NDArray[np.void], scored: Scored) -> None:
        """Add scores of some of the pairs with these keys.

        Raises:
            ResultError: the disk is full, or cannot be written to.
        """
        chosen = keys.view(_KEY)[scored.rows]
        records = np.empty(len(scored.rows), dtype=_RECORD)
        records["high"], records["low"] = chosen["high"], chosen["low"]
        records["score"], records["cut"] = scored.scores, scored.cut
        with self._lock:
            self._note([*self._journal.append(records.tobytes()), records.tobytes()])

    def _bring_up_to_date(self) -> None:
        for payload in self._journal.replay():
            self._note([payload])
        if not self._new:
            return
        self._small = _sorted([self._small, *self._new])
        self._new = []
        if _SHARE_OF_SMALL * len(self._small) > len(self._large):
            self._large, self._small = _sorted([self._large, self._small]), self._small[:0]

    def _note(self, payloads: Sequence[bytes]) -> None:
        self._new += [np.frombuffer(payload, dtype=_RECORD) for payload in payloads]


def _are_scores(payload: bytes) -> bool:
    if len(payload) % _RECORD.itemsize:
        return False
    return bool(np.isfinite(np.frombuffer(payload, dtype=_RECORD)["score"]).all())


def score_facts(identity: Identity, facts: Mapping[str, object], collection: str) -> dict[str, object]:
    """All that decides the scores in one file; see `KeptScores.of`."""
    return {"format": _FORMAT, "reranker": identity, **facts, "collection": collection}


def _sorted(parts: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Records of several parts in ascending order of the first half of their keys, which are as good as distinct."""
    joined = np.concatenate(parts)
    return joined[np.argsort(joined["high"], kind="stable")]


def pair_keys(pairs: Sequence[Pair]) -> NDArray[np.void]:
    """A digest of the texts of every pair, of shape (pairs,) and 16 bytes each; also of an instruction of its own."""
    of_text: dict[str, bytes] = {}

    def digest(text: str) -> bytes:
        if text not in of_text:
            of_text[text] = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        return of_text[text]

    joined = (
        digest(pair.query) + digest(pair.document) + (b"" if pair.instruction is None else digest(pair.instruction))
        for pair in pairs
    )
    return np.frombuffer(b"".join(hashlib.blake2b(both, digest_size=16).digest() for both in joined), dtype="V16")


def list_keys(keys: NDArray[np.void], queries: NDArray[np.integer]) -> NDArray[np.void]:
    """Keys of pairs whose scores depend on the other candidates: each also of all of its query, in their order.

    Args:
        keys: shape (pairs,), as `pair_keys` gives them; those of a query follow each other.
        queries: shape (pairs,), the query of each.
    """
    starts = [0, *(np.flatnonzero(np.diff(queries)) + 1).tolist(), len(keys)]
    joined = []
    for start, stop in pairwise(starts):
        together = hashlib.blake2b(keys[start:stop].tobytes(), digest_size=16).digest()
        joined += [hashlib.blake2b(bytes(key) + together, digest_size=16).digest() for key in keys[start:stop]]
    return np.frombuffer(b"".join(joined), dtype="V16")
