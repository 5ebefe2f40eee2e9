"""alpha-nDCG, against TREC's ndeval through ir_measures, and by hand."""

import math
import random

import pytest
from by_ir_measures import expected, scores

from evalkit.errors import DataError
from evalkit.measures import measure


def subtopics(seed, queries=60):
    draw = random.Random(seed)
    return {
        str(query): {
            f"d{place}": {str(topic): draw.choice((-2, 0, 0, 1, 2)) for topic in range(1, draw.randint(2, 6))}
            for place in draw.sample(range(15), draw.randint(1, 12))
        }
        for query in range(1, queries + 1)
    }


@pytest.mark.interop
@pytest.mark.parametrize("name", ["alpha_nDCG@1", "alpha_nDCG@5", "alpha_nDCG@20", "alpha_nDCG(rel=2)@10"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_values_are_those_of_ndeval(name):
    library = pytest.importorskip("ir_measures")
    pytest.importorskip("pyndeval")
    judged, found = subtopics(1), scores(2)
    rows = [
        library.Qrel(query, doc_id, grade, topic)
        for query, own in judged.items()
        for doc_id, grades in sorted(own.items())
        for topic, grade in grades.items()
    ]
    answer = measure({}, found, [name], subtopics=judged).values[name].tolist()
    assert pytest.approx(expected(name, rows, found), abs=1e-9) == answer
    assert len(set(answer)) > 5


def test_a_subtopic_that_was_seen_gains_less():
    """The run has subtopic 1 twice and then 2; the best order has a document of both first."""
    judged = {
        "q": {"a": {"1": 1}, "b": {"1": 1, "3": 0}, "c": {"2": 1}, "d": {"1": 1, "2": 2}},
        "missing": {"a": {"1": 1}},
    }
    found = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    dcg = 1 + 0.5 / math.log2(3) + 1 / 2
    best = 2 + 0.5 / math.log2(3) + 0.5 / 2
    per_query = measure({}, found, ["alpha_nDCG@3"], subtopics=judged)
    assert [0.0, pytest.approx(dcg / best)] == per_query.values["alpha_nDCG@3"].tolist()
    assert ("missing",) == per_query.missing


def test_judgments_without_subtopics_are_refused():
    with pytest.raises(
        DataError, match=r"alpha_nDCG@10 needs judgments of subtopics, which only `evalkit measure` reads"
    ):
        measure({"q": {"a": 1}}, {"q": {"a": 1.0}}, ["nDCG@10", "alpha_nDCG@10"])
