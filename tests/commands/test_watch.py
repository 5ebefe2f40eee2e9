"""`evalkit watch` as a user types it."""

import json
import time

import pytest
from made import made, scores, write_collection, write_run

from evalkit.cli import main
from evalkit.reports.console import console
from evalkit.system.running import FOLDER, recorded, stage


@pytest.fixture
def root(tmp_path):
    return made(tmp_path, {"strong": 3.0}, queries=8)


def test_one_look_where_stdout_is_no_terminal(root, capsys):
    with recorded(root, {"dataset": "two", "first_stage": "bm25-100", "reranker": "mini"}, {}):
        stage("reranking", "pairs", 10)
        assert main(["watch", str(root)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1 running, 1 result on 1 dataset\n")
    assert "0 of 10 pairs (0%)" in printed
    assert "strong" in printed


def test_json_has_every_number(root, capsys):
    with recorded(root, {"dataset": "two"}, {"number": 0, "of": 3}):
        stage("reranking", "pairs", 10)
        assert main(["watch", str(root), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (one,) = found["evaluations"]
    assert (one["state"], one["facts"]["of"], one["total"], one["left"]) == ("running", 3, 10, None)
    assert {result["reranker"] for result in found["results"]} == {"first stage", "strong"}


def test_a_page_is_written_again_and_again_until_ctrl_c(root, tmp_path, monkeypatch, capsys):
    looks = []

    def wait(seconds):
        looks.append((tmp_path / "watch.html").read_text(encoding="utf-8"))
        if len(looks) == 2:
            raise KeyboardInterrupt
        assert seconds == 0.5
        made(tmp_path, {"other": 1.0}, queries=8)

    monkeypatch.setattr(time, "sleep", wait)
    assert main(["watch", str(root), "--html", str(tmp_path / "watch.html"), "--every", "0.5"]) == 0
    assert ["<td>other</td>" in page for page in looks] == [False, True]
    assert "Ctrl-C ends it, and no evaluation" in capsys.readouterr().err
    assert main(["watch", str(root), "--html", str(tmp_path / "once.html"), "--once"]) == 0
    assert "<td>other</td>" in (tmp_path / "once.html").read_text(encoding="utf-8")


def test_a_terminal_is_drawn_again_until_ctrl_c(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    out, looks = console(), []
    out._force_terminal = out.is_interactive = True  # what rich asks

    def wait(_):
        looks.append(1)
        if len(looks) == 2:
            raise KeyboardInterrupt
        made(tmp_path, {"other": 1.0}, queries=8)

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr("evalkit.commands.watch.console", lambda: out)
    assert main(["watch", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "1 result on 1 dataset" in printed
    assert "2 results on 1 dataset" in printed


def test_an_id_cannot_drive_the_terminal(root, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    out = console()
    out._force_terminal = out.is_interactive = True

    def wait(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", wait)
    monkeypatch.setattr("evalkit.commands.watch.console", lambda: out)
    with pytest.raises(ValueError, match="red"), recorded(root, {"dataset": "\x1b[31mred"}, {}):
        raise ValueError("\x1b[32mred")
    assert main(["watch", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "\\x1b[31mred" in printed
    assert "\x1b[31mred" not in printed
    assert "\x1b[32mred" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent"], "there is no such folder. Give the folder of results, results_dir."),
        ([".", "--every", "0"], "--every 0 is out of range. Legal are seconds from 0.2."),
        ([".", "--every", "nan"], "--every nan is out of range."),
        ([".", "--html", "absent/x.html"], "absent/x.html cannot be written: give a file in a folder that exists."),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_sweep_says_which_evaluation_runs_and_leaves_what_failed(tmp_path, monkeypatch, capsys):
    write_collection(tmp_path / "collection", queries=8)
    for name in ("first", "good"):
        write_run(tmp_path / f"{name}.trec", scores(8, 1.0, seed=len(name)))
    results, seen = tmp_path / "results", []
    typed = [
        *("dataset=folder", f"dataset.path={tmp_path}/collection", "retriever=saved", "compute.device=cpu"),
        *(f"retriever.path={tmp_path}/first.trec", "reranker=replay", f"cache_dir={tmp_path}/cache"),
        *(f"reranker.path={tmp_path}/good.trec,{tmp_path}/bad.trec", f"results_dir={results}"),
    ]

    def look(*_):
        capsys.readouterr()
        assert main(["watch", str(results), "--format", "json"]) == 0
        seen.append(json.loads(capsys.readouterr().out)["evaluations"])

    results.mkdir()
    monkeypatch.setattr("evalkit.commands.evaluate.evaluate", _looking(look))
    assert main(["evaluate", "-m", *typed]) == 2
    look()
    assert [[(one["state"], one["facts"]["number"], one["facts"]["of"]) for one in each] for each in seen] == [
        [("running", 0, 2)],
        [("running", 1, 2)],
        [("failed", 1, 2)],
    ]
    assert "bad.trec" in seen[-1][0]["message"]
    write_run(tmp_path / "bad.trec", scores(8, 1.0, seed=3))
    assert main(["evaluate", "-m", *typed]) == 0
    assert not (results / FOLDER).exists()


def _looking(look):
    from evalkit.pipeline import evaluate

    def looking(*arguments, **settings):
        stage("loading", "documents", None)
        look()
        return evaluate(*arguments, **settings)

    return looking
