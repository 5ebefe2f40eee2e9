"""A whole evaluation by processes of this machine: the bytes of one process, also when it or they are killed."""

import os
import signal
from dataclasses import replace

import pytest
from small import contents, elsewhere, rerankers

from evalkit.inference import accelerators
from evalkit.inference.workers import devices
from evalkit.inference.workers.shared import SharedPool
from evalkit.pipeline import evaluate
from evalkit.rerank.texts import _Scoring
from evalkit.retrieval.vectors import GrowingVectors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _no_process_stays():
    yield
    devices._end_resting()


def be_two_devices(monkeypatch):
    """Two processes on the CPU stand in for two devices."""
    monkeypatch.setattr(accelerators, "shared_devices", lambda _: ["0", "1"])


@pytest.mark.parametrize("kind", ["cross_encoder", "late_interaction", "listwise", "minicpm"])
def test_several_processes_give_the_bytes_of_one(config, models, tmp_path, kind, monkeypatch):
    config = replace(config, reranker=rerankers(models)[kind])
    alone = evaluate(config)
    be_two_devices(monkeypatch)
    done = evaluate(elsewhere(config, tmp_path))
    expected = contents(tmp_path / "local")
    assert len(expected) == 6
    assert contents(tmp_path / "other") == expected
    assert done.result.folder.name == alone.result.folder.name  # under the same key
    assert "workers" not in alone.result.manifest
    assert {key: done.result.manifest["workers"][key] for key in ("backend", "count", "lost")} == {
        "backend": "local",
        "count": 2,
        "lost": 0,
    }
    assert done.result.manifest["engine"]["tokens"] > 0  # as many only where no pair of two windows is the same


def test_processes_that_are_killed_on_the_way_change_no_byte(config, tmp_path, monkeypatch):
    evaluate(config)
    killed, original = set(), SharedPool._hand_out

    def hand_out(self, course):
        more = original(self, course)
        if course.has_begun and self not in killed:
            killed.add(self)
            os.kill(next(member for member in self._members if member.running).process.process.pid, signal.SIGKILL)
        return more

    monkeypatch.setattr(SharedPool, "_hand_out", hand_out)
    be_two_devices(monkeypatch)
    done = evaluate(elsewhere(config, tmp_path))
    assert contents(tmp_path / "other") == contents(tmp_path / "local")
    assert len(killed) == 3  # while encoding, searching and scoring
    assert sum(stage.manifest["workers"]["lost"] for stage in (done.candidates, done.result)) >= 2


class Stopped(BaseException):
    """Stands in for a signal that ends this process."""


def test_evaluation_stopped_twice_resumes_with_the_same_bytes(config, tmp_path, monkeypatch):
    evaluate(config)
    be_two_devices(monkeypatch)
    for kind in (GrowingVectors, _Scoring):  # while encoding, then while scoring
        with monkeypatch.context() as patch:
            patch.setattr(kind, "keep", stopping(kind.keep, after=3))
            with pytest.raises(Stopped):
                evaluate(elsewhere(config, tmp_path))
    evaluate(elsewhere(config, tmp_path))
    assert contents(tmp_path / "other") == contents(tmp_path / "local")


def stopping(method, *, after):
    calls = []

    def keep(self, *args):
        method(self, *args)
        calls.append(1)
        if len(calls) == after:
            raise Stopped

    return keep


def test_shards_that_overlap_in_one_process_give_the_same_bytes(config, tmp_path, monkeypatch):
    """As on CUDA, where the next window begins before the last results of one are here."""
    evaluate(config)
    monkeypatch.setattr(accelerators, "on_cuda", lambda _: True)
    evaluate(elsewhere(config, tmp_path))
    assert contents(tmp_path / "other") == contents(tmp_path / "local")
