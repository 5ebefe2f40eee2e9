"""`evalkit.evaluate`: stages as names, names with settings, paths and objects."""

import numpy as np
import pytest
from stubs import StubReranker, write_collection

import evalkit
from evalkit import EvalkitError


def overlap(query, documents):
    return [len({*query.lower().split()} & {*document.lower().split()}) for document in documents]


@pytest.fixture
def toy(tmp_path):
    """The arguments of an evaluation of the toy collection."""
    folder = write_collection(tmp_path / "toy")
    places = {"results_dir": tmp_path / "results", "cache_dir": tmp_path / "cache"}
    return {"dataset": folder, "retriever": "bm25", "depth": 5, "measures": ["nDCG@10", "RR"], **places}


def test_a_function_of_query_and_documents_reranks_as_the_replayed_file_of_its_scores(toy, tmp_path):
    found = evalkit.evaluate(**toy, reranker=overlap)
    evalkit.write_run(found.result.read_run(), tmp_path / "scores.trec", tag="overlap")
    replayed = evalkit.evaluate(**toy, reranker=tmp_path / "scores.trec")
    assert replayed.result.manifest["measures"] == found.result.manifest["measures"]
    assert ("toy", "overlap") == (found.dataset, found.reranker)


def test_a_function_of_pairs_and_an_object_with_score_give_the_same_run(toy):
    class Scorer:
        def score(self, pairs):
            return np.array([[overlap(query, [document])[0]] for query, document in pairs])

    found = [evalkit.evaluate(**toy, reranker=one).result.read_run() for one in (overlap, Scorer(), Scorer().score)]
    assert len({run.digest() for run in found}) == 1


def test_an_evalkit_reranker_is_taken_as_it_is(toy):
    assert {"kind": "stub", "name": "StubReranker"}.items() <= (
        evalkit.evaluate(**toy, reranker=StubReranker(), **{"reranker.name": "StubReranker"})
        .result.manifest["reranker"]
        .items()
    )


def test_settings_follow_a_name_in_a_tuple_or_as_on_the_command_line(toy):
    del toy["retriever"]
    for given, settings in ((("bm25", {"k1": 0.9}), {}), ("bm25", {"retriever.k1": 0.9})):
        found = evalkit.evaluate(**toy, retriever=given, **settings)
        assert 0.9 == found.candidates.manifest["retriever"]["k1"]
    assert not found.candidates.fresh


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"reranker": lambda *texts: texts},
            r"lambda: cannot tell how to call it .*f\(query, documents\).* or f\(pairs\)",
        ),
        ({"reranker": 3}, "int is 3, which cannot rerank"),
        ({"retriever": None}, "evaluate needs a retriever"),
        ({"retriever": "bm52"}, "retriever=bm52 is not a choice. Did you mean bm25?"),
        ({"depth": 1.5}, "depth=1.5 is not a whole number"),
        ({"measures": "nDCG@10"}, "is not a list of names"),
        ({"reranker.max_lenght": 3}, "reranker.max_lenght is not a setting"),
        ({"max_length": 3}, "max_length is not an argument of evaluate"),
    ],
)
def test_wrong_arguments_are_one_line(toy, change, message):
    with pytest.raises(EvalkitError, match=message) as caught:
        evalkit.evaluate(**toy | change)
    assert "\n" not in str(caught.value)
