"""Exponential gains, against gdeval through ir_measures, trec_eval with the gains for grades, and by hand."""

import math
import shutil

import pytest
import pytrec_eval
from by_ir_measures import expected, judgments, scores

from evalkit.errors import DataError
from evalkit.measures import measure
from evalkit.run import Run


@pytest.mark.interop
@pytest.mark.skipif(not shutil.which("perl"), reason="gdeval is a Perl script")
@pytest.mark.parametrize("cutoff", [1, 3, 10, 20])
def test_exponential_gains_are_those_of_gdeval(cutoff):
    name = f"nDCG(dcg='exp-log2')@{cutoff}"
    qrels, found = judgments(1, grades=(-2, 0, 1, 2, 3, 4)), scores(2)
    answer = measure(qrels, found, [name]).values[name].tolist()
    assert pytest.approx(expected(name, qrels, found), abs=5.1e-6) == answer  # gdeval prints five digits


@pytest.mark.parametrize("name", ["nDCG(dcg='exp-log2')@5", "nDCG(dcg='exp-log2')"])
def test_exponential_gains_are_those_of_trec_eval_with_gains_for_grades(name):
    qrels, found = judgments(3), scores(4)
    gains = {query: {doc_id: 2**grade - 1 for doc_id, grade in own.items()} for query, own in qrels.items()}
    key = "ndcg_cut_5" if "@" in name else "ndcg"
    answers = pytrec_eval.RelevanceEvaluator(gains, {key.replace("_5", ".5")}).evaluate(found)
    values = [answers[query][key] if query in answers else 0.0 for query in sorted(qrels)]
    assert pytest.approx(values, abs=1e-12) == measure(qrels, found, [name]).values[name].tolist()


def test_exponential_gains_by_hand():
    """Grades 1 and 3 in the run, and a 2 that it lacks."""
    run = Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}})
    value = measure({"q": {"a": 1, "c": 3, "absent": 2}}, run, ["nDCG(dcg=exp-log2)@10"]).means
    assert {"nDCG(dcg='exp-log2')@10": pytest.approx((1 + 7 / 2) / (7 + 3 / math.log2(3) + 1 / 2))} == value


def test_a_grade_whose_gain_no_float_holds_is_refused():
    with pytest.raises(DataError, match="the grade 2000 of query 'q' is too great"):
        measure({"q": {"a": 2000}}, {"q": {"a": 1.0}}, ["nDCG(dcg=exp-log2)@10"])


@pytest.mark.interop
@pytest.mark.parametrize("name", ["nDCG(judged_only=True)@5", "AP(judged_only=True)", "P(judged_only=True)@3"])
def test_judged_only_is_that_of_ir_measures(name):
    qrels, found = judgments(5), scores(6)
    answer = next(iter(measure(qrels, found, [name]).values.values()))
    assert pytest.approx(expected(name, qrels, found), abs=1e-12) == answer.tolist()
