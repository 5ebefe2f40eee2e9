"""Processes of Ray: one a GPU or core, on this machine or on a cluster.

Only the installed packages and the checkpoints have to be where the processes run.
"""

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError
from evalkit.inference.workers import Worker
from evalkit.inference.workers.connection import connect, resources
from evalkit.inference.workers.shared import Lost, SharedPool
from evalkit.inference.workers.station import Failed, Rest, Start, Station
from evalkit.system.reporting import reason

_PATIENCE = 300.0  # seconds until the first process has started

# Kind of process -> those that wait for the next pool.
_resting: dict[str, list["RayProcess"]] = {}


def ray_pool(worker: Worker, compute: ComputeConfig) -> SharedPool:
    """A pool of Ray's processes.

    Raises:
        MissingExtra: Ray is not installed.
        ConfigError: no cluster answers, or it has no room for a worker.
    """
    ray = connect(compute)
    needed, count = resources(ray, compute)
    on_gpus = bool(needed["num_gpus"])
    # By reference: the order holds the whole worker, and Ray stores it once for all processes.
    start = ray.put(Start(ray.cloudpickle.dumps(worker), on_gpus))
    return SharedPool(_Cluster(ray, needed), start, count, alone_first=on_gpus)


class Actor:
    """A `Station` in a process of its own, run by Ray."""

    def __init__(self) -> None:
        self._news: SimpleQueue[Any] = SimpleQueue()
        self._station = Station(self._news.put)

    def obey(self, order: Any, before: None) -> None:
        """Do what an order says. It takes the result of the order before, since Ray's calls may pass each other."""
        del before
        self._station.obey(order)

    def news(self) -> Iterator[Any]:
        """All news, without end."""
        while True:
            yield self._news.get()


class RayProcess:
    """An actor, its news, and whether there were any."""

    def __init__(self, ray: Any, needed: dict[str, Any]) -> None:
        self._ray, self.rests, self.has_spoken = ray, 0, False
        # Two calls at a time: one gives news, the other obeys.
        self._actor = ray.remote(Actor).options(max_concurrency=2, **needed).remote()
        self.news = self._actor.news.options(num_returns="streaming").remote()
        self._last: Any = None

    def order(self, what: Any) -> None:
        """See `Process`."""
        self._last = self._actor.obey.remote(what, self._last)

    def kill(self) -> None:
        """See `Process`."""
        self._ray.kill(self._actor)


class _Cluster:
    """A Ray cluster as a `Site`."""

    backend, one, many = "ray", "a worker of Ray", "workers of Ray"
    fewer, alike = "compute.workers", "Use machines of one kind with the same versions and checkpoints."

    def __init__(self, ray: Any, needed: dict[str, Any]) -> None:
        self._ray, self._needed = ray, needed
        self._kind = f"{ray.get_runtime_context().gcs_address} {needed}"

    def start(self, place: int) -> RayProcess:
        """See `Site`."""
        del place
        resting = _resting.get(self._kind)
        return resting.pop() if resting else RayProcess(self._ray, self._needed)

    def listen(self, processes: Sequence[RayProcess]) -> Iterator[tuple[RayProcess, Any]]:
        """See `Site`.

        Raises:
            ConfigError: no process starts.
        """
        by_stream = {process.news: process for process in processes}
        ready, _ = self._ray.wait(list(by_stream), num_returns=1, timeout=_PATIENCE)
        if not ready and not any(process.has_spoken for process in processes):
            raise ConfigError(
                f"no worker of Ray could be started in {_PATIENCE:.0f} s with {self._needed}. See `ray status`; set "
                "compute.workers, compute.cpus_per_worker or compute.device."
            )
        for stream in ready:
            yield by_stream[stream], self._next(by_stream[stream])

    def _next(self, process: RayProcess) -> Any:
        try:
            news = self._ray.get(next(process.news))
        except StopIteration:
            return Lost("it had ended before")
        except self._ray.exceptions.RayError as error:
            return Lost(reason(error))
        process.has_spoken = True
        if isinstance(news, Failed) and isinstance(news.error, ImportError):
            missing = f"a worker of Ray lacks a package ({reason(news.error)})"
            return Failed(ConfigError(f"{missing}. Install evalkit with the same packages on every machine."))
        return news

    def rest(self, process: RayProcess) -> None:
        """See `Site`; a process that has not started yet may never do so."""
        if not process.has_spoken:
            process.kill()
            return
        process.order(Rest())
        process.rests += 1
        _resting.setdefault(self._kind, []).append(process)
