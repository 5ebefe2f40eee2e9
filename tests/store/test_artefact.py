"""What is an artefact, whole or not. Nothing in a folder that is no plain file is followed or waited for."""

import json
import os
import shutil

import pytest

from evalkit.store.artefact import GROWING, KINDS, clear, fault_of, open_folder


@pytest.fixture
def victim(tmp_path):
    """A file outside the store that links lead to."""
    path = tmp_path / "victim.txt"
    path.write_text("mine")
    return path


def build(folder):
    (folder / "data.txt").write_text("made")
    (folder / "inner").mkdir()
    (folder / "inner" / "more.txt").write_text("made")


@pytest.fixture
def folder(store):
    made = store.folder("corpora", {"a": 1}, build)
    assert fault_of(made) is None
    return made


def test_names_of_kinds_are_distinct():
    assert len({*KINDS}) == len(KINDS)
    assert {*GROWING} < {*KINDS}


@pytest.mark.parametrize("name", ["data.txt", "facts.json", "inner", "new", "inner/new"])
@pytest.mark.parametrize("what", ["link", "dead link", "pipe", "folder"])
def test_anything_but_a_plain_file_is_a_fault(folder, victim, name, what):
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    match what:
        case "link":
            path.symlink_to(victim)
        case "dead link":
            path.symlink_to(victim.with_name("nothing"))
        case "pipe":
            os.mkfifo(path)  # reading it would wait for ever
        case "folder":
            path.mkdir()
    assert fault_of(folder)
    assert victim.read_text() == "mine"


def test_a_link_to_the_very_file_that_was_written_is_a_fault_too(folder, tmp_path):
    shutil.move(folder / "data.txt", tmp_path / "data.txt")
    (folder / "data.txt").symlink_to(tmp_path / "data.txt")
    assert fault_of(folder) == "data.txt is not a file that was written"


def test_an_artefact_that_is_a_link_or_a_file_is_none(folder, tmp_path):
    elsewhere = shutil.move(folder, tmp_path / folder.name)
    folder.symlink_to(elsewhere)
    assert fault_of(folder) == "is not a folder"
    folder.unlink()
    folder.write_text("x")
    assert fault_of(folder) == "is not a folder"


def test_an_artefact_in_the_place_of_another_is_a_fault(store, folder):
    other = store.folder("corpora", {"a": 2}, build)
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    assert fault_of(folder) == "facts.json is of another artefact"
    assert fault_of(other) is None


def test_files_of_a_growing_artefact_are_not_checked(store):
    folder = store.growing("scores", {"a": 1})
    (folder / "scores.log").write_bytes(b"anything")
    assert fault_of(folder, grows=True) is None
    (folder / "inner").mkdir()
    assert fault_of(folder, grows=True) == "inner is not a file that was written"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"facts": NaN}', '{"facts": {"a": "\\ud800"}}', "[" * 100_000])
def test_facts_of_any_content_are_a_fault(folder, content):
    (folder / "facts.json").write_text(content)
    assert fault_of(folder) == "facts.json is absent or damaged"


def test_checksums_of_any_content_are_a_fault(folder):
    record = json.loads((folder / "facts.json").read_text())
    for files in (None, [], 1, "data.txt", {"data.txt": None}):
        (folder / "facts.json").write_text(json.dumps({**record, "files": files}))
        assert fault_of(folder)


def test_what_does_not_belong_is_removed_and_named_and_what_links_lead_to_stays(tmp_path, victim, caplog):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "own.txt").write_text("own")
    (folder / "other.txt").write_text("other")
    (folder / "facts.json").symlink_to(victim)
    (folder / "inner").mkdir()
    (folder / "inner" / "file.txt").write_text("x")
    clear(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["other.txt", "own.txt"]
    clear(folder, ["own.txt"])
    assert sorted(path.name for path in folder.iterdir()) == ["own.txt"]
    assert victim.read_text() == "mine"
    for name in ("facts.json", "inner", "other.txt"):
        assert f"{folder / name}: does not belong there" in caplog.text


def test_a_link_in_the_place_of_a_folder_is_replaced_by_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file.txt").write_text("mine")
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    open_folder(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []
    assert (tmp_path / "elsewhere" / "file.txt").read_text() == "mine"
