"""Our Triton kernels without a GPU: run by Triton's interpreter, and compiled for one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="triton is not installed; run: pip install 'evalkit[triton]'")

# Twice what rounding once takes; the interpreter cuts numbers to bfloat16 where a GPU rounds them.
BOUNDS = {"float32": 2e-6, "bfloat16": 2**-8, "float16": 2**-11}
ROUNDS = ("norm", "norm onto residual", "turn", "silu", "gelu", "gelu_tanh")


@pytest.fixture(scope="module")
def distances():
    """Case -> relative distance from float64, of every step in every dtype and of whole models in float32."""
    here = Path(__file__).parent
    paths = os.pathsep.join((str(here.parents[1]), str(here.parent)))
    done = subprocess.run(
        [sys.executable, here / "interpreted.py"],
        env={**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", BOUNDS)
def test_interpreted_kernels_agree_with_float64(distances, dtype):
    own = {case: distance for case, distance in distances.items() if case.endswith(f", {dtype}")}
    assert all(any(case.startswith(step) for case in own) for step in ROUNDS)
    assert {case: distance for case, distance in own.items() if distance > BOUNDS[dtype]} == {}


def test_turning_heads_leaves_values_unchanged(distances):
    values = {case: distance for case, distance in distances.items() if case.startswith("values")}
    assert len(values) == 6
    assert set(values.values()) == {0.0}


def test_whole_models_of_interpreted_kernels_agree_with_transformers(distances):
    assert {"Gemma, float32", "Gemma2, float32", "Granite, float32", "Qwen3, float32", "Gte, float32"} <= set(distances)


POINTERS = {
    "rms_norm": {"states": "*bf16", "weight": "*fp32", "out": "*bf16"},
    "turn": {"projected": "*bf16", "tables": "*fp32", "weights": "*fp32"},
    "gate": {"both": "*bf16", "out": "*bf16"},
}
NUMBERS = {
    "rms_norm": {"stride": "i32", "eps": "fp32", "factor": "fp32", "width": "i32"},
    "turn": {"stride": "i32", "eps": "fp32", "queries": "i32", "heads": "i32"},
    "gate": {"inner": "i32"},
}
CONSTANTS = [
    ("rms_norm", {"BLOCK": 4096, "ADD": False}),
    ("rms_norm", {"BLOCK": 4096, "ADD": True}),
    ("turn", {"WIDTH": 128, "HALF": 64, "HEADS": 16, "NORM": True}),
    ("turn", {"WIDTH": 80, "HALF": 64, "HEADS": 16, "NORM": False}),
    *(("gate", {"BLOCK": 1024, "KIND": kind}) for kind in range(3)),
]


@pytest.mark.parametrize(("name", "constants"), CONSTANTS, ids=lambda part: part if isinstance(part, str) else None)
def test_kernels_compile_to_a_hopper_gpu_and_read_several_numbers_at_once(name, constants, tmp_path, monkeypatch):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from evalkit.inference import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    types = POINTERS[name] | NUMBERS[name] | dict.fromkeys(constants, "constexpr")
    kernel = getattr(triton_kernels, f"{name}_kernel")
    # Torch's tensors start at multiples of 16 bytes, and widths of models are multiples of 16: Triton sees that itself.
    even = {(place,): [["tt.divisibility", 16]] for place, kind in enumerate(types.values()) if kind[0] in "*i"}
    source = ASTSource(fn=kernel, signature=types, constexprs=constants, attrs=even)
    compiled = triton.compile(
        source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 4, **triton_kernels.FIXED}
    )
    assert compiled.asm["cubin"]
    assert re.search(r"ld\.global[\w.:]*\.v[24]\.b32", compiled.asm["ptx"]), "no vector loads"
