"""Batches run in the order of the plan, on cores side by side, and what happens when memory runs out."""

import gc
import threading
import time
import weakref
from typing import ClassVar

import numpy as np
import pytest
import torch
from out_of_memory import OUT_OF_MEMORY, accelerator_error

from evalkit.errors import ModelError
from evalkit.inference.budget import Budget
from evalkit.inference.engine import Work, is_out_of_memory, run
from evalkit.inference.prefix import Prefixes
from evalkit.inference.turns import taking_turns
from evalkit.system.reporting import explained

CPU = torch.device("cpu")
LENGTHS = [3, 9, 4, 4, 12, 2, 2, 2]


def work(lengths=LENGTHS, *, model=None, **settings) -> Work:
    lengths = np.array(lengths, dtype=np.int64)
    return Work(lengths, lambda rows: rows, model or (lambda rows: torch.from_numpy(rows * 10)), CPU, **settings)


def results(todo: Work) -> dict[int, int]:
    found: dict[int, int] = {}
    for rows, values in run(todo):
        assert not found.keys() & set(rows.tolist())
        found |= dict(zip(rows.tolist(), values.tolist(), strict=True))
    return found


def failing_above(limit: int, error: Exception, lengths=LENGTHS, calls: list[int] | None = None):
    """A model that has memory for so many tokens."""

    def model(rows):
        tokens = int(np.array(lengths)[rows].sum())
        if calls is not None:
            calls.append(tokens)
        if tokens > limit:
            raise error
        return torch.from_numpy(rows * 10)

    return model


@pytest.mark.parametrize(
    ("count", "workers", "planned"), [(96, 1, 10), (96, 2, 10), (96, 8, 16), (96, 40, 40), (3, 2, 2), (1, 2, 1)]
)
def test_cores_have_as_many_batches_each_where_they_are_few(count, workers, planned):
    lengths = np.random.default_rng(0).integers(80, 120, count)
    tokens = [int(lengths[rows].sum()) for rows in work(lengths, workers=workers).plan(np.arange(count))]
    assert (planned, int(lengths.sum())) == (len(tokens), sum(tokens))
    assert max(tokens) <= 1024
    if workers > 1:
        assert max(tokens) - min(tokens) <= 240
    asked = work(lengths, workers=workers, budget=1024).plan(np.arange(count))
    assert len(asked) == -(-int(lengths.sum()) // 980)


def test_many_batches_are_as_large_as_a_core_is_fast():
    lengths = np.full(20_000, 100)
    assert [10] * 2000 == [len(rows) for rows in work(lengths, workers=2).plan(np.arange(20_000))]


EXPECTED = {row: row * 10 for row in range(len(LENGTHS))}


def said(error: Exception) -> str:
    return f"{type(error).__name__} {str(error)[:40]}"


OTHERS = [
    RuntimeError("memory format"),
    OSError(12, "no memory"),
    ValueError("CUDA error: out of memory"),
    accelerator_error("CUDA error: an illegal memory access was encountered", 700),
    accelerator_error("CUDA error: device-side assert triggered after CUDA error: out of memory", 710),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("budget", [1, 12, 1000])
def test_every_text_gets_its_own_result(budget, workers):
    assert results(work(budget=budget, workers=workers)) == EXPECTED


def test_results_come_longest_first_though_short_batches_are_done_before():
    def model(rows):
        time.sleep(0.005 * int(np.array(LENGTHS)[rows].sum()))
        return torch.from_numpy(rows)

    order = [rows.tolist() for rows, _ in run(work(budget=1, workers=3, model=model))]
    assert order == [[4], [1], [2], [3], [0], [5], [6], [7]]


def test_batches_run_side_by_side_with_one_thread_each_and_the_threads_of_the_process_come_back():
    barrier, seen = threading.Barrier(2, timeout=30), []
    before = torch.get_num_threads()

    def model(rows):
        barrier.wait()  # passes only where two batches are under way
        seen.append(torch.get_num_threads())
        return torch.from_numpy(rows)

    torch.set_num_threads(3)
    try:
        assert results(work(budget=1, workers=2, model=model)) == {row: row for row in range(8)}
        assert ([1] * 8, 3) == (seen, torch.get_num_threads())
    finally:
        torch.set_num_threads(before)


def test_one_worker_keeps_all_threads():
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        results(work(model=lambda rows: (seen.append(torch.get_num_threads()), torch.from_numpy(rows))[1], budget=1))
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {2}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=said)
def test_out_of_memory_halves_the_budget_and_nothing_is_lost(error, workers):
    todo = work(model=failing_above(14, error), budget=50, workers=workers)
    assert results(todo) == EXPECTED
    assert (todo.usage.batch_tokens, todo.usage.tokens) == (todo.tokens, sum(LENGTHS))
    assert 0 < todo.usage.out_of_memory < 8
    assert todo.tokens <= 25


def test_budget_far_above_all_texts_is_halved_from_what_was_tried():
    calls: list[int] = []
    todo = work(model=failing_above(20, MemoryError(), calls=calls), budget=10**9)
    assert results(todo) == EXPECTED
    assert calls[:2] == [38, 12]  # all texts at once; then 12 and 9 do not fit into half of that together


@pytest.mark.parametrize("workers", [1, 2])
def test_single_text_without_memory_is_an_error_with_a_remedy(workers):
    with pytest.raises(ModelError, match=r"out of memory on one text of 12 tokens\. Lower max_length"):
        results(work(model=failing_above(10, MemoryError()), budget=1000, workers=workers))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("memory"), IndexError("out of range")])
