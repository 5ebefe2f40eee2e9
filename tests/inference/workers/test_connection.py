import pytest

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError
from evalkit.inference.workers import together
from evalkit.inference.workers.connection import resources


class Cluster:
    def __init__(self, **there):
        self.there = there

    def cluster_resources(self):
        return self.there


def test_a_worker_takes_one_gpu_where_there_are_gpus():
    of_one, count = resources(Cluster(CPU=64.0, GPU=8.0), ComputeConfig(cpus_per_worker=4))
    assert (of_one["num_gpus"], of_one["num_cpus"], count) == (1, 4, 8)
    assert of_one["runtime_env"]["env_vars"]["OMP_NUM_THREADS"] == "4"


def test_a_worker_on_a_gpu_tokenises_with_its_share_of_the_cores_and_is_placed_by_its_gpu():
    of_one, _ = resources(Cluster(CPU=64.0, GPU=8.0), ComputeConfig(backend="ray"))
    assert (of_one["num_cpus"], of_one["runtime_env"]["env_vars"]["RAYON_NUM_THREADS"]) == (1, "8")
    of_one, _ = resources(Cluster(CPU=2.0, GPU=8.0), ComputeConfig(backend="ray"))
    assert of_one["runtime_env"]["env_vars"]["RAYON_NUM_THREADS"] == "1"


def test_on_processors_there_are_as_many_workers_as_have_their_cores():
    of_one, count = resources(Cluster(CPU=10.0, GPU=2.0), ComputeConfig(device="cpu", cpus_per_worker=4))
    assert (of_one["num_gpus"], count) == (0, 2)


def test_fewer_workers_may_be_asked_for():
    assert resources(Cluster(CPU=10.0), ComputeConfig(backend="ray", workers=3))[1] == 3


@pytest.mark.parametrize(
    ("there", "settings", "said"),
    [
        ({"CPU": 8.0}, {"device": "cuda"}, "no GPU"),
        ({"CPU": 2.0}, {"device": "cpu", "cpus_per_worker": 4}, "2 cores"),
        ({}, {"device": "cpu"}, "0 cores"),
    ],
)
def test_cluster_without_room_for_a_worker_is_refused(there, settings, said):
    with pytest.raises(ConfigError, match=said):
        resources(Cluster(**there), ComputeConfig(**settings))


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    ray = pytest.importorskip("ray")
    from evalkit.inference.workers.connection import connect

    def refuse(**_):
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ConfigError, match=r"compute\.address=ray://h:1.*nobody there.*ray start --head"):
        connect(ComputeConfig(address="ray://h:1", backend="ray"))


def test_several_pools_add_lost_workers_and_report_the_highest_peak():
    first = {"count": 2, "lost": 1, "peak_memory_gib": 1.5}
    assert together(first, {**first, "lost": 2, "peak_memory_gib": 1.2}) == {**first, "lost": 3}
    assert together({}, {}) == {}
