"""Workers of Ray: one process a GPU or core, on this machine or on a cluster.

Each makes its worker once and takes two shards at a time, of which it prepares one while it works on the other. Parts
of the answer come back as they are made and are kept by this process alone. A worker that is lost is replaced, and what
is left of its shards is handed out again. Nothing but the installed packages and the checkpoints has to be where the
workers are.
"""

import logging
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, EvalkitError, reason
from evalkit.inference.notices import say
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Shards, Worker
from evalkit.inference.workers.actor import Actor, Found, Loaded, Spent
from evalkit.inference.workers.connection import connect, resources
from evalkit.system.memory import GIB
from evalkit.system.stages import FINDING, LOADING

logger = logging.getLogger(__name__)

_SHARDS_A_WORKER = 2
_DEATHS = 3  # of workers at one shard, before it is given up
_PATIENCE = 300.0  # seconds without any worker


# Kind of worker -> processes that wait for the next pool of this process, each with the end of its last work.
_resting: dict[str, list[tuple[Any, Any]]] = {}


@dataclass(eq=False)
class _Member:
    """An actor as this process sees it."""

    actor: Any
    running: int = 0
    is_loaded: bool = False
    spent: Spent = field(default_factory=lambda: Spent(Usage(), 0))


@dataclass
class _Course:
    """How far shards are.

    Attributes:
        shards: what there is to do.
        waiting: shards that nobody works on.
        running: parts of a shard as they come -> who makes them, and of which shard.
        deaths: how often the worker of a shard was lost.
        has_begun: whether a part came back. Until then one worker on a GPU is alone, and finds a budget for all.
        loading: closed when the first worker is ready to work; from then on there is work.
    """

    shards: Shards
    waiting: deque[int]
    running: dict[Any, tuple[_Member, int]] = field(default_factory=dict)
    deaths: Counter[int] = field(default_factory=Counter)
    has_begun: bool = False
    loading: ExitStack = field(default_factory=ExitStack)


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
        self._ray = connect(compute)
        self._recipe = self._ray.put(self._ray.cloudpickle.dumps(worker))
        self._resources, self._wanted = resources(self._ray, compute)
        self._on_gpus = bool(self._resources["num_gpus"])
        self._kind = f"{self._ray.get_runtime_context().gcs_address} {self._resources}"
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
        """Let the workers rest, for the next pool."""
        for member in self._members:
            _resting.setdefault(self._kind, []).append((member.actor, member.actor.rest.remote()))
        for member in self._starting.values():
            self._ray.kill(member.actor)

    def kill(self) -> None:
        """End the workers, whatever they are at."""
        for member in (*self._members, *self._starting.values()):
            self._ray.kill(member.actor)

    def run(self, shards: Shards) -> None:
        """See `Pool`."""
        course = _Course(shards, deque(range(shards.count)))
        with course.loading:
            if not any(member.is_loaded for member in self._members):
                course.loading.enter_context(shards.meter.not_working(LOADING))
            while self._hand_out(course):
                for one in self._wait(course.running):
                    if one in course.running:
                        self._take(one, course)
                    else:
                        self._welcome([one])

    def _hand_out(self, course: _Course) -> bool:
        """Give shards to the workers that have the fewest, as many as they take; False when all is done."""
        while course.waiting and self._members:
            if self._on_gpus and course.running and not course.has_begun:
                break
            member = min(self._members, key=lambda one: one.running)
            # Whoever is still starting finds a shard, too, though the first that are ready could take them all.
            spare = len(course.waiting) > len(self._starting)
            if member.running >= (_SHARDS_A_WORKER if spare else 1):
                break
            shard = course.waiting.popleft()
            start = course.shards.meter.elapsed
            payload = course.shards.payload(shard)
            if payload is None and not course.running:
                course.shards.meter.set_apart(FINDING, course.shards.meter.elapsed - start)
            if payload is not None:
                parts = member.actor.work.options(num_returns="streaming").remote(
                    payload, course.shards.budget.tokens, overlaps=self._on_gpus
                )
                course.running[parts] = (member, shard)
                member.running += 1
            elif course.deaths[shard]:  # its worker was lost when the last part was on its way
                course.shards.done(shard)
        return bool(course.running or course.waiting)

    def _take(self, parts: Any, course: _Course) -> None:
        """The next that a worker says of a shard."""
        member, shard = course.running[parts]
        try:
            part = self._ray.get(next(parts))
        except StopIteration:
            del course.running[parts]
            member.running -= 1
            course.has_begun = True
            course.shards.done(shard)
        except self._ray.exceptions.RayTaskError as error:
            raise _cause(error) from None
        except self._ray.exceptions.RayError as error:
            del course.running[parts]
            course.deaths[shard] += 1
            self._replace(member, error, hopeless=course.deaths[shard] >= _DEATHS)
            course.waiting.appendleft(shard)
        else:
            if isinstance(part, Loaded):
                course.loading.close()
                member.is_loaded = True
                say(part.usage.emulated, part.usage.notice)
            elif isinstance(part, Spent):
                member.spent = part
            elif isinstance(part, Found):
                course.shards.budget.keep(part.tokens)
            else:
                course.has_begun = True
                course.shards.keep(shard, part)

    def _start(self) -> None:
        resting, rested = _resting.get(self._kind), None
        if resting:
            actor, rested = resting.pop()
        else:
            actor = self._ray.remote(Actor).options(max_concurrency=_SHARDS_A_WORKER, **self._resources).remote()
        self._starting[actor.start.remote(self._recipe, rested)] = _Member(actor)

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


def _cause(error: Any) -> BaseException:
    """What a worker raised; with Ray's report where it is a bug."""
    if isinstance(error.cause, ImportError):
        return ConfigError(
            f"a worker of Ray lacks a package ({reason(error.cause)}). Install evalkit with the same packages on every "
            "machine of the cluster."
        )
    return error.cause if isinstance(error.cause, EvalkitError) else error
