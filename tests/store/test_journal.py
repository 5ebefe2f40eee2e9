"""Journals: what was appended is found, what was half-written or damaged is not."""

import logging
import multiprocessing
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import ResultError
from evalkit.store import journal
from evalkit.store.journal import Journal, damage

PAYLOADS = [b"first", b"", b"x" * 1000]


@pytest.fixture
def path(tmp_path):
    written = Journal(tmp_path / "some.log")
    for payload in PAYLOADS:
        written.append(payload)
    return written.path


def test_what_was_appended_is_read_once_by_each_reader(path):
    reader = Journal(path)
    assert reader.fresh() == PAYLOADS
    assert reader.fresh() == []
    assert Journal(path).fresh() == PAYLOADS


def test_records_can_be_read_one_at_a_time_and_appended_to(path):
    reader = Journal(path)
    assert list(reader.replay()) == PAYLOADS
    assert list(reader.replay()) == reader.append(b"more") == []
    assert list(Journal(path).replay()) == [*PAYLOADS, b"more"]


def test_a_half_record_is_taken_off_by_a_reader_of_one_at_a_time_too(path):
    path.write_bytes(path.read_bytes()[:-1])
    assert list(Journal(path).replay()) == PAYLOADS[:2]
    assert list(Journal(path).replay()) == PAYLOADS[:2]


def test_nothing_there_is_nothing_read(tmp_path):
    assert Journal(tmp_path / "none.log").fresh() == list(Journal(tmp_path / "none.log").replay()) == []


def test_an_appender_is_given_what_others_appended(path):
    mine = Journal(path)
    Journal(path).append(b"theirs")
    assert mine.append(b"mine") == [*PAYLOADS, b"theirs"]
    assert mine.fresh() == []
    assert Journal(path).fresh() == [*PAYLOADS, b"theirs", b"mine"]


@given(st.data())
def test_of_a_file_cut_or_flipped_anywhere_the_records_before_are_left_and_no_other(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("journal") / "some.log"
    for payload in PAYLOADS:
        Journal(path).append(payload)
    content = bytearray(path.read_bytes())
    ends = [29, 53, len(content)]
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(content[:place])
    else:
        content[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
    whole = sum(end <= place for end in ends)
    assert Journal(path).fresh() == PAYLOADS[:whole]
    Journal(path).append(b"anew")
    assert Journal(path).fresh() == [*PAYLOADS[:whole], b"anew"]


def test_damage_is_named(path, caplog):
    path.write_bytes(path.read_bytes()[:-1])
    Journal(path).fresh()
    assert f"{path}: the last 1023 bytes are not a whole record" in caplog.text


def test_a_full_disk_is_one_line_and_leaves_no_half_record(path, monkeypatch):
    record = journal._record

    class Full:
        """What a disk takes of a record before it is full."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            self.file.write(data[:10])
            raise OSError(28, "No space left on device")

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *rest):
            self.file.close()

    opened = type(path).open
    mine = Journal(path)
    monkeypatch.setattr(type(path), "open", lambda self, mode: Full(opened(self, mode)))
    with pytest.raises(ResultError, match=r"some\.log: cannot be written \(No space left on device\)\. Make room"):
        mine.append(b"too much")
    monkeypatch.undo()
    assert record(b"too much") not in path.read_bytes()
    assert Journal(path).fresh() == PAYLOADS


def test_a_folder_in_its_place_is_one_line(tmp_path):
    (tmp_path / "some.log").mkdir()
    with pytest.raises(ResultError, match=r"some\.log: cannot be (read|written)"):
        Journal(tmp_path / "some.log").append(b"x")


def _append_many(path, mark):
    logging.disable()
    own = Journal(path)
    for number in range(50):
        own.append(f"{mark}{number}".encode())


def test_processes_that_append_at_once_lose_nothing(tmp_path):
    path = tmp_path / "some.log"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_many, args=(path, mark)) for mark in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    found = [payload.decode() for payload in Journal(path).fresh()]
    assert sorted(found) == sorted(f"{mark}{number}" for mark in "ab" for number in range(50))
    for mark in "ab":
        assert [one for one in found if one[0] == mark] == [f"{mark}{number}" for number in range(50)]


# Of what it is


def headed(path, head=b"own", **more):
    return Journal(path, head=head, **more)


def test_the_first_record_says_what_a_file_is_of_and_is_not_given(tmp_path):
    path = tmp_path / "some.log"
    mine = headed(path)
    assert mine.fresh() == mine.append(b"first") == []
    mine.append(b"second")
    assert headed(path).fresh() == list(headed(path).replay()) == [b"first", b"second"]
    assert headed(path).append(b"third") == [b"first", b"second"]
    assert Journal(path).fresh() == [b"own", b"first", b"second", b"third"]
    assert mine.fresh() == [b"third"]


def test_a_file_of_something_else_is_named_and_begun_again(tmp_path, caplog):
    path = tmp_path / "some.log"
    headed(path, b"another").append(b"theirs")
    assert headed(path).fresh() == []
    assert f"{path}: written by another machine or torch version, or damaged" in caplog.text
    headed(path).append(b"mine")
    assert headed(path).fresh() == [b"mine"]


def test_a_file_without_a_head_is_not_taken_for_one_with(path):
    assert headed(path).append(b"mine") == []
    assert headed(path).fresh() == [b"mine"]


def test_a_record_of_another_kind_ends_the_file(path, caplog):
    reader = Journal(path, fits=lambda payload: len(payload) < 10)
    assert reader.fresh() == PAYLOADS[:2]
    assert "not a whole record" in caplog.text
    assert Journal(path).fresh() == PAYLOADS[:2]


# What is no file


@pytest.fixture
def victim(path, tmp_path):
    """A journal outside, damaged at its end: whoever follows a link to it cuts it."""
    content = path.read_bytes()[:-1]
    path.unlink()
    (tmp_path / "victim.log").write_bytes(content)
    return tmp_path / "victim.log"


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_link_or_a_pipe_is_neither_read_nor_written(path, victim, what):
    content = victim.read_bytes()
    path.symlink_to(victim) if what == "link" else os.mkfifo(path)
    assert Journal(path).fresh() == list(Journal(path).replay()) == []
    with pytest.raises(ResultError, match=r"some\.log: cannot be written \(it is not a regular file; remove it\)"):
        Journal(path).append(b"mine")
    assert damage(path) == "is not a regular file"
    assert victim.read_bytes() == content


@pytest.mark.usefixtures("path")
def test_a_journal_behind_a_linked_folder_is_not_read(victim, tmp_path):
    content = victim.read_bytes()
    (tmp_path / "folder").symlink_to(tmp_path)
    assert Journal(tmp_path / "folder" / "victim.log").fresh() == []
    assert victim.read_bytes() == content


def test_damage_is_reported_and_not_repaired(path):
    assert damage(path) is None
    assert damage(path, head=b"own") == "belongs to something else, or is damaged from the start"
    path.write_bytes(path.read_bytes()[:-1])
    content = path.read_bytes()
    assert damage(path) == "1023 bytes after 2 records are not a record"
    assert path.read_bytes() == content
