"""A folder of results as it is now."""

import os

import pytest
from made import made

from evalkit.errors import ResultError
from evalkit.results.manifest import read_manifest
from evalkit.results.watching import Watch
from evalkit.system.running import recorded, stage


def everything(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_results_are_listed_last_first_and_nothing_is_touched(tmp_path):
    root = made(tmp_path, {"strong": 3.0, "weak": 0.4}, queries=8)
    for number, name in enumerate(("candidates", "weak", "strong"), start=1):
        os.utime(root / "one/stage-100" / name / "manifest.json", (number, number))
    before = everything(root)
    found = Watch(root).look()
    assert [(one.dataset, one.first_stage, one.reranker) for one in found.finished] == [
        ("one", "stage-100", "strong"),
        ("one", "stage-100", "weak"),
        ("one", "stage-100", "first stage"),
    ]
    assert found.finished[0].measure == "nDCG@10"
    assert found.finished[0].value > found.finished[2].value
    assert (found.running, found.broken) == ([], [])
    assert everything(root) == before


def test_a_manifest_is_read_again_only_when_it_changed(tmp_path, monkeypatch):
    root = made(tmp_path, {"strong": 3.0}, queries=8)
    watch = Watch(root)
    first = watch.look().finished
    monkeypatch.setattr("evalkit.results.watching.read_manifest", None)
    assert watch.look().finished == first
    os.utime(root / "one/stage-100/strong/manifest.json", (1, 1))
    with pytest.raises(TypeError):
        watch.look()


def test_a_damaged_or_unfinished_result_is_not_listed(tmp_path):
    root = made(tmp_path, {"strong": 3.0}, queries=8)
    (root / "one/stage-100/strong/manifest.json").write_text("{")
    (root / "one/stage-100/.building-x").mkdir()
    (root / "one/stage-100/.building-x/manifest.json").write_text("{}")
    assert [one.reranker for one in Watch(root).look().finished] == ["first stage"]


def test_running_and_broken_evaluations_are_told_apart(tmp_path):
    with pytest.raises(ResultError), recorded(tmp_path, {"dataset": "bad"}, {}):
        raise ResultError("full disk")
    with recorded(tmp_path, {"dataset": "good"}, {}):
        stage("reranking", "pairs", 10)
        found = Watch(tmp_path).look()
    assert [one.facts["dataset"] for one in found.running] == ["good"]
    assert [(one.facts["dataset"], one.message) for one in found.broken] == [("bad", "full disk")]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ResultError, match=r"there is no such folder\. Give the folder of results"):
        Watch(tmp_path / "absent").look()


@pytest.mark.parametrize(
    ("command", "typed"),
    [
        ("evalkit evaluate reranker=x 'a.b=[1, 2]'", ("reranker=x", "a.b=[1, 2]")),
        ("evalkit evaluate it's", ()),
        ("mine.py reranker=x", ()),
    ],
)
def test_what_was_typed_is_read_from_the_command_of_a_result(tmp_path, monkeypatch, command, typed):
    root = made(tmp_path, {"strong": 3.0}, queries=8)
    monkeypatch.setattr(
        "evalkit.results.watching.read_manifest", lambda folder: {**read_manifest(folder), "command": command}
    )
    assert [one.overrides for one in Watch(root).look().finished] == [typed, typed]
