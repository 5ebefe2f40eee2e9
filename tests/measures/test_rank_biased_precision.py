"""Rank-biased precision, against cwl_eval through ir_measures, and by hand."""

import pytest
from by_ir_measures import expected, judgments, scores

from evalkit.measures import measure


@pytest.mark.interop
@pytest.mark.parametrize(("name", "theirs"), [("RBP", "RBP(rel=1)"), ("RBP(rel=2,p=0.5)", "RBP(rel=2,p=0.5)")])
def test_values_are_those_of_cwl_eval(name, theirs):
    pytest.importorskip("cwl")
    qrels, found = judgments(1), scores(2)
    answer = measure(qrels, found, [name]).values[name].tolist()
    assert pytest.approx(expected(theirs, qrels, found), abs=1e-9) == answer


def test_values_by_hand():
    found = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    means = measure({"q": {"a": 1, "c": 2}}, found, ["RBP", "RBP@2", "RBP(p=0.5)", "RBP(rel=2,p=0.5)"]).means
    expected_means = {"RBP": 0.2 * (1 + 0.64), "RBP@2": 0.2, "RBP(p=0.5)": 0.5 * 1.25, "RBP(rel=2,p=0.5)": 0.5 * 0.25}
    assert {key: pytest.approx(value) for key, value in expected_means.items()} == means
