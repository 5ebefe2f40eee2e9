"""One worker, in this process. The next shard is prepared by a thread while one is worked on."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from evalkit.inference.usage import Usage
from evalkit.inference.workers import Shards, Worker
from evalkit.inference.workers.line import ROOM, Ended, Line, Part
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
        first, payload = _first(shards)
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
        news: SimpleQueue[Part | Ended] = SimpleQueue()
        waiting, running = deque(range(first, shards.count)), 0
        line = Line(self._worker, news.put)
        try:
            while waiting or running:
                if waiting and running < ROOM:
                    shard = waiting.popleft()
                    payload = payload if shard == first else _payload(shards, shard, idle=not running)
                    if payload is not None:
                        line.put(shard, payload, shards.budget.tokens)
                        running += 1
                else:
                    running -= _take(news.get(), shards)
        finally:
            line.close()

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
        payload = _payload(shards, shard, idle=True)
        if payload is not None:
            return shard, payload
    return shards.count, None


def _payload(shards: Shards, shard: int, *, idle: bool) -> Any:
    """What is left of a shard; the time to find that nothing is, is set apart where nobody works meanwhile."""
    start = shards.meter.elapsed
    payload = shards.payload(shard)
    if payload is None and idle:
        shards.meter.set_apart(FINDING, shards.meter.elapsed - start)
    return payload


def _take(news: Part | Ended, shards: Shards) -> bool:
    """Keep a part of a shard; whether it has ended."""
    if isinstance(news, Part):
        shards.budget.keep(news.budget)
        shards.keep(news.shard, news.value)
        return False
    if news.error is not None:
        raise news.error
    shards.done(news.shard)
    return True
