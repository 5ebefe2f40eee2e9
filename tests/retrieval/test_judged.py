"""Judged documents as candidates."""

import pytest
from stubs import QRELS, write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.retrieval.judged import JudgedRetriever


def test_candidates_are_all_judged_documents_with_equal_scores(collection, store):
    run = JudgedRetriever().retrieve(load(FolderDatasetConfig(path=str(collection)), store), 100)
    assert {query_id: set(doc_ids) for query_id, doc_ids, _ in run} == {key: set(row) for key, row in QRELS.items()}
    assert set(run.scores.tolist()) == {0.0}


def test_documents_that_the_corpus_lacks_and_identical_ids_are_left_out(tmp_path, store):
    qrels = {"q1": {"d1": 1, "gone": 1}, "q2": {"q2": 1, "d3": 0}}
    folder = write_collection(tmp_path / "c", {"d1": ("", "a"), "d3": ("", "b"), "q2": ("", "c")}, qrels=qrels)
    dataset = load(FolderDatasetConfig(path=str(folder), drop_identical_ids=True), store)
    run = JudgedRetriever().retrieve(dataset, 100)
    assert {query_id: doc_ids for query_id, doc_ids, _ in run} == {"q1": ["d1"], "q2": ["d3"]}


def test_a_cut_of_what_has_no_order_is_refused(collection, store):
    dataset = load(FolderDatasetConfig(path=str(collection)), store)
    with pytest.raises(DataError, match=r"has 2 judged documents, which have no order, .* Set depth=2\."):
        JudgedRetriever().retrieve(dataset, 1)
    assert len(JudgedRetriever().retrieve(dataset, 2)) == 4
