"""Work in shards, done in this process, by processes on several devices, or by workers of Ray, with the same bytes.

    shard -> payload, the rest of it -> a worker prepares and works -> parts of the answer -> stored at once

A worker holds a model. Each process makes its own from a pickle, which has configuration and no weights. Knows nothing
of the work itself.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from evalkit.config import ComputeConfig
from evalkit.inference import accelerators
from evalkit.inference.budget import Budget, KeptBudget
from evalkit.inference.usage import Usage
from evalkit.system.stages import FINDING, Meter


class Worker(Protocol):
    """**Protocol:** does shards of one kind of work. A pickle of it makes the same in another process.

    Attributes:
        overlaps: whether two threads may work on a shard each, and take turns on a device; see `turns`.
        budget: tokens of a batch; None where the worker does not probe memory.
    """

    @property
    def overlaps(self) -> bool: ...  # noqa: D102
    @property
    def budget(self) -> Budget | None: ...  # noqa: D102

    def facts(self) -> Mapping[str, object]:
        """Facts that must be equal for all workers: kind of processor, version of torch, checkpoint."""
        ...

    def load(self) -> None:
        """Import, read and lay out all that the work needs, before any shard is timed. A second call does nothing."""
        ...

    def prepare(self, payload: Any) -> Any:
        """The part of a shard's work that may run while another is worked on, such as tokenising."""
        ...

    def work(self, prepared: Any) -> Iterator[Any]:
        """Parts of the answer, as they are made."""
        ...

    def spent(self) -> Usage:
        """Work of the engine so far."""
        ...


@dataclass(frozen=True)
class Shards:
    """The work.

    Attributes:
        count: number of shards.
        payload: shard -> input for the rest of it; None where nothing is left. Called when the shard is handed out, and
            again if its worker was lost.
        keep: (shard, part) -> stores a part of the answer.
        done: called with each shard that is done.
        meter: counts the time without any work, when a model is loaded or nothing was left of a shard.
        budget: the budget that the first worker finds, for all of them and for a resumed run.
    """

    count: int
    payload: Callable[[int], Any]
    keep: Callable[[int, Any], None]
    done: Callable[[int], None] = lambda _: None
    meter: Meter = field(default_factory=Meter)
    budget: KeptBudget = field(default_factory=KeptBudget)

    def find(self, shard: int, *, idle: bool) -> Any:
        """The payload of a shard. If it is None and no worker is busy (`idle`), the search does not count as work."""
        start = self.meter.elapsed
        payload = self.payload(shard)
        if payload is None and idle:
            self.meter.set_apart(FINDING, self.meter.elapsed - start)
        return payload

    def take(self, shard: int, part: Any, budget: int | None) -> None:
        """Store a part, and the budget that its worker found."""
        self.budget.keep(budget)
        self.keep(shard, part)


class Pool(Protocol):
    """**Protocol:** workers."""

    def facts(self) -> Mapping[str, object]:
        """The facts of every worker."""
        ...

    def run(self, shards: Shards) -> None:
        """Do all shards.

        Raises:
            EvalkitError: a worker raised it.
        """
        ...

    def spent(self) -> Usage:
        """Work of all engines so far."""
        ...

    def describe(self) -> Mapping[str, object]:
        """Facts for a manifest; empty for this process alone."""
        ...


@contextmanager
def open_pool(worker: Worker, compute: ComputeConfig | None) -> Iterator[Pool]:
    """Workers for the time of a `with` block.

    Args:
        worker: does the work here, or is the pattern of the workers elsewhere.
        compute: where; this process when None.

    Raises:
        EvalkitError: workers cannot be started, or differ.
    """
    places = accelerators.shared_devices(compute) if compute and compute.backend == "local" else []
    if compute is None or (compute.backend == "local" and not places):
        from evalkit.inference.workers.local import LocalPool

        yield LocalPool(worker, overlaps=compute is not None and accelerators.on_cuda(compute))
        return
    if places:
        from evalkit.inference.workers.devices import device_pool, environments

        pool = device_pool(worker, environments(places), overlaps=accelerators.on_cuda(compute))
    else:
        from evalkit.inference.workers.cluster import ray_pool

        pool = ray_pool(worker, compute)
    try:
        yield pool
    except BaseException:
        pool.kill()
        raise
    pool.close()


def together(*described: Mapping[str, Any]) -> dict[str, Any]:
    """One description of several pools with the same settings: the sum of lost workers, and the highest peak."""
    joined = {name: value for facts in described for name, value in facts.items()}
    for name, join in (("lost", sum), ("peak_memory_gib", max)):
        if found := [facts[name] for facts in described if name in facts]:
            joined[name] = join(found)
    return joined
