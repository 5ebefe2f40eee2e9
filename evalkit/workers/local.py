"""One worker, in this process. The next shard is prepared by a thread while one is worked on."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from evalkit.inference.usage import Usage
from evalkit.stages import FINDING, LOADING
from evalkit.workers import Shards, Worker


class LocalPool:
    """This process as a `Pool`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.facts = worker.facts

    def run(self, shards: Shards) -> None:
        """See `Pool`."""
        first, payload = _first(shards)
        if payload is None:
            return
        with shards.meter.not_working(LOADING):
            self._worker.load()
        for shard, prepared in self._prepared(shards, first, payload):
            for part in self._worker.work(prepared):
                shards.keep(shard, part)
            shards.done(shard)

    def spent(self) -> Usage:
        """See `Pool`."""
        return replace(self._worker.spent())  # as it is now: the worker's own goes on

    def describe(self) -> Mapping[str, object]:
        """See `Pool`."""
        return {}

    def _prepared(self, shards: Shards, first: int, payload: Any) -> Iterator[tuple[int, Any]]:
        """Each shard of which something is left, from the first with its payload on, with what `prepare` made of it."""

        def prepare(shard: int) -> Any:
            payload = shards.payload(shard)
            return None if payload is None else self._worker.prepare(payload)

        pool = ThreadPoolExecutor(1)
        try:
            upcoming = pool.submit(self._worker.prepare, payload)
            for shard in range(first, shards.count):
                start = shards.meter.elapsed
                prepared = upcoming.result()
                if shard + 1 < shards.count:
                    upcoming = pool.submit(prepare, shard + 1)
                if prepared is None:
                    shards.meter.set_apart(FINDING, shards.meter.elapsed - start)
                else:
                    yield shard, prepared
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # who was interrupted need not wait for what nobody reads


def _first(shards: Shards) -> tuple[int, Any]:
    """The first shard of which something is left, and its payload; None where nothing is left of any."""
    for shard in range(shards.count):
        start = shards.meter.elapsed
        payload = shards.payload(shard)
        if payload is not None:
            return shard, payload
        shards.meter.set_apart(FINDING, shards.meter.elapsed - start)
    return shards.count, None
