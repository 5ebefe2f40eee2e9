"""Records of what a process does, as another one reads them."""

import json
import os
import subprocess
import sys
import time

import pytest

from evalkit.errors import DataError
from evalkit.system import running
from evalkit.system.progress import progress
from evalkit.system.running import FOLDER, is_recent, read, recorded, stage

FACTS = {"dataset": "mini", "reranker": "x"}


def only(folder):
    (path,) = (folder / FOLDER).iterdir()
    return path


def changed(path, **fields):
    """The record with other fields, written again."""
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **fields}), encoding="utf-8")
    return read(path)


@pytest.fixture
def left(tmp_path):
    """The record of a process that goes on."""
    kept = None
    with recorded(tmp_path, FACTS, {}):
        stage("reranking", "pairs", 10)
        kept = only(tmp_path).read_bytes()
    (tmp_path / FOLDER).mkdir()
    path = tmp_path / FOLDER / "0-here-1.json"
    path.write_bytes(kept)
    return path


def test_a_stage_is_recorded_with_its_count_rate_and_time_left(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(running, "_EVERY", 0)
    with recorded(tmp_path, FACTS, {"number": 2, "of": 5}):
        assert not (tmp_path / FOLDER).exists()
        with progress("reranking", 110, "pairs") as meter:
            meter.found(60)
            clock.wait(2)
            meter(10)
            seen = read(only(tmp_path))
        after = read(only(tmp_path))
    assert (seen.state, seen.stage, seen.unit, seen.done, seen.kept) == ("running", "reranking", "pairs", 10, 60)
    assert (seen.total, seen.rate, seen.left) == (110, 5, 8)
    assert seen.facts == {**FACTS, "number": 2, "of": 5}
    assert 0 <= time.time() - seen.started < 60
    assert (after.stage, after.left) == ("", None)
    assert not (tmp_path / FOLDER).exists()


def test_an_inner_stage_ends_where_the_outer_one_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_EVERY", 0)
    with recorded(tmp_path, FACTS, {}), progress("outer", 9, "queries") as meter:
        meter(4)
        with progress("inner", 3, "documents"):
            assert read(only(tmp_path)).stage == "inner"
        seen = read(only(tmp_path))
        assert (seen.stage, seen.unit, seen.done, seen.total) == ("outer", "queries", 4, 9)


def test_counts_are_written_at_most_once_a_second(tmp_path):
    with recorded(tmp_path, FACTS, {}), progress("reranking", 10, "pairs") as meter:
        meter(1)
        meter(1)
        assert read(only(tmp_path)).done == 0


def test_without_a_record_progress_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with progress("reranking", 10, "pairs") as meter:
        meter(1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "state"), [(DataError("no\nfile"), "failed"), (KeyboardInterrupt(), "interrupted")])
def test_what_did_not_succeed_leaves_its_reason_until_the_same_work_succeeds(tmp_path, error, state):
    with pytest.raises(type(error)), recorded(tmp_path, FACTS, {"number": 1}):
        raise error
    seen = read(only(tmp_path))
    assert (seen.state, seen.message) == (state, "no file" if state == "failed" else "")
    with recorded(tmp_path, {"dataset": "other"}, {}):
        stage("reranking", "pairs", 1)
    assert read(only(tmp_path)) == seen
    with recorded(tmp_path, FACTS, {"number": 7}):
        pass
    assert not (tmp_path / FOLDER).exists()


def test_a_failure_makes_no_folder_of_results_unless_it_is_one_of_a_sweep(tmp_path):
    def fail(*, keep):
        with recorded(tmp_path / "results", FACTS, {}, keep=keep):
            stage("reading corpus", "MB", 10)
            assert read(only(tmp_path / "results")).stage == "reading corpus"
            raise DataError("no file")

    for keep in (False, True):
        with pytest.raises(DataError):
            fail(keep=keep)
        assert (tmp_path / "results").exists() == keep
    assert read(only(tmp_path / "results")).state == "failed"


def test_an_interruption_is_recorded_also_in_a_new_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), recorded(tmp_path / "results", FACTS, {}):
        raise KeyboardInterrupt
    assert read(only(tmp_path / "results")).state == "interrupted"


def test_a_process_that_is_gone_or_whose_number_is_used_again_was_killed(left):
    assert read(left).state == "running"
    assert changed(left, born="1").state == "killed"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert changed(left, process=gone.pid, born="").state == "killed"
    assert read(left).left is None


def test_another_machine_is_silent_after_a_quarter_of_an_hour(left):
    assert changed(left, host="elsewhere", updated=time.time() - 14 * 60, process=1).state == "running"
    assert changed(left, updated=time.time() - 16 * 60).state == "silent"


def test_the_end_of_a_process_is_remembered_for_a_day(left, tmp_path):
    assert is_recent(changed(left, updated=0))
    assert is_recent(changed(left, state="failed", updated=time.time() - 23 * 3600))
    assert not is_recent(changed(left, state="failed", updated=time.time() - 25 * 3600))
    with recorded(tmp_path, FACTS, {}):
        pass
    assert not left.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "state": "running"}', b"\xff"])
def test_anything_else_in_the_folder_is_no_record(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    assert read(path) is None
    assert read(tmp_path / "absent.json") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path):
    tmp_path.chmod(0o500)
    with recorded(tmp_path, FACTS, {}), progress("reranking", 10, "pairs") as meter:
        meter(1)


def test_a_file_in_the_place_of_the_folder_stops_nothing(tmp_path):
    (tmp_path / FOLDER).write_text("mine")
    with recorded(tmp_path, FACTS, {}), progress("reranking", 10, "pairs") as meter:
        meter(1)
    assert (tmp_path / FOLDER).read_text() == "mine"
