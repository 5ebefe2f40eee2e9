"""Artefacts that are built once, found again, and never half there."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from evalkit.errors import DataError, ResultError
from evalkit.store import Store, default_cache_dir, digest


class Builder:
    """Counts how often it builds."""

    def __init__(self):
        self.built = 0

    def __call__(self, folder):
        self.built += 1
        (folder / "data.txt").write_text(f"build {self.built}", encoding="utf-8")


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_same_facts_are_built_once(store):
    build = Builder()
    first = store.folder("corpus", {"model": "m", "depth": 3}, build)
    second = store.folder("corpus", {"depth": 3, "model": "m"}, build)
    assert first == second
    assert 1 == build.built
    assert "build 1" == (second / "data.txt").read_text(encoding="utf-8")


def test_another_store_at_the_same_place_finds_what_was_built(store):
    build = Builder()
    first = store.folder("corpus", {"model": "m"}, build)
    assert first == Store(store.root).folder("corpus", {"model": "m"}, build)
    assert 1 == build.built


@pytest.mark.parametrize(
    "facts", [{"model": "other"}, {"model": "m", "depth": 3}, {}, {"model": ["m"]}, {"model": None}]
)
def test_different_facts_are_built_anew_and_both_are_kept(store, facts):
    build = Builder()
    first = store.folder("corpus", {"model": "m"}, build)
    second = store.folder("corpus", facts, build)
    assert 2 == build.built
    contents = [(folder / "data.txt").read_text(encoding="utf-8") for folder in (first, second)]
    assert ["build 1", "build 2"] == contents


def test_kinds_do_not_share_artefacts(store):
    build = Builder()
    assert store.folder("corpus", {"a": 1}, build) != store.folder("embeddings", {"a": 1}, build)
    assert 2 == build.built


def test_facts_are_kept_beside_the_artefact(store):
    folder = store.folder("corpus", {"name": "\u4e2d\u6587", "depth": 3}, Builder())
    assert {"name": "\u4e2d\u6587", "depth": 3} == json.loads((folder / "facts.json").read_text(encoding="utf-8"))[
        "facts"
    ]


@pytest.mark.parametrize("error", [DataError("bad line"), KeyboardInterrupt(), ValueError("no")])
def test_failing_build_raises_its_own_error_and_leaves_nothing_behind(store, error):
    def build(folder):
        (folder / "half.txt").write_text("half", encoding="utf-8")
        (folder / "inner").mkdir()
        raise error

    with pytest.raises(type(error)) as caught:
        store.folder("corpus", {"a": 1}, build)
    assert error is caught.value
    assert [] == everything_in(store.root / "corpus")


def test_failed_build_can_be_tried_again(store):
    def fail(folder):
        (folder / "data.txt").write_text("half", encoding="utf-8")
        raise DataError("bad line")

    with pytest.raises(DataError):
        store.folder("corpus", {"a": 1}, fail)
    folder = store.folder("corpus", {"a": 1}, Builder())
    assert ["data.txt", "facts.json"] == everything_in(folder)
    assert "build 1" == (folder / "data.txt").read_text(encoding="utf-8")


def test_full_disk_is_a_result_error_and_leaves_nothing_behind(store):
    def build(folder):
        (folder / "half.txt").write_text("half", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(ResultError, match=r"cannot be written \(No space left on device\)"):
        store.folder("corpus", {"a": 1}, build)
    assert [] == everything_in(store.root / "corpus")


def test_nothing_has_its_final_name_while_it_is_built(store):
    seen = []

    def build(folder):
        seen.extend(path.name for path in folder.parent.iterdir())

    finished = store.folder("corpus", {"a": 1}, build)
    assert 1 == len(seen)
    assert finished.name != seen[0]
    assert [finished.name] == [path.name for path in finished.parent.iterdir()]


@pytest.mark.parametrize("below", ["", "inner"])
def test_root_that_is_a_file_is_a_result_error_that_names_it(tmp_path, below):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ResultError, match=r"file.*: cannot be written \(.+\)\. Make room or choose another"):
        Store(tmp_path / "file" / below).folder("corpus", {"a": 1}, Builder())
    assert "not a folder" == (tmp_path / "file").read_text(encoding="utf-8")


def flip_a_byte(folder):
    content = bytearray((folder / "data.txt").read_bytes())
    content[0] ^= 1
    (folder / "data.txt").write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_byte,
        lambda folder: (folder / "data.txt").unlink(),
        lambda folder: (folder / "data.txt").write_bytes(b""),
        lambda folder: (folder / "stray.txt").write_text("x"),
        lambda folder: (folder / "facts.json").unlink(),
        lambda folder: (folder / "facts.json").write_text(""),
        lambda folder: (folder / "facts.json").write_text("[]"),
    ],
    ids=["flipped byte", "file gone", "file cut", "foreign file", "facts gone", "facts empty", "facts of another kind"],
)
def test_a_damaged_artefact_is_named_and_built_anew(store, damage, caplog):
    build = Builder()
    folder = store.folder("corpus", {"a": 1}, build)
    damage(folder)

    assert store.folder("corpus", {"a": 1}, build) == folder
    assert build.built == 2
    assert (folder / "data.txt").read_text() == "build 2"
    assert everything_in(folder) == ["data.txt", "facts.json"]
    assert folder.name in caplog.text


def test_what_a_killed_process_left_is_cleared_or_gone_on_with(store):
    left = store.root / "corpus" / f".partial-{digest({'a': 1})}"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    seen = []

    def build(folder):
        seen.append([name for name in everything_in(folder) if name != "facts.json"])
        (folder / "half.txt").write_text("whole")

    store.folder("corpus", {"a": 1}, build, resumable=True)
    shutil.rmtree(store.root / "corpus" / digest({"a": 1}))
    left.mkdir()
    (left / "half.txt").write_text("half")
    store.folder("corpus", {"a": 1}, build)
    assert seen == [["half.txt"], []]


def test_a_resumable_build_that_fails_keeps_what_it_made(store):
    def build(folder):
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.folder("corpus", {"a": 1}, build, resumable=True)
    assert everything_in(store.root / "corpus")[-1].endswith("half.txt")


def test_of_two_processes_one_builds_and_the_other_waits(tmp_path):
    script = """
