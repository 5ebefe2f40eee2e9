"""Sweeps as jobs: submitit's own local executor, and the preset for SLURM on a cluster that the tests play."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stubs import write_collection

from evalkit.commands.settings import sweeps
from evalkit.errors import ConfigError, MissingExtra

pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
pytestmark = pytest.mark.slow
PLAYED = Path(__file__).resolve().parents[1] / "slurm"


@pytest.fixture
def sweep(tmp_path):
    for name in ("a", "b"):
        write_collection(tmp_path / name)

    def run(*arguments):
        common = ["retriever=bm25", "reranker=none", f"cache_dir={tmp_path / 'cache'}", "dataset=folder"]
        command = [sys.executable, "-m", "evalkit", "evaluate", "-m", *common, *arguments]
        environment = {**os.environ, "COLUMNS": "200", "TMPDIR": str(tmp_path), "FAKE_SLURM": str(tmp_path / "cluster")}
        environment["PATH"] = f"{PLAYED}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def rows(told):
    return [line.split("│")[1].strip() for line in told.stdout.splitlines() if "│ bm25-100" in line]


def test_jobs_of_slurm_are_one_an_evaluation_and_end_in_one_table(sweep, tmp_path):
    told = sweep("hydra/launcher=slurm", "hydra.launcher.partition=gpu", "dataset.path=a,b", "results_dir=kept")
    assert told.returncode == 0, told.stderr
    assert rows(told) == ["a", "b"]
    common = f"evalkit: done: retriever=bm25 reranker=none cache_dir={tmp_path / 'cache'} dataset=folder"
    done = sorted(line for line in told.stderr.splitlines() if "done" in line)
    assert done == [f"{common} dataset.path={name} results_dir=kept" for name in ("a", "b")]
    script = (tmp_path / "cluster" / "script").read_text()
    for line in ("--partition=gpu", "--gpus-per-node=1", "--time=1440", "--array=0-1%2", "--job-name=evalkit"):
        assert f"#SBATCH {line}\n" in script
    assert list((tmp_path / "kept" / ".slurm").rglob("*.out"))
    assert not list((tmp_path / "kept").glob(".sweep-*"))


def test_a_job_that_fails_is_named_with_its_settings_and_keeps_no_other(sweep):
    told = sweep("hydra/launcher=submitit_local", "dataset.path=a,nowhere")
    assert told.returncode == 2
    assert rows(told) == ["a"]  # the finished one
    errors = [line for line in told.stderr.splitlines() if "error" in line]
    assert len(errors) == 1
    assert "dataset.path=nowhere" in errors[0]
    assert "no such" in errors[0]
    assert "Traceback" not in told.stderr


def test_jobs_of_one_dataset_share_its_candidates(sweep, tmp_path):
    told = sweep("hydra/launcher=submitit_local", "dataset.path=a", "reranker.languages=[],[en]")
    assert told.returncode == 0, told.stderr
    assert len(list((tmp_path / "results").rglob("candidates/manifest.json"))) == 1


@pytest.mark.parametrize("results_dir", ["a,b", "${oc.env:HOME}/r"])
def test_jobs_elsewhere_need_one_plain_folder_of_results(results_dir):
    arguments = ["hydra/launcher=slurm", f"results_dir={results_dir}"]
    with pytest.raises(ConfigError, match="one plain folder"), sweeps.shared_folder(arguments):
        pass


def test_a_folder_that_jobs_elsewhere_see_lies_with_the_results(tmp_path):
    arguments = ["hydra/launcher=slurm", f"results_dir='{tmp_path / 'kept'}'"]
    with sweeps.shared_folder(arguments) as folder:
        assert folder.parent == tmp_path / "kept"
        assert folder.is_dir()
    assert not folder.exists()


@pytest.mark.parametrize(("launcher", "extra"), [("slurm", "slurm"), ("joblib", "parallel")])
def test_without_its_package_a_launcher_says_how_to_install_it(monkeypatch, launcher, extra):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if "launcher" in name else object())
    with pytest.raises(MissingExtra, match=rf"pip install 'evalkit\[{extra}\]'"):
        sweeps.require_launcher([f"hydra/launcher={launcher}"])
