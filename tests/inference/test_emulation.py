"""A dtype that a processor emulates."""

from pathlib import Path

import pytest
import torch

from evalkit.inference import emulation
from evalkit.inference.emulation import capabilities, emulated


@pytest.fixture
def processor(monkeypatch):
    """A processor of this kind that can do these things."""

    def make(machine, *there):
        monkeypatch.setattr(emulation.platform, "machine", lambda: machine)
        monkeypatch.setattr(emulation, "capabilities", lambda: frozenset(there))

    return make


@pytest.mark.parametrize(
    ("machine", "there", "expected"),
    [
        ("x86_64", {"avx2", "avx512_f"}, ["", "bfloat16", "float16"]),
        ("x86_64", {"avx2", "avx512_bf16"}, ["", "", "float16"]),
        ("AMD64", {"avx2", "amx_bf16"}, ["", "", "float16"]),
        ("x86_64", {"avx512_bf16", "avx512_fp16"}, ["", "", ""]),
        ("aarch64", {"neon", "fp16_arith"}, ["", "bfloat16", ""]),
        ("arm64", {"neon", "bf16", "fp16_arith"}, ["", "", ""]),
        ("aarch64", {"asimd", "asimdhp"}, ["", "bfloat16", ""]),
        ("x86_64", set(), ["", "", ""]),  # it is not known
        ("riscv64", {"v"}, ["", "", ""]),
    ],
)
def test_a_dtype_is_emulated_where_the_processor_has_none_of_its_instructions(processor, machine, there, expected):
    processor(machine, *there)
    assert [emulated(dtype, "cpu") for dtype in ("float32", "bfloat16", "float16")] == expected
    assert emulated("bfloat16", "cuda") == ""


def test_capabilities_are_those_that_torch_tells_of(monkeypatch):
    told = {"architecture": "x86_64", "avx2": True, "avx512_bf16": False, "l2_cache_size": 1}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert capabilities.__wrapped__() == {"avx2"}


def test_a_torch_that_does_not_tell_leaves_it_to_the_system(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for text, expected in [
        ("processor\t: 0\nflags\t\t: fpu avx512_bf16\nflags\t\t: fpu\n", {"fpu", "avx512_bf16"}),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("processor\t: 0\n", set()),
    ]:
        monkeypatch.setattr(Path, "read_text", lambda *_, _text=text, **__: _text)
        assert capabilities.__wrapped__() == expected


def test_it_is_said_once_with_the_way_out(caplog):
    emulation.warn.cache_clear()
    emulation.warn("bfloat16")
    emulation.warn("bfloat16")
    (record,) = caplog.records
    assert "compute.dtype=bfloat16 is emulated" in record.message
    assert "AVX512-BF16 or AMX" in record.message
    assert "Set compute.dtype=float32" in record.message
    emulation.warn.cache_clear()
