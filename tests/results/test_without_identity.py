"""Candidates of a retriever without an identity; for rerankers see `tests/rerank/test_own_reranker.py`."""

import pytest
from stubs import toy_evaluation

import evalkit


@pytest.fixture
def toy(tmp_path):
    return toy_evaluation(tmp_path)


def test_the_same_candidates_are_one_result_and_others_are_another(toy):
    offset = 0

    def search(queries, depth, corpus):
        ids = list(corpus)
        return {query: {doc: offset - rank for rank, doc in enumerate(ids[:depth])} for query in queries}

    given = toy | {"retriever": search, "reranker": "none"}
    first, second = (evalkit.evaluate(**given) for _ in range(2))
    assert first.candidates.fresh
    assert not second.candidates.fresh
    assert not second.result.fresh
    assert first.result.folder == second.result.folder
    offset = 5
    other = evalkit.evaluate(**given)
    assert other.candidates.fresh
    assert other.candidates.folder != first.candidates.folder
    assert (first.candidates.folder / "manifest.json").exists()
