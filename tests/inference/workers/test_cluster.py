"""Shards by workers of Ray: a local cluster of two cores, of whose workers some are killed."""

import importlib
from pathlib import Path

import pytest
from adders import Adder, Threads

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, EvalkitError, MissingExtra, ModelError
from evalkit.inference.workers import cluster, open_pool
from evalkit.system.stages import LOADING

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compute():
    """Two workers of one core each; a cluster of its own, which is gone afterwards."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # where workers find `adders`
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ComputeConfig(device="cpu", backend="ray", workers=2)
    ray.shutdown()


def begun(folder, shard):
    return len(list(folder.glob(f"{shard}-*")))


def test_every_shard_is_done_by_one_worker_and_every_part_stored_in_place(sums, tmp_path, compute):
    made = sums([3, 0, 5, 1, 4, 4])
    made.found[3] = 31  # known
    with open_pool(Adder(tmp_path), compute) as pool:
        pool.run(made.shards)
        assert pool.facts() == {"kind": "cpu"}
        assert (pool.spent().tokens, pool.spent().batches) == (16, 10)
        described = pool.describe()
    assert made.are_right
    assert len(made.kept) == len(set(made.kept)) == 16
    assert sorted(made.ended) == [0, 2, 3, 4, 5]
    assert (described["backend"], described["count"], described["lost"]) == ("ray", 2, 0)
    assert described["peak_memory_gib"] > 0


def test_others_finish_the_shards_of_a_killed_worker(sums, tmp_path, compute, caplog):
    made = sums([6, 6, 6, 6])
    with open_pool(Adder(tmp_path, dies_at={1: 1, 2: 1}), compute) as pool:
        pool.run(made.shards)
        lost = pool.describe()["lost"]
    assert made.are_right
    assert len(made.kept) == len(set(made.kept)) == 24  # nothing is done twice that was kept
    assert 1 <= lost <= 2
    assert begun(tmp_path, 1) >= 2
    assert "a worker of Ray died" in caplog.text


def test_a_shard_that_kills_every_worker_is_given_up_in_one_line(sums, tmp_path, compute):
    made = sums([4, 4])
    with open_pool(Adder(tmp_path, dies_at={1: 100}), compute) as pool, pytest.raises(EvalkitError, match="again"):
        pool.run(made.shards)
    assert made.found[4:6].tolist() == [41, 51]


def test_time_without_a_loaded_worker_is_that_of_loading(sums, tmp_path, compute):
    with open_pool(Adder(tmp_path, takes_to_load=1.0), compute) as pool:
        pool.run(first := sums([2, 2, 2]).shards)
        pool.run(second := sums([2, 2, 2]).shards)
    assert first.meter.apart[LOADING] >= 1.0
    assert LOADING not in second.meter.apart  # somebody is ready


def test_an_error_of_a_worker_is_raised_as_it_was(sums, tmp_path, compute):
    with (
        open_pool(Adder(tmp_path, fails_at=1), compute) as pool,
        pytest.raises(ModelError, match=r"^no such shard as 1\.$"),
    ):
        pool.run(sums([2, 2, 2]).shards)


def test_workers_that_are_not_alike_are_refused(sums, tmp_path, compute):
    with (
        open_pool(Adder(tmp_path, unlike=True, pause=0.1), compute) as pool,
        pytest.raises(ConfigError, match="not alike"),
    ):
        pool.run(sums([4] * 30).shards)


@pytest.mark.usefixtures("compute")
def test_a_cluster_without_room_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"compute\.cpus_per_worker=64, and the Ray cluster has 2 cores"):
        cluster.ray_pool(Adder(tmp_path), ComputeConfig(device="cpu", backend="ray", cpus_per_worker=64))
    with pytest.raises(ConfigError, match="the Ray cluster has no GPU"):
        cluster.ray_pool(Adder(tmp_path), ComputeConfig(device="cuda", backend="ray"))


@pytest.mark.usefixtures("compute")
def test_more_workers_than_the_cluster_holds_still_finish(sums, tmp_path):
    made = sums([2, 2, 2])
    with open_pool(Adder(tmp_path), ComputeConfig(device="cpu", backend="ray", workers=5)) as pool:
        pool.run(made.shards)
    assert made.are_right


def test_workers_have_the_threads_that_they_were_given(tmp_path, compute):
    with open_pool(Threads(tmp_path), compute) as pool:
        assert pool.facts() == {"kind": "1 1"}


def test_a_package_that_workers_lack_is_named(tmp_path, monkeypatch, compute):
    (tmp_path / "only_here.py").write_text("from adders import Adder\nclass Own(Adder):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("only_here").Own(tmp_path)
    with open_pool(own, compute) as pool, pytest.raises(ConfigError, match=r"lacks a package \(No module named"):
        pool.facts()


def test_missing_ray_names_the_install_command(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'evalkit\[ray\]'"):
        cluster.ray_pool(Adder(tmp_path), ComputeConfig(backend="ray"))
