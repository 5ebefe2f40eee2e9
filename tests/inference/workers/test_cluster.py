"""Shards by workers of Ray: a local cluster of two cores, of whose workers some are killed."""

import importlib
from pathlib import Path

import pytest
from adders import Adder, Threads
from pools import PoolTests

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, MissingExtra
from evalkit.inference.workers import cluster, open_pool

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


class TestCluster(PoolTests):
    backend = "ray"
    died = "a worker of Ray died"
    given_up = "again"

    @pytest.fixture
    def opened(self, compute):
        return lambda worker: open_pool(worker, compute)


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
