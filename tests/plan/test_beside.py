"""Forecasts in manifests, beside what happened."""

from dataclasses import replace

import pytest

from evalkit.models.checkpoint import resolve
from evalkit.models.shape import shape_of
from evalkit.pipeline import evaluate
from evalkit.plan import beside
from evalkit.plan.machine import Machine


def stages(done):
    return done.candidates.manifest["stages"], done.result.manifest["stages"]


def test_every_stage_says_what_was_planned_and_what_it_took(config):
    first, rest = stages(evaluate(config))
    work = ["encode documents", "encode queries", "search"]
    assert list(first) == ["load", "load retriever", *work, "measure", "write"]
    assert list(rest) == ["read candidates", "load reranker", "rerank", "measure", "write"]
    for facts in (*first.values(), *rest.values()):
        assert facts["seconds"] >= 0
        assert facts["planned_seconds"] >= 0
    for facts in (first["encode documents"], first["encode queries"], rest["rerank"]):
        assert facts["planned_tokens"] == pytest.approx(facts["tokens"])
    assert first["load retriever"]["planned_seconds"] > 3 > rest["load reranker"]["planned_seconds"]


def test_what_was_there_is_not_planned_again(config):
    evaluate(config)
    again, _ = stages(evaluate(replace(config, depth=20)))
    assert "encode documents" not in again
    _, rest = stages(evaluate(replace(config, depth=20, results_dir=f"{config.results_dir}2")))
    assert rest["rerank"]["planned_tokens"] == 0.0


def test_a_long_stage_teaches_what_this_machine_reaches(config, store, monkeypatch):
    monkeypatch.setattr(beside, "_LEAST_SECONDS", 0.0)
    evaluate(config)
    assert len(list(store.root.glob("rates/*/rate.log"))) == 2
    assert Machine(config.compute, store).knows("encode", shape_of(resolve(config.retriever.model)))
    assert Machine(config.compute, store).knows("score", shape_of(resolve(config.reranker.model)))


def test_a_short_stage_teaches_nothing(config, store):
    evaluate(config)
    assert not (store.root / "rates").exists()


def test_a_model_of_unknown_size_is_evaluated_all_the_same(config, monkeypatch):
    def refuse(*_, **__):
        raise beside.ModelError("no such size.")

    monkeypatch.setattr(beside, "forecast", refuse)
    first, _ = stages(evaluate(config))
    assert "planned_seconds" not in first["search"]
