"""Sample pairs: relevant ones, from the shortest to the longest, the same every time."""

import pytest
from stubs import write_collection

from evalkit import datasets
from evalkit.config import FolderDatasetConfig
from evalkit.datasets import samples
from evalkit.datasets.samples import sample_pairs
from evalkit.types import Pair


@pytest.fixture
def dataset(tmp_path, store):
    def load(documents, queries, qrels):
        titled = {doc_id: ("", text) for doc_id, text in documents.items()}
        folder = write_collection(tmp_path / "tiny", titled, queries, qrels)
        return datasets.load(FolderDatasetConfig(path=str(folder)), store)

    return load


def growing(count):
    """Query i and its document, both i characters long."""
    ids = range(1, count + 1)
    return (
        {f"d{index}": "x" * index for index in ids},
        {f"q{index}": "y" * index for index in ids},
        {f"q{index}": {f"d{index}": 1} for index in ids},
    )


def test_a_sample_has_ids_grade_and_texts_with_the_title(tmp_path, store):
    folder = write_collection(tmp_path / "tiny")
    found = sample_pairs(datasets.load(FolderDatasetConfig(path=str(folder)), store), 5)
    assert [("q2", "d3", 1), ("q1", "d1", 2)] == [(one.query_id, one.doc_id, one.grade) for one in found]
    assert Pair("why does the sea have tides", "Tides The moon pulls the sea and makes tides.") == found[1].pair


@pytest.mark.parametrize(
    ("count", "wanted"), [(1, [1]), (2, [1, 9]), (3, [1, 5, 9]), (5, [1, 3, 5, 7, 9]), (9, range(1, 10))]
)
def test_samples_are_spread_from_the_shortest_to_the_longest(dataset, count, wanted):
    found = sample_pairs(dataset(*growing(9)), count)
    assert [f"q{index}" for index in wanted] == [one.query_id for one in found]


def test_no_more_samples_than_there_are(dataset):
    assert 4 == len(sample_pairs(dataset(*growing(4)), 100))


def test_of_a_query_the_highest_grade_is_taken_and_of_equals_the_first_id(dataset):
    documents = dict.fromkeys(("a", "b", "c", "d"), "text")
    found = sample_pairs(dataset(documents, {"q": "query"}, {"q": {"a": 1, "d": 2, "c": 2, "b": 0}}), 3)
    assert [("c", 2)] == [(one.doc_id, one.grade) for one in found]


def test_queries_without_a_relevant_document_are_left_out(dataset):
    documents, queries, qrels = growing(3)
    qrels["q2"] = {"d2": 0}
    assert ["q1", "q3"] == [one.query_id for one in sample_pairs(dataset(documents, queries, qrels), 3)]


def test_judged_documents_that_the_corpus_lacks_are_left_out(dataset):
    documents, queries, qrels = growing(3)
    qrels["q2"] = {"gone": 3}
    assert ["q1", "q3"] == [one.query_id for one in sample_pairs(dataset(documents, queries, qrels), 3)]


def test_a_document_of_two_queries_is_a_sample_of_both(dataset):
    found = sample_pairs(dataset({"d": "text"}, {"q1": "one", "q2": "longer"}, {"q1": {"d": 1}, "q2": {"d": 1}}), 2)
    assert [Pair("one", "text"), Pair("longer", "text")] == [one.pair for one in found]


def test_a_dataset_without_a_relevant_pair_has_no_samples(dataset):
    assert [] == sample_pairs(dataset({"d": "text"}, {"q": "query"}, {"q": {"d": 0}}), 3)


def test_no_more_pairs_are_read_than_needed(dataset, monkeypatch):
    monkeypatch.setattr(samples, "_LOOKED_AT", 4)
    assert ["q1", "q4"] == [one.query_id for one in sample_pairs(dataset(*growing(9)), 2)]


def test_where_there_are_only_answers_a_pair_is_a_question_and_a_document_that_contains_one(tmp_path, store):
    folder = tmp_path / "answered"
    folder.mkdir()
    (folder / "corpus.jsonl").write_text(
        '{"_id": "d1", "text": "In 3080."}\n{"_id": "d2", "text": "In 308."}\n{"_id": "d3", "text": "308"}\n'
    )
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "when?", "answers": ["308"]}\n{"_id": "q2", "text": "who?", "answers": ["nobody"]}\n'
    )
    (sample,) = sample_pairs(datasets.load(FolderDatasetConfig(path=str(folder)), store), 5)
    assert (sample.query_id, sample.doc_id, sample.pair) == ("q1", "d2", Pair("when?", "In 308."))
