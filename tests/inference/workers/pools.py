"""What every pool does, whoever does its work: tests for a subclass with a fixture `opened`."""

import pytest
from adders import Adder

from evalkit.errors import ConfigError, EvalkitError, ModelError
from evalkit.system.stages import LOADING


def begun(folder, shard):
    return len(list(folder.glob(f"{shard}-*")))


class PoolTests:
    """`opened(worker, **settings)` is a pool of two for the time of a `with` block.

    Attributes:
        backend: as the pool calls itself.
        died: what is logged of a worker that was killed.
        given_up: what the error says of a shard that kills every worker.
    """

    backend: str
    died: str
    given_up: str

    def check_a_run(self, opened, sums, tmp_path, **settings):
        made = sums([3, 0, 5, 1, 4, 4])
        made.found[3] = 31  # known
        with opened(Adder(tmp_path), **settings) as pool:
            pool.run(made.shards)
            assert pool.facts() == {"kind": "cpu"}
            assert (pool.spent().tokens, pool.spent().batches) == (16, 10)
            described = pool.describe()
        assert made.are_right
        assert len(made.kept) == len(set(made.kept)) == 16
        assert sorted(made.ended) == [0, 2, 3, 4, 5]
        assert (described["backend"], described["count"], described["lost"]) == (self.backend, 2, 0)
        assert described["peak_memory_gib"] > 0

    def test_every_shard_is_done_by_one_worker_and_every_part_stored_in_place(self, opened, sums, tmp_path):
        self.check_a_run(opened, sums, tmp_path)

    def test_others_finish_the_shards_of_a_killed_worker(self, opened, sums, tmp_path, caplog):
        made = sums([6, 6, 6, 6, 6])
        with opened(Adder(tmp_path, dies_at={1: 1, 2: 1})) as pool:
            pool.run(made.shards)
            lost = pool.describe()["lost"]
        assert made.are_right
        assert len(made.kept) == len(set(made.kept)) == 30  # nothing that was stored is done twice
        assert 1 <= lost <= 2
        assert begun(tmp_path, 1) >= 2
        assert self.died in caplog.text

    def test_a_shard_that_kills_every_worker_is_given_up_in_one_line(self, opened, sums, tmp_path):
        made = sums([4, 4])
        with (
            pytest.raises(EvalkitError, match=self.given_up),
            opened(Adder(tmp_path, dies_at={1: 100})) as pool,
        ):
            pool.run(made.shards)
        assert made.found[4:6].tolist() == [41, 51]

    def test_an_error_of_a_worker_is_raised_as_it_was(self, opened, sums, tmp_path):
        with pytest.raises(ModelError, match=r"^no such shard as 1\.$"), opened(Adder(tmp_path, fails_at=1)) as pool:
            pool.run(sums([2, 2, 2]).shards)

    def test_workers_that_are_not_alike_are_refused(self, opened, sums, tmp_path):
        with pytest.raises(ConfigError, match="not alike"), opened(Adder(tmp_path, unlike=True, pause=0.1)) as pool:
            pool.run(sums([4] * 30).shards)

    def test_time_without_a_loaded_worker_is_that_of_loading(self, opened, sums, tmp_path):
        with opened(Adder(tmp_path, takes_to_load=0.6)) as pool:
            pool.run(first := sums([2, 2, 2]).shards)
            pool.run(second := sums([2, 2, 2]).shards)
        assert first.meter.apart[LOADING] >= 0.6
        assert LOADING not in second.meter.apart
