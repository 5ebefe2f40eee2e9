"""Shards of one worker under way: one is prepared while others are worked on, so that a device never waits."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from evalkit.inference.turns import taking_turns
from evalkit.inference.workers import Worker

ROOM = 2  # shards of a line: one of them is prepared, or about to be done


class ShardPart(NamedTuple):
    """A part of a shard's answer; `budget` is the one that the worker found, None where it did not probe."""

    shard: int
    value: Any
    budget: int | None


class Ended(NamedTuple):
    """The end of a shard, by an error or (None) because it is done."""

    shard: int
    error: BaseException | None = None


class Line:
    """Shards of a loaded worker: at most `ROOM` at a time.

    Where shards overlap, two are worked on: the second plans, and begins as soon as the device has all of the first. It
    waits for the very first part of all, so that only one shard probes for a budget.

    Args:
        worker: does the shards.
        say: takes news, from threads of the line.
        overlaps: whether shards may overlap, if the worker allows it too.
    """

    def __init__(self, worker: Worker, say: Callable[[ShardPart | Ended], None], *, overlaps: bool = True) -> None:
        self._worker, self._say = worker, say
        self._preparing = ThreadPoolExecutor(1)
        self._working = ThreadPoolExecutor(ROOM if overlaps and worker.overlaps else 1)
        self._turn, self._begun, self._closed = threading.Lock(), threading.Event(), False
        self._is_first = True

    def put(self, shard: int, payload: Any, budget: int | None) -> None:
        """Begin a shard; `budget` is the one that was found for its work."""
        if self._worker.budget is not None:
            self._worker.budget.take(budget)
        prepared = self._preparing.submit(self._worker.prepare, payload)
        self._working.submit(self._work, shard, prepared, first=self._is_first)
        self._is_first = False

    def close(self) -> None:
        """Give no more news, and begin nothing; a running batch ends by itself."""
        self._closed = True
        self._begun.set()
        for pool in (self._preparing, self._working):
            pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, shard: int, prepared: Future[Any], *, first: bool) -> None:
        try:
            ready = prepared.result()
            del prepared
            if not first:
                self._begun.wait()
            self._tell_parts(shard, ready)
        except BaseException as error:  # noqa: BLE001 - it is raised where the shards are handed out
            self._tell(Ended(shard, error))
        else:
            self._tell(Ended(shard))
        finally:
            self._begun.set()

    def _tell_parts(self, shard: int, ready: Any) -> None:
        budget = self._worker.budget
        with taking_turns(self._turn):
            for value in self._worker.work(ready):
                if self._closed:
                    return
                self._tell(ShardPart(shard, value, None if budget is None else budget.found))
                self._begun.set()

    def _tell(self, news: ShardPart | Ended) -> None:
        if not self._closed:
            self._say(news)
