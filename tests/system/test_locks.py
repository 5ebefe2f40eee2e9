"""Who makes and who uses something, as far as other processes can tell."""

import subprocess
import sys

import pytest

from evalkit.system.locks import Locks


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "locks"


def use(locks, name="thing"):
    with locks.working(name):
        locks.use(name)
    return locks


def is_idle(folder, name="thing"):
    with Locks(folder).idle(name) as idle:
        return idle


def test_what_nobody_makes_or_uses_is_idle(folder):
    assert is_idle(folder)
    with Locks(folder).working("thing"):
        assert not is_idle(folder)
        assert is_idle(folder, "another thing")
    assert is_idle(folder)


def test_several_may_use_a_thing_at_once_and_it_is_idle_when_the_last_is_gone(folder):
    first, second = use(Locks(folder)), use(Locks(folder))
    assert not is_idle(folder)
    del first
    assert not is_idle(folder)
    del second
    assert is_idle(folder)


def test_using_it_twice_is_using_it_once(folder):
    locks = use(use(Locks(folder)))
    with locks.working("thing"):
        assert locks.unused("thing")
    assert len(list(folder.glob("thing.*.lock"))) == 1


def test_one_tells_whether_others_use_a_thing(folder):
    own, other = use(Locks(folder)), use(Locks(folder))
    with own.working("thing"):
        assert not own.unused("thing")
    del other
    with own.working("thing"):
        assert own.unused("thing")


def test_nobody_begins_to_use_what_was_found_idle(folder):
    with Locks(folder).idle("thing") as idle:
        assert idle
        assert not is_idle(folder)


def test_what_a_dead_process_used_is_idle(folder):
    program = f"""
import os
from pathlib import Path
from evalkit.system.locks import Locks
locks = Locks(Path({str(folder)!r}))
with locks.working("thing"):
    locks.use("thing")
os._exit(1)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 1
    assert len(list(folder.glob("thing.*.lock"))) == 1
    assert is_idle(folder)
