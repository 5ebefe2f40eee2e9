"""How much text may be in memory, by the memory that a process was given."""

import pytest

from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError
from evalkit.inference import room as module
from evalkit.inference.room import Room, room
from evalkit.system.memory import GIB

MIB = 2**20


@pytest.mark.parametrize(
    ("resident", "text"), [(0.5, 32 * MIB), (1.25, 32 * MIB), (1.9, int(0.1 * GIB) // 24), (3.0, MIB)]
)
def test_the_fuller_the_memory_the_less_text(monkeypatch, resident, text):
    monkeypatch.setattr(module, "resident", lambda: int(resident * GIB))
    assert Room(2 * GIB).text == pytest.approx(text, abs=1)


def test_without_a_limit_it_is_always_the_same(monkeypatch):
    monkeypatch.setattr(module, "resident", lambda: 100 * GIB)
    assert Room(None).text == 64 * MIB


@pytest.mark.parametrize(
    ("texts", "count"), [(100, 8192), (8192 * 32, 8192), (500_000, 15_625), (2_097_152, 65_536), (10**9, 65_536)]
)
def test_on_cuda_windows_grow_with_the_texts_up_to_eight_times(texts, count):
    assert Room(None).count(texts, least=8192) == count
    assert Room(2 * GIB).count(texts, least=8192) == 8192


@pytest.mark.parametrize(("setting", "limit"), [(None, 2.0), (1.0, 1.0), (16.0, 16.0)])
def test_a_cpu_has_two_gibibytes_by_default(setting, limit):
    assert room(ComputeConfig(device="cpu", memory_gib=setting)).limit == limit * GIB


def test_on_cuda_windows_are_the_same_whatever_is_free():
    assert room(ComputeConfig(device="cuda", memory_gib=1.0)).limit is None


def test_less_than_the_libraries_need_is_refused():
    with pytest.raises(ConfigError, match=r"compute\.memory_gib=0\.1 is out of range"):
        ComputeConfig(memory_gib=0.1)


@pytest.mark.parametrize(("resident", "calls"), [(0.9, 0), (1.1, 1)])
def test_memory_is_given_back_once_half_of_it_is_taken(monkeypatch, resident, calls):
    given = []
    monkeypatch.setattr(module, "resident", lambda: int(resident * GIB))
    monkeypatch.setattr(module, "give_back", lambda: given.append(1))
    Room(2 * GIB).tidy()
    assert len(given) == calls
