"""Rates measured for some seconds on the dataset's own texts."""

from dataclasses import replace

import pytest

from evalkit.config import ComputeConfig, LateInteractionConfig, RerankerConfig
from evalkit.models.checkpoint import resolve
from evalkit.models.shape import shape_of
from evalkit.plan.machine import Machine
from evalkit.plan.pilot import measure_rates
from evalkit.plan.sample import sample_from_card, sample_of
from evalkit.retrieval.bm25 import BM25Config


@pytest.fixture
def machine(config, store):
    return Machine(config.compute, store)


def test_both_models_are_measured_once(config, dataset, machine, encoder, cross_encoder, store):
    measure_rates(config, sample_of(dataset), machine)
    assert machine.knows("encode", shape_of(resolve(str(encoder))))
    assert machine.knows("score", shape_of(resolve(str(cross_encoder))))
    times = {path: path.stat().st_mtime_ns for path in store.root.glob("rates/*/rate.log")}
    measure_rates(config, sample_of(dataset), machine)
    assert times == {path: path.stat().st_mtime_ns for path in store.root.glob("rates/*/rate.log")}


def test_late_interaction_is_measured_too(config, dataset, machine, encoder):
    reranker = LateInteractionConfig(name="late", model=str(encoder), max_length=16)
    measure_rates(replace(config, reranker=reranker), sample_of(dataset), machine)
    assert machine.knows("score", shape_of(resolve(str(encoder))))


def test_nothing_is_left_in_the_store_but_rates(config, dataset, machine, store):
    before = {path.name for path in store.root.iterdir()}
    measure_rates(config, sample_of(dataset), machine)
    assert {path.name for path in store.root.iterdir()} - before == {"rates"}


def test_what_reads_no_texts_is_not_measured(config, dataset, machine, store):
    plain = replace(config, retriever=BM25Config(name="bm25"), reranker=RerankerConfig(name="none"))
    measure_rates(plain, sample_of(dataset), machine)
    assert not (store.root / "rates").exists()


def test_a_checkpoint_that_is_not_there_is_told_and_assumed(config, dataset, machine, store, caplog):
    absent = replace(config, reranker=replace(config.reranker, model="/nowhere"))
    measure_rates(absent, sample_of(dataset), machine)
    assert "Rates are assumed" in caplog.text
    assert not (store.root / "rates").exists()


def test_made_up_texts_are_not_measured_on(config, machine, store):
    from evalkit.commands.settings.compose import compose

    measure_rates(config, sample_from_card(compose("fetch", ["dataset=scifact"]).dataset), machine)
    assert not (store.root / "rates").exists()


def test_workers_on_cores_here_are_measured_as_threads_and_those_of_a_cluster_are_not(config, dataset, store, encoder):
    for address, measured in [("127.0.0.1:6379", False), (None, True)]:
        workers = replace(config, compute=ComputeConfig(device="cpu", backend="ray", workers=1, address=address))
        machine = Machine(workers.compute, store)
        measure_rates(workers, sample_of(dataset), machine)
        assert machine.knows("encode", shape_of(resolve(str(encoder)))) is measured
    assert not Machine(config.compute, store).knows("encode", shape_of(resolve(str(encoder))))
