"""Measures of judgments and runs as Python code gives them."""

import pytest

import evalkit

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


def test_judgments_of_subtopics_are_a_file(tmp_path):
    path = tmp_path / "diversity.qrels"
    path.write_text("1 1 a 1\n1 2 b 1\n", encoding="utf-8")
    assert evalkit.measure(path, RUN, "alpha_nDCG@1").means == {"alpha_nDCG@1": 1.0}
    with pytest.raises(evalkit.EvalkitError, match="qrels is dict, expected a path"):
        evalkit.measure(QRELS, RUN, "alpha_nDCG@1")


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
