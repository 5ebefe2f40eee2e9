"""Sweeps: one table of all, whichever processes the launcher runs the evaluations in."""

import pytest

from evalkit.cli import main


@pytest.fixture
def sweep(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main(
            ["evaluate", "-m", "retriever=bm25", "reranker=none", f"cache_dir={tmp_path / 'cache'}", *arguments]
        )
        return code, capfd.readouterr()

    return run


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_launcher_s_processes_tell_what_they_did(sweep, launcher):
    code, told = sweep(f"hydra/launcher={launcher}", "dataset=mini,mini_zh")
    assert code == 0
    rows = [line for line in told.out.splitlines() if "bm25-100" in line]
    assert ["mini ", "mini_zh"] == [row.split("│")[1].strip(" ").ljust(5) for row in rows]


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_a_dataset_that_is_not_there_keeps_no_other_from_being_evaluated(sweep, launcher, tmp_path):
    code, told = sweep(f"hydra/launcher={launcher}", "dataset=folder,mini", f"+none={tmp_path}")
    assert code == 2
    code, told = sweep(
        f"hydra/launcher={launcher}", "dataset=mini,folder", "'dataset.path=${oc.env:HOME}/none/${dataset.name}'"
    )
    assert code == 2
    assert told.err.count("evalkit: error") == 2
    assert "Traceback" not in told.err


def test_with_a_parallel_launcher_the_same_work_is_done_once(sweep, tmp_path):
    code, told = sweep("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "depth=50,50", "dataset=mini")
    assert code == 0, told.err
    assert len(list((tmp_path / "results").rglob("manifest.json"))) == 2
    assert not list((tmp_path / "results").rglob(".building-*"))