def test_another_error_is_not_taken_for_it(error, workers):
    todo = work(model=failing_above(10, error), budget=1000, workers=workers)
    with pytest.raises(type(error), match=str(error)):
        results(todo)
    assert todo.usage.out_of_memory == 0


def test_error_of_a_worker_leaves_the_thread_count_as_it_was():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="broken"):
        results(work(model=failing_above(0, ValueError("broken")), budget=1, workers=2))
    assert torch.get_num_threads() == before


def test_caller_who_stops_early_leaves_no_batch_running():
    done = []

    def model(rows):
        done.append(rows)
        return torch.from_numpy(rows)

    stream = run(work(budget=1, workers=2, model=model))
    next(stream)
    stream.close()
    count = len(done)
    time.sleep(0.02)
    assert len(done) == count < len(LENGTHS)


def test_no_gradient_is_recorded_in_any_thread():
    weight = torch.ones(1, requires_grad=True)
    for workers in (1, 2):
        for _, values in run(work(budget=1, workers=workers, model=lambda rows: torch.from_numpy(rows) * weight)):
            assert not values.requires_grad


def test_memory_errors_are_distinguished_from_others():
    assert all(is_out_of_memory(error) for error in OUT_OF_MEMORY)
    assert not any(is_out_of_memory(error) for error in OTHERS)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=said)
def test_out_of_memory_is_one_line_with_a_remedy(error):
    told = str(explained(error))
    assert told.startswith("out of memory. Finished work is saved")
    assert "\n" not in told
    assert all(explained(other) is None for other in OTHERS if isinstance(other, RuntimeError))


def test_usage_counts_tokens_with_and_without_padding():
    packed, padded = work(budget=12), work(budget=12, padded=True)
    results(packed)
    results(padded)
    assert (38, 38) == (packed.usage.tokens, packed.usage.computed_tokens)
    # 12 | 9 | 4 4 3 as 3 x 4 | 2 2 2
    assert (38, 39, 4) == (padded.usage.tokens, padded.usage.computed_tokens, padded.usage.batches)


def test_tokens_of_a_shared_start_are_counted_once_a_batch():
    shared = Prefixes(np.array([0, 0, 0, 1]), np.array([3, 3, 3, 2]))
    todo = work([5, 5, 4, 6], budget=1000, shared=shared)
    results(todo)
    assert (20, 14) == (todo.usage.tokens, todo.usage.computed_tokens)


def test_cpu_budget_is_one_that_a_cache_holds_when_none_is_given():
    todo, padded = work([500] * 20), work([500] * 20, padded=True)
    results(todo)
    results(padded)
    assert (1024, 10) == (todo.usage.batch_tokens, todo.usage.batches)
    assert (4096, 3) == (padded.usage.batch_tokens, padded.usage.batches)


def test_no_text_runs_nothing():
    assert list(run(work([]))) == []


class Card:
    """Stands in for `torch.cuda`: so many bytes free, and so many at the peak of the probe."""

    def __init__(self, free: int, peak: int) -> None:
        self.free, self.peak = free, peak
        self.synchronize = self.reset_peak_memory_stats = self.empty_cache = lambda *_: None

    def mem_get_info(self, _):
        return self.free, 10 * self.free

    def memory_allocated(self, _):
        return 1000

    def memory_reserved(self, _):
        return 1500

    def max_memory_allocated(self, _):
        return 1000 + self.peak


def on_a_card(monkeypatch, card: Card, **settings) -> Work:
    for name in dir(card):
        if not name.startswith("_") and name not in {"free", "peak"}:
            monkeypatch.setattr(torch.cuda, name, getattr(card, name))
    todo = work([500] * 20, **settings)
    todo.device = torch.device("cuda")
    return todo


def test_gpu_budget_fills_four_fifths_of_free_memory(monkeypatch):
    # 8 texts of 500 tokens are probed: 4,000 tokens take 40,000 bytes, and 99,500 + 500 that torch holds are free.
    assert on_a_card(monkeypatch, Card(free=99_500, peak=40_000)).tokens == 8_000
    assert on_a_card(monkeypatch, Card(free=10**12, peak=40_000)).tokens == 65_536


