"""Workers of Ray: one process a GPU or core, on this machine or on a cluster.

Each makes its worker once and takes two shards at a time, of which it prepares one while it works on the other. Parts
of the answer come back as they are made and are kept by this process alone. A worker that is lost is replaced, and what
is left of its shards is handed out again. Nothing but the installed packages and the checkpoints has to be where the
workers are.
"""

import logging
import os
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, EvalkitError, MissingExtra, reason
from evalkit.inference.usage import Usage
from evalkit.memory import GIB, peak
from evalkit.workers import Shards, Worker

logger = logging.getLogger(__name__)

_SHARDS_A_WORKER = 2
_DEATHS = 3  # of workers at one shard, before it is given up
_PATIENCE = 300.0  # seconds without any worker


class _Spent(NamedTuple):
    """The last that a worker says of a shard: what all its shards took, and the most memory."""

    usage: Usage
    peak: int


class _Actor:
    """A worker in a process of its own."""

    def __init__(self, recipe: bytes) -> None:
        self._recipe = recipe
        self._turn = threading.Lock()
        self._worker: Any = None

    def start(self) -> dict[str, object]:
        """Make the worker; what it says of itself."""
        from ray import cloudpickle

        self._worker = cloudpickle.loads(self._recipe)
        return dict(self._worker.facts())

    def work(self, payload: Any) -> Iterator[Any]:
        """Parts of a shard's answer, then what the worker spent."""
        prepared = self._worker.prepare(payload)
        with self._turn:
            yield from self._worker.work(prepared)
        yield _Spent(self._worker.spent(), peak())


@dataclass(eq=False)
class _Member:
    """An actor as this process sees it."""

    actor: Any
    running: int = 0
    spent: _Spent = field(default_factory=lambda: _Spent(Usage(), 0))


class RayPool:
    """Actors of Ray as a `Pool`.

    Args:
        worker: the pattern; it is pickled.
        compute: where, and how many.

    Raises:
        MissingExtra: Ray is not installed.
        ConfigError: no cluster answers, or it has no room for a worker.
    """

    def __init__(self, worker: Worker, compute: ComputeConfig) -> None:
        self._ray = _connect(compute)
        self._recipe = self._ray.put(self._ray.cloudpickle.dumps(worker))
        self._resources, self._wanted = _resources(self._ray, compute)
        self._facts: Mapping[str, object] | None = None
        self._starting: dict[Any, _Member] = {}
        self._members: list[_Member] = []
        self._gone: list[_Member] = []
        self._lost = 0
        for _ in range(self._wanted):
            self._start()

    def facts(self) -> Mapping[str, object]:
        """See `Pool`."""
        while self._facts is None:
            self._welcome(self._wait([]))
        return self._facts

    def spent(self) -> Usage:
        """See `Pool`."""
        return sum((member.spent.usage for member in (*self._members, *self._gone)), Usage())

    def describe(self) -> Mapping[str, object]:
        """See `Pool`."""
        most = max((member.spent.peak for member in (*self._members, *self._gone)), default=0)
        return {
            "backend": "ray",
            "count": self._wanted,
            "lost": self._lost,
            "peak_memory_gib": round(most / GIB, 3),
        }

    def close(self) -> None:
        """End the workers."""
        for member in (*self._members, *self._starting.values()):
            self._ray.kill(member.actor)

    def run(self, shards: Shards) -> None:
        """See `Pool`."""
        waiting, deaths = deque(range(shards.count)), Counter[int]()
        running: dict[Any, tuple[_Member, int]] = {}
        while True:
            self._hand_out(shards, waiting, running)
            if not running and not waiting:
                return
            for one in self._wait(running):
                if one not in running:
                    self._welcome([one])
                    continue
                member, shard = running[one]
                try:
                    part = self._ray.get(next(one))
                except StopIteration:
                    del running[one]
                    member.running -= 1
                    shards.done(shard)
                except self._ray.exceptions.RayTaskError as error:
                    raise _cause(error) from None
                except self._ray.exceptions.RayError as error:
                    del running[one]
                    deaths[shard] += 1
                    self._replace(member, error, hopeless=deaths[shard] >= _DEATHS)
                    waiting.appendleft(shard)
                else:
                    if isinstance(part, _Spent):
                        member.spent = part
                    else:
                        shards.keep(shard, part)

    def _hand_out(self, shards: Shards, waiting: deque[int], running: dict[Any, tuple[_Member, int]]) -> None:
        """Give shards to the workers that have the fewest, as many as they take."""
        while waiting and self._members:
            member = min(self._members, key=lambda one: one.running)
            if member.running >= _SHARDS_A_WORKER:
                return
            shard = waiting.popleft()
            payload = shards.payload(shard)
            if payload is not None:
                parts = member.actor.work.options(num_returns="streaming").remote(payload)
                running[parts] = (member, shard)
                member.running += 1

    def _start(self) -> None:
        kind = self._ray.remote(_Actor).options(max_concurrency=_SHARDS_A_WORKER, **self._resources)
        actor = kind.remote(self._recipe)
        self._starting[actor.start.remote()] = _Member(actor)

    def _wait(self, running: Any) -> list[Any]:
        """What there is news of: shards at work, or workers that start."""
        ready, _ = self._ray.wait([*running, *self._starting], num_returns=1, timeout=_PATIENCE)
        if not ready and not running:
            raise ConfigError(
                f"no worker of Ray could be started in {_PATIENCE:.0f} s with {self._resources}. See `ray status`; set "
                "compute.workers, compute.cpus_per_worker or compute.device."
            )
        return list(ready)

    def _welcome(self, started: list[Any]) -> None:
        """Take in workers that are ready.

        Raises:
            EvalkitError: one cannot be made, or is not like the others.
        """
        for one in started:
            member = self._starting.pop(one)
            try:
                facts = self._ray.get(one)
            except self._ray.exceptions.RayTaskError as error:
                raise _cause(error) from None
            except self._ray.exceptions.RayError as error:
                self._replace(member, error, hopeless=self._lost >= _DEATHS * self._wanted)
                continue
            if self._facts not in (None, facts):
                raise ConfigError(
                    f"workers of Ray are not alike: {facts} beside {self._facts}. Scores would be a mixture of both; "
                    "use machines of one kind with the same versions and checkpoints."
                )
            self._facts = facts
            self._members.append(member)

    def _replace(self, member: _Member, error: Exception, *, hopeless: bool) -> None:
        """Start another worker for one that was lost; both of its shards tell of it.

        Raises:
            EvalkitError: it happens again and again.
        """
        if hopeless:
            raise EvalkitError(
                f"workers of Ray are lost again and again ({reason(error)}). What was finished is kept. If they run "
                "out of memory, use fewer (compute.workers), or lower compute.batch_tokens."
            )
        if member in self._gone:
            return
        self._lost += 1
        logger.warning("a worker of Ray was lost. What is left of its shards is done by the others.")
        self._ray.kill(member.actor)
        self._gone.append(member)
        if member in self._members:
            self._members.remove(member)
        self._start()


