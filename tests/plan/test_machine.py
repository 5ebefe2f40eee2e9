"""Seconds on a machine: one that is described, or this one at a share of a matrix multiplication timed now."""

from dataclasses import replace

import pytest

from evalkit.commands.settings.compose import compose
from evalkit.config import ComputeConfig, MachineConfig
from evalkit.config.resources import config_names
from evalkit.errors import ConfigError
from evalkit.models.shape import Shape
from evalkit.plan import matmul
from evalkit.plan.machine import UTILISATION, Machine

SHAPE = Shape(hidden=64, inner=256, layers=2, attention=64, parameters=1_000_000, causal=False)
TERA = 1e12


def seconds(machine, shape=SHAPE, tokens=5e6):
    return machine.model(shape, tokens=tokens, squares=0.0, texts=1000)


def test_a_described_machine_shares_the_operations_among_its_devices(described):
    machine = Machine(described)
    large = SHAPE._replace(parameters=10**9)
    found = seconds(machine, large)
    assert found.value == pytest.approx(2e9 * 5e6 / (2 * 10 * TERA * 0.5))
    assert "0.5 of 10 TFLOP/s" in found.source
    assert machine.name == "2 x GPU"
    assert machine.kilowatt_hours(3600) == pytest.approx(1.0)


def test_a_small_model_waits_for_its_texts_to_be_tokenised(described):
    found = seconds(Machine(described), SHAPE._replace(parameters=10_000))
    assert found.value == pytest.approx(5e6 / (4e5 * 8 * 2))
    assert found.source == "tokenising"


def test_this_machine_reaches_a_stated_share_of_its_matrix_multiplication(monkeypatch):
    asked = []
    monkeypatch.setattr(matmul, "matmul_rate", lambda *given: asked.append(given) or TERA)
    found = seconds(Machine(ComputeConfig(device="cpu", threads=2)))
    assert asked == [("float32", "cpu", 2)]
    assert found.value == pytest.approx(2e6 * 5e6 / (UTILISATION["cpu"] * TERA) + 5e6 / 8e5 + 0.03)
    assert found.source == "0.8 of 1 TFLOP/s (measured now)"


def test_a_matrix_multiplication_is_timed_once_and_leaves_the_threads_as_they_were():
    import torch

    matmul.matmul_rate.cache_clear()
    before = torch.get_num_threads()
    rate = matmul.matmul_rate("float32", "cpu", 1)
    assert 1e8 < rate < 1e14
    assert torch.get_num_threads() == before
    assert matmul.matmul_rate("float32", "cpu", 1) == rate


def test_search_takes_no_less_than_the_disk(described):
    machine = Machine(described)
    assert machine.search(documents=1e6, queries=1, width=1000).value == pytest.approx(2.0)
    assert machine.search(documents=1e6, queries=1e5, width=1000).value == pytest.approx(2e14 / (2 * 3 * TERA))


def test_a_dtype_without_a_rate_is_refused(described):
    with pytest.raises(ConfigError, match=r"compute\.machine\.tflops has no bfloat16"):
        Machine(replace(described, dtype="bfloat16"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"utilisation": 0.0}, "utilisation=0.0 is out of range"),
        ({"utilisation": 1.5}, "utilisation=1.5"),
        ({"devices": 0}, "devices=0"),
        ({"tflops": {"int8": 1.0}}, "tflops=int8 is not a choice"),
        ({"tflops": {"float32": 0.0}}, "tflops.float32=0.0"),
        ({"watts": 0.0}, "watts=0.0"),
    ],
)
def test_impossible_machines_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        MachineConfig(**settings)


def test_every_described_machine_has_all_that_a_plan_needs():
    for name in sorted(set(config_names("compute")) - {"cpu", "cuda", "local", "ray"}):
        compute = compose("score", [f"compute={name}", "reranker=late_interaction"]).compute
        for dtype in ("bfloat16", "float16", "float32"):
            assert Machine(replace(compute, dtype=dtype)).described
        assert compute.machine.watts
        assert compute.machine.memory_gib
