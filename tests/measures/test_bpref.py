"""Binary preference, against ir_measures and by hand."""

import pytest
from by_ir_measures import expected, judgments, scores

from evalkit.measures import measure


@pytest.mark.interop
@pytest.mark.parametrize("name", ["Bpref", "Bpref(rel=2)"])
def test_bpref_is_that_of_ir_measures(name):
    qrels, found = judgments(1), scores(2)
    answer = measure(qrels, found, [name]).values[name].tolist()
    assert pytest.approx(expected(name, qrels, found), abs=1e-12) == answer
    assert len(set(answer)) > 3


def test_documents_with_a_negative_grade_count_as_unjudged():
    """trec_eval calls -1 a document outside the pool; a judged other document would be above the relevant one."""
    found = {"q": {"a": 2.0, "b": 1.0}}
    qrels = {"b": 1, "c": 0}
    assert [1.0, 1.0, 0.0] == [
        measure({"q": {**qrels, **grade}}, found, ["Bpref"]).means["Bpref"] for grade in ({}, {"a": -1}, {"a": 0})
    ]
