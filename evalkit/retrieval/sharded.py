"""Exact search of a large corpus in shards, by workers. Each shard's hits are saved, and raise the bar for the next.

What is known of each query when a shard is handed out is its floor: nothing below can be among the k best, so later
shards give little, whichever they are. Keys are distinct: the order in which shards are merged changes nothing.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Pool, Shards
from evalkit.models.arithmetic import device_name
from evalkit.models.processor import facts
from evalkit.retrieval.keys import NO_KEY, best, ranked, table
from evalkit.retrieval.search import Search
from evalkit.store import Store
from evalkit.store.artefact import SEARCHES
from evalkit.store.journal import Journal
from evalkit.system.stages import Meter

_FORMAT = 1  # of saved searches; raising it invalidates old ones
_DOCUMENTS_PER_SHARD = 65_536
_QUERIES_PER_MERGE = 1024
_HEAD = np.dtype([("shard", "<i8"), ("count", "<i8")])
_BYTES_PER_HIT = 12


class Shard(NamedTuple):
    """Documents to search.

    Attributes:
        vectors: shape (documents, width).
        id_ranks: shape (documents,), of their ids.
        floor: shape (queries,), keys below which nothing matters.
    """

    vectors: NDArray[np.floating]
    id_ranks: NDArray[np.integer]
    floor: torch.Tensor

    def __reduce__(self) -> tuple[type["Shard"], tuple[NDArray[np.floating], NDArray[np.integer], torch.Tensor]]:
        """With a copy of what is mapped: elsewhere there is no such file."""
        return Shard, (np.array(self.vectors), self.id_ranks, self.floor)


class Hits(NamedTuple):
    """Documents of a shard that score above the floor.

    Attributes:
        query_rows: shape (hits,), int32, ascending.
        keys: shape (hits,), int64; see `keys`.
    """

    query_rows: NDArray[np.int32]
    keys: NDArray[np.int64]


class SearchWorker:
    """A `Worker` that searches shards for the best documents of some queries."""

    overlaps = False  # a shard is searched in the place of the one before
    budget = None

    def __init__(self, queries: NDArray[np.float32], k: int, compute: ComputeConfig) -> None:
        self._made_of = (queries, k, compute.on_worker())

    @cached_property
    def _search(self) -> Search:
        queries, k, compute = self._made_of
        return Search(queries, k, device=device_name(compute))

    def __reduce__(self) -> tuple[type["SearchWorker"], tuple[NDArray[np.float32], int, ComputeConfig]]:
        """The same in another process, on its own device."""
        return SearchWorker, self._made_of

    def facts(self) -> Mapping[str, object]:
        """See `Worker`. Sums are in float64 on any device, so that it decides nothing."""
        return facts(self._made_of[2])

    def load(self) -> None:
        """See `Worker`."""
        _ = self._search

    def prepare(self, payload: Shard) -> Shard:
        """See `Worker`."""
        return payload

    def work(self, prepared: Shard) -> Iterator[Hits]:
        """See `Worker`."""
        self._search.restart(prepared.floor)
        self._search.add(prepared.vectors, prepared.id_ranks)
        keys = self._search.keys
        query_rows, places = (keys > prepared.floor[:, None]).nonzero(as_tuple=True)
        yield Hits(query_rows.int().numpy(), keys[query_rows, places].numpy())

    def spent(self) -> Usage:
        """See `Worker`."""
        return Usage()


def search_corpus(
    pool: Pool,
    queries: NDArray[np.float32],
    documents: NDArray[np.floating],
    *,
    id_ranks: NDArray[np.integer],
    k: int,
    store: Store,
    content: str,
    meter: Meter,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and scores of the `k` best documents of every query, best first; as `exact_top_k`, which see."""
    wanted = {
        "format": _FORMAT,
        "vectors": content,
        "queries_sha256": hashlib.sha256(np.ascontiguousarray(queries).tobytes()).hexdigest(),
        "k": k,
        "documents_per_shard": _DOCUMENTS_PER_SHARD,
    }
    with store.scratch(SEARCHES, wanted, label=f"{len(queries):,} queries") as folder:
        found = _Found(len(queries), k, folder)
        _run(pool, found, documents, id_ranks, meter)
    return ranked(found.keys, id_ranks)


