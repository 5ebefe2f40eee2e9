"""Shards of a worker under way: overlapping where it may, and one after the other where it may not."""

import threading
import time

import pytest
from adders import Adder, Probing

from evalkit.errors import ModelError
from evalkit.inference.turns import my_turn
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Shards
from evalkit.inference.workers.local import LocalPool
from evalkit.system.stages import FINDING, LOADING


@pytest.mark.parametrize("overlaps", [False, True])
def test_every_shard_is_done_and_every_part_stored_in_place(sums, tmp_path, overlaps):
    made = sums([3, 0, 5, 1, 4, 4])
    made.found[3] = 31  # known
    worker = Adder(tmp_path, pause=0.002)
    worker.overlaps = overlaps
    pool = LocalPool(worker, overlaps=True)
    pool.run(made.shards)
    assert made.are_right
    assert len(made.kept) == len(set(made.kept)) == 16
    assert made.ended.count(1) == 0
    assert sorted(made.ended) == [0, 2, 3, 4, 5]
    assert (pool.spent().tokens, pool.spent().batches, worker.loads) == (16, 10, 1)


def test_a_worker_is_not_loaded_for_nothing_and_the_time_to_find_that_is_set_apart(sums, tmp_path):
    made = sums([2, 2])
    made.found[:] = made.numbers + 1
    worker, shards = Adder(tmp_path), made.shards
    LocalPool(worker, overlaps=True).run(shards)
    assert worker.loads == 0
    assert set(shards.meter.apart) == {FINDING}
    again = sums([2]).shards
    LocalPool(Adder(tmp_path, takes_to_load=0.2), overlaps=True).run(again)
    assert again.meter.apart[LOADING] >= 0.2


@pytest.mark.parametrize("where", [0, 1, 3])
def test_worker_error_is_raised_and_later_parts_are_dropped(sums, tmp_path, where):
    made = sums([2, 2, 2, 2])
    with pytest.raises(ModelError, match=f"no such shard as {where}"):
        LocalPool(Adder(tmp_path, fails_at=where), overlaps=True).run(made.shards)
    assert set(made.kept) <= set(range(2 * where))
    assert len(made.kept) == len(set(made.kept))


class Device:
    """A worker with a device that takes batches in turn and gives results later, as the engine's on CUDA."""

    overlaps, budget = True, None

    def __init__(self, batches: int) -> None:
        self.batches, self.log = batches, []
        self.next_begun = threading.Event()

    def facts(self):
        return {}

    def load(self):
        pass

    def prepare(self, payload):
        return payload

    def work(self, shard):
        with my_turn():
            for batch in range(self.batches):
                self.log.append(("given", shard, batch))
                if batch:
                    yield "part"
        if shard == 1:
            self.next_begun.set()
        if shard == 0:
            assert self.next_begun.wait(10)  # the last result of the first shard comes after the second was given
        self.log.append(("fetched", shard, self.batches - 1))
        yield "part"

    def spent(self):
        return Usage()


def test_the_next_shard_is_given_to_the_device_before_the_last_result_of_one_is_fetched():
    worker, kept = Device(3), []
    LocalPool(worker, overlaps=True).run(Shards(2, lambda shard: shard, lambda shard, _: kept.append(shard)))
    assert sorted(kept) == [0, 0, 0, 1, 1, 1]
    given = [shard for what, shard, _ in worker.log if what == "given"]
    assert given == [0, 0, 0, 1, 1, 1]  # never mixed
    assert worker.log.index(("given", 1, 2)) < worker.log.index(("fetched", 0, 2))


def test_at_most_two_shards_are_under_way(sums, tmp_path):
    under_way, most = set(), []

    class Watched(Adder):
        def prepare(self, payload):
            under_way.add(payload[0])
            most.append(len(under_way))
            return super().prepare(payload)

    made = sums([2] * 6)
    shards = made.shards
    watched = Shards(shards.count, shards.payload, shards.keep, under_way.discard, shards.meter)
    LocalPool(Watched(tmp_path, pause=0.005), overlaps=True).run(watched)
    assert (made.are_right, max(most)) == (True, 2)


def test_budget_of_the_first_shard_is_stored_for_the_next_run(sums, tmp_path):
    first = sums([2, 2, 2]).shards
    LocalPool(Probing(tmp_path), overlaps=True).run(first)
    assert first.budget.tokens > 0
    again, later = sums([2, 2]), Probing(tmp_path)
    shards = again.shards
    shards.budget.keep(7)
    LocalPool(later, overlaps=True).run(shards)
    assert (again.found - again.numbers).tolist() == [7] * 4
    assert later.budget.found == 7


def test_closing_while_batches_run_says_nothing_more(sums, tmp_path):
    made = sums([40, 40])

    def stop(shard, part):
        made.keep(shard, part)
        raise KeyboardInterrupt

    shards = made.shards
    with pytest.raises(KeyboardInterrupt):
        LocalPool(Adder(tmp_path, pause=0.01), overlaps=True).run(Shards(shards.count, shards.payload, stop))
    count = len(made.kept)
    time.sleep(0.05)
    assert len(made.kept) == count == 2