def _connect(compute: ComputeConfig) -> Any:
    """Ray, connected to a cluster, or to one that is started here.

    Raises:
        MissingExtra: it is not installed.
        ConfigError: no cluster answers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.cloudpickle
    except ImportError as error:
        raise MissingExtra("ray", extra="ray", purpose="compute=ray") from error
    if ray.is_initialized():
        return ray
    local: dict[str, Any] = {"include_dashboard": False} if compute.address is None else {}
    try:
        ray.init(address=compute.address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ConfigError(
            f"compute.address={compute.address}: no Ray cluster could be reached ({reason(error)}). Start one with "
            "`ray start --head`, or leave compute.address out."
        ) from error
    return ray


def _resources(ray: Any, compute: ComputeConfig) -> tuple[dict[str, Any], int]:
    """What one worker takes of the cluster, and how many workers there are to be.

    Raises:
        ConfigError: the cluster has none of it.
    """
    there = ray.cluster_resources()
    gpus = int(there.get("GPU", 0)) if compute.device != "cpu" else 0
    if compute.device == "cuda" and not gpus:
        raise ConfigError("compute.device=cuda was asked for, and the Ray cluster has no GPU. Set compute.device=cpu.")
    cores = compute.cpus_per_worker
    fitting = gpus or int(there.get("CPU", 0)) // cores
    if not fitting:
        raise ConfigError(
            f"compute.cpus_per_worker={cores}, and the Ray cluster has {there.get('CPU', 0):.0f} cores. Set fewer."
        )
    threads = {"OMP_NUM_THREADS": str(cores), "RAYON_NUM_THREADS": str(cores), "TOKENIZERS_PARALLELISM": "true"}
    resources = {"num_cpus": cores, "num_gpus": 1 if gpus else 0, "runtime_env": {"env_vars": threads}}
    return resources, compute.workers or fitting


def _cause(error: Any) -> BaseException:
    """What a worker raised; with Ray's report where it is a bug."""
    if isinstance(error.cause, ImportError):
        return ConfigError(
            f"a worker of Ray lacks a package ({reason(error.cause)}). Install evalkit with the same packages on every "
            "machine of the cluster."
        )
    return error.cause if isinstance(error.cause, EvalkitError) else error
