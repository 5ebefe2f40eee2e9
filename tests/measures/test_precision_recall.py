"""Capped recall against BEIR's software and by hand; R-precision against ir_measures."""

import pytest
from by_ir_measures import expected, judgments, scores

from evalkit.measures import measure
from evalkit.run import Run


@pytest.mark.interop
@pytest.mark.parametrize("cutoff", [1, 3, 10])
def test_capped_recall_is_that_of_beir(cutoff):
    """BEIR breaks ties as they come, divides by 0 where nothing is relevant, and averages over the run's queries."""
    beir = pytest.importorskip("beir.retrieval.custom_metrics")
    qrels = {query: own for query, own in judgments(1).items() if any(grade > 0 for grade in own.values())}
    run = Run.from_dict({query: own for query, own in scores(2).items() if query in qrels})
    ranked = {query: {doc_id: -float(place) for place, doc_id in enumerate(doc_ids)} for query, doc_ids, _ in run}
    qrels = {query: qrels[query] for query in ranked}
    answer = measure(qrels, run, [f"R_cap@{cutoff}"]).means[f"R_cap@{cutoff}"]
    assert beir.recall_cap(qrels, ranked, [cutoff])[f"R_cap@{cutoff}"] == round(answer, 5)


def test_capped_recall_by_hand():
    """Three relevant documents, two of them among the first three, one of them first."""
    qrels = {"q": {"a": 2, "c": 1, "absent": 1, "b": 0}, "nothing relevant": {"a": 0}, "missing": {"a": 1}}
    run = Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}, "nothing relevant": {"a": 1.0}})
    values = measure(qrels, run, ["R_cap@1", "R_cap@2", "R_cap@100", "R_cap(rel=2)@2"]).values
    order = ["missing", "nothing relevant", "q"]
    assert {name: dict(zip(order, column, strict=True)) for name, column in values.items()} == {
        "R_cap@1": {"missing": 0, "nothing relevant": 0, "q": 1},
        "R_cap@2": {"missing": 0, "nothing relevant": 0, "q": 1 / 2},
        "R_cap@100": {"missing": 0, "nothing relevant": 0, "q": pytest.approx(2 / 3)},
        "R_cap(rel=2)@2": {"missing": 0, "nothing relevant": 0, "q": 1},
    }


@pytest.mark.interop
@pytest.mark.parametrize("name", ["Rprec", "Rprec(rel=2)", "Rprec(judged_only=True)"])
def test_r_precision_is_that_of_ir_measures(name):
    qrels, found = judgments(3), scores(4)
    answer = measure(qrels, found, [name]).values[name].tolist()
    assert pytest.approx(expected(name, qrels, found), abs=1e-12) == answer
    assert len(set(answer)) > 3


def test_r_precision_by_hand():
    """Three relevant documents, one of them among the first three."""
    qrels = {"q": {"b": 2, "d": 1, "absent": 1}, "nothing relevant": {"a": 0}}
    found = {"q": {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}, "nothing relevant": {"a": 1.0}}
    values = measure(qrels, found, ["Rprec", "Rprec(rel=2)"]).values
    assert {"Rprec": [0.0, pytest.approx(1 / 3)], "Rprec(rel=2)": [0.0, 0.0]} == {
        name: column.tolist() for name, column in values.items()
    }
