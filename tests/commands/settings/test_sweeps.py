"""Sweeps: one table of all, whichever processes the launcher runs the evaluations in."""

import os
import subprocess
import sys

import pytest

from evalkit.commands.settings.sweeps import as_typed, size

pytestmark = pytest.mark.slow  # a process for each; test_evaluate.py has sweeps in the process of the test


@pytest.fixture
def sweep(tmp_path):
    """In a process of its own: joblib's workers stay, with the output that they first had."""

    def run(*arguments):
        common = ["retriever=bm25", "reranker=none", f"cache_dir={tmp_path / 'cache'}"]
        command = [sys.executable, "-m", "evalkit", "evaluate", "-m", *common, *arguments]
        environment = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_launcher_s_processes_tell_what_they_did(sweep, launcher):
    told = sweep(f"hydra/launcher={launcher}", "dataset=mini,mini_zh")
    assert told.returncode == 0, told.stderr
    rows = [line for line in told.stdout.splitlines() if "│ bm25-100" in line]
    assert ["mini ", "mini_zh"] == [row.split("│")[1].strip(" ").ljust(5) for row in rows]


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_dataset_that_is_not_there_keeps_no_other_from_being_evaluated(sweep, launcher):
    told = sweep(f"hydra/launcher={launcher}", "dataset=mini", "dataset.split=none,test")
    assert told.returncode == 2
    assert told.stderr.count("evalkit: error") == 1
    assert "Traceback" not in told.stderr
    assert "nDCG@10" in told.stdout


@pytest.mark.parametrize(
    ("override", "typed"),
    [
        (r"reranker.object=my_models\:overlap", "reranker.object=my_models:overlap"),
        (r"dataset.path=C\\a\ b", r"dataset.path=C\a b"),
        (r"reranker.instructions='a\: b'", r"reranker.instructions='a\: b'"),
        ("depth=50", "depth=50"),
    ],
)
def test_settings_are_shown_without_the_escapes_of_the_sweeper(override, typed):
    assert as_typed(override) == typed


def test_with_a_parallel_launcher_the_same_work_is_done_once(sweep, tmp_path):
    told = sweep("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "depth=50,50", "dataset=mini")
    assert told.returncode == 0, told.stderr
    assert len(list((tmp_path / "results").rglob("manifest.json"))) == 2
    assert not list((tmp_path / "results").rglob(".building-*"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["dataset=a,b"], 1),
        (["-m", "dataset=a,b", "reranker=x,y,z", "depth=10", "++retriever.path=/a/b.trec,/c.trec"], 12),
        (["--multirun", "depth=range(1,4)", "dataset=choice(a,b)"], 6),
        (["hydra.mode=MULTIRUN", "+hydra.sweeper.params={dataset:'a,b,c'}", "reranker=x,y"], 6),
        (["hydra.mode=MULTIRUN", "compute.machine.tflops={float32:'1,2'}"], 1),
        (["-m", "dataset=[a"], None),
    ],
)
def test_a_sweep_is_counted_before_it_runs(arguments, expected):
    assert size(arguments) == expected
