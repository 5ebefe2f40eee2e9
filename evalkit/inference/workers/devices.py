"""Processes on this machine, one or several a device.

Each sees one device, by its environment, and is fed by a pipe: with Python's lock one process would feed several
devices too slowly. When this process ends, however it ends, so do they.
"""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pickle import HIGHEST_PROTOCOL, dumps, loads  # noqa: TID251 - from one process of this program to another
from queue import SimpleQueue
from typing import Any

from evalkit.inference.workers import Worker
from evalkit.inference.workers.shared import Lost, SharedPool
from evalkit.inference.workers.station import Rest, Start, Station

Environment = Mapping[str, str]


def environments(devices: Sequence[str]) -> list[Environment]:
    """The environment of each process: its device, and its share of the cores for tokenising."""
    threads = str(max((os.cpu_count() or 1) // max(len(devices), 1), 1))
    cores = {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
    return [{"CUDA_VISIBLE_DEVICES": device, **cores} for device in devices]


def device_pool(worker: Worker, places: Sequence[Environment], *, overlaps: bool = True) -> SharedPool:
    """A pool of processes, one in each environment. `overlaps`: see `LocalPool`."""
    start = Start(dumps(worker, HIGHEST_PROTOCOL), overlaps)
    return SharedPool(_Machine(places), start, len(places), alone_first=True)


@dataclass(eq=False)
class DeviceProcess:
    """A process at the other end of a pipe."""

    environment: Environment
    process: "subprocess.Popen[bytes]"
    connection: Any
    rests: int = 0

    def order(self, what: Any) -> None:
        """See `Process`."""
        with suppress(ConnectionError):
            _send(self.connection, what)

    def kill(self) -> None:
        """See `Process`."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


# Processes that wait for the next pool, so that packages are imported once.
_resting: list[DeviceProcess] = []


@atexit.register
def _end_resting() -> None:
    while _resting:
        _resting.pop().kill()


class _Machine:
    """This machine as a `Site`."""

    backend, one, many = "local", "a process of compute.devices", "processes of compute.devices"
    fewer, alike = "compute.processes_per_device", "Set CUDA_VISIBLE_DEVICES to devices of one kind."

    def __init__(self, places: Sequence[Environment]) -> None:
        self._places = places

    def start(self, place: int) -> DeviceProcess:
        """See `Site`."""
        for process in _resting:
            if process.environment == self._places[place] and process.process.poll() is None:
                _resting.remove(process)
                return process
        return _started(self._places[place])

    def listen(self, processes: Sequence[DeviceProcess]) -> Iterator[tuple[DeviceProcess, Any]]:
        """See `Site`."""
        by_connection = {process.connection: process for process in processes}
        for connection in wait(list(by_connection)):
            process = by_connection[connection]
            try:
                news = loads(process.connection.recv_bytes())  # noqa: S301 - from a process of our own
            except (EOFError, ConnectionError):
                process.process.kill()
                news = Lost(f"exit code {process.process.wait()}")
            yield process, news

    def rest(self, process: DeviceProcess) -> None:
        """See `Site`."""
        process.order(Rest())
        process.rests += 1
        _resting.append(process)


def _started(place: Environment) -> DeviceProcess:
    """A new process, which finds packages where this one does."""
    ours, theirs = Pipe()
    start = f"from evalkit.inference.workers.devices import main; main({theirs.fileno()})"
    code = f"import sys; sys.path[:] = {sys.path!r}; {start}"
    process = subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code],
        env={**os.environ, **place},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=2,  # only results go to stdout
        start_new_session=True,  # Ctrl-C is for this process, which ends them
    )
    theirs.close()
    return DeviceProcess(place, process, ours)


def _send(connection: Any, what: Any) -> None:
    """Send by value: with torch `Connection.send` would share tensors, which end with a process."""
    connection.send_bytes(dumps(what, HIGHEST_PROTOCOL))


def main(descriptor: int) -> None:
    """Be one of the processes: obey orders from a pipe until the other end closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end gets it too, and closes the pipe
    connection = Connection(descriptor)
    orders: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_hear, args=(connection, orders), daemon=True).start()
    station = Station(lambda news: _send(connection, news))
    while True:
        station.obey(orders.get())


def _hear(connection: Any, orders: "SimpleQueue[Any]") -> None:
    """Receive orders at any time, so that the two ends never wait for each other to listen."""
    while True:
        try:
            orders.put(loads(connection.recv_bytes()))  # noqa: S301 - from this program
        except (EOFError, ConnectionError):
            os._exit(0)
        except Exception as error:  # noqa: BLE001 - unpickling a payload may raise any
            orders.put(error)
