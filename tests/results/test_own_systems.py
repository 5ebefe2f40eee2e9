"""Measures of judgments and runs as Python code gives them."""

from typing import NamedTuple

import pandas as pd
import pytest

import evalkit
from evalkit.errors import ConfigError, DataError

QRELS = {"1": {"a": 1, "b": 2}}
RUN = {"1": {"a": 2.0, "c": 1.5, "b": 1.0}}


@pytest.mark.interop
def test_measures_of_ir_measures_are_taken_by_their_names():
    library = pytest.importorskip("ir_measures")
    given = [library.nDCG @ 10, library.AP(rel=2), library.nDCG(dcg="exp-log2") @ 3, library.RBP(rel=1, p=0.9)]
    means = evalkit.measure(QRELS, RUN, given).means
    assert list(means) == ["nDCG@10", "MAP(rel=2)", "nDCG(dcg='exp-log2')@3", "RBP(rel=1,p=0.9)"]
    expected = library.calc_aggregate(given, QRELS, RUN)
    assert list(means.values()) == pytest.approx([expected[measure] for measure in given], abs=5.1e-6)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"9": {"d1": 1.0}}, "run: no query of the run is judged in qrels"),
        ({"01": {"d1": 1.0}}, "run: no query of the run is judged in qrels.*'01'.*'1'"),
        ({"1": {"d9": 1.0}}, "run: no retrieved document is judged in qrels"),
    ],
)
def test_a_run_of_another_collection_is_refused_as_on_the_command_line(run, message):
    with pytest.raises(DataError, match=message):
        evalkit.measure({"1": {"d1": 1}}, run)


def test_what_is_odd_about_a_run_is_logged_with_remedies_that_measure_has(caplog):
    rows = [("1", "d1", 1, 0.5), ("1", "d2", 2, 0.9), ("1", "1", 3, 0.1), ("3", "d1", 1, 0.5)]
    run = pd.DataFrame(rows, columns=["query_id", "doc_id", "rank", "score"])
    qrels = {"1": {"d1": 1, "d2": 0}, "2": {"d1": 1}}
    assert {"RR@10": 0.25} == evalkit.measure(qrels, run, "RR@10").means
    for said in ("1 of 2 judged queries are not in the run", "order='rank'", "drop_identical_ids=True", "left out"):
        assert said in caplog.text
    caplog.clear()
    assert {"RR@10": 0.5} == evalkit.measure(qrels, run, "RR@10", order="rank", drop_identical_ids=True).means
    assert "order='rank'" not in caplog.text
    assert "retrieved their own id" not in caplog.text
    with pytest.raises(ConfigError, match="drop_identical_ids is 'yes', expected True or False"):
        evalkit.measure(qrels, run, drop_identical_ids="yes")


class Judged(NamedTuple):
    """As a row of ir_measures."""

    query_id: str
    doc_id: str
    relevance: int
    iteration: str


@pytest.mark.parametrize("subtopics", ["iteration", "subtopic"])
def test_judgments_of_subtopics_are_a_file_a_table_or_rows(tmp_path, subtopics):
    rows = [Judged("1", doc_id, grade, topic) for doc_id, topic, grade in (("a", "1", 1), ("b", "2", 1), ("a", "3", 0))]
    path = tmp_path / "diversity.qrels"
    path.write_text("".join(f"{row.query_id} {row.iteration} {row.doc_id} {row.relevance}\n" for row in rows))
    table = pd.DataFrame(rows).rename(columns={"iteration": subtopics}).astype({"query_id": int})
    run, measures = {"1": {"b": 1.0, "c": 0.5, "a": 0.2}}, ["alpha_nDCG@1", "alpha_nDCG@3", "alpha_nDCG(alpha=0.9)"]
    expected = evalkit.measure(path, run, measures).means
    assert 0 < expected["alpha_nDCG@3"] < 1
    for judged in (rows, iter(rows), table, table.to_dict("records")):
        assert expected == evalkit.measure(judged, run, measures).means


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        (QRELS, "qrels: row 1 is '1' .*Expected a TREC file, or a table or rows of ir_measures with query_id, doc_id"),
        (
            pd.DataFrame({"qid": [1], "docno": ["a"], "label": [1]}),
            "qrels: has qid, docno, label. Expected a TREC file",
        ),
        ([Judged("1", "a", 1, "0")], "qrels: holds no judgments of subtopics: the iteration is '0' in every line"),
        ([Judged("1", "a", 1, 1.5)], r"qrels: the id 1.5 \(float\) is neither a text nor an integer"),
        ([Judged("1", "a", 0.5, 1)], "qrels: query '1': the relevance is '0.5', expected an integer"),
        (None, "qrels is None"),
        (3, r"qrels: is 3 \(int\)"),
    ],
)
def test_other_judgments_of_subtopics_are_one_line(judged, message):
    with pytest.raises(evalkit.EvalkitError, match=f"^{message}"):
        evalkit.measure(judged, RUN, "alpha_nDCG@1")


@pytest.mark.parametrize(
    ("measures", "message"),
    [
        ([], "measures is empty, expected names such as"),
        (None, "measures has None, expected names such as"),
        (["nDCG@10", 5], "measures has 5, expected names such as"),
        ([QRELS], "measures has dict, expected names such as"),
        ("ndcg", r"unknown measure 'ndcg'\. Did you mean nDCG"),
    ],
)
def test_what_is_no_name_is_one_line(measures, message):
    with pytest.raises(evalkit.EvalkitError, match=message):
        evalkit.measure(QRELS, RUN, measures)


@pytest.mark.interop
def test_measures_of_ir_measures_are_those_of_an_evaluation(tmp_path):
    ir_measures = pytest.importorskip("ir_measures")
    found = evalkit.evaluate(
        dataset={"corpus": {1: "bees", 2: "cows"}, "queries": {1: "bees"}, "qrels": {1: {1: 1}}},
        retriever="bm25",
        measures=[ir_measures.Judged @ 1, ir_measures.RBP(rel=1)],
        results_dir=tmp_path / "results",
        cache_dir=tmp_path / "cache",
    )
    assert ["Judged@1", "RBP(rel=1)"] == list(found.measures)[:2]