def _run(
    pool: Pool,
    found: "_Found",
    documents: NDArray[np.floating],
    id_ranks: NDArray[np.integer],
    meter: Meter,
) -> None:
    starts = range(0, len(documents), _DOCUMENTS_PER_SHARD)

    def size(shard: int) -> int:
        return min(_DOCUMENTS_PER_SHARD, len(documents) - starts[shard])

    def payload(shard: int) -> Shard | None:
        if shard in found.shards:
            return None
        rows = slice(starts[shard], starts[shard] + size(shard))
        return Shard(documents[rows], id_ranks[rows], found.floor)

    meter.found(sum(size(shard) for shard in found.shards))
    pool.run(Shards(len(starts), payload, found.keep, done=lambda shard: meter(size(shard)), meter=meter))


class _Found:
    """The best documents of all queries so far.

    Attributes:
        keys: shape (queries, k), in no order; `NO_KEY` where there are fewer.
        shards: whose hits are in it.
    """

    def __init__(self, queries: int, k: int, folder: Path) -> None:
        self.keys = torch.full((queries, k), NO_KEY)
        self.shards: set[int] = set()
        self._journal = Journal(folder / "hits.log", head=folder.name.encode(), fits=partial(_are_hits, queries))
        for record in self._journal.replay():
            shard, hits = _unpacked(record)
            self._merge(shard, hits)

    @property
    def floor(self) -> torch.Tensor:
        """Shape (queries,), keys below which nothing is among the k best."""
        return self.keys.amin(dim=1)

    def keep(self, shard: int, hits: Hits) -> None:
        """Take what a shard has, and write it down."""
        head = np.array([(shard, len(hits.keys))], dtype=_HEAD)
        self._journal.append(head.tobytes() + hits.query_rows.tobytes() + hits.keys.tobytes())
        self._merge(shard, hits)

    def _merge(self, shard: int, hits: Hits) -> None:
        ends = np.searchsorted(hits.query_rows, np.arange(0, len(self.keys) + _QUERIES_PER_MERGE, _QUERIES_PER_MERGE))
        for number, rows in enumerate(self.keys.split(_QUERIES_PER_MERGE)):
            own = slice(ends[number], ends[number + 1])
            query_rows = hits.query_rows[own].astype(np.int64) - number * _QUERIES_PER_MERGE
            more = table(query_rows, torch.from_numpy(hits.keys[own].copy()), len(rows))
            rows.copy_(best(rows, more))
        self.shards.add(shard)


def _are_hits(queries: int, record: bytes) -> bool:
    """Whether a record can be one of hits of so many queries."""
    if len(record) < _HEAD.itemsize:
        return False
    head = np.frombuffer(record, dtype=_HEAD, count=1)[0]
    if head["shard"] < 0 or len(record) != _HEAD.itemsize + _BYTES_PER_HIT * int(head["count"]):
        return False
    rows = _unpacked(record)[1].query_rows
    return bool((np.diff(rows) >= 0).all()) and rows.min(initial=0) >= 0 and rows.max(initial=-1) < queries


def _unpacked(record: bytes) -> tuple[int, Hits]:
    head = np.frombuffer(record, dtype=_HEAD, count=1)[0]
    count, start = int(head["count"]), _HEAD.itemsize
    query_rows = np.frombuffer(record, dtype=np.int32, count=count, offset=start)
    return int(head["shard"]), Hits(
        query_rows, np.frombuffer(record, dtype=np.int64, count=count, offset=start + 4 * count)
    )
