"""Facts that the systems of a dataset share."""

from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import numpy as np
import pytest
from made import made

from evalkit.analysis import shared_facts
from evalkit.analysis.one_pass import analyse
from evalkit.analysis.shared_facts import SharedFacts, rows_among
from evalkit.errors import DataError
from evalkit.measures import preference
from evalkit.results import Result
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


def test_runs_are_read_ahead_once_and_as_they_are(evaluations, monkeypatch):
    reads, results = [], [one.result for one in evaluations]
    expected = [result.read_run().digest() for result in results]
    read = Result.read_run
    monkeypatch.setattr(Result, "read_run", lambda result: reads.append(get_ident()) or read(result))
    shared = SharedFacts(dataset_of(results[0]), "nDCG@10")
    with ThreadPoolExecutor(1) as beside:
        shared.read_ahead(results, beside)
        for _ in range(2):
            assert [shared.run(result).digest() for result in results] == expected
    assert len(reads) == len(results)
    assert get_ident() not in reads


def test_a_damaged_run_is_refused_where_it_was_read_ahead(tmp_path):
    (one,) = gather([made(tmp_path, {"strong": 3.0}, queries=4)])
    shared = SharedFacts(dataset_of(one.result), "nDCG@10")
    (one.result.folder / "run.trec.gz").write_bytes(b"q1 Q0 d1")
    with ThreadPoolExecutor(1) as beside:
        shared.read_ahead([one.result], beside)
        with pytest.raises(DataError, match=r"run\.trec\.gz:1"):
            shared.run(one.result)


def test_rows_that_a_measure_reads_give_its_mean_of_fewer_documents(evaluations):
    (one, _), dataset = evaluations, dataset_of(evaluations[0].result)
    for name in ("nDCG@10", "nDCG@3", "MAP", "nDCG(judged_only=True)@10"):
        shared = SharedFacts(dataset, name)
        run = shared.run(one.result)
        among = np.random.default_rng(0).random(len(run)) < 0.5
        assert shared.mean(run, among) == shared.mean(run.select(among)), name
