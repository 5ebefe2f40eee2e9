"""Interrupted once, evalkit says so, is gone, and goes on with the same command."""

import os
import signal
import subprocess

import pytest
from few import evaluation

from evalkit.cli import main


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
@pytest.mark.parametrize("phase", ["embeddings/.partial-*/done.log", "scores/*/scores.log"], ids=["encode", "score"])
def test_one_signal_is_enough_and_the_same_command_goes_on(tmp_path, number, code, phase):
    command = evaluation(tmp_path, "compute.batch_tokens=64")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not any((tmp_path / "cache").glob(phase)):
        assert process.poll() is None, process.communicate()
        os.sched_yield()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert errors.splitlines()[-1] == "evalkit: interrupted. What was finished is kept: run the same command again."
    assert "Traceback" not in errors
    assert not list((tmp_path / "results").rglob("late_interaction"))
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "nDCG@10" in again.stdout


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_out_of_memory_is_one_line(monkeypatch, capsys, error):
    def run(_):
        raise error

    monkeypatch.setattr("evalkit.commands.measure.main", run)
    assert main(["measure"]) == 2
    assert capsys.readouterr().err.startswith("evalkit: error: out of memory. What was finished is kept")


def test_another_runtime_error_is_a_bug_and_is_shown_whole(monkeypatch):
    def run(_):
        raise RuntimeError("something else")

    monkeypatch.setattr("evalkit.commands.measure.main", run)
    with pytest.raises(RuntimeError, match="something else"):
        main(["measure"])
