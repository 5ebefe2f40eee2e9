"""Vectors that are made bit by bit: what is done counts only while it is as it was made."""

import io
import shutil

import numpy as np
import pytest

from evalkit.retrieval.vectors import DONE, VECTORS, open_vectors
from evalkit.store.journal import Journal

MADE_BY = {"torch": "1", "hardware": "cpu"}
SHAPE = (10, 4)
VALUES = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


class Killed(BaseException):
    pass


def begin(folder, rows, made_by=MADE_BY):
    """Make some rows, then die."""

    def work():
        with open_vectors(folder, SHAPE, "float16", made_by) as vectors:
            vectors.keep(np.array(rows), VALUES[rows])
            raise Killed

    with pytest.raises(Killed):
        work()


def go_on(folder, made_by=MADE_BY):
    """Make what is left; gives what was known."""
    with open_vectors(folder, SHAPE, "float16", made_by) as vectors:
        known = vectors.known.copy()
        left = np.flatnonzero(~known)
        vectors.keep(left, VALUES[left])
    return np.flatnonzero(known).tolist()


def is_whole(folder):
    np.testing.assert_array_equal(np.load(folder / VECTORS), VALUES.astype(np.float16))
    return sorted(path.name for path in folder.iterdir()) == [VECTORS]


def test_what_was_made_is_not_made_again(tmp_path):
    begin(tmp_path, [7, 2])
    begin(tmp_path, [3])
    assert go_on(tmp_path) == [2, 3, 7]
    assert is_whole(tmp_path)


def test_a_vector_that_is_not_as_it_was_made_is_made_again(tmp_path):
    begin(tmp_path, [1])
    begin(tmp_path, [7, 2])
    content = bytearray((tmp_path / VECTORS).read_bytes())
    content[-3 * 8] ^= 1  # of row 7
    (tmp_path / VECTORS).write_bytes(content)
    assert go_on(tmp_path) == [1]
    assert is_whole(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_file_of_another_array_is_replaced(tmp_path, damage):
    begin(tmp_path, [1])
    if damage is None:
        np.save(tmp_path / VECTORS, np.zeros((3, 4), np.float16))
    else:
        (tmp_path / VECTORS).write_bytes(damage)
    assert go_on(tmp_path) == []
    assert is_whole(tmp_path)


def test_partial_vectors_of_another_machine_are_discarded(tmp_path, caplog):
    begin(tmp_path, [1, 2], {"torch": "2", "hardware": "cpu"})
    assert go_on(tmp_path) == []
    assert "written by another machine" in caplog.text
    assert is_whole(tmp_path)


def test_a_disk_that_cannot_hold_them_is_an_error_before_a_vector_is_made(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"), open_vectors(tmp_path, SHAPE, "float16", MADE_BY):
        pass


def test_the_number_of_damaged_vectors_is_logged(tmp_path, caplog):
    begin(tmp_path, [1])
    begin(tmp_path, [7, 2])
    content = bytearray((tmp_path / VECTORS).read_bytes())
    content[-3 * 8] ^= 1
    (tmp_path / VECTORS).write_bytes(content)
    go_on(tmp_path)
    assert f"{tmp_path / VECTORS}: 2 vectors are not as they were made" in caplog.text


@pytest.mark.parametrize("change", [lambda content: content + b"more", lambda content: content[:-1]])
def test_a_file_of_another_size_is_begun_again(tmp_path, change):
    begin(tmp_path, [1])
    path = tmp_path / VECTORS
    path.write_bytes(change(path.read_bytes()))
    assert go_on(tmp_path) == []
    np.save(tmp_path / "expected.npy", VALUES.astype(np.float16))
    assert path.read_bytes() == (tmp_path / "expected.npy").read_bytes()


def test_a_file_with_another_header_is_begun_again(tmp_path):
    """numpy reads version 2 of the header as well, and the bytes would differ for ever."""
    begin(tmp_path, [1])
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, {"descr": "<f2", "fortran_order": False, "shape": SHAPE})
    (tmp_path / VECTORS).write_bytes(header.getvalue() + bytes(80))
    assert np.load(tmp_path / VECTORS).shape == SHAPE
    assert go_on(tmp_path) == []


def test_partial_vectors_of_another_corpus_are_discarded(tmp_path):
    """Files that came from another artefact, of as many documents by the same encoder."""
    for name in "ab":
        (tmp_path / name).mkdir()
        begin(tmp_path / name, [3])
    for name in (VECTORS, DONE):
        shutil.copy(tmp_path / "a" / name, tmp_path / "b" / name)
    assert go_on(tmp_path / "b") == []
    assert go_on(tmp_path / "a") == [3]


@pytest.mark.parametrize(
    "payload", [b"", b"x" * 15, b"x" * 17, np.array([99]).tobytes() + b"x" * 16, np.array([-1]).tobytes() + b"x" * 16]
)
def test_vectors_after_a_malformed_record_are_computed_again(tmp_path, caplog, payload):
    begin(tmp_path, [1])
    Journal(tmp_path / DONE).append(payload)
    begin_on = Journal(tmp_path / DONE)
    begin_on.append(payload)
    assert go_on(tmp_path) == [1]
    assert is_whole(tmp_path)
    assert "not a whole record" in caplog.text
