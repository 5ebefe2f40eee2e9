"""Facts that the systems of a dataset share."""

import numpy as np
import pytest
from made import made

from evalkit.analysis import shared_facts
from evalkit.analysis.one_pass import analyse
from evalkit.analysis.shared_facts import SharedFacts, rows_among
from evalkit.measures import preference
from evalkit.results.gather import dataset_of, gather
from evalkit.run import Run


def test_pairs_are_found_among_the_candidates_and_others_are_not():
    candidates = Run.from_dict({"q1": {"a": 3.0, "b": 2.0, "c": 1.0}, "q2": {"a": 1.0, "d": 2.0}})
    run = Run.from_dict({"q1": {"c": 9.0, "a": 8.0, "x": 7.0}, "q2": {"b": 5.0, "a": 4.0}, "q3": {"a": 1.0}})
    rows = rows_among(candidates, run)
    # Rows of the candidates: q1 a, b, c; q2 d, a.
    assert rows.tolist() == [2, 0, -1, -1, 4, -1]
    assert rows_among(Run.from_dict({}), run).tolist() == [-1] * 6


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory):
    return gather([made(tmp_path_factory.mktemp("shared"), {"strong": 3.0, "weak": 0.1}, queries=12)])


def test_grades_of_the_same_pairs_are_those_that_looking_each_up_gives(evaluations):
    (one, _), dataset = evaluations, dataset_of(evaluations[0].result)
    shared = SharedFacts(dataset, "nDCG@10")
    run = shared.run(one.result)
    rows = rows_among(shared.run(one.candidates), run)
    assert np.array_equal(shared.grades(one.result, (one.candidates, rows)), preference(dataset.qrels, run))


def test_systems_that_share_facts_are_analysed_as_each_alone(evaluations):
    dataset = dataset_of(evaluations[0].result)
    shared = SharedFacts(dataset, "nDCG@10")
    for one in evaluations:
        assert analyse(one, dataset, "nDCG@10", shared=shared) == analyse(one, dataset, "nDCG@10")


def test_candidates_are_read_and_measured_once(evaluations, monkeypatch):
    dataset, calls = dataset_of(evaluations[0].result), []
    monkeypatch.setattr(shared_facts, "ceilings", lambda *given, **_: calls.append(given) or {"nDCG@10": 1.0})
    shared = SharedFacts(dataset, "nDCG@10")
    for one in evaluations:
        analyse(one, dataset, "nDCG@10", shared=shared)
    assert len(calls) == 1
