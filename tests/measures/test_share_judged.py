"""Judged@k, against ir_measures and by hand."""

import pytest
from by_ir_measures import expected, judgments, scores

from evalkit.measures import measure


@pytest.mark.interop
@pytest.mark.parametrize("name", ["Judged@1", "Judged@10", "Judged"])
def test_values_are_those_of_ir_measures(name):
    qrels, found = judgments(1, grades=(-1, 0, 1)), scores(2)
    answer = measure(qrels, found, [name]).values[name].tolist()
    assert pytest.approx(expected(name, qrels, found), abs=1e-12) == answer


def test_values_by_hand():
    """Judgments of any grade count, and a query with fewer documents than k is divided by what it has."""
    qrels = {"q": {"a": 0, "c": -1, "d": 1}, "r": {"a": 1}}
    found = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    assert {"Judged@2": 0.25, "Judged@10": pytest.approx(1 / 3)} == measure(
        qrels, found, ["Judged@2", "Judged@10"]
    ).means