def test_probe_that_does_not_fit_starts_with_half_of_it(monkeypatch):
    todo = on_a_card(monkeypatch, Card(free=10**6, peak=1), model=failing_above(0, MemoryError(), [500] * 20))
    assert todo.tokens == 2048


def test_other_error_of_a_probe_is_raised(monkeypatch):
    todo = on_a_card(monkeypatch, Card(free=10**6, peak=1), model=failing_above(0, ValueError("broken"), [500] * 20))
    with pytest.raises(ValueError, match="broken"):
        _ = todo.tokens


def test_probe_runs_once_a_model_and_not_for_a_single_batch(monkeypatch):
    budget, probes = Budget(), []
    card = Card(free=99_500, peak=40_000)
    card.reset_peak_memory_stats = lambda *_: probes.append(1)
    few = on_a_card(monkeypatch, card, budget=budget)
    few.lengths = few.lengths[:8]
    assert (few.tokens, budget.tokens, probes) == (4096, None, [])
    for _ in range(3):
        assert on_a_card(monkeypatch, card, budget=budget).tokens == 8_000
    assert (budget.found, len(probes)) == (8_000, 1)


def test_processes_on_one_gpu_share_its_memory(monkeypatch):
    todo = on_a_card(monkeypatch, Card(free=99_500, peak=40_000), budget=Budget(sharers=4))
    assert todo.tokens == 2_000


def test_halved_budget_lasts_and_is_halved_once_for_earlier_plans():
    budget = Budget(50)
    first, second = work(model=failing_above(26, MemoryError()), budget=budget), work(budget=budget)
    second.plan(np.arange(8))
    assert results(first) == EXPECTED
    assert budget.tokens == 19  # all 38 tokens did not fit
    second.halve([np.arange(8)])
    assert (budget.tokens, work(budget=budget).tokens) == (19, 19)


class Event:
    """Stands in for `torch.cuda.Event`: notes when a result is waited for."""

    log: ClassVar[list[str]] = []

    def record(self):
        self.log.append("given")

    def synchronize(self):
        self.log.append("fetched")


@pytest.fixture
def device(monkeypatch):
    """The loop for devices, on tensors of the host."""
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, **kwargs: empty(*args, **{**kwargs, "pin_memory": False}))
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(Event, "log", [])

    def made(*args, **settings) -> Work:
        todo = work(*args, **settings)
        todo.device = torch.device("cuda")
        return todo

    return made


@pytest.mark.parametrize("budget", [1, 12, 1000])
def test_on_a_device_every_text_gets_its_own_result(device, budget):
    assert results(device(budget=budget)) == EXPECTED


def test_device_has_three_batches_before_a_result_is_waited_for(device):
    assert results(device(budget=1)) == EXPECTED
    assert ["given"] * 4 + ["fetched", "given"] * 4 + ["fetched"] * 4 == Event.log


@pytest.mark.parametrize("where", ["model", "assemble"])
def test_nothing_of_a_batch_without_memory_is_held_when_the_device_is_to_give_memory_back(device, monkeypatch, where):
    """The error's traceback holds the tensors of the batch; they must be gone when the cache is emptied."""
    held, alive = [], []

    def fails(rows):
        tensors = torch.ones(int(np.array(LENGTHS)[rows].sum()))
        held.append(weakref.ref(tensors))
        if len(tensors) > 14:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.from_numpy(rows * 10)

    def empty_cache():
        gc.disable()  # what a cycle holds is held
        alive.append(sum(ref() is not None for ref in held))
        gc.enable()

    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    todo = device(budget=50, **({"model": fails} if where == "model" else {}))
    if where == "assemble":
        todo.assemble = lambda rows: (fails(rows), rows)[1]
    assert results(todo) == EXPECTED
    assert alive
    assert set(alive) == {0}
    assert todo.usage.out_of_memory == len(alive)


def test_another_error_of_a_device_is_raised(device):
    with pytest.raises(ValueError, match="broken"):
        results(device(model=failing_above(0, ValueError("broken")), budget=1))


def test_work_that_shares_a_device_is_given_in_turn(device):
    """Two windows in two threads: their batches are never mixed, though both are planned at the same time."""
    lock, order, found = threading.Lock(), [], {}
    planned = threading.Event()

    def model(name):
        def run_one(rows):
            if name == "a":
                assert planned.wait(10)
            order.append(name)
            return torch.from_numpy(rows * 10)

        return run_one

    def drive(name):
        todo = device(budget=1, model=model(name))
        if name == "b":
            planned.set()
        with taking_turns(lock):
            found[name] = results(todo)

    threads = [threading.Thread(target=drive, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert found == {"a": EXPECTED, "b": EXPECTED}
    assert order in (["a"] * 8 + ["b"] * 8, ["b"] * 8 + ["a"] * 8)
