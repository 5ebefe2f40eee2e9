"""Files and folders that appear whole or not at all."""

import stat

import pytest

from evalkit.folders import atomic_write, build_folder, file_digest


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_folder_that_another_process_finished_first_is_kept(tmp_path):
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
