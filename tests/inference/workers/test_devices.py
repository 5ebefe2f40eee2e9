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

from evalkit.errors import ConfigError, EvalkitError, ModelError
from evalkit.inference.workers import devices
from evalkit.inference.workers.devices import device_pool, environments
from evalkit.system.stages import LOADING

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


def begun(folder, shard):
    return len(list(folder.glob(f"{shard}-*")))


@pytest.mark.parametrize("overlaps", [False, True])
def test_every_shard_is_done_by_one_process_and_every_part_stored_in_place(sums, tmp_path, overlaps):
    made = sums([3, 0, 5, 1, 4, 4])
    made.found[3] = 31  # known
    with Pool(Adder(tmp_path), overlaps=overlaps) as pool:
        pool.run(made.shards)
        assert pool.facts() == {"kind": "cpu"}
        assert (pool.spent().tokens, pool.spent().batches) == (16, 10)
        described = pool.describe()
    assert made.are_right
    assert len(made.kept) == len(set(made.kept)) == 16
    assert sorted(made.ended) == [0, 2, 3, 4, 5]
    assert (described["backend"], described["count"], described["lost"]) == ("local", 2, 0)
    assert described["peak_memory_gib"] > 0


def test_others_finish_the_shards_of_a_killed_process(sums, tmp_path, caplog):
    made = sums([6, 6, 6, 6, 6])
    with Pool(Adder(tmp_path, dies_at={1: 1, 2: 1})) as pool:
        pool.run(made.shards)
        lost = pool.describe()["lost"]
    assert made.are_right
    assert len(made.kept) == len(set(made.kept)) == 30  # nothing is done twice that was kept
    assert 1 <= lost <= 2
    assert begun(tmp_path, 1) >= 2
    assert "a process of compute.devices died" in caplog.text


def test_a_shard_that_kills_every_process_is_given_up_in_one_line(sums, tmp_path):
    made = sums([4, 4])
    with (
        pytest.raises(EvalkitError, match=r"die again and again \(exit code -9\)"),
        Pool(Adder(tmp_path, dies_at={1: 100})) as pool,
    ):
        pool.run(made.shards)


def test_an_error_of_a_worker_is_raised_as_it_was_and_a_bug_says_where_it_is(sums, tmp_path):
    with pytest.raises(ModelError, match=r"^no such shard as 1\.$"), Pool(Adder(tmp_path, fails_at=1)) as pool:
        pool.run(sums([2, 2, 2]).shards)
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


def test_processes_that_are_not_alike_are_refused(sums, tmp_path):
    with pytest.raises(ConfigError, match="not alike"), Pool(Adder(tmp_path, unlike=True, pause=0.1)) as pool:
        pool.run(sums([4] * 30).shards)


def test_all_processes_work_with_the_budget_that_the_first_found(sums, tmp_path):
    made = sums([2] * 12)
    shards = made.shards
    with Pool(Probing(tmp_path)) as pool:
        pool.run(shards)
    assert set((made.found - made.numbers).tolist()) == {shards.budget.tokens}


def test_time_without_a_loaded_process_is_that_of_loading_and_all_load_at_once(sums, tmp_path):
    with Pool(Adder(tmp_path, takes_to_load=0.6)) as pool:
        pool.run(first := sums([2, 2, 2]).shards)
        pool.run(second := sums([2, 2, 2]).shards)
    assert first.meter.apart[LOADING] >= 0.6
    assert LOADING not in second.meter.apart


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
