"""A whole evaluation by workers of Ray: the bytes of one without, also when workers are killed."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from small import contents, elsewhere, rerankers

from evalkit.config import ComputeConfig
from evalkit.inference.workers.shared import SharedPool
from evalkit.pipeline import evaluate

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _ray():
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


def by_ray(config, tmp_path, **settings):
    return elsewhere(config, tmp_path, backend="ray", **settings)


def workers():
    """Processes of workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::Actor"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(("kind", "count"), [("cross_encoder", 1), ("late_interaction", 2), ("minicpm", 2)])
def test_any_number_of_workers_gives_the_bytes_of_none(config, models, tmp_path, kind, count):
    config = replace(config, reranker=rerankers(models)[kind])
    evaluate(config)
    done = evaluate(by_ray(config, tmp_path, workers=count))
    expected = contents(tmp_path / "local")
    assert len(expected) == 6
    assert contents(tmp_path / "other") == expected
    assert done.result.manifest["workers"]["count"] == count
    first, rest = done.candidates.manifest["stages"], done.result.manifest["stages"]
    assert first["encode documents"]["tokens"] > 90
    assert (first["encode documents"]["documents"], first["encode queries"]["queries"]) == (90, 8)
    assert rest["rerank"]["pairs"] + rest["rerank"].get("kept_pairs", 0) == done.result.manifest["pairs"]
    assert done.result.manifest["pairs_per_second"] == rest["rerank"]["pairs"] / rest["rerank"]["seconds"]
    assert rest["load reranker"]["seconds"] > 0


def test_workers_that_are_killed_on_the_way_change_no_byte(config, tmp_path, monkeypatch):
    evaluate(config)
    killed, original = {}, SharedPool._hand_out

    def hand_out(self, course):
        more = original(self, course)
        there = workers()
        if course.shards.count - len(course.waiting) >= 4 and there and self not in killed:
            killed[self] = there[0]
            os.kill(there[0], signal.SIGKILL)
        return more

    monkeypatch.setattr(SharedPool, "_hand_out", hand_out)
    done = evaluate(by_ray(config, tmp_path, workers=2))
    assert contents(tmp_path / "other") == contents(tmp_path / "local")
    lost = [stage.manifest["workers"]["lost"] for stage in (done.candidates, done.result)]
    assert len(killed) == 3  # while encoding, searching and scoring
    assert sum(lost) >= 2


def test_results_are_shared_with_and_without_workers(config, tmp_path):
    first = evaluate(config)
    again = evaluate(replace(config, compute=ComputeConfig(device="cpu", backend="ray", workers=1)))
    assert first.result.fresh
    assert not again.result.fresh
    other = evaluate(by_ray(config, tmp_path, workers=1))
    deeper = evaluate(replace(by_ray(config, tmp_path), compute=ComputeConfig(device="cpu"), depth=30))
    assert other.result.fresh
    loading, working = (other.result.manifest["stages"][name]["seconds"] for name in ("load reranker", "rerank"))
    assert working < loading  # the process is resting, and the model is tiny; but it was sent there and loaded
    assert 160 <= deeper.result.manifest["kept_pairs"] < 170  # equal texts share a score
