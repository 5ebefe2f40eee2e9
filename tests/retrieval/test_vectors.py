"""Vectors that are made bit by bit: what is done counts only while it is as it was made."""

import numpy as np
import pytest

from evalkit.retrieval.vectors import VECTORS, open_vectors

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
def test_a_file_that_is_no_array_of_these_is_begun_again(tmp_path, damage):
    begin(tmp_path, [1])
    if damage is None:
        np.save(tmp_path / VECTORS, np.zeros((3, 4), np.float16))
    else:
        (tmp_path / VECTORS).write_bytes(damage)
    assert go_on(tmp_path) == []
    assert is_whole(tmp_path)


def test_what_another_machine_began_is_begun_again(tmp_path, caplog):
    begin(tmp_path, [1, 2], {"torch": "2", "hardware": "cpu"})
    assert go_on(tmp_path) == []
    assert "begun on another machine" in caplog.text
    assert is_whole(tmp_path)


def test_a_disk_that_cannot_hold_them_is_an_error_before_a_vector_is_made(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"), open_vectors(tmp_path, SHAPE, "float16", MADE_BY):
        pass
