"""One worker, in this process. The next shard is prepared by a thread while one is worked on."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from evalkit.inference.usage import Usage
from evalkit.inference.workers import Shards, Worker
from evalkit.inference.workers.line import ROOM, Ended, Line, ShardPart
from evalkit.system.stages import FINDING, LOADING


class LocalPool:
    """This process as a `Pool`.

    Args:
        worker: does the shards.
        overlaps: whether a shard begins while results of the one before are fetched, as a device with a queue of work
            allows.
    """

    def __init__(self, worker: Worker, *, overlaps: bool = False) -> None:
        self._worker, self._overlaps = worker, overlaps
        self.facts = worker.facts

    def run(self, shards: Shards) -> None:
        """See `Pool`."""
        left = ((shard, shards.find(shard, idle=True)) for shard in range(shards.count))
        first, payload = next(((shard, payload) for shard, payload in left if payload is not None), (0, None))
        if payload is None:
            return
        with shards.meter.not_working(LOADING):
            self._worker.load()
        if self._overlaps:
            self._run_in_line(shards, first, payload)
            return
        for shard, prepared in self._prepared(shards, first, payload):
            for part in self._worker.work(prepared):
                shards.keep(shard, part)
            shards.done(shard)

    def _run_in_line(self, shards: Shards, first: int, payload: Any) -> None:
        news: SimpleQueue[ShardPart | Ended] = SimpleQueue()
        waiting, running = deque(range(first, shards.count)), 0
        line = Line(self._worker, news.put)
        try:
            while waiting or running:
                if waiting and running < ROOM:
                    shard = waiting.popleft()
                    payload = payload if shard == first else shards.find(shard, idle=not running)
                    if payload is not None:
                        line.put(shard, payload, shards.budget.tokens)
                        running += 1
                else:
                    running -= _take(news.get(), shards)
        finally:
            line.close()

    def spent(self) -> Usage:
        """See `Pool`."""
        return replace(self._worker.spent())  # a copy: the worker's own changes

    def describe(self) -> Mapping[str, object]:
        """See `Pool`."""
        return {}

    def _prepared(self, shards: Shards, first: int, payload: Any) -> Iterator[tuple[int, Any]]:
        """Each unfinished shard from the first on, prepared."""

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
            pool.shutdown(wait=False, cancel_futures=True)  # an interrupt need not wait for results that nobody reads


def _take(news: ShardPart | Ended, shards: Shards) -> bool:
    """Store a part of a shard; whether the shard has ended."""
    if isinstance(news, ShardPart):
        shards.take(news.shard, news.value, news.budget)
        return False
    if news.error is not None:
        raise news.error
    shards.done(news.shard)
    return True
