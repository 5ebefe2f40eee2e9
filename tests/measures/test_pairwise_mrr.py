"""p-MRR, against mteb's own function, and by hand."""

import random

import pytest

from evalkit.errors import DataError
from evalkit.measures import ceilings, measure
from evalkit.run import Run

QRELS = {"1-og": {"a": 1, "b": 1, "c": 0}, "1-changed": {"a": 0, "b": 1, "c": 0}}


def judged_and_run(seed: int) -> tuple[dict, dict]:
    """Topics with two instructions each, of which the second takes the relevance of some documents away."""
    draw = random.Random(seed)
    qrels, run = {}, {}
    for topic in range(20):
        before = {f"d{number}": draw.randint(0, 2) for number in draw.sample(range(30), 8)}
        before["d30"] = 1
        changed = {
            key: 0 if key == "d30" or (grade and draw.random() < 0.5) else grade for key, grade in before.items()
        }
        qrels |= {f"{topic}-og": before, f"{topic}-changed": changed}
        for end in ("og", "changed"):
            # Few scores, so that many documents are tied; not every judged document is in the run.
            run[f"{topic}-{end}"] = {f"d{number}": draw.randint(0, 9) / 8 for number in draw.sample(range(31), 25)}
    return qrels, run


@pytest.mark.slow  # importing mteb takes seconds
@pytest.mark.parametrize("seed", range(5))
def test_the_mean_is_that_of_mteb(seed: int):
    metrics = pytest.importorskip("mteb._evaluators.retrieval_metrics")
    qrels, run = judged_and_run(seed)
    changed = {
        query.removesuffix("-og"): [
            key for key, grade in judged.items() if grade != qrels[f"{query[:-3]}-changed"][key]
        ]
        for query, judged in qrels.items()
        if query.endswith("-og")
    }
    ours = measure(qrels, run, ["p-MRR"]).means["p-MRR"]
    parts = [{query: found for query, found in run.items() if query.endswith(end)} for end in ("-og", "-changed")]
    assert ours == pytest.approx(metrics.calculate_pmrr(*parts, changed), abs=1e-12)
    assert abs(ours) > 1e-3


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [("abc", "cba", 1 - 1 / 3), ("cba", "abc", 1 / 3 - 1), ("abc", "abc", 0.0), ("abc", "bc", 1 - 1 / 3)],
)
def test_the_document_that_lost_its_relevance_decides(before: str, after: str, value: float):
    """In the last case it is not in the second run, and counts as behind its last document."""
    run = {
        "1-og": {key: -place for place, key in enumerate(before)},
        "1-changed": {key: -place for place, key in enumerate(after)},
    }
    found = measure(QRELS, run, ["p-MRR", "RR"])
    assert found.values["p-MRR"].tolist() == [pytest.approx(value)] * 2
    assert found.query_ids == ("1-changed", "1-og")


def test_a_topic_that_the_run_lacks_counts_as_nothing():
    run = {"1-og": {"a": 2.0, "b": 1.0}}
    assert measure(QRELS, run, ["p-MRR"]).means == {"p-MRR": 0.0}


def test_a_query_without_its_partner_is_refused():
    with pytest.raises(DataError, match=r"p-MRR compares queries such as 301-og and 301-changed, and '2' has no such"):
        measure({**QRELS, "2": {"a": 1}}, {"2": {"a": 1.0}}, ["p-MRR"])
    with pytest.raises(DataError, match="'2-og' has no such partner '2-changed'"):
        measure({**QRELS, "2-og": {"a": 1}}, {"2-og": {"a": 1.0}}, ["p-MRR"])


def test_the_ceiling_is_the_greatest_value_that_it_has():
    """The best order by grade has less: an order that moves a document further would be above it."""
    run = Run.from_dict({query: {"a": 1.0, "b": 2.0, "c": 3.0} for query in QRELS})
    assert ceilings(QRELS, run, ["p-MRR", "RR"]) == {"p-MRR": 1.0, "RR": 1.0}
