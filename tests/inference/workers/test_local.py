"""Shards in this process."""

import threading
from dataclasses import replace

import pytest
from adders import Adder

from evalkit.errors import ModelError
from evalkit.inference.usage import Usage
from evalkit.inference.workers import Shards, open_pool
from evalkit.system.stages import FINDING, LOADING


def test_every_shard_is_done_and_every_part_stored_in_place(sums, tmp_path):
    made = sums([3, 0, 5, 1])
    made.found[3] = 31  # known
    with open_pool(Adder(tmp_path), None) as pool:
        pool.run(made.shards)
        assert pool.facts() == {"kind": "cpu"}
        assert (pool.spent().tokens, pool.describe()) == (8, {})
    assert made.are_right
    assert sorted(made.kept) == [0, 1, 2, 4, 5, 6, 7, 8]
    assert made.ended == [0, 2, 3]


def test_finished_shard_is_not_handed_out(sums, tmp_path):
    made = sums([2, 2])
    made.found[:2] = [1, 11]
    with open_pool(Adder(tmp_path), None) as pool:
        pool.run(made.shards)
    assert {path.name[0] for path in tmp_path.iterdir()} == {"1"}


def test_a_worker_is_loaded_before_its_first_shard_and_not_at_all_for_none(sums, tmp_path, clock):
    worker = Adder(tmp_path)
    worker.load = lambda: clock.wait(9)
    made = sums([2, 2, 2])
    made.found[:2] = [1, 11]
    shards = made.shards
    shards_payload = shards.payload
    slow = replace(shards, payload=lambda shard: (clock.wait(1 if shard == 0 else 0), shards_payload(shard))[1])
    with open_pool(worker, None) as pool:
        pool.run(slow)
        assert slow.meter.apart == {FINDING: 1, LOADING: 9}
        assert slow.meter.seconds == 0
        worker.load = lambda: pytest.fail("there is nothing to do")
        pool.run(made.shards)


def test_worker_error_is_raised_after_earlier_parts_are_stored(sums, tmp_path):
    made = sums([2, 2, 2])
    with open_pool(Adder(tmp_path, fails_at=1), None) as pool, pytest.raises(ModelError, match="no such shard as 1"):
        pool.run(made.shards)
    assert made.kept == [0, 1]


class Waiting:
    """Works at a shard only when the next is prepared."""

    def __init__(self, count):
        self.ready = [threading.Event() for _ in range(count + 1)]
        self.ready[count].set()
        self.order = []

    def load(self):
        self.order.append("load")

    def prepare(self, payload):
        self.order.append(f"prepare {payload}")
        self.ready[payload].set()
        return payload

    def work(self, prepared):
        assert self.ready[prepared + 1].wait(timeout=30)
        self.order.append(f"work {prepared}")
        yield prepared

    def facts(self):
        return {}

    def spent(self):
        return Usage()


def test_exactly_one_shard_is_prepared_ahead():
    worker, kept = Waiting(4), []
    with open_pool(worker, None) as pool:
        pool.run(Shards(4, lambda shard: shard, lambda _, part: kept.append(part)))
    assert kept == [0, 1, 2, 3]
    assert worker.order[0] == "load"
    for shard in range(2):
        assert worker.order.index(f"work {shard}") < worker.order.index(f"prepare {shard + 2}")
