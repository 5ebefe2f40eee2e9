"""A process of a `DevicePool`: one worker after another, each on the device that the environment shows.

Started by `devices`, with one end of a pipe. It ends when the other end is closed, whatever it is at.
"""

import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pickle import HIGHEST_PROTOCOL, dumps, loads  # noqa: TID251 - from one process of this program to another
from queue import SimpleQueue
from typing import Any, NamedTuple

from evalkit.errors import EvalkitError
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Worker
from evalkit.inference.workers.line import Ended, Line, Part
from evalkit.system.memory import give_back, peak


def send(connection: Connection, what: Any) -> None:
    """Send an order or an answer. By value: with torch `Connection.send` would share tensors, which end with a process.

    Raises:
        ConnectionError: nobody is there.
    """
    connection.send_bytes(dumps(what, HIGHEST_PROTOCOL))


def receive(connection: Connection) -> Any:
    """What was sent.

    Raises:
        EOFError: the other end is closed.
        ConnectionError: it was lost.
    """
    return loads(connection.recv_bytes())  # noqa: S301 - from a process of our own


class Start(NamedTuple):
    """Be this worker from now on. `overlaps`: see `LocalPool`."""

    worker: Worker
    overlaps: bool


class Load(NamedTuple):
    """Load the worker, unless it is."""


class Do(NamedTuple):
    """Work on a shard; `budget` is what was found for its work."""

    shard: int
    payload: Any
    budget: int | None


class Rest(NamedTuple):
    """Give back what the worker held; said again when that is done, behind whatever was still to be said of it."""


class Started(NamedTuple):
    """The worker is made; these are its facts."""

    facts: Mapping[str, object]


class Spent(NamedTuple):
    """What the worker took so far, and the most memory; said when it is loaded and when a shard ends."""

    usage: Usage
    peak: int


class Failed(NamedTuple):
    """The worker cannot be made or loaded."""

    error: BaseException


class _Station:
    """The worker of this process and what it is at."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._sending = connection, threading.Lock()
        self._worker: Worker | None = None
        self._line: Line | None = None

    def obey(self, order: Any) -> None:
        """Do what an order says."""
        match order:
            case Start(worker, overlaps):
                self._worker = worker
                self._line = Line(worker, self._tell, overlaps=overlaps)
                self._send(Started(dict(worker.facts())))
            case Load():
                assert self._worker is not None
                self._worker.load()
                self._send(self._spent(self._worker))
            case Do(shard, payload, budget):
                assert self._line is not None
                self._line.put(shard, payload, budget)
            case Rest():
                self._rest()
                self._send(Rest())
            case BaseException():
                raise order

    def fail(self, error: BaseException) -> None:
        """Say that an order could not be done."""
        self._send(Failed(_portable(error)))

    def _tell(self, news: Part | Ended) -> None:
        if isinstance(news, Ended):
            assert self._worker is not None
            self._send(self._spent(self._worker))
            news = Ended(news.shard, None if news.error is None else _portable(news.error))
        self._send(news)

    def _send(self, news: Any) -> None:
        with self._sending:
            send(self._connection, news)

    def _spent(self, worker: Worker) -> Spent:
        return Spent(worker.spent(), peak())

    def _rest(self) -> None:
        if self._line is not None:
            self._line.close()
        self._worker = self._line = None
        gc.collect()
        give_back()
        if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
            torch.cuda.empty_cache()


def _portable(error: BaseException) -> BaseException:
    """An error as it can be sent, with where it happened if it is a bug."""
    if not isinstance(error, EvalkitError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        loads(dumps(error))  # noqa: S301 - what was just made
    except Exception:  # noqa: BLE001 - whatever a foreign error makes of it
        kind = EvalkitError if isinstance(error, EvalkitError) else RuntimeError
        return kind("\n".join([str(error), *getattr(error, "__notes__", [])]))
    return error


def _listen(connection: Connection, orders: "SimpleQueue[Any]") -> None:
    """Take orders at any time, so that nobody waits for the other to listen."""
    while True:
        try:
            orders.put(receive(connection))
        except (EOFError, ConnectionError):
            os._exit(0)  # nobody is there to take an answer
        except Exception as error:  # noqa: BLE001 - whatever a worker's pickle raises
            orders.put(error)


def main(descriptor: int) -> None:
    """Obey orders from a pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end hears of it, and closes the pipe
    connection = Connection(descriptor)
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, orders), daemon=True).start()
    station = _Station(connection)
    while True:
        try:
            station.obey(orders.get())
        except BaseException as error:  # noqa: BLE001 - it is for the other end
            station.fail(error)
