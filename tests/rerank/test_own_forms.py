"""Which objects can rerank, and how each is called."""

import functools

import numpy as np
import pandas as pd
import pytest
from stubs import overlap, toy_evaluation

import evalkit
from evalkit.errors import ObjectError
from evalkit.rerank.own_reranker import form_of
from evalkit.types import Pair

PAIRS = [Pair("bees honey", "bees make honey", None, "q1", "d1"), Pair("bees honey", "bees", None, "q1", "d2")]


def by_pairs(pairs, scale=1.0):
    return [scale * overlap(query, [text])[0] for query, text in pairs]


class Method:
    def score(self, query, documents):
        return overlap(query, documents)


class Predictor:
    """As a cross-encoder that is called for something else."""

    def predict(self, pairs):
        return np.array(by_pairs(pairs))

    def __call__(self, features):
        raise NotImplementedError


class Flag:
    """As FlagEmbedding's, some of which return a bare number for a single pair."""

    def compute_score(self, pairs):
        found = by_pairs(pairs)
        return found if len(found) > 1 else float(found[0])


class Callable:
    def __call__(self, pairs):
        return by_pairs(pairs)


class Ranker:
    """As a transformer of PyTerrier's: the frame in another order, with scores or ranks."""

    def __init__(self, columns, keep=2):
        self.columns, self.keep = columns, keep

    def transform(self, frame):
        assert ["qid", "query", "docno", "text"] == list(frame.columns[:4])
        scores = [overlap(query, [text])[0] for query, text in zip(frame["query"], frame["text"], strict=True)]
        found = frame.assign(score=scores).sort_values("score").assign(rank=[1, 0][: len(frame)])
        return found[["qid", "docno", *self.columns]].head(self.keep)


@pytest.mark.parametrize(
    ("thing", "by_query"),
    [
        (overlap, True),
        (by_pairs, False),
        (functools.partial(by_pairs, scale=2), False),
        (lambda query, documents, batch_size=8: overlap(query, documents), True),  # noqa: ARG005
        (lambda pairs, **_: by_pairs(pairs), False),
        (Method(), True),
        (Callable(), False),
        (Predictor(), False),
        (Flag(), False),
        (Ranker(["score", "rank"]), True),
        (Ranker(["rank"]), True),
    ],
)
def test_an_object_is_called_by_its_parameters(thing, by_query):
    form = form_of(thing, "own")
    assert by_query == form.by_query
    first, second = form.score(PAIRS)
    assert first > second


@pytest.mark.parametrize(
    "thing",
    [
        lambda *texts: texts,
        lambda: None,
        lambda query, document, other: query,  # noqa: ARG005
        lambda pairs=(): pairs,
        lambda pairs, *, batch_size: pairs,  # noqa: ARG005
        max,
    ],
)
def test_a_function_that_does_not_say_how_to_call_it_is_refused_with_both_forms(thing):
    with pytest.raises(ObjectError, match=r"cannot tell how to call it.*f\(query, documents\).*f\(pairs\)"):
        form_of(thing, "own")


@pytest.mark.parametrize("thing", [3, "overlap", object(), {"a": 1}, pd.DataFrame()])
def test_another_object_is_refused_with_all_that_can_rerank(thing):
    with pytest.raises(ObjectError, match=r"cannot rerank\. A reranker is a function"):
        form_of(thing, "own")


@pytest.mark.parametrize(
    ("ranker", "message"),
    [
        (Ranker(["score"], keep=1), "returned 1 rows of 1 documents for the 2 candidates of query 'q1'"),
        (Ranker([]), "returned the columns qid, docno, expected a DataFrame with docno and score or rank"),
    ],
)
def test_a_ranker_returns_each_candidate_once(ranker, message):
    with pytest.raises(ObjectError, match=message):
        form_of(ranker, "own").score(PAIRS)


def test_a_ranker_gives_the_run_of_the_function_in_it(tmp_path):
    toy = toy_evaluation(tmp_path)

    class Sorted:
        def transform(self, frame):
            scores = [overlap(query, [text])[0] for query, text in zip(frame["query"], frame["text"], strict=True)]
            return frame.assign(score=scores).sample(frac=1, random_state=1)

    runs = [evalkit.evaluate(**toy, reranker=reranker).run for reranker in (Sorted(), overlap)]
    assert runs[0].digest() == runs[1].digest()
