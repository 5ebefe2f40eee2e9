"""Artefacts that are built once, found again, and never half there."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from evalkit.errors import DataError, ResultError
from evalkit.store import Store, default_cache_dir
from evalkit.store.artefact import digest


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
def test_different_facts_are_built_apart_and_both_stay(store, facts):
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


def test_facts_are_stored_with_the_artefact(store):
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
    with pytest.raises(ResultError, match=r"file.*: cannot be written \(.+\)\. A cache_dir is a folder"):
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
def test_a_damaged_artefact_is_named_and_built_again(store, damage, caplog):
    build = Builder()
    folder = store.folder("corpus", {"a": 1}, build)
    damage(folder)

    assert store.folder("corpus", {"a": 1}, build) == folder
    assert build.built == 2
    assert (folder / "data.txt").read_text() == "build 2"
    assert everything_in(folder) == ["data.txt", "facts.json"]
    assert folder.name in caplog.text


def test_leftovers_of_a_killed_process_are_cleared_or_resumed(store):
    left = store.root / "corpus" / f".partial-{digest({'a': 1})}"
    left.mkdir(parents=True)
    (left / "half.txt").write_text("half")
    seen = []

    def build(folder):
        seen.append([name for name in everything_in(folder) if name != "facts.json"])
        (folder / "half.txt").write_text("whole")

    store.folder("corpus", {"a": 1}, build, resumes=["half.txt"])
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
        store.folder("corpus", {"a": 1}, build, resumes=["half.txt"])
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


def test_waiting_for_a_lock_logs_a_warning(tmp_path, caplog):
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


# What others put there


def test_an_artefact_replaced_by_a_file_or_a_link_is_built_again(store, tmp_path):
    build = Builder()
    folder = store.folder("corpus", {"a": 1}, build)
    elsewhere = shutil.move(folder, tmp_path / folder.name)
    for replace in (lambda: folder.write_text("x"), lambda: folder.symlink_to(elsewhere)):
        replace()
        assert store.folder("corpus", {"a": 1}, build) == folder
        assert not folder.is_symlink()
        assert everything_in(folder) == ["data.txt", "facts.json"]
        shutil.rmtree(folder)
    assert build.built == 3
    assert everything_in(elsewhere) == ["data.txt", "facts.json"]


@pytest.mark.parametrize("resumes", [(), ("data.txt",)])
def test_links_in_leftovers_are_not_followed(store, tmp_path, resumes):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    left = store.root / "corpus" / f".partial-{digest({'a': 1})}"
    left.mkdir(parents=True)
    for name in ("data.txt", "facts.json"):
        (left / name).symlink_to(victim)
    folder = store.folder("corpus", {"a": 1}, Builder(), resumes=resumes)
    assert victim.read_text() == "mine"
    assert (folder / "data.txt").read_text() == "build 1"
    assert not (folder / "data.txt").is_symlink()


@pytest.mark.parametrize("resumes", [(), ("data.txt",)])
def test_a_link_or_a_file_in_place_of_a_leftover_folder_is_removed(store, tmp_path, resumes):
    (tmp_path / "elsewhere").mkdir()
    left = store.root / "corpus" / f".partial-{digest({'a': 1})}"
    left.parent.mkdir(parents=True)
    for replace in (lambda: left.write_text("x"), lambda: left.symlink_to(tmp_path / "elsewhere")):
        replace()
        shutil.rmtree(store.folder("corpus", {"a": 1}, Builder(), resumes=resumes))
    assert everything_in(tmp_path / "elsewhere") == []


def test_foreign_files_do_not_become_part_of_an_artefact(store, caplog):
    """Neither those that were there when a build went on, nor those that came meanwhile."""
    left = store.root / "corpus" / f".partial-{digest({'a': 1})}"
    left.mkdir(parents=True)
    (left / "stray.txt").write_text("x")
    (left / "inner").mkdir()

    def build(folder):
        (folder / "data.txt").write_text("made")
        (folder / "late.txt").write_text("x")

    folder = store.folder("corpus", {"a": 1}, build, resumes=["data.txt"])
    assert everything_in(folder) == ["data.txt", "facts.json"]
    for name in ("stray.txt", "inner", "late.txt"):
        assert f"{left / name}: does not belong there. It is removed." in caplog.text


# What grows


def grown(store, facts=None):
    folder = store.growing("scores", facts or {"a": 1})
    if not (folder / "scores.log").is_file():
        (folder / "scores.log").write_text("grown")
    return folder


def test_a_growing_artefact_is_found_again(store):
    assert grown(store) == Store(store.root).growing("scores", {"a": 1})
    assert everything_in(grown(store)) == ["facts.json", "scores.log"]
    assert store.used == {f"scores/{digest({'a': 1})}"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder, other: (shutil.rmtree(folder), shutil.copytree(other, folder)),
        lambda folder, _: (folder / "facts.json").write_text(""),
        lambda folder, _: (folder / "facts.json").unlink(),
        lambda folder, other: ((folder / "facts.json").unlink(), (folder / "facts.json").symlink_to(other)),
        lambda folder, _: ((folder / "facts.json").unlink(), os.mkfifo(folder / "facts.json")),
        lambda folder, other: (shutil.rmtree(folder), folder.symlink_to(other)),
        lambda folder, _: (shutil.rmtree(folder), folder.write_text("x")),
    ],
    ids=["swapped", "facts empty", "facts gone", "facts a link", "facts a pipe", "a link", "a file"],
)
def test_a_growing_artefact_with_wrong_facts_is_named_and_started_again(store, damage, caplog):
    folder, other = grown(Store(store.root)), grown(Store(store.root), {"a": 2})
    damage(folder, other)
    assert store.growing("scores", {"a": 1}) == folder
    assert everything_in(folder) == ["facts.json"]
    assert not folder.is_symlink()
    assert everything_in(other) == ["facts.json", "scores.log"]
    assert f"{folder}: " in caplog.text


def test_a_link_in_a_growing_artefact_is_removed_and_not_followed(store, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    folder = store.growing("scores", {"a": 1})
    (folder / "scores.log").symlink_to(victim)
    (folder / ".scores.log.lock").symlink_to(victim)
    store.growing("scores", {"a": 1})
    assert everything_in(folder) == ["facts.json"]
    assert victim.read_text() == "mine"


# Locks and use


def test_asking_for_an_artefact_marks_it_as_used(store):
    paths = [store.folder("corpus", {"a": 1}, Builder()), grown(store)]
    for path in paths:
        os.utime(path, (0, 0))
    assert paths == [store.folder("corpus", {"a": 1}, Builder()), grown(store)]
    assert all(time.time() - path.stat().st_mtime < 600 for path in paths)


def test_a_cache_that_cannot_be_written_can_be_read(store, monkeypatch):
    folder = store.folder("corpus", {"a": 1}, Builder())

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("evalkit.store.locked", refuse)
    assert Store(store.root).folder("corpus", {"a": 1}, Builder()) == folder


def test_scratch_folders_go_with_tidy_unless_another_process_is_in_them(store):
    mine, other = Store(store.root), Store(store.root)
    with mine.scratch("searches", {"a": 1}) as folder:
        (folder / "hits.log").write_text("x")
    with other.scratch("searches", {"a": 1}) as same:
        assert same == folder
        mine.tidy()
        assert (folder / "hits.log").is_file()
    other.tidy()
    assert not folder.exists()