import sys, time
from pathlib import Path
from evalkit.store import Store

def build(folder):
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    (folder / "data.txt").write_text("first")
    time.sleep(1)
    (folder / "data.txt").write_text("whole")

print((Store(Path(sys.argv[1])).folder("corpus", {"a": 1}, build) / "data.txt").read_text())
"""
    command = [sys.executable, "-c", script, str(tmp_path / "store"), str(tmp_path / "log")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate(timeout=60)[0] for process in both] == ["whole\n"] * 2
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_lock_is_free_again_when_its_process_was_killed(tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from evalkit.store import Store
with Store(Path({str(tmp_path)!r})).lock("work"):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    with Store(tmp_path).lock("work"):
        pass


def test_who_waits_for_a_lock_is_told(tmp_path, caplog):
    holder, waiter = Store(tmp_path), Store(tmp_path)
    with holder.lock("work"):
        thread = threading.Thread(target=lambda: waiter.lock("work").__enter__())
        thread.start()
        while "Waiting for it" not in caplog.text:
            time.sleep(0.01)
    thread.join()
    assert "work.lock" in caplog.text


def test_digest_depends_on_content_not_on_order():
    assert digest({"a": 1, "b": {"c": 2, "d": 3}}) == digest({"b": {"d": 3, "c": 2}, "a": 1})
    assert 4 == len({digest(facts) for facts in ({"a": 1}, {"a": "1"}, {"a": [1]}, {"b": 1})})


def test_digest_is_the_sha256_of_canonical_json():
    """Pinned: another digest would make every kept artefact and result unfindable."""
    expected = hashlib.sha256('{"a": 1, "name": "\u4e2d"}'.encode()).hexdigest()
    assert expected == digest({"name": "\u4e2d", "a": 1})


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tmp_path / "evalkit" == default_cache_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / ".cache" / "evalkit" == default_cache_dir()
