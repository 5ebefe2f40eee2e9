"""Files and folders that appear whole or not at all."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from evalkit.errors import ConfigError, ResultError
from evalkit.system.files import (
    atomic_write,
    build_folder,
    file_digest,
    is_file,
    is_folder,
    read_file,
    remove,
    require_writable,
    temporary_folder,
    walk,
    write_output,
)


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_folder_that_another_process_finished_first_is_not_overwritten(tmp_path):
    def build(folder):
        (folder / "data.txt").write_text("mine", encoding="utf-8")
        (tmp_path / "target").mkdir()
        (tmp_path / "target" / "data.txt").write_text("theirs", encoding="utf-8")

    build_folder(tmp_path / "target", build)
    assert ["target", "target/data.txt"] == everything_in(tmp_path)
    assert "theirs" == (tmp_path / "target" / "data.txt").read_text(encoding="utf-8")


def test_built_folder_can_be_read_by_others(tmp_path):
    build_folder(tmp_path / "deep" / "target", lambda _: None)
    assert 0o755 == stat.S_IMODE((tmp_path / "deep" / "target").stat().st_mode)


def test_file_digest_is_the_sha256_of_the_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert expected == file_digest(tmp_path / "file")


def test_atomic_write_replaces_the_old_text_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old and longer", encoding="utf-8")
    atomic_write(path, "new \u4e2d")
    assert "new \u4e2d" == path.read_text(encoding="utf-8")
    assert ["file.json"] == everything_in(tmp_path)
    assert 0o644 == stat.S_IMODE(path.stat().st_mode)


def test_atomic_write_that_fails_keeps_the_old_text_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "file.json"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        atomic_write(path, "lone surrogate \ud800")
    assert "old" == path.read_text(encoding="utf-8")
    assert ["file.json"] == everything_in(tmp_path)


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_reported_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", full)
    for write in (atomic_write, write_output):
        with pytest.raises(OSError, match="No space left on device") as caught:
            write(tmp_path / "file.json", "text")
        assert caught.value.filename == str(tmp_path / "file.json")
        assert everything_in(tmp_path) == []


def test_output_goes_where_a_link_leads_and_the_link_stays(tmp_path):
    (tmp_path / "there").mkdir()
    for target, name in (("there/old.txt", "link"), ("there/new.txt", "dangling")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "there" / "old.txt").write_text("old")
    for name in ("link", "dangling"):
        write_output(tmp_path / name, "new")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / name).read_text() == "new"
    assert everything_in(tmp_path / "there") == ["new.txt", "old.txt"]


def test_links_that_lead_to_each_other_are_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(ConfigError, match="a: the links lead to each other"):
        write_output(tmp_path / "a", "text")
    assert everything_in(tmp_path) == ["a", "b"]


def test_output_goes_into_a_pipe_and_the_pipe_stays(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_text)
        write_output(tmp_path / "pipe", "text")
        assert read.result(timeout=60) == "text"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_atomic_write_replaces_a_link_and_not_its_target(tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "file.json").symlink_to("victim")
    atomic_write(tmp_path / "file.json", "text")
    assert not (tmp_path / "file.json").is_symlink()
    assert (tmp_path / "victim").read_text() == "mine"


def test_links_and_pipes_do_not_count_as_files_and_are_not_read(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "to folder").symlink_to("folder")
    os.mkfifo(tmp_path / "pipe")
    names = ["file", "folder", "link", "to folder", "pipe", "absent"]
    assert [name for name in names if is_file(tmp_path / name)] == ["file"]
    assert [name for name in names if is_folder(tmp_path / name)] == ["folder"]
    assert read_file(tmp_path / "file") == "text"
    for name in names[1:]:
        with pytest.raises(OSError, match="file"):
            read_file(tmp_path / name)


def test_a_walk_gives_links_and_does_not_follow_them(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("text")
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in walk(tmp_path)]
    assert found == ["a", "a/b", "a/b/file", "a/round"]


def test_of_a_link_the_link_is_removed(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "file").write_text("text")
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "link").symlink_to(tmp_path / "folder")
    for name in ("link", "other", "absent"):
        remove(tmp_path / name)
    assert everything_in(tmp_path) == ["folder", "folder/file", "folder/inner"]
    remove(tmp_path / "folder")
    assert everything_in(tmp_path) == []


def test_a_temporary_folder_goes_with_its_end_and_with_the_next_one_of_a_killed_process(tmp_path):
    with temporary_folder(tmp_path, "work-") as mine:
        (mine / "file").write_text("text")
        host = mine.name.removeprefix("work-").partition("-")[0]
        (tmp_path / f"work-{host}-999999999-killed" / "inner").mkdir(parents=True)  # no process has this number
        (tmp_path / "work-elsewhere-999999999-running").mkdir()
        with temporary_folder(tmp_path, "work-") as other:
            assert everything_in(tmp_path) == sorted(
                [f"{mine.name}", f"{mine.name}/file", other.name, "work-elsewhere-999999999-running"]
            )
    assert everything_in(tmp_path) == ["work-elsewhere-999999999-running"]


def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_put_there(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("text")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    require_writable(tmp_path / "a" / "b")
    for name in ("file", "file/inner", "nowhere/inner"):
        with pytest.raises(ResultError, match="is not a folder"):
            require_writable(tmp_path / name)
    monkeypatch.setattr(os, "access", lambda place, _: place != tmp_path)
    with pytest.raises(ResultError, match="cannot be written"):
        require_writable(tmp_path / "a")
    assert everything_in(tmp_path) == ["file", "nowhere"]
