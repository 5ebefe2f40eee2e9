"""Runs the batches of a plan: on every core of a CPU, or on a device that never waits.

Results come in the order of the plan, whatever runs at the same time. Out of memory halves the budget of the remaining
texts, down to a single one; every other error is raised.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.errors import ModelError
from evalkit.inference.batches import affordable_tokens, batches
from evalkit.inference.budget import Budget
from evalkit.inference.prefix import Prefixes, batches_by_prefix
from evalkit.inference.turns import my_turn
from evalkit.inference.usage import Usage
from evalkit.system.reporting import is_out_of_memory

Rows = NDArray[np.int64]
_Result = TypeVar("_Result")

_CPU_TOKENS = 1024  # a CPU is slower once a batch leaves its cache
_CPU_JOINT_TOKENS = 4096  # where all cores share a batch, or texts a start, which is computed once a batch
_CUDA_TOKENS = 65_536  # a GPU is busy with fewer
_PROBE_TOKENS = 4096
_ROUNDS = 16  # batches of each core, above which one more or less does not matter
_IN_FLIGHT = 3


@dataclass
class Work:
    """Texts and a model to run them.

    Attributes:
        lengths: shape (texts,), tokens.
        assemble: rows -> the model's input, on the host or the device.
        model: input -> tensor on the device.
        device: device of the model.
        padded: whether `assemble` pads.
        workers: CPU batches at the same time, each on one core; 1 uses all cores for a single one.
        budget: tokens of a batch; probed when None. A `Budget` remembers it for the next work of the same model.
        known: shape (texts,), texts that are planned but not run; none when None.
        shared: common starts of texts, which are computed once a batch.
        usage: the counters to add to.
    """

    lengths: NDArray[np.int64]
    assemble: Callable[[Rows], Any]
    model: Callable[[Any], torch.Tensor]
    device: torch.device
    padded: bool = False
    workers: int = 1
    budget: int | Budget | None = None
    known: NDArray[np.bool_] | None = None
    shared: Prefixes | None = None
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        """Make a budget of a number, for this work alone."""
        self._budget = self.budget if isinstance(self.budget, Budget) else Budget(self.budget)
        self._planned = 0  # tokens of a batch, as last planned

    def plan(self, rows: Rows) -> deque[Rows]:
        """The batches of some rows, without the known ones."""
        self._planned = self.tokens
        planned = self._batches(rows)
        if self.known is None:
            return planned
        left = (batch[~self.known[batch]] for batch in planned)
        return deque(batch for batch in left if len(batch))

    def _batches(self, rows: Rows) -> deque[Rows]:
        if self.shared is not None:
            planned = batches_by_prefix(self.lengths[rows], self.shared.of(rows), self.tokens)
            return deque(rows[batch] for batch in planned)
        return deque(rows[batch] for batch in batches(self.lengths[rows], self.tokens, padded=self.padded))

    @property
    def tokens(self) -> int:
        """The budget in force."""
        if self._budget.tokens is not None:
            return self._budget.tokens
        if self.device.type == "cpu":
            return self._share
        # So few are one batch anyway, and too few to measure the memory of a token.
        few = int(self.lengths.sum()) <= _PROBE_TOKENS
        return _PROBE_TOKENS if few else self._budget.settle(self._probed)

    @cached_property
    def _share(self) -> int:
        """Tokens of a batch on a CPU: fewer where a few batches would leave cores without work at the end."""
        if self.shared is not None or self.padded:
            return _CPU_JOINT_TOKENS
        total, workers = int(self.lengths.sum()), self.workers
        rounds = -(-total // (_CPU_TOKENS * workers))
        if workers == 1 or not 0 < rounds <= _ROUNDS:
            return _CPU_TOKENS
        least = -(-total // (rounds * workers))
        for tokens in range(least, _CPU_TOKENS, max(least // 32, 1)):
            if sum(1 for _ in batches(self.lengths, tokens, padded=self.padded)) <= rounds * workers:
                return tokens
        return _CPU_TOKENS

    def run(self, rows: Rows) -> torch.Tensor:
        """One batch, with the results on the model's device."""
        with torch.inference_mode():
            return self.model(self.assemble(rows))

    def count(self, rows: Rows) -> None:
        """Add a finished batch to the usage."""
        lengths, usage = self.lengths[rows], self.usage
        computed = len(rows) * int(lengths.max()) if self.padded else int(lengths.sum() - self._spared(rows))
        usage.add(
            tokens=int(lengths.sum()),
            squared_tokens=int(np.square(lengths).sum()),
            computed_tokens=computed,
            batches=1,
        )
        usage.batch_tokens = self.tokens

    def _spared(self, rows: Rows) -> int:
        """Tokens that a batch saves by common starts."""
        if self.shared is None:
            return 0
        return int(self.shared.lengths[rows].sum()) - self.shared.of(rows).tokens

    def _probed(self) -> int:
        """The budget, from the memory that the longest texts need."""
        first = next(batches(self.lengths, _PROBE_TOKENS, padded=self.padded))
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        if not self._fits(first):
            return _PROBE_TOKENS // 2  # and halved further, batch by batch
        peak = torch.cuda.max_memory_allocated(self.device) - before
        count = len(first) * int(self.lengths[first].max()) if self.padded else int(self.lengths[first].sum())
        free = torch.cuda.mem_get_info(self.device)[0]
        free += torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return affordable_tokens(free // self._budget.sharers, peak / count, at_most=_CUDA_TOKENS)

    def _fits(self, rows: Rows) -> bool:
        """Run some texts to see whether there is memory for them."""

        def act() -> bool:
            self.run(rows)
            torch.cuda.synchronize(self.device)
            return True

        return _unless_out_of_memory(act) is not None

    def halve(self, left: list[Rows]) -> deque[Rows]:
        """The plan of the remaining batches, with half the budget, or the one that other work has lowered it to since.

        The error must be gone before: its traceback holds the tensors.

        Raises:
            ModelError: a single text does not fit.
        """
        if len(left[0]) == 1:
            raise ModelError(
                f"out of memory on one text of {int(self.lengths[left[0][0]])} tokens. Lower max_length, use "
                "compute.dtype=bfloat16, or free memory."
            )
        if self.tokens >= self._planned:
            self._budget.lower(max(min(self.tokens, int(self.lengths[left[0]].sum())) // 2, 1))
        self.usage.add(out_of_memory=1)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return self.plan(np.concatenate(left))


def run(work: Work) -> Iterator[tuple[Rows, torch.Tensor]]:
    """(texts, the model's output for them on the host) for all texts, longest first.

    Raises:
        ModelError: a single text does not fit into memory.
    """
    if not len(work.lengths) or (work.known is not None and work.known.all()):
        return
    plan = work.plan(np.arange(len(work.lengths)))
    for rows, result in _on_cores(work, plan) if work.device.type == "cpu" else _on_device(work, plan):
        work.count(rows)
        yield rows, result


def _on_cores(work: Work, plan: deque[Rows]) -> Iterator[tuple[Rows, torch.Tensor]]:
    """Several batches at the same time, each on one core, so that cores need not wait for each other at every layer."""
    threads, workers = torch.get_num_threads(), min(work.workers, len(plan))
    alone = workers < 2  # noqa: PLR2004
    pool = ThreadPoolExecutor(workers, initializer=(lambda: None) if alone else _one_thread)
    pending: deque[tuple[Rows, Future[torch.Tensor]]] = deque()
    try:
        while plan or pending:
            while plan and len(pending) < workers + (0 if alone else workers):
                pending.append((plan[0], pool.submit(work.run, plan.popleft())))
            rows, future = pending.popleft()
            result = _unless_out_of_memory(future.result)
            if result is None:
                del future  # it holds the error, and with it the tensors
                plan = work.halve([rows, *_drained(pending), *plan])
            else:
                yield rows, result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt need not wait for unread batches
        # The workers' setting partly applies to the whole process.
        torch.set_num_threads(threads)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _drained(pending: "deque[tuple[Rows, Future[torch.Tensor]]]") -> list[Rows]:
    """Rows of running batches, which are run again; waits for the batches, so that their memory is free."""
    rows = []
    while pending:
        batch, future = pending.popleft()
        future.cancel() or future.exception()
        rows.append(batch)
    return rows


def _on_device(work: Work, plan: deque[Rows]) -> Iterator[tuple[Rows, torch.Tensor]]:
    """A thread assembles and copies batches ahead of the device; results are fetched later.

    Other work of the same model may begin once the device has all of this one, before all results are fetched.
    """
    ready: deque[tuple[Rows, Future[Any]]] = deque()
    done: deque[tuple[Rows, _Sent]] = deque()
    with ThreadPoolExecutor(1) as pool, ExitStack() as turn:
        _assemble(work, plan, ready, pool)
        turn.enter_context(my_turn())
        while plan or ready:
            _assemble(work, plan, ready, pool)
            rows, future = ready.popleft()
            sent = _unless_out_of_memory(partial(_send, work, future))
            del future  # it holds the inputs, or an error and with it tensors
            if sent is None:
                plan = work.halve([rows, *_given_up(ready, pool), *plan])
            else:
                done.append((rows, sent))
            while len(done) > _IN_FLIGHT:
                yield _fetched(*done.popleft())
        turn.close()
        while done:
            yield _fetched(*done.popleft())


def _assemble(
    work: Work, plan: deque[Rows], ready: "deque[tuple[Rows, Future[Any]]]", pool: ThreadPoolExecutor
) -> None:
    """Assemble batches in the thread, as many as may be ahead of the device."""
    while plan and len(ready) < _IN_FLIGHT:
        ready.append((plan[0], pool.submit(work.assemble, plan.popleft())))


def _given_up(ready: "deque[tuple[Rows, Future[Any]]]", pool: ThreadPoolExecutor) -> list[Rows]:
    """Rows of assembled batches, to be planned again. When it returns, nothing holds their tensors any more."""
    rows = [batch for batch, _ in ready]
    for _, future in ready:
        future.cancel()
    ready.clear()
    pool.submit(bool).result()
    return rows


class _Sent(NamedTuple):
    """A result on its way to the host; it has arrived when the event has happened."""

    host: torch.Tensor
    event: torch.cuda.Event


def _send(work: Work, future: Future[Any]) -> _Sent:
    """Run an assembled batch on the device, and start copying its result."""
    with torch.inference_mode():
        result = work.model(future.result())
        host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
        host.copy_(result, non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return _Sent(host, event)


def _fetched(rows: Rows, sent: _Sent) -> tuple[Rows, torch.Tensor]:
    sent.event.synchronize()
    return rows, sent.host


def _unless_out_of_memory(act: Callable[[], _Result]) -> _Result | None:
    """The result; None if memory ran out. Then the error is gone, and the tensors of its traceback are free."""
    try:
        return act()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        # A future that still holds the error would hold the tensors too.
        error.__traceback__ = error.__context__ = error.__cause__ = None
    return None
