"""The cheapest next, and what is shared once."""

from dataclasses import replace

import pytest

from evalkit.plan.forecast import forecast
from evalkit.plan.machine import Machine
from evalkit.plan.order import cheapest_first
from evalkit.plan.sample import sample_of
from evalkit.rerank.passthrough import KeepOrderConfig


@pytest.fixture
def made(config, dataset, described, store):
    def make(**changes):
        return forecast(replace(config, **changes), sample_of(dataset), Machine(described, store))

    return make


def named(planned):
    return [(one.forecast.config.reranker.name, one.forecast.config.depth) for one in planned]


def test_the_cheapest_comes_next_and_times_add_up(made):
    none = KeepOrderConfig(name="none")
    planned = cheapest_first([made(depth=40), made(), made(reranker=none)])
    assert named(planned) == [("none", 10), ("cross_encoder", 10), ("cross_encoder", 40)]
    until = 0.0
    for one in planned:
        until += one.seconds
        assert one.until == pytest.approx(until)
        assert one.seconds == pytest.approx(sum(stage.left for stage in one.stages))


def test_vectors_and_candidates_are_made_once(made):
    first, second, deeper = cheapest_first([made(reranker=KeepOrderConfig(name="none")), made(), made(depth=40)])
    done = {stage.name for stage in second.stages[: second.forecast.first] if stage.done == 1}
    assert {"encode documents", "encode queries", "search"} <= done
    assert {stage.name for stage in deeper.stages if stage.done == 1} == {"encode documents"}
    assert not any(stage.done for stage in first.stages)
    assert second.disk < second.forecast.disk or second.disk == 0


def test_another_retriever_shares_nothing(made, config):
    other = replace(config.retriever, query_instruction="why ")
    planned = cheapest_first([made(), made(retriever=other)])
    assert not any(stage.done for one in planned for stage in one.stages)


def test_nothing_to_do_comes_in_no_order():
    assert cheapest_first([]) == []
