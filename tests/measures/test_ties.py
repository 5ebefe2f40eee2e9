"""Tie ranges against every order of the tied documents, by hand and through pytrec_eval."""

import math
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.measures import measure
from evalkit.measures.ties import tie_bounds, tie_range
from evalkit.run import Run


def every_order(qrels, scores, name):
    """The measure of each order that breaks the ties of the one query, all equally likely."""
    (query, found), *_ = scores.items()
    levels = sorted(set(found.values()), reverse=True)
    tied = [[doc for doc, score in found.items() if score == level] for level in levels]
    values = []
    for orders in product(*(permutations(group) for group in tied)):
        ranked = [doc for group in orders for doc in group]
        run = Run.from_dict({query: {doc: float(-place) for place, doc in enumerate(ranked)}})
        values.append(measure(qrels, run, [name]).means[name])
    return values


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 3)), min_size=1, max_size=5),
    st.sampled_from(["nDCG@3", "nDCG@10", "P@2", "R@3", "P(rel=2)@2", "R(rel=2)@3"]),
)
def test_range_is_that_of_all_orders(documents, name):
    scores = {"q": {f"d{place}": float(score) for place, (score, _) in enumerate(documents)}}
    qrels = {"q": {**{f"d{place}": grade for place, (_, grade) in enumerate(documents)}, "absent": 2}}
    values = every_order(qrels, scores, name)
    found = tie_range(qrels, Run.from_dict(scores), name)
    assert found.least == pytest.approx(min(values), abs=1e-6)
    assert found.greatest == pytest.approx(max(values), abs=1e-6)
    assert found.expected == pytest.approx(np.mean(values), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from([None, -1, 0, 1, 2])), min_size=1, max_size=4),
    st.sampled_from(
        [
            "nDCG(dcg='exp-log2')@2",
            "nDCG(judged_only=True)@2",
            "ERR@3",
            "RBP(p=0.5)",
            "Judged@2",
            "Bpref",
            "R_cap@2",
            "Rprec",
        ]
    ),
)
def test_ends_are_those_of_all_orders_for_measures_that_trec_eval_lacks_too(documents, name):
    scores = {"q": {f"d{place}": float(score) for place, (score, _) in enumerate(documents)}}
    judged = {f"d{place}": grade for place, (_, grade) in enumerate(documents) if grade is not None}
    qrels = {"q": {**judged, "absent": 1}}
    values = every_order(qrels, scores, name)
    found = tie_range(qrels, Run.from_dict(scores), name)
    assert (found.least, found.expected, found.greatest) == (
        pytest.approx(min(values)),
        None,
        pytest.approx(max(values)),
    )


def test_two_tied_documents_one_of_them_relevant():
    run = Run.from_dict({"q": {"a": 1.0, "b": 1.0}})
    found = tie_range({"q": {"a": 1}}, run, "nDCG@10")
    assert (found.least, found.greatest) == (pytest.approx(1 / math.log2(3)), 1.0)
    assert found.expected == pytest.approx((1 + 1 / math.log2(3)) / 2)


def test_query_without_candidates_counts_as_zero():
    found = tie_range({"q": {"a": 1}, "other": {"x": 1}}, Run.from_dict({"q": {"a": 1.0}}), "nDCG@10")
    assert found == (0.5, pytest.approx(0.5), 0.5)


def test_measures_that_are_not_sums_over_places_have_no_expectation():
    run = Run.from_dict({"q": {"a": 1.0, "b": 1.0}})
    assert tie_range({"q": {"a": 1}}, run, "RR@10") == (0.5, None, 1.0)


def test_without_ties_all_three_are_the_value():
    run = Run.from_dict({"q": {"a": 2.0, "b": 1.0}})
    assert tie_range({"q": {"b": 1}}, run, "P@1") == (0.0, 0.0, 0.0)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["q1", "q2", "q3"]),
        st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2).map(float), min_size=1),
        min_size=1,
    )
)
def test_bounds_of_several_measures_are_those_of_each(scores):
    qrels = {"q1": {"a": 1, "b": 2}, "q2": {"a": 0}, "q4": {"d": 1}}
    run, names = Run.from_dict(scores), ["nDCG@2", "RR@10", "MAP(rel=2)"]
    bounds = tie_bounds(qrels, run, measure(qrels, run, names))
    for name in names:
        expected = tie_range(qrels, run, name)
        assert bounds[name] == (pytest.approx(expected.least), pytest.approx(expected.greatest))
