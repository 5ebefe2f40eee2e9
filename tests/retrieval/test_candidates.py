"""The identical-id policy and the cut at the depth."""

import numpy as np
import pytest
from stubs import write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.retrieval.candidates import candidates_from_rows, cut, search_depth
from evalkit.run import Run


@pytest.fixture
def dataset_of(tmp_path, store):
    """A dataset of three documents, one of them with the id of a query."""

    def build(*, drop: bool):
        documents = {name: ("", name) for name in ("a", "b", "q1")}
        write_collection(tmp_path / "c", documents, {"q1": "x", "q2": "y"}, {"q1": {"a": 1}, "q2": {"b": 1}})
        return load(FolderDatasetConfig(path=str(tmp_path / "c"), drop_identical_ids=drop), store)

    return build


def listed(run: Run) -> dict[str, list[str]]:
    return {query_id: doc_ids for query_id, doc_ids, _ in run}


@pytest.mark.parametrize(("drop", "expected"), [(False, 10), (True, 11)])
def test_one_more_document_is_searched_for_when_one_may_be_dropped(dataset_of, drop, expected):
    assert expected == search_depth(dataset_of(drop=drop), 10)


def test_rows_of_the_corpus_become_ids_best_first(dataset_of):
    rows = [np.array([2, 0]), np.array([0, 1, 2])]
    scores = [np.array([1.0, 2.0]), np.array([0.5, 0.5, -1.0])]
    run = candidates_from_rows(dataset_of(drop=False), ["q1", "q2"], rows, scores, 2)
    assert listed(run) == {"q1": ["a", "q1"], "q2": ["b", "a"]}
    assert run.scores.tolist() == [2.0, 1.0, 0.5, 0.5]


def test_query_without_rows_is_left_out(dataset_of):
    rows = [np.empty(0, dtype=np.int64), np.array([1])]
    run = candidates_from_rows(dataset_of(drop=False), ["q1", "q2"], rows, [np.empty(0), np.array([1.0])], 2)
    assert listed(run) == {"q2": ["b"]}


@pytest.mark.parametrize("drop", [False, True])
def test_no_rows_at_all_give_an_empty_run(dataset_of, drop):
    nothing = [np.empty(0, dtype=np.int64)] * 2
    assert len(candidates_from_rows(dataset_of(drop=drop), ["q1", "q2"], nothing, [np.empty(0)] * 2, 3)) == 0


def test_identical_id_is_dropped_before_the_cut_and_only_for_its_own_query(dataset_of):
    run = Run.from_dict({"q1": {"q1": 3.0, "a": 2.0, "b": 1.0}, "q2": {"q1": 3.0, "a": 2.0, "b": 1.0}})
    assert listed(cut(run, dataset_of(drop=True), 2)) == {"q1": ["a", "b"], "q2": ["q1", "a"]}
    assert listed(cut(run, dataset_of(drop=False), 2)) == {"q1": ["q1", "a"], "q2": ["q1", "a"]}


def test_query_whose_only_candidate_is_itself_is_left_out(dataset_of):
    run = Run.from_dict({"q1": {"q1": 3.0}, "q2": {"a": 1.0}})
    assert listed(cut(run, dataset_of(drop=True), 5)) == {"q2": ["a"]}


def test_cut_leaves_the_given_run_unchanged(dataset_of):
    run = Run.from_dict({"q1": {"q1": 3.0, "a": 2.0}})
    before = run.digest()
    cut(run, dataset_of(drop=True), 1)
    assert before == run.digest()
