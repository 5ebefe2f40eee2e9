"""Interrupted once, evalkit says so, is gone, and goes on with the same command."""

import errno
import os
import signal
import subprocess
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from few import evaluation

from evalkit.cli import main
from evalkit.errors import ModelError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "phase"),
    [
        (signal.SIGINT, 130, "embeddings/.partial-*/done.log"),
        (signal.SIGTERM, 143, "scores/*/scores.log"),
    ],
    ids=["INT while encoding", "TERM while scoring"],
)
def test_one_signal_is_enough_and_the_same_command_goes_on(tmp_path, number, code, phase):
    command = evaluation(tmp_path, "compute.batch_tokens=64")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not any((tmp_path / "cache").glob(phase)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert (
        errors.splitlines()[-1] == "evalkit: interrupted. Finished work is saved: run the same command again to resume."
    )
    assert "Traceback" not in errors
    assert not list((tmp_path / "results").rglob("late_interaction"))
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "nDCG@10" in again.stdout


class Panic(BaseException):
    """As Rust's reach Python."""


def _chained():
    mistaken = ModelError("weights: cannot be read. Download it again.")
    mistaken.__cause__ = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    return mistaken


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), "weights"),
        ModelError("weights: unable to mmap 9 bytes: Cannot allocate memory (12). Download it again."),
        Panic("called unwrap on an Err: Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
        _chained(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_is_one_line_whatever_it_became(monkeypatch, capsys, error):
    def run(_):
        raise error

    monkeypatch.setattr("evalkit.commands.measure.main", run)
    assert main(["measure"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("evalkit: error: out of memory. Finished work is saved")
    assert told.count("\n") == 1


def test_out_of_memory_in_an_evaluation_is_one_line_too(tmp_path, monkeypatch, capsys):
    def run(*_, **__):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("evalkit.commands.evaluate.evaluate", run)
    assert main(["evaluate", f"results_dir={tmp_path}/results", f"cache_dir={tmp_path}/cache"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("evalkit: error: out of memory. Finished work is saved")
    assert told.count("\n") == 1


def test_a_worker_that_the_system_killed_is_one_line(monkeypatch, capsys):
    def run(_):
        raise BrokenProcessPool("A process was terminated abruptly\nwhile it ran")

    monkeypatch.setattr("evalkit.commands.measure.main", run)
    assert main(["measure"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("evalkit: error: a process of the sweep was killed")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cache", "list", "--cache-dir=one"], "one: is not a folder. Give --cache-dir"),
        (["measure", "one", "one"], "one: Too many levels of symbolic links."),
        (["compare", "one"], "one: there is no such file or folder. Give a result"),
    ],
)
def test_links_that_lead_to_each_other_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("one").symlink_to("two")
    Path("two").symlink_to("one")
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"evalkit: error: {message}")
    assert told.count("\n") == 1


def test_another_runtime_error_is_a_bug_and_is_shown_whole(monkeypatch):
    def run(_):
        raise RuntimeError("something else")

    monkeypatch.setattr("evalkit.commands.measure.main", run)
    with pytest.raises(RuntimeError, match="something else"):
        main(["measure"])
