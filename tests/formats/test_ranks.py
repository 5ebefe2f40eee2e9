"""Ranks beside scores, or in their place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.formats import ranks
from evalkit.run import Run


def arrays(by_query):
    """Query of each row, and its value, in the order of a file."""
    rows = [(place, value) for place, values in enumerate(by_query) for value in values]
    return np.array([row[0] for row in rows], dtype=np.int32), np.array([row[1] for row in rows], dtype=np.float64)


@pytest.mark.parametrize(
    ("by_query", "expected"),
    [
        ([[1, 2, 3], [1, 2]], True),
        ([[0, 1, 2], [0]], True),
        ([[1], [1]], True),
        ([[3, 1, 2]], True),
        ([[88.12, 87.5]], False),
        ([[88, 87], [90, 12]], False),
        ([[-1, -2, -3]], False),
        ([[5], [9]], False),
        ([[10, 9, 8]], False),
        ([[3, 2, 1]], None),
        ([[3, 2, 1], [2, 1]], None),
        ([[1, 3, 7], [2, 5]], None),
        ([[1, 2, 2, 3]], False),
        ([[float("nan"), 1.0]], False),
    ],
)
def test_column_of_1_2_3_is_ranks_and_ambiguous_columns_are_undecided(by_query, expected):
    queries, values = arrays(by_query)
    assert ranks.are_ranks(queries, values) is expected


@pytest.mark.parametrize(
    ("by_query", "expected"),
    [
        ([[1, 2], [1]], True),
        ([[0, 0], [0]], False),
        ([[1, 1], [2, 2]], False),
        ([[1], [1]], False),
        ([[1, float("nan")]], False),
        ([[1, 1, 2]], True),
    ],
)
def test_ranks_that_are_the_same_for_all_documents_order_nothing(by_query, expected):
    queries, given_ranks = arrays(by_query)
    assert ranks.are_usable(queries, given_ranks) is expected


def found(scores, given_ranks):
    """`by_rank` of one run, with ranks given by document."""
    run = Run.from_dict(scores)
    of_rows = [given_ranks[query_id][doc_id] for query_id, doc_ids, _ in run for doc_id in doc_ids]
    result = ranks.by_rank(run, np.array(of_rows, dtype=np.float64))
    return result and ({query_id: doc_ids for query_id, doc_ids, _ in result[0]}, result[1])


def test_distances_put_every_query_in_another_order_than_their_ranks():
    scores = {"q1": {"a": 0.1, "b": 0.5}, "q2": {"a": 3.0, "b": 1.0}}
    order = {"q1": {"a": 1, "b": 2}, "q2": {"a": 1, "b": 2}}
    assert found(scores, order) == ({"q1": ["a", "b"], "q2": ["a", "b"]}, ["q1"])


def test_ranks_that_break_ties_are_another_order_without_disagreeing():
    assert found({"q": {"a": 0.0, "b": 0.0}}, {"q": {"a": 1, "b": 2}}) == ({"q": ["a", "b"]}, [])


def test_documents_of_one_rank_stay_in_the_order_of_their_scores_and_do_not_disagree():
    scores = {"q": {"a": 1.0, "b": 2.0, "c": 3.0}}
    assert found(scores, {"q": {"a": 2, "b": 2, "c": 1}}) is None
    assert found(scores, {"q": {"a": 1, "b": 1, "c": 2}}) == ({"q": ["b", "a", "c"]}, ["q"])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1, max_size=6))
def test_queries_disagree_where_some_two_documents_do(documents):
    scores = {"q": {f"d{place}": float(score) for place, (score, _) in enumerate(documents)}}
    order = {"q": {f"d{place}": rank for place, (_, rank) in enumerate(documents)}}
    expected = any(one[1] < other[1] and one[0] < other[0] for one in documents for other in documents)
    result = found(scores, order)
    assert bool(result and result[1]) is expected


def test_shared_ranks_are_counted_by_query():
    run = Run.from_dict({"q1": {"a": 2.0, "b": 1.0}, "q2": {"a": 2.0, "b": 1.0}})
    assert ranks.shared_ranks(run, np.array([1.0, 1.0, 1.0, 2.0])) == 1


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.1, 0.5, 0.9], True),
        ([0.9, 0.5, 0.1], False),
        ([1.0, 1.0, 1.0], True),
        ([0.5, 0.1, 0.9], False),
        ([1, 2], False),
    ],
)
def test_a_file_is_reversed_where_scores_never_fall(scores, expected):
    lines = {f"d{place}": float(place) for place in range(len(scores))}
    run = Run.from_dict({"q": dict(zip(lines, map(float, scores), strict=True))})
    of_rows = np.array([lines[doc_id] for _, doc_ids, _ in run for doc_id in doc_ids])
    assert ranks.is_reversed(run, of_rows) is expected
