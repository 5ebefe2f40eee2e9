"""Processes on this machine, one or several a device, that hold the model and share the shards.

Each is on the device that its environment shows, and is fed by a pipe: Python's lock would have one process feed all
devices too slowly. Answers come back as they are made and are kept by this process alone. A process that dies is
replaced, and what is left of its shards is handed out again. When this process ends, in whatever way, they do.
"""

import atexit
import logging
import os
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import wait
from typing import Any

from evalkit.errors import ConfigError, EvalkitError
from evalkit.inference import emulation
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Shards, Worker
from evalkit.inference.workers.line import ROOM, Ended, Part
from evalkit.inference.workers.process import Do, Failed, Load, Rest, Spent, Start, Started, receive, send
from evalkit.system.memory import GIB
from evalkit.system.stages import FINDING, LOADING

logger = logging.getLogger(__name__)

_DEATHS = 3  # of processes at one shard, before it is given up

Environment = Mapping[str, str]


def environments(devices: Sequence[str]) -> list[Environment]:
    """What each process has in its environment: its device, and its share of the cores to tokenise with."""
    threads = str(max((os.cpu_count() or 1) // max(len(devices), 1), 1))
    cores = {"OMP_NUM_THREADS": threads, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
    return [{"CUDA_VISIBLE_DEVICES": device, **cores} for device in devices]


@dataclass(eq=False)
class _Member:
    """A process as this one sees it.

    Attributes:
        rests: how often it was told to rest and has not said so yet: what it says until then is of pools before.
        running: shards that it has.
        facts: what its worker says of itself; None until it is made.
    """

    environment: Environment
    process: "subprocess.Popen[bytes]"
    connection: Any
    rests: int = 0
    running: set[int] = field(default_factory=set)
    facts: Mapping[str, object] | None = None
    is_loading: bool = False
    is_loaded: bool = False
    spent: Spent = field(default_factory=lambda: Spent(Usage(), 0))

    def order(self, what: Any) -> None:
        """Tell it; where it has died, that is heard when it is listened to."""
        with suppress(ConnectionError):
            send(self.connection, what)

    def kill(self) -> None:
        """End it, whatever it is at."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


# Processes that wait for the next pool of this one: packages are imported once.
_resting: list[_Member] = []


@atexit.register
def _end_resting() -> None:
    while _resting:
        _resting.pop().kill()


@dataclass
class _Course:
    """How far shards are.

    Attributes:
        shards: what there is to do.
        waiting: shards that nobody has.
        has_begun: whether a part came back. Until then one process works alone, and finds a budget for all.
        deaths: how often the process that had a shard died.
        loading: closed when the first process is ready to work.
    """

    shards: Shards
    waiting: deque[int]
    has_begun: bool = False
    deaths: Counter[int] = field(default_factory=Counter)
    loading: ExitStack = field(default_factory=ExitStack)


class DevicePool:
    """Processes as a `Pool`.

    Args:
        worker: the pattern; it is pickled.
        places: the environment of each process.
        overlaps: see `LocalPool`.
    """

    def __init__(self, worker: Worker, places: Sequence[Environment], *, overlaps: bool = True) -> None:
        self._start, self._count = Start(worker, overlaps), len(places)
        self._facts: Mapping[str, object] | None = None
        self._lost, self._gone = 0, Usage()
        self._peak = 0
        self._members = [_engaged(place) for place in places]
        try:
            for member in self._members:
                member.order(self._start)
        except BaseException:
            self.kill()
            raise

    def facts(self) -> Mapping[str, object]:
        """See `Pool`."""
        while self._facts is None:
            self._listen(None)
        return self._facts

    def spent(self) -> Usage:
        """See `Pool`."""
        return sum((member.spent.usage for member in self._members), self._gone)

    def describe(self) -> Mapping[str, object]:
        """See `Pool`."""
        most = max((member.spent.peak for member in self._members), default=0)
        return {
            "backend": "local",
            "count": self._count,
            "lost": self._lost,
            "peak_memory_gib": round(max(most, self._peak) / GIB, 3),
        }

    def close(self) -> None:
        """Let the processes rest, for the next pool."""
        for member in self._members:
            member.order(Rest())
            _resting.append(_Member(member.environment, member.process, member.connection, member.rests + 1))

    def kill(self) -> None:
        """End the processes, whatever they are at."""
        for member in self._members:
            member.kill()

    def run(self, shards: Shards) -> None:
        """See `Pool`."""
        course = _Course(shards, deque(range(shards.count)))
        with course.loading:
            if not any(member.is_loaded for member in self._members):
                course.loading.enter_context(shards.meter.not_working(LOADING))
            while self._hand_out(course):
                self._listen(course)

    def _hand_out(self, course: _Course) -> bool:
        """Give shards to those that have the fewest, as many as they take; False when all is done."""
        while course.waiting and (member := self._free(course)):
            shard = course.waiting.popleft()
            start = course.shards.meter.elapsed
            payload = course.shards.payload(shard)
            is_idle = not any(one.running for one in self._members)
            if payload is None and is_idle:
                course.shards.meter.set_apart(FINDING, course.shards.meter.elapsed - start)
            if payload is not None:
                self._load(len(course.waiting) + 1)
                member.running.add(shard)
                member.order(Do(shard, payload, course.shards.budget.tokens))
            elif course.deaths[shard]:  # its process died when the last part was on its way
                course.shards.done(shard)
        return bool(course.waiting) or any(member.running for member in self._members)

    def _free(self, course: _Course) -> _Member | None:
        """Who takes the next shard; the first is done by one alone."""
        started = [member for member in self._members if member.facts is not None]
        if not course.has_begun and any(member.running for member in started):
            return None
        # Whoever is still starting finds a shard, too, though the first that are ready could take them all.
        spare = len(course.waiting) > len(self._members) - len(started)
        member = min(started, key=lambda one: len(one.running), default=None)
        return member if member and len(member.running) < (ROOM if spare else 1) else None

    def _load(self, shards: int) -> None:
        """Have as many processes load the model as there are shards, all at the same time."""
        for member in self._members[:shards]:
            if member.facts is not None and not member.is_loading:
                member.is_loading = True
                member.order(Load())

    def _listen(self, course: _Course | None) -> None:
        """Take what the processes say next."""
        members = {member.connection: member for member in self._members}
        for connection in wait(list(members)):
            member = members[connection]
            try:
                news = receive(member.connection)
            except (EOFError, ConnectionError):
                self._replace(member, course)
            else:
                self._take(member, news, course)

    def _take(self, member: _Member, news: Any, course: _Course | None) -> None:
        if member.rests:
            member.rests -= isinstance(news, Rest)
            return
        match news:
            case Started(facts):
                self._welcome(member, facts)
            case Failed(error):
                raise error
            case Spent(usage):
                self._take_spent(member, news, course)
                if usage.emulated:
                    emulation.warn(usage.emulated)
            case Part(shard, value, budget) if course:
                course.has_begun = True
                course.shards.budget.keep(budget)
                course.shards.keep(shard, value)
            case Ended(shard, error) if course:
                if error is not None:
                    raise error
                course.has_begun = True
                member.running.discard(shard)
                course.shards.done(shard)

    def _take_spent(self, member: _Member, news: Spent, course: _Course | None) -> None:
        member.spent, member.is_loaded = news, True
        if course:
            course.loading.close()

    def _welcome(self, member: _Member, facts: Mapping[str, object]) -> None:
        if self._facts not in (None, facts):
            raise ConfigError(
                f"the devices of this machine are not alike: {facts} beside {self._facts}. Scores would be a mixture "
                "of both. Set CUDA_VISIBLE_DEVICES to devices of one kind."
            )
        self._facts = member.facts = facts

    def _replace(self, member: _Member, course: _Course | None) -> None:
        """Start another process for one that died.

        Raises:
            EvalkitError: it happens again and again.
        """
        self._lost += 1
        member.kill()
        self._gone += member.spent.usage
        self._peak = max(self._peak, member.spent.peak)
        hopeless = self._lost >= _DEATHS * self._count and not member.is_loaded
        if course:
            course.deaths.update(member.running)
            course.waiting.extendleft(sorted(member.running, reverse=True))
            hopeless |= any(course.deaths[shard] >= _DEATHS for shard in member.running)
        if hopeless:
            raise EvalkitError(
                f"processes of compute.devices die again and again (exit code {member.process.returncode}). What was "
                "finished is kept. If they run out of memory, use fewer (compute.processes_per_device), or lower "
                "compute.batch_tokens."
            )
        logger.warning("a process of compute.devices died. What is left of its shards is done by the others.")
        successor = _engaged(member.environment)
        self._members[self._members.index(member)] = successor
        successor.order(self._start)


def _engaged(place: Environment) -> _Member:
    """A process that rests, or a new one."""
    for member in _resting:
        if member.environment == place and member.process.poll() is None:
            _resting.remove(member)
            return member
    return _started(place)


def _started(place: Environment) -> _Member:
    """A new process, which finds packages where this one does."""
    ours, theirs = Pipe()
    start = f"from evalkit.inference.workers.process import main; main({theirs.fileno()})"
    code = f"import sys; sys.path[:] = {sys.path!r}; {start}"
    process = subprocess.Popen(  # noqa: S603 - of this very interpreter
        [sys.executable, "-c", code],
        env={**os.environ, **place},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=2,  # results alone are on stdout
        start_new_session=True,  # Ctrl-C is for this process, which ends them
    )
    theirs.close()
    return _Member(place, process, ours)
