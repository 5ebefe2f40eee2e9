"""What is resident, and what is let go."""

import mmap
import sys

import pytest

from evalkit.system.memory import GIB, give_back, let_go, peak, resident

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
SIZE = 64 * 2**20


def test_a_process_has_some_memory_and_never_more_than_at_its_peak():
    assert 0 < resident() < 64 * GIB
    assert resident() <= peak() + 2**20


@linux
def test_pages_of_a_mapped_file_count_until_they_are_let_go_and_stay_in_the_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * SIZE)
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        before = resident()
        mapping[:] = b"y" * SIZE
        assert resident() - before > SIZE // 2
        let_go(mapping)
        assert resident() - before < SIZE // 2
        assert mapping[:3] == b"yyy"
    assert path.read_bytes() == b"y" * SIZE


@pytest.mark.parametrize("other", [None, b"bytes", bytearray(8), 7])
def test_anything_else_is_left_alone(other):
    let_go(other)


def test_giving_back_loses_nothing():
    kept = [bytearray(b"kept") for _ in range(1000)]
    give_back()
    assert all(one == b"kept" for one in kept)
