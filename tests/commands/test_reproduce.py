"""`evalkit reproduce --run` and `--explain` as a user types them."""

import io
import sys

import pytest
from made import made

from evalkit.cli import main


def test_without_yes_it_shows_the_plan_and_runs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    folder = tmp_path / "results"
    assert main(["reproduce", "minicpm-reranker", "--table", "cn-en", "--run", "--results", str(folder)]) == 2
    printed = capsys.readouterr()
    assert "196 evaluations are missing" in printed.out
    assert "give --yes" in printed.err
    assert not folder.exists()


def test_failed_runs_are_told_and_the_table_still_comes(tmp_path, capsys):
    asked = ["--table", "cn-en", "--run", "--yes", "--limit", "4000", "--results", str(tmp_path / "results")]
    assert main(["reproduce", "minicpm-reranker", *asked, "retriever.model=/absent", "compute=cpu"]) == 2
    printed = capsys.readouterr()
    assert "1 of 1: evalkit evaluate dataset=nfcorpus retriever=bge_large_en_v1_5 reranker=none" in printed.err
    assert "/absent" in printed.err
    assert "MiniCPM-Reranker" in printed.out


def test_nothing_missing_is_said(tmp_path, capsys):
    root = made(tmp_path, {"bge_reranker_v2_m3": 1.0}, dataset="nfcorpus", stage="bge_large_en_v1_5", queries=4)
    asked = ["reproduce", "minicpm-reranker", "--table", "cn-en", "--run", "--limit", "4000", "--results", str(root)]
    assert main(asked) == 0
    assert "nothing is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--explain", "bge-reranker-v2-m3"], "is no cell. Did you mean bge-reranker-v2-m3/BEIR? Legal are:"),
        (["--explain", "bge-reranker-v2-m3/BEIR"], "not run on"),
        (["compute=cuda"], "settings are for --run"),
        (["--table", "nothing"], "Legal are: cn-en, crosslingual"),
    ],
)
def test_mistakes_cost_one_line(arguments, expected, tmp_path, capsys):
    assert main(["reproduce", "minicpm-reranker", *arguments, "--results", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1
