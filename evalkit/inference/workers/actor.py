"""The process of a worker of Ray, and what it says of its work beside the answers."""

import gc
import sys
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

from evalkit.inference.turns import taking_turns
from evalkit.inference.usage import Usage
from evalkit.system.memory import give_back, peak


class Loaded(NamedTuple):
    """The first that a worker says: it is ready to work."""

    usage: Usage


class Found(NamedTuple):
    """Said before a part: the budget that the worker found."""

    tokens: int


class Spent(NamedTuple):
    """The last that a worker says of a shard: what all its shards took, and the most memory."""

    usage: Usage
    peak: int


class Actor:
    """A process that is one worker after another: packages are imported once."""

    def __init__(self) -> None:
        self._turn, self._on_device = threading.Lock(), threading.Lock()
        self._worker: Any = None
        self._is_loaded = False

    def start(self, recipe: bytes, rested: None = None) -> dict[str, object]:
        """Make a worker; what it says of itself. Ray begins when there is `rested`, as calls may pass each other."""
        del rested
        from ray import cloudpickle

        self._worker, self._is_loaded = cloudpickle.loads(recipe), False
        return dict(self._worker.facts())

    def rest(self) -> None:
        """Give back what the worker held."""
        self._worker = None
        gc.collect()
        give_back()
        if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
            torch.cuda.empty_cache()

    def work(self, payload: Any, budget: int | None, *, overlaps: bool) -> Iterator[Any]:
        """Whether the worker was loaded for it, parts of a shard's answer, then what the worker spent.

        Args:
            payload: of the shard.
            budget: that was found for its work.
            overlaps: whether two shards may take turns on a device, if the worker lets them; see `Line`.
        """
        with self._turn:
            if not self._is_loaded:
                self._worker.load()
                self._is_loaded = True
                yield Loaded(self._worker.spent())
        own = self._worker.budget
        if own is not None:
            own.take(budget)
        prepared = self._worker.prepare(payload)
        with taking_turns(self._on_device) if overlaps and self._worker.overlaps else self._turn:
            for part in self._worker.work(prepared):
                if own is not None and own.found is not None and budget is None:
                    budget = own.found
                    yield Found(budget)
                yield part
        yield Spent(self._worker.spent(), peak())
