"""The worker of another process: the orders it takes, and the news it gives. Knows no transport."""

import gc
import pickle  # noqa: TID251 - from one process of this program to another
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from evalkit.errors import EvalkitError
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Worker
from evalkit.inference.workers.line import Ended, Line, ShardPart
from evalkit.system.memory import give_back, peak


class Start(NamedTuple):
    """Order: be the worker of this pickle from now on. `overlaps`: see `LocalPool`."""

    recipe: bytes
    overlaps: bool


class Load(NamedTuple):
    """Order: load the worker, unless it is loaded."""


class Do(NamedTuple):
    """Order: work on a shard; `budget` is the one that was found for its work."""

    shard: int
    payload: Any
    budget: int | None


class Rest(NamedTuple):
    """Order: drop the worker. The station repeats it as news when that is done, after all other news of the worker."""


class Started(NamedTuple):
    """News: the worker is made; these are its facts."""

    facts: Mapping[str, object]


class Spent(NamedTuple):
    """News: work so far, and peak memory in bytes; sent when the worker is loaded and when a shard ends."""

    usage: Usage
    peak: int


class Failed(NamedTuple):
    """News: the worker cannot be made or loaded."""

    error: BaseException


class Station:
    """One worker after another, each made, loaded and fed by orders.

    Args:
        say: takes news, one at a time, from any thread.
    """

    def __init__(self, say: Callable[[Any], None]) -> None:
        self._sending, self._to = threading.Lock(), say
        self._worker: Worker | None = None
        self._line: Line | None = None

    def obey(self, order: Any) -> None:
        """Do what an order says; an error becomes news."""
        try:
            self._obey(order)
        except BaseException as error:  # noqa: BLE001 - the other end raises it
            self._say(Failed(_portable(error)))

    def _obey(self, order: Any) -> None:
        match order:
            case Start(recipe, overlaps):
                self._worker = worker = pickle.loads(recipe)  # noqa: S301 - from this program
                self._line = Line(worker, self._tell, overlaps=overlaps)
                self._say(Started(dict(worker.facts())))
            case Load():
                assert self._worker is not None
                self._worker.load()
                self._say(Spent(self._worker.spent(), peak()))
            case Do(shard, payload, budget):
                assert self._line is not None
                self._line.put(shard, payload, budget)
            case Rest():
                self._rest()
                self._say(Rest())
            case BaseException():
                raise order

    def _say(self, news: Any) -> None:
        with self._sending:
            self._to(news)

    def _tell(self, news: ShardPart | Ended) -> None:
        if isinstance(news, Ended):
            assert self._worker is not None
            self._say(Spent(self._worker.spent(), peak()))
            news = Ended(news.shard, None if news.error is None else _portable(news.error))
        self._say(news)

    def _rest(self) -> None:
        if self._line is not None:
            self._line.close()
        self._worker = self._line = None
        gc.collect()
        give_back()
        if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
            torch.cuda.empty_cache()


def _portable(error: BaseException) -> BaseException:
    """An error that can be pickled; a bug carries its traceback as a note."""
    if not isinstance(error, EvalkitError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - pickled in this line
    except Exception:  # noqa: BLE001 - an error of another package may raise any
        kind = EvalkitError if isinstance(error, EvalkitError) else RuntimeError
        return kind("\n".join([str(error), *getattr(error, "__notes__", [])]))
    return error
