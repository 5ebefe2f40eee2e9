"""Means of systems on datasets, entries of a suite, and p-values against a baseline."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from evalkit.analysis.pairwise import Settings, compare
from evalkit.analysis.standings import standings
from evalkit.config.suites import load_suite
from evalkit.errors import ConfigError, ResultError
from evalkit.measures.significance import holm, randomisation_test
from evalkit.results import Evaluation, Result
from evalkit.types import PerQuery

FORUMS = load_suite("cqadupstack").datasets


@dataclass(frozen=True, kw_only=True)
class Held(Result):
    """A result whose values are in memory."""

    values: dict

    def read_per_query(self):
        count = len(next(iter(self.values.values())))
        return PerQuery(tuple(map(str, range(count))), self.values, ())


def held(name, values, *, dataset="one", stage="bm25", digest="d"):
    """An evaluation of a reranker, or of a first stage where the name is empty, with values of nDCG@10 or others."""
    measured = values if isinstance(values, dict) else {"nDCG@10": values}
    measured = {measure: np.array(column, dtype=float) for measure, column in measured.items()}
    manifest = {
        "measures": dict.fromkeys(measured, 0.0),
        "dataset": {"name": dataset, "digest": digest},
        "retriever": {"name": stage, "depth": 100},
        "run_digest": f"{stage} {dataset}",
        "ceiling": {},
        "config": {"dataset": {}},
    }
    folder = Path(f"{dataset}/{stage}-100")
    candidates = Held(folder / "candidates", manifest, values=measured)
    reranker = {"reranker": {"kind": "pairs", "name": name}}
    return Evaluation(Held(folder / name, manifest | reranker, values=measured) if name else candidates, candidates)


def values_of(found):
    return {(place.system, place.dataset, place.measure): standing.value for place, standing in found.found.items()}


def test_first_stages_come_before_their_rerankers_and_need_no_result_of_their_own():
    given = [held("b", [0.5, 1.0]), held("a", [0.25, 0.5]), held("a", [1.0, 0.0], stage="dense")]
    found = standings(given, ["nDCG@10"], Settings())
    assert [place.system for place in found.found] == [
        *("bm25-100", "bm25-100 + b", "bm25-100 + a", "dense-100", "dense-100 + a")
    ]
    assert [(place.first_stage, place.reranker) for place in found.found][:2] == [
        ("bm25-100", "none"),
        ("bm25-100", "b"),
    ]
    assert values_of(found)["bm25-100 + a", "one", "nDCG@10"] == 0.375
    assert found.comparisons == 0
    without = standings(given, ["nDCG@10"], Settings(first_stage=False))
    assert [place.system for place in without.found] == ["bm25-100 + b", "bm25-100 + a", "dense-100 + a"]


def test_all_forums_are_one_entry_which_is_the_mean_of_their_means():
    given = [held("", [0.1 * number] * (number + 1), dataset=forum) for number, forum in enumerate(FORUMS)]
    found = values_of(standings([*given, held("", [0.5])], ["nDCG@10"], Settings()))
    assert found == {
        ("bm25-100", "cqadupstack", "nDCG@10"): pytest.approx(0.1 * np.mean(range(12))),
        ("bm25-100", "one", "nDCG@10"): 0.5,
    }


def test_some_forums_stay_by_themselves_and_a_system_that_lacks_one_of_all_has_no_entry():
    some = [held("", [0.5], dataset=forum) for forum in FORUMS[:3]]
    assert {dataset for _, dataset, _ in values_of(standings(some, ["nDCG@10"], Settings()))} == set(FORUMS[:3])
    every = [held("", [0.5], dataset=forum) for forum in FORUMS] + [
        held("x", [0.5], dataset=forum) for forum in FORUMS[1:]
    ]
    assert {system for system, *_ in values_of(standings(every, ["nDCG@10"], Settings()))} == {"bm25-100"}


def test_p_values_are_those_of_the_one_rule_corrected_over_datasets_and_measures():
    draw = np.random.default_rng(0)
    columns = {
        (name, dataset): {"nDCG@10": draw.random(40), "R@20": draw.random(40)}
        for name in ("", "a", "b")
        for dataset in ("one", "two")
    }
    columns["a", "one"]["R@20"] = columns["", "one"]["R@20"] + 0.01
    given = [held(name, values, dataset=dataset) for (name, dataset), values in columns.items()]
    found = standings(given, ["nDCG@10", "R@20"], Settings(first_stage=False), "bm25-100")
    tested = {place: standing.p for place, standing in found.found.items() if standing.p is not None}
    assert found.comparisons == len(tested) == 8
    raw = [
        randomisation_test(
            (columns[place.reranker, place.dataset][place.measure] - columns["", place.dataset][place.measure])[:, None]
        )[0]
        for place in tested
    ]
    assert list(tested.values()) == pytest.approx(holm(raw))
    assert min(tested.values()) < 0.01
    raw_too = standings(given, ["nDCG@10", "R@20"], Settings(correction="none", first_stage=False), "bm25-100")
    assert [one.p for one in raw_too.found.values() if one.p is not None] == pytest.approx(raw)


def test_a_single_comparison_has_the_p_value_of_compare():
    given = [held("a", np.linspace(0.2, 0.9, 30)), held("", np.linspace(0.1, 0.85, 30) ** 2)]
    (pair,) = compare(given, Settings())[0].pairings
    assert {pair.randomisation, None} == {
        one.p for one in standings(given, ["nDCG@10"], Settings(), "a").found.values()
    }


def test_a_baseline_that_lacks_a_dataset_tests_nothing_there():
    given = [
        held("a", [0.1] * 9),
        held("a", [0.5] * 9, dataset="two"),
        held("b", [0.9] * 9),
        held("b", [0.6] * 9, dataset="two"),
    ]
    given = [one for one in given if (one.reranker, one.dataset) != ("a", "two")]
    found = standings(given, ["nDCG@10"], Settings(first_stage=False), "a")
    assert {(place.reranker, place.dataset): one.p is not None for place, one in found.found.items()} == {
        ("a", "one"): False,
        ("b", "one"): True,
        ("b", "two"): False,
    }


def test_an_unknown_baseline_and_datasets_that_differ_under_one_name_are_refused():
    with pytest.raises(
        ConfigError, match=r"no system is called 'bm52-100'. Did you mean bm25-100\? Legal are: bm25-100, a\."
    ):
        standings([held("a", [0.5])], ["nDCG@10"], Settings(), "bm52-100")
    with pytest.raises(ResultError, match="were measured on different documents, queries or judgments"):
        standings([held("a", [0.5]), held("b", [0.5], digest="other")], ["nDCG@10"], Settings())
