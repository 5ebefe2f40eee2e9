"""Shards shared by workers in other processes: who gets which, what comes back, and what to do when a process dies.

Each process prepares one shard while it works on another. Parts of the answer come back as they are made, and this
process alone stores them. A process that dies is replaced, and the rest of its shards is handed out again.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from evalkit.errors import ConfigError, EvalkitError
from evalkit.inference.notices import say
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Shards
from evalkit.inference.workers.line import ROOM, Ended, ShardPart
from evalkit.inference.workers.station import Do, Failed, Load, Rest, Spent, Started
from evalkit.system.memory import GIB
from evalkit.system.stages import LOADING

logger = logging.getLogger(__name__)

_DEATHS = 3  # of processes at one shard, before it is given up


class Process(Protocol):
    """**Protocol:** another process with a `Station`.

    Attributes:
        rests: orders to rest that it has not confirmed; its news until then belong to earlier pools.
    """

    rests: int

    def order(self, what: Any) -> None:
        """Send an order. If the process has died, `Site.listen` says so."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...


class Lost(NamedTuple):
    """News: the process has died, and why."""

    reason: str


class Site(Protocol):
    """**Protocol:** where processes run.

    Attributes:
        backend: the name in manifests.
        one: a process in messages, such as `a worker of Ray`.
        many: several processes in messages.
        fewer: the setting for their number.
        alike: what to do when processes differ.
    """

    backend: str
    one: str
    many: str
    fewer: str
    alike: str

    def start(self, place: int) -> Any:
        """The `Process` of this number: one that rests, or a new one."""
        ...

    def listen(self, processes: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """Wait until there are news; each with the process that gave them."""
        ...

    def rest(self, process: Any) -> None:
        """Save a process for the next pool."""
        ...


@dataclass(eq=False)
class Member:
    """A process, and how far it is.

    Attributes:
        place: its number.
        process: the process itself.
        running: its shards.
        facts: facts of its worker; None until that is made.
        is_loading: whether it was ordered to load.
        is_loaded: whether its worker is loaded.
        spent: work so far.
    """

    place: int
    process: Any
    running: set[int] = field(default_factory=set)
    facts: Mapping[str, object] | None = None
    is_loading: bool = False
    is_loaded: bool = False
    spent: Spent = field(default_factory=lambda: Spent(Usage(), 0))


@dataclass
class Course:
    """The state of one call of `run`.

    Attributes:
        shards: the work.
        waiting: shards that no process has.
        has_begun: whether a part came back. On a GPU one process works alone until then, and finds a budget for all.
        deaths: shard -> how many processes died with it.
        loading: closed when the first process is loaded.
    """

    shards: Shards
    waiting: deque[int]
    has_begun: bool = False
    deaths: Counter[int] = field(default_factory=Counter)
    loading: ExitStack = field(default_factory=ExitStack)


class SharedPool:
    """Processes as a `Pool`.

    Args:
        site: where they run.
        start: the order that makes the worker.
        count: processes.
        alone_first: whether the first shard is done by one process alone, so that it finds a budget.
    """

    def __init__(self, site: Site, start: Any, count: int, *, alone_first: bool) -> None:
        self._site, self._start, self._count, self._alone_first = site, start, count, alone_first
        self._facts: Mapping[str, object] | None = None
        self._lost, self._gone, self._peak = 0, Usage(), 0
        self._members: list[Member] = []
        try:
            for place in range(count):
                self._members.append(self._engaged(place))
        except BaseException:
            self.kill()
            raise

    def _engaged(self, place: int) -> Member:
        process = self._site.start(place)
        process.order(self._start)
        return Member(place, process)

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
        most = max(self._peak, *(member.spent.peak for member in self._members))
        peak = {"peak_memory_gib": round(most / GIB, 3)}
        return {"backend": self._site.backend, "count": self._count, "lost": self._lost, **peak}

    def close(self) -> None:
        """Save the processes for the next pool."""
        for member in self._members:
            self._site.rest(member.process)

    def kill(self) -> None:
        """End the processes at once."""
        for member in self._members:
            member.process.kill()

    def run(self, shards: Shards) -> None:
        """See `Pool`."""
        course = Course(shards, deque(range(shards.count)))
        with course.loading:
            if not any(member.is_loaded for member in self._members):
                course.loading.enter_context(shards.meter.not_working(LOADING))
            while self._hand_out(course):
                self._listen(course)

    def _hand_out(self, course: Course) -> bool:
        """Give each process as many shards as it takes, those with the fewest first; False when all is done."""
        while course.waiting and (member := self._free(course)):
            shard = course.waiting.popleft()
            payload = course.shards.find(shard, idle=not self._is_running)
            if payload is not None:
                self._load([member, *self._members[: len(course.waiting)]])
                member.running.add(shard)
                member.process.order(Do(shard, payload, course.shards.budget.tokens))
            elif course.deaths[shard]:  # the process died after its last part had arrived
                course.shards.done(shard)
        return bool(course.waiting) or self._is_running

    @property
    def _is_running(self) -> bool:
        return any(member.running for member in self._members)

    def _free(self, course: Course) -> Member | None:
        """Who takes the next shard."""
        if self._alone_first and not course.has_begun and self._is_running:
            return None
        started = [member for member in self._members if member.facts is not None]
        # Processes that are still starting get a shard, too, though the first that are ready could take them all.
        spare = len(course.waiting) > len(self._members) - len(started)
        member = min(started, key=lambda member: len(member.running), default=None)
        return member if member and len(member.running) < (ROOM if spare else 1) else None

    def _load(self, members: Sequence[Member]) -> None:
        """Have processes load the model, all at the same time."""
        for member in members:
            if member.facts is not None and not member.is_loading:
                member.is_loading = True
                member.process.order(Load())

    def _listen(self, course: Course | None) -> None:
        members = {id(member.process): member for member in self._members}
        for process, news in self._site.listen([member.process for member in self._members]):
            self._take(members[id(process)], news, course)

    def _take(self, member: Member, news: Any, course: Course | None) -> None:
        if member.process.rests and not isinstance(news, Lost):
            member.process.rests -= isinstance(news, Rest)
            return
        match news:
            case Lost(reason):
                self._replace(member, reason, course)
            case Started(facts):
                self._welcome(member, facts)
            case Failed(error):
                raise error
            case Spent(usage):
                member.spent, member.is_loaded = news, True
                say(usage.emulated, usage.notice)
                if course:
                    course.loading.close()
            case ShardPart(shard, value, budget) if course:
                course.has_begun = True
                course.shards.take(shard, value, budget)
            case Ended(shard, error) if course:
                if error is not None:
                    raise error
                course.has_begun = True
                member.running.discard(shard)
                course.shards.done(shard)

    def _welcome(self, member: Member, facts: Mapping[str, object]) -> None:
        if self._facts not in (None, facts):
            raise ConfigError(
                f"{self._site.many} are not alike: {facts} and {self._facts}. Scores would be a mixture of both. "
                f"{self._site.alike}"
            )
        self._facts = member.facts = facts

    def _replace(self, member: Member, reason: str, course: Course | None) -> None:
        """Start another process for one that died.

        Raises:
            EvalkitError: processes died too often.
        """
        self._lost += 1
        member.process.kill()
        self._gone += member.spent.usage
        self._peak = max(self._peak, member.spent.peak)
        hopeless = self._lost >= _DEATHS * self._count and not member.is_loaded
        if course:
            course.deaths.update(member.running)
            course.waiting.extendleft(sorted(member.running, reverse=True))
            hopeless |= any(course.deaths[shard] >= _DEATHS for shard in member.running)
        if hopeless:
            raise EvalkitError(
                f"{self._site.many} die again and again ({reason}). Finished work is saved. If they run out of memory, "
                f"use fewer ({self._site.fewer}), or lower compute.batch_tokens."
            )
        logger.warning("%s died. The other workers do the rest of its shards.", self._site.one)
        self._members[self._members.index(member)] = self._engaged(member.place)
