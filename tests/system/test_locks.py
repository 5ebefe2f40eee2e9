"""Who is at some work, as far as other processes can tell."""

import subprocess
import sys

import pytest

from evalkit.system.locks import locked


@pytest.fixture
def path(tmp_path):
    return tmp_path / "locks" / "thing.lock"


def is_free(path):
    with locked(path, wait=False) as free:
        return free


def test_a_lock_is_free_unless_somebody_holds_it(path):
    assert is_free(path)
    with locked(path):
        assert not is_free(path)
        assert is_free(path.with_name("another.lock"))
    assert is_free(path)


def test_a_lock_that_was_found_free_is_held(path):
    with locked(path, wait=False) as free:
        assert free
        assert not is_free(path)
    assert is_free(path)


def test_a_lock_of_a_dead_process_is_free(path):
    program = f"""
import os
from pathlib import Path
from evalkit.system.locks import locked
with locked(Path({str(path)!r})):
    os._exit(1)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 1
    assert path.is_file()
    assert is_free(path)
