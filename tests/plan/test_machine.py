"""Seconds on a machine: described, measured before, or at a share of its peak."""

from dataclasses import replace

import pytest

from evalkit.commands.settings.compose import compose
from evalkit.config import ComputeConfig, MachineConfig
from evalkit.config.resources import config_names
from evalkit.errors import ConfigError
from evalkit.models.shape import Shape
from evalkit.plan import machine as module
from evalkit.plan.machine import Machine
from evalkit.store.inventory import artefacts, fault

SHAPE = Shape(hidden=64, inner=256, layers=2, attention=64, parameters=1_000_000, causal=False)
TERA = 1e12


def seconds(machine, shape=SHAPE, tokens=5e6):
    return machine.model("score", shape, tokens=tokens, squares=0.0, texts=1000)


def test_a_described_machine_shares_the_operations_among_its_devices(described, store):
    machine = Machine(described, store)
    large = SHAPE._replace(parameters=10**9)
    found = seconds(machine, large)
    assert found.value == pytest.approx(2e9 * 5e6 / (2 * 10 * TERA * 0.5))
    assert "0.5 of 10 TFLOP/s" in found.source
    assert machine.name == "2 x GPU"
    assert machine.kilowatt_hours(3600) == pytest.approx(1.0)


def test_a_small_model_waits_for_its_texts_to_be_tokenised(described, store):
    found = seconds(Machine(described, store), SHAPE._replace(parameters=10_000))
    assert found.value == pytest.approx(5e6 / (4e5 * 8 * 2))
    assert found.source == "tokenising"


def test_this_machine_is_reckoned_with_at_what_it_reached(store):
    machine = Machine(ComputeConfig(device="cpu"), store)
    assert not machine.knows("score", SHAPE)
    machine.keep("score", SHAPE, {"tokens": 1e6, "squared_tokens": 0.0}, 4.0)
    assert machine.knows("score", SHAPE)
    assert not machine.knows("encode", SHAPE)
    assert seconds(machine).value == pytest.approx(20.0)
    assert "as measured here" in seconds(machine).source


@pytest.mark.parametrize("change", [{"dtype": "bfloat16"}, {"threads": 1}, {"backend": "ray"}, {"attention": "eager"}])
def test_a_rate_of_other_settings_is_not_taken(store, change):
    Machine(ComputeConfig(device="cpu"), store).keep("score", SHAPE, {"tokens": 1e6}, 4.0)
    assert not Machine(ComputeConfig(device="cpu", **change), store).knows("score", SHAPE)


def test_a_damaged_rate_is_no_rate(store):
    machine = Machine(ComputeConfig(device="cpu"), store)
    machine.keep("score", SHAPE, {"tokens": 1e6}, 4.0)
    (path,) = store.root.glob("rates/*/rate.log")
    whole = path.read_bytes()
    for damaged in (b"", b"[]", whole[:-1], whole[:-8] + b"\0\0\0\0\0\0\x20\x40"):
        path.write_bytes(damaged)
        (one,) = (one for one in artefacts(store) if one.kind == "rates")
        assert damaged == b"" or fault(one) is not None
        assert not machine.knows("score", SHAPE)
    machine.keep("score", SHAPE, {"tokens": 1e6}, 4.0)
    assert machine.knows("score", SHAPE)


def test_the_last_rate_counts(store):
    machine = Machine(ComputeConfig(device="cpu"), store)
    for seconds_taken in (8.0, 4.0):
        machine.keep("score", SHAPE, {"tokens": 1e6}, seconds_taken)
    assert seconds(machine).value == pytest.approx(20.0)


def test_no_result_rests_on_a_rate(store):
    Machine(ComputeConfig(device="cpu"), store).keep("score", SHAPE, {"tokens": 1e6}, 4.0)
    assert not store.used


def test_nothing_read_and_a_described_machine_teach_nothing(store, described):
    Machine(ComputeConfig(device="cpu"), store).keep("score", SHAPE, {}, 4.0)
    Machine(described, store).keep("score", SHAPE, {"tokens": 1e6}, 4.0)
    assert not (store.root / "rates").exists()


def test_without_a_measurement_a_share_of_the_peak_is_assumed(store, monkeypatch):
    monkeypatch.setattr(module, "_peak", lambda *_: TERA)
    found = seconds(Machine(ComputeConfig(device="cpu", threads=2), store))
    assert found.value == pytest.approx(2e6 * 5e6 / (0.6 * TERA) + 5e6 / 8e5 + 0.03)
    assert found.source == "0.6 of 1 TFLOP/s (assumed)"


def test_search_takes_no_less_than_the_disk(described, store):
    machine = Machine(described, store)
    assert machine.search(documents=1e6, queries=1, width=1000).value == pytest.approx(2.0)
    assert machine.search(documents=1e6, queries=1e5, width=1000).value == pytest.approx(2e14 / (2 * 3 * TERA))


def test_a_dtype_without_a_rate_is_refused(described, store):
    with pytest.raises(ConfigError, match=r"compute\.machine\.tflops has no bfloat16"):
        Machine(replace(described, dtype="bfloat16"), store)


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
def test_a_machine_that_cannot_be_is_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        MachineConfig(**settings)


def test_every_described_machine_has_all_that_a_plan_needs(store):
    for name in sorted(set(config_names("compute")) - {"cpu", "cuda", "local", "ray"}):
        compute = compose("score", [f"compute={name}", "reranker=late_interaction"]).compute
        for dtype in ("bfloat16", "float16", "float32"):
            assert Machine(replace(compute, dtype=dtype), store).described
        assert compute.machine.watts
        assert compute.machine.memory_gib
