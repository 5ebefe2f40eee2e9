"""Work in shards, done in this process, by one a device, or by workers of Ray: the same shards, so the same bytes.

    shard -> payload, what is left to do of it -> a worker prepares and works -> parts of the answer -> kept at once

A worker holds a model. It is made once in each process, from what a pickle of it says: configuration and no weights.
Knows nothing of what the work is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from evalkit.config import ComputeConfig
from evalkit.inference import accelerators
from evalkit.inference.budget import Budget, KeptBudget
from evalkit.inference.usage import Usage
from evalkit.system.stages import Meter

if TYPE_CHECKING:
    from evalkit.inference.workers.cluster import RayPool
    from evalkit.inference.workers.devices import DevicePool

_PEAK = "peak_memory_gib"


class Worker(Protocol):
    """**Protocol:** does shards of one kind of work. A pickle of it makes the same in another process."""

    @property
    def overlaps(self) -> bool:
        """Whether two threads may work on a shard each, and take turns on a device; see `turns`."""
        ...

    @property
    def budget(self) -> Budget | None:
        """Tokens of a batch, where it finds out what fits into memory."""
        ...

    def facts(self) -> Mapping[str, object]:
        """What must be the same for all that work together: kind of processor, version of torch, checkpoint."""
        ...

    def load(self) -> None:
        """Import, read and lay out all that the work needs, so that no shard is charged for it. Twice is once."""
        ...

    def prepare(self, payload: Any) -> Any:
        """What can be done of a shard while another one is worked on, such as tokenising."""
        ...

    def work(self, prepared: Any) -> Iterator[Any]:
        """Parts of the answer, as they are made."""
        ...

    def spent(self) -> Usage:
        """What the engine took so far."""
        ...


@dataclass(frozen=True)
class Shards:
    """What there is to do.

    Attributes:
        count: of shards.
        payload: shard -> what a worker needs for what is left of it; None where nothing is. Asked for when the shard is
            handed out, and again if its worker was lost.
        keep: (shard, part) -> takes a part of the answer.
        done: called with a shard when it is.
        meter: told how long nobody worked, because a model was loaded or nothing was left of a shard.
        budget: the budget that the first worker finds, for all of them and for the run that goes on with the work.
    """

    count: int
    payload: Callable[[int], Any]
    keep: Callable[[int, Any], None]
    done: Callable[[int], None] = lambda _: None
    meter: Meter = field(default_factory=Meter)
    budget: KeptBudget = field(default_factory=KeptBudget)


class Pool(Protocol):
    """**Protocol:** workers."""

    def facts(self) -> Mapping[str, object]:
        """Of every worker."""
        ...

    def run(self, shards: Shards) -> None:
        """Do all shards.

        Raises:
            EvalkitError: what a worker raised.
        """
        ...

    def spent(self) -> Usage:
        """What the engines of all workers took."""
        ...

    def describe(self) -> Mapping[str, object]:
        """What a manifest should say of them; empty for this process alone."""
        ...


@contextmanager
def open_pool(worker: Worker, compute: ComputeConfig | None) -> Iterator[Pool]:
    """Workers for the time of a `with` block.

    Args:
        worker: does the work here, or is the pattern of those elsewhere.
        compute: where; here when None.

    Raises:
        EvalkitError: workers cannot be had, or are not all alike.
    """
    places = accelerators.shared_devices(compute) if compute and compute.backend == "local" else []
    if compute is None or (compute.backend == "local" and not places):
        from evalkit.inference.workers.local import LocalPool

        yield LocalPool(worker, overlaps=compute is not None and accelerators.on_cuda(compute))
        return
    pool = _elsewhere(worker, compute, places)
    try:
        yield pool
    except BaseException:
        pool.kill()
        raise
    pool.close()


def _elsewhere(worker: Worker, compute: ComputeConfig, places: Sequence[str]) -> "DevicePool | RayPool":
    if places:
        from evalkit.inference.workers.devices import DevicePool, environments

        return DevicePool(worker, environments(places), overlaps=accelerators.on_cuda(compute))
    from evalkit.inference.workers.cluster import RayPool

    return RayPool(worker, compute)


def together(*described: Mapping[str, object]) -> dict[str, object]:
    """What a manifest should say of several pools with the same settings: those lost in all, the most memory of one."""
    joined: dict[str, object] = {}
    for one in described:
        joined = {
            **joined,
            **one,
            **({"lost": _number(joined, "lost") + _number(one, "lost")} if "lost" in one else {}),
            **({_PEAK: max(_number(joined, _PEAK), _number(one, _PEAK))} if _PEAK in one else {}),
        }
    return joined


def _number(described: Mapping[str, object], name: str) -> float:
    found = described.get(name, 0)
    assert isinstance(found, int | float)
    return found
