"""Shards by processes of this machine, one a device: here on a CPU, with some of them killed."""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from adders import Adder, Probing, Threads
from pools import PoolTests

from evalkit.inference.workers import devices
from evalkit.inference.workers.devices import device_pool, environments

PLACES = environments(["0", "1"])


@pytest.fixture(autouse=True, scope="module")
def _no_process_stays():
    yield
    devices._end_resting()


class Pool:
    """A pool for the time of a `with` block, as `open_pool` has it."""

    def __init__(self, worker, places=PLACES, **settings):
        self.pool = device_pool(worker, places, **settings)

    def __enter__(self):
        return self.pool

    def __exit__(self, kind, *_):
        self.pool.close() if kind is None else self.pool.kill()


class TestProcesses(PoolTests):
    backend = "local"
    died = "a process of compute.devices died"
    given_up = r"die again and again \(exit code -9\)"

    @pytest.fixture
    def opened(self):
        return Pool

    def test_parts_are_stored_in_place_where_shards_overlap(self, opened, sums, tmp_path):
        self.check_a_run(opened, sums, tmp_path, overlaps=True)


def test_a_bug_of_a_worker_says_where_it_is(sums, tmp_path):
    worker = Adder(tmp_path, pause="no number")
    with pytest.raises(TypeError) as raised, Pool(worker) as pool:
        pool.run(sums([2]).shards)
    assert "time.sleep(self.pause)" in "".join(raised.value.__notes__)


def test_a_package_that_a_process_lacks_is_an_error_and_not_a_wait(sums, tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("from adders import Adder\nclass Own(Adder):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("only_here").Own(tmp_path)
    made = sums([2])
    with Pool(own) as pool:  # where this process finds it, others do
        pool.run(made.shards)
    assert made.are_right
    (tmp_path / "only_here.py").unlink()
    devices._end_resting()
    with pytest.raises(ModuleNotFoundError, match="only_here"), Pool(own) as pool:
        pool.run(made.shards)


def test_all_processes_work_with_the_budget_that_the_first_found(sums, tmp_path):
    made = sums([2] * 12)
    shards = made.shards
    with Pool(Probing(tmp_path)) as pool:
        pool.run(shards)
    assert set((made.found - made.numbers).tolist()) == {shards.budget.tokens}


def test_processes_rest_and_are_those_of_the_next_pool(sums, tmp_path):
    devices._end_resting()
    seen = []
    for _ in range(2):
        with Pool(Adder(tmp_path)) as pool:
            pool.run(sums([2, 2, 2]).shards)
            seen.append({member.process.process.pid for member in pool._members})
    assert seen[0] == seen[1]


def test_a_process_that_went_through_pools_while_it_started_tells_the_next_nothing_of_them(sums, tmp_path):
    devices._end_resting()
    made = sums([4] * 6)
    for worker in (Adder(tmp_path, takes_to_load=9), Adder(tmp_path, unlike=True)):
        with Pool(worker):
            pass  # closed before any process has started
    with Pool(Adder(tmp_path)) as pool:
        pool.run(made.shards)
        assert pool.facts() == {"kind": "cpu"}
        assert (pool.spent().tokens, pool.describe()["lost"]) == (24, 0)
    assert made.are_right


def test_each_process_sees_its_device_and_has_its_share_of_the_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    places = environments(["3", "5", "3", "5"])
    assert [place["CUDA_VISIBLE_DEVICES"] for place in places] == ["3", "5", "3", "5"]
    assert {place["RAYON_NUM_THREADS"] for place in places} == {"4"}
    with Pool(Threads(tmp_path), places[:2]) as pool:
        assert pool.facts() == {"kind": "4 4"}


def test_processes_end_with_the_one_that_started_them(tmp_path):
    here = str(Path(__file__).parent)
    script = f"""
import sys, json, time; sys.path.insert(0, {here!r})
from adders import Adder
from evalkit.inference.workers.devices import device_pool, environments
pool = device_pool(Adder({str(tmp_path)!r}), environments(["0", "1"]))
pool.facts()
print(json.dumps([member.process.process.pid for member in pool._members]), flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        found = json.loads(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while any(_runs(process) for process in found) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(_runs(process) for process in found)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
