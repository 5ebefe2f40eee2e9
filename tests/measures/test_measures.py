"""Measures held equal to pytrec_eval called directly, to hand computation, and to brute force."""

import copy
import itertools
import math
import re
import subprocess
import sys

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import ConfigError, DataError
from evalkit.formats.trec import read_qrels, read_run
from evalkit.measures import ceiling, families, measure, parse_measure
from evalkit.run import Run

BY_TREC_NAME = {
    "nDCG@1": "ndcg_cut.1",
    "nDCG@3": "ndcg_cut.3",
    "R@2": "recall.2",
    "P@4": "P.4",
    "MAP@3": "map_cut.3",
    "Success@2": "success.2",
    "nDCG": "ndcg",
    "MAP": "map",
    "RR": "recip_rank",
}
DOCS = st.sampled_from([f"d{i}" for i in range(8)])
QUERIES = st.sampled_from(["q1", "q2", "q3", "q4"])
GRADES = st.dictionaries(DOCS, st.integers(0, 3), min_size=1)
TIED_SCORES = st.sampled_from([0.0, -1.0, 0.25, 0.25 + 1e-12, 3.5, 7.0])
RUNS = st.dictionaries(QUERIES, st.dictionaries(DOCS, TIED_SCORES, min_size=1), max_size=4)
ALL_QRELS = st.dictionaries(QUERIES, GRADES, min_size=1, max_size=4)


def by_pytrec_eval(qrels, scores, trec_name):
    """Value of one measure for every judged query, asked of pytrec_eval alone; 0 where it answers nothing."""
    answers = pytrec_eval.RelevanceEvaluator(qrels, {trec_name}).evaluate(scores)
    key = trec_name.replace(".", "_")
    return [answers[query_id][key] if query_id in answers else 0.0 for query_id in sorted(qrels)]


@given(ALL_QRELS, RUNS)
def test_values_are_those_of_pytrec_eval(qrels, scores):
    expected = {name: by_pytrec_eval(qrels, scores, trec_name) for name, trec_name in BY_TREC_NAME.items()}
    per_query = measure(qrels, Run.from_dict(scores), list(BY_TREC_NAME))
    assert tuple(sorted(qrels)) == per_query.query_ids
    assert expected == {name: column.tolist() for name, column in per_query.values.items()}
    assert tuple(sorted(set(qrels) - set(scores))) == per_query.missing
    assert {name: pytest.approx(sum(column) / len(qrels)) for name, column in expected.items()} == per_query.means


@given(GRADES, st.dictionaries(DOCS, TIED_SCORES, min_size=1), st.integers(1, 9))
def test_reciprocal_rank_at_a_cutoff_is_that_of_the_first_documents(grades, scores, cutoff):
    order = sorted(scores, key=lambda doc_id: (np.float32(scores[doc_id]), doc_id), reverse=True)
    expected = next((1 / rank for rank, doc in enumerate(order[:cutoff], 1) if grades.get(doc, 0) > 0), 0.0)
    actual = measure({"q": grades}, Run.from_dict({"q": scores}), [f"RR@{cutoff}"]).values[f"RR@{cutoff}"]
    assert [expected] == actual.tolist()


@pytest.mark.parametrize("rank", [1, 3, 7, 10, 49, 1000])
def test_reciprocal_rank_counts_at_its_cutoff_and_not_one_before(rank):
    run = Run.from_dict({"q": {f"d{i}": -float(i) for i in range(1, 1001)}})
    names = ["RR", f"RR@{rank}", f"RR@{rank + 1}"] + ([f"RR@{rank - 1}"] if rank > 1 else [])
    expected = dict.fromkeys(names, 1 / rank) | ({f"RR@{rank - 1}": 0.0} if rank > 1 else {})
    assert expected == measure({"q": {f"d{rank}": 1}}, run, names).means


def test_a_run_may_be_a_dict_and_keeps_its_numbers():
    scores = {"q": {"d1": np.float32(0.5), "d2": 1, "d3": 0.25}}
    assert (
        measure({"q": {"d1": 1}}, scores, ["RR"]).means
        == measure({"q": {"d1": 1}}, Run.from_dict(scores), ["RR"]).means
    )
    assert scores == {"q": {"d1": np.float32(0.5), "d2": 1, "d3": 0.25}}


@pytest.mark.parametrize("wrong", [{"q": ["d1", "d2"]}, {"q": {"d1": "high"}}, {"q": 0.5}])
def test_a_dict_that_is_not_a_run_is_one_line(wrong):
    with pytest.raises(
        DataError, match=r"^run: query 'q' has .*, expected its documents' scores, such as \{'d1': 2\.5"
    ):
        measure({"q": {"d1": 1}}, wrong, ["RR"])


def test_ndcg_has_linear_gains():
    """Grades 1, 0, 3 in the run and a 2 that it lacks: (1 + 3/log2 4) / (3 + 2/log2 3 + 1/log2 4)."""
    qrels = {"q": {"a": 1, "b": 0, "c": 3, "absent": 2}}
    run = Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}})
    expected = (1 + 3 / 2) / (3 + 2 / math.log2(3) + 1 / 2)
    assert pytest.approx(expected, abs=1e-12) == measure(qrels, run, ["nDCG@10"]).means["nDCG@10"]


def test_ndcg_at_a_cutoff_cuts_the_ideal_ranking_too():
    qrels = {"q": {"a": 1, "b": 2, "c": 3}}
    run = Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}})
    expected = {"nDCG@1": 1 / 3, "nDCG@2": (1 + 2 / math.log2(3)) / (3 + 2 / math.log2(3))}
    assert {name: pytest.approx(value) for name, value in expected.items()} == measure(qrels, run, list(expected)).means


def test_other_measures_agree_with_hand_computation():
    """Relevant at ranks 2 and 3, one more relevant document is not in the run."""
    qrels = {"q": {"b": 1, "c": 2, "absent": 1, "a": 0}}
    run = Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}})
    expected = {
        "R@2": 1 / 3,
        "R@100": 2 / 3,
        "P@2": 1 / 2,
        "P@10": 2 / 10,
        "MAP": (1 / 2 + 2 / 3) / 3,
        "MAP@2": (1 / 2) / 3,
        "RR": 1 / 2,
        "RR@1": 0.0,
        "Success@1": 0.0,
        "Success@2": 1.0,
    }
    assert {name: pytest.approx(value) for name, value in expected.items()} == measure(qrels, run, list(expected)).means


def test_judged_query_missing_from_run_counts_as_zero_and_is_named():
    qrels = {"q2": {"d": 1}, "q1": {"d": 1}, "q0": {"d": 1}, "q3": {"d": 1}}
    per_query = measure(qrels, Run.from_dict({"q1": {"d": 1.0}}), ["nDCG@10", "RR"])
    assert ("q0", "q1", "q2", "q3") == per_query.query_ids
    assert [0.0, 1.0, 0.0, 0.0] == per_query.values["nDCG@10"].tolist()
    assert {"nDCG@10": 0.25, "RR": 0.25} == per_query.means
    assert ("q0", "q2", "q3") == per_query.missing


def test_empty_run_scores_zero_everywhere():
    per_query = measure({"q1": {"d": 1}, "q2": {"d": 1}}, Run.from_dict({}), ["nDCG@10"])
    assert {"nDCG@10": 0.0} == per_query.means
    assert ("q1", "q2") == per_query.missing


def test_queries_of_the_run_without_judgments_are_ignored():
    run = Run.from_dict({"q0": {"d": 1.0}, "q1": {"d": 1.0}, "q9": {"x": 1.0}})
    per_query = measure({"q1": {"d": 1}}, run, ["nDCG@10"])
    assert (("q1",), {"nDCG@10": 1.0}, ()) == (per_query.query_ids, per_query.means, per_query.missing)


def test_negative_judgments_are_not_relevant():
    """Spam at rank 1 (-2), relevant at rank 2: nDCG is 1/log2 3, as for an unjudged document at rank 1."""
    qrels = {"q": {"spam": -2, "good": 1}}
    run = Run.from_dict({"q": {"spam": 2.0, "good": 1.0}})
    expected = {"nDCG@10": 1 / math.log2(3), "RR": 0.5, "P@2": 0.5, "R@1": 0.0, "MAP": 0.5}
    assert {name: pytest.approx(value) for name, value in expected.items()} == measure(qrels, run, list(expected)).means


def test_query_with_zero_judgments_only_is_judged_and_scores_zero():
    qrels = {"q1": {"d": 0, "e": 0}, "q2": {"d": 1}}
    run = Run.from_dict({"q1": {"d": 2.0, "e": 1.0}, "q2": {"d": 1.0}})
    names = ["nDCG@10", "R@10", "P@1", "MAP", "RR", "Success@5"]
    per_query = measure(qrels, run, names)
    assert dict.fromkeys(names, 0.5) == per_query.means
    assert () == per_query.missing


def test_query_with_negative_judgments_only_scores_zero():
    """pytrec_eval then reads memory that it never set: now and then it does not return, so a process of its own."""
    program = """
from evalkit.measures import measure
from evalkit.run import Run
from evalkit.formats.trec import read_qrels, read_run
run = Run.from_dict({"q": {"d": 2.0, "e": 1.0}})
names = ["nDCG@10", "nDCG", "P@2", "MAP", "RR", "Bpref", "Rprec"]
for _ in range(50):
    measure({"q": {"d": 1}}, run, [])
    measure({"q": {"d": -2, "e": 1}}, run, names)
    assert {0.0} == set(measure({"q": {"d": -2, "e": -1}}, run, names).means.values())
    assert {0.0} == set(measure({"q": {"d": -1}}, run, names).means.values())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=6, check=False)
    assert (0, "") == (done.returncode, done.stderr)


@given(
    ALL_QRELS, RUNS, st.sampled_from(["nDCG@2", "R@2", "P@3", "MAP", "RR@2", "Success@2", "Rprec", "RBP@2", "ERR@2"])
)
def test_judged_only_measures_the_run_without_unjudged_documents(qrels, scores, name):
    condensed = {
        query_id: {doc_id: score for doc_id, score in found.items() if doc_id in qrels.get(query_id, {})}
        for query_id, found in scores.items()
    }
    expected = measure(qrels, Run.from_dict(condensed), [name]).values[name]
    family, at, cutoff = name.partition("@")
    both = measure(qrels, Run.from_dict(scores), [f"{family}'{at}{cutoff}", name])
    assert expected.tolist() == both.values[f"{family}(judged_only=True){at}{cutoff}"].tolist()
    assert measure(qrels, Run.from_dict(scores), [name]).values[name].tolist() == both.values[name].tolist()
    assert tuple(sorted(set(qrels) - set(scores))) == both.missing


@pytest.mark.parametrize("name", ["nDCG(dcg=exp-log2)@5", "ERR@5", "RBP", "R_cap@5", "nDCG'@10"])
def test_query_with_negative_judgments_only_scores_zero_without_trec_eval_too(name):
    assert [0.0] == list(measure({"q": {"d": -2, "e": -1}}, {"q": {"d": 2.0, "e": 1.0}}, [name]).means.values())


def test_query_with_no_judgment_scores_zero():
    run = Run.from_dict({"q": {"d": 2.0}, "r": {"d": 1.0}})
    assert {"nDCG@10": 0.5, "RR": 0.5} == measure({"q": {}, "r": {"d": 1}}, run, ["nDCG@10", "RR"]).means


def test_ties_in_the_run_are_broken_by_document_id_descending():
    run = Run.from_dict({"q": {"a": 1.0, "b": 1.0}})
    assert [1.0, 0.5] == [measure({"q": {doc: 1}}, run, ["RR"]).means["RR"] for doc in ("b", "a")]


@pytest.mark.parametrize("queries", [499, 500, 501, 1000, 1203])
def test_any_number_of_queries_is_measured(queries):
    """The relevant document of query i is at rank i % 3 + 1; every seventh query is not in the run."""
    names = [f"q{i:04d}" for i in range(queries)]
    qrels = {name: {f"d{i % 3}": 1} for i, name in enumerate(names)}
    scores = {name: {"d0": 3.0, "d1": 2.0, "d2": 1.0} for i, name in enumerate(names) if i % 7}
    per_query = measure(qrels, Run.from_dict(scores), ["RR"])
    assert [1 / (i % 3 + 1) if i % 7 else 0.0 for i in range(queries)] == per_query.values["RR"].tolist()
    assert tuple(names[::7]) == per_query.missing


def test_judgments_and_run_of_the_caller_are_not_changed():
    qrels = {"q1": {"d": 1, "e": 0}, "q2": {"d": -1, "e": 1}}
    run = Run.from_dict({"q1": {"d": 1.0, "e": 2.0}, "q3": {"d": 1.0}})
    before, rows_before = copy.deepcopy(qrels), (run.codes.copy(), run.scores.copy(), run.offsets.copy())
    measure(qrels, run, ["nDCG@10", "RR@1"])
    ceiling(qrels, run)
    assert before == qrels
    for old, new in zip(rows_before, (run.codes, run.scores, run.offsets), strict=True):
        assert old.tolist() == new.tolist()


def test_no_judged_query_is_an_error():
    with pytest.raises(DataError, match="no judged queries"):
        measure({}, Run.from_dict({"q": {"d": 1.0}}), ["nDCG@10"])


@pytest.mark.parametrize(
    "name",
    [
        *(
            "ndcg@10",
            "NDCG@10",
            "nDCG@0",
            "nDCG@010",
            "nDCG@-1",
            "nDCG@",
            "nDCG@ten",
            "nDCG@1.5",
        ),
        *("ndcg_cut_10", "R", "P", "Success", "Recall", "mrr@10", "", "@10", "nDCG@\u0661", "R@00"),
        *("R()@10", "R@10(rel=2)", "R(rel=2)"),
    ],
)
def test_unknown_measure_is_an_error_that_lists_the_legal_ones(name):
    with pytest.raises(ConfigError) as caught:
        measure({"q": {"d": 1}}, Run.from_dict({"q": {"d": 1.0}}), ["nDCG@10", name])
    assert repr(name) in str(caught.value)
    legal = ["nDCG@k", "R@k", "P@k", "MAP@k", "RR@k", "Success@k", "AnswerRecall@k", "R_cap@k", "ERR@k", "RBP@k"]
    legal += ["Judged@k", "alpha_nDCG@k", "nDCG", "MAP", "RR", "Rprec", "Bpref", "ERR", "RBP", "Judged"]
    assert ", ".join(legal) in str(caught.value)
    assert [*legal, "alpha_nDCG", "p-MRR"] == list(families())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nDCG@10", ("nDCG@10", "nDCG", 10, "ndcg_cut.10", "ndcg_cut_10")),
        ("R@100", ("R@100", "R", 100, "recall.100", "recall_100")),
        ("RR@10", ("RR@10", "RR", 10, "recip_rank", "recip_rank")),
        ("RR", ("RR", "RR", None, "recip_rank", "recip_rank")),
        ("MAP", ("MAP", "MAP", None, "map", "map")),
        ("Success@5", ("Success@5", "Success", 5, "success.5", "success_5")),
        ("MAP(rel=2)", ("MAP(rel=2)", "MAP", None, "map", "map")),
        ("R(rel=2)@100", ("R(rel=2)@100", "R", 100, "recall.100", "recall_100")),
        ("R( rel = 2 )@100", ("R(rel=2)@100", "R", 100, "recall.100", "recall_100")),
        ("MRR@10", ("RR@10", "RR", 10, "recip_rank", "recip_rank")),
        ("MRR", ("RR", "RR", None, "recip_rank", "recip_rank")),
        ("Recall(rel=3)@10", ("R(rel=3)@10", "R", 10, "recall.10", "recall_10")),
        ("Hit@10", ("Success@10", "Success", 10, "success.10", "success_10")),
        ("Precision@5", ("P@5", "P", 5, "P.5", "P_5")),
        ("AP@5", ("MAP@5", "MAP", 5, "map_cut.5", "map_cut_5")),
        ("bpref", ("Bpref", "Bpref", None, "bpref", "bpref")),
        ("RPrec(rel=2)", ("Rprec(rel=2)", "Rprec", None, "Rprec", "Rprec")),
        ("nDCG(judged_only=True)@10", ("nDCG(judged_only=True)@10", "nDCG", 10, "ndcg_cut.10", "ndcg_cut_10")),
        ("nDCG'@10", ("nDCG(judged_only=True)@10", "nDCG", 10, "ndcg_cut.10", "ndcg_cut_10")),
        ("MAP\u2032", ("MAP(judged_only=True)", "MAP", None, "map", "map")),
        ("nDCG(judged_only=False)@10", ("nDCG@10", "nDCG", 10, "ndcg_cut.10", "ndcg_cut_10")),
        ("nDCG(dcg='exp-log2')@10", ("nDCG(dcg='exp-log2')@10", "nDCG", 10, "", "")),
        ('nDCG(dcg="exp-log2")@10', ("nDCG(dcg='exp-log2')@10", "nDCG", 10, "", "")),
        ("nDCG(dcg=exp-log2)", ("nDCG(dcg='exp-log2')", "nDCG", None, "", "")),
        ("nDCG(dcg=log2)@10", ("nDCG@10", "nDCG", 10, "ndcg_cut.10", "ndcg_cut_10")),
        ("nDCG'(dcg=exp-log2)@5", ("nDCG(dcg='exp-log2',judged_only=True)@5", "nDCG", 5, "", "")),
        ("RBP( p = .9, rel=2 )@10", ("RBP(rel=2,p=0.9)@10", "RBP", 10, "", "")),
        ("RBP(p=0.80)", ("RBP", "RBP", None, "", "")),
        ("ERR(max_rel=4)@20", ("ERR@20", "ERR", 20, "", "")),
        ("CappedRecall@100", ("R_cap@100", "R_cap", 100, "", "")),
        ("\N{GREEK SMALL LETTER ALPHA}-nDCG(alpha=.9)@10", ("alpha_nDCG(alpha=0.9)@10", "alpha_nDCG", 10, "", "")),
    ],
)
def test_measure_is_parsed_from_its_name(name, expected):
    one = parse_measure(name)
    assert expected == (one.name, one.family, one.cutoff, one.trec_name, one.trec_key)


@pytest.mark.parametrize("name", ["nDCG(rel=2)@10", "nDCG(rel=2)", "AnswerRecall(rel=2)@20"])
def test_a_relevance_level_where_none_is_asked_for_is_an_error(name):
    with pytest.raises(ConfigError, match="has no relevance level"):
        parse_measure(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("R(rel=0)@10", "R(rel=0)@10: rel is 0, expected the grade from which a document is relevant, from 1."),
        ("R(rel=-1)@10", "rel is -1, expected the grade"),
        ("R(rel=two)@10", "rel is two, expected the grade"),
        ("R(rel=1.5)@10", "rel is 1.5, expected the grade"),
        ("R(2)@10", "R(2)@10: cannot read '2'. Write parameters as in R(rel=2,judged_only=True)@10."),
        ("R(rel=2,rel=2)@10", "cannot read 'rel=2'"),
        ("R(rel='2)@10", 'cannot read "rel=\'2"'),
        ("R(p=0.5)@10", "R(p=0.5)@10 has no parameter p: R does not ask for one. Legal are rel, judged_only."),
        (
            "Judged(judged_only=True)@5",
            "has no form for judged documents only: Judged does not ask for one. Write Judged@5.",
        ),
        ("AnswerRecall'@5", "has no form for judged documents only"),
        ("nDCG(judged_only=yes)@10", "judged_only is yes, expected True or False."),
        ("nDCG(dcg=exp)@10", "dcg is exp, expected log2 (linear gains) or exp-log2 (2^grade - 1)."),
        ("RBP(p=1)@10", "p is 1, expected a number above 0 and below 1."),
        ("RBP(p=nan)@10", "p is nan, expected a number"),
        ("RBP(p=x)@10", "p is x, expected a number"),
        ("ERR(max_rel=0)@10", "max_rel is 0, expected the greatest grade of the scale"),
        ("Bpref@10", "Bpref@10 has a cutoff, and Bpref always reads the whole run. Write Bpref."),
        ("bpref(rel=2)@10", "Write Bpref."),
    ],
)
def test_a_parameter_that_is_not_legal_is_an_error_that_says_what_is(name, message):
    with pytest.raises(ConfigError) as caught:
        parse_measure(name)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *(("hit_rate@5", "Success@5"), ("recall_cap@5", "R_cap@5"), ("r-prec", "Rprec"), ("bpref_10", "Bpref")),
        *(("alpha-ndcg@10", "alpha_nDCG@10"), ("rbp", "RBP"), ("err@20", "ERR@20"), ("judged@10", "Judged@10")),
    ],
)
def test_a_measure_in_another_spelling_is_proposed(typed, meant):
    with pytest.raises(ConfigError, match=rf"^unknown measure {typed!r}\. Did you mean {meant}\?"):
        parse_measure(typed)


def test_names_are_read_again_as_they_are_written():
    names = [
        "nDCG(dcg='exp-log2',judged_only=True)@10",
        "R(rel=2,judged_only=True)@20",
        "RBP(rel=2,p=0.95)",
        "ERR(max_rel=3)@5",
    ]
    assert names == [parse_measure(name).name for name in names]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("R@20", ("R(rel=2)@20", 2)),
        ("MRR", ("RR(rel=2)", 2)),
        ("R(rel=1)@20", ("R(rel=1)@20", 1)),
        ("R(rel=3)@20", ("R(rel=3)@20", 3)),
        ("nDCG@10", ("nDCG@10", 1)),
        ("AnswerRecall@20", ("AnswerRecall@20", 1)),
    ],
)
def test_a_default_level_is_for_binary_measures_that_name_none_and_shows_in_the_name(name, expected):
    one = parse_measure(name, level=2)
    assert expected == (one.name, one.level)


BINARY = ["MAP", "MAP@3", "R@2", "P@4", "RR", "Success@2"]


@given(ALL_QRELS, RUNS, st.integers(2, 4))
def test_values_at_a_relevance_level_are_those_of_pytrec_eval(qrels, scores, level):
    names = [name.replace("@", f"(rel={level})@") if "@" in name else f"{name}(rel={level})" for name in BINARY]
    asked = {BY_TREC_NAME[name] for name in BINARY}
    found = pytrec_eval.RelevanceEvaluator(qrels, asked, relevance_level=level).evaluate(scores)
    expected = {
        name: [found.get(query_id, {}).get(BY_TREC_NAME[bare].replace(".", "_"), 0.0) for query_id in sorted(qrels)]
        for name, bare in zip(names, BINARY, strict=True)
    }
    per_query = measure(qrels, Run.from_dict(scores), [*names, *BINARY, "nDCG"])
    assert expected == {name: per_query.values[name].tolist() for name in names}
    plain = measure(qrels, Run.from_dict(scores), [*BINARY, "nDCG"])
    assert {name: per_query.values[name].tolist() for name in plain.values} == {
        name: column.tolist() for name, column in plain.values.items()
    }


def test_levels_agree_with_hand_computation():
    """Grades 1, 2 and 0 at ranks 1, 2 and 3; another 2 is not in the run."""
    qrels = {"q": {"a": 1, "b": 2, "c": 0, "absent": 2}}
    run = Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}})
    expected = {"MAP(rel=2)": 1 / 4, "R(rel=2)@2": 1 / 2, "RR(rel=2)@10": 1 / 2, "RR(rel=2)@1": 0.0, "R@2": 2 / 3}
    expected |= {"R(rel=3)@2": 0.0, "P(rel=2)@2": 1 / 2, "Success(rel=2)@1": 0.0, "Success@1": 1.0}
    assert {name: pytest.approx(value) for name, value in expected.items()} == measure(qrels, run, list(expected)).means


def test_several_cutoffs_of_one_family_do_not_disturb_each_other():
    run = Run.from_dict({"q": {f"d{i}": -float(i) for i in range(30)}})
    names = [f"Success@{k}" for k in (20, 1, 5, 10)]
    expected = {"Success@20": 1.0, "Success@1": 0.0, "Success@5": 0.0, "Success@10": 1.0}
    assert expected == measure({"q": {"d7": 1}}, run, names).means


@given(
    st.dictionaries(DOCS, st.integers(-1, 3), min_size=1).filter(lambda grades: max(grades.values()) >= 0),
    st.dictionaries(DOCS, TIED_SCORES, min_size=1, max_size=5),
    st.sampled_from(["nDCG@2", "nDCG@10", "MAP", "RR", "P@1", "R@2"]),
)
def test_ceiling_is_the_best_over_all_permutations(grades, scores, name):
    trec_name = {"nDCG@10": "ndcg_cut.10", "nDCG@2": "ndcg_cut.2", "P@1": "P.1"}.get(name) or BY_TREC_NAME[name]
    orders = [
        {doc_id: -float(rank) for rank, doc_id in enumerate(permutation)}
        for permutation in itertools.permutations(scores)
    ]
    gains = {doc_id: max(grade, 0) for doc_id, grade in grades.items()}
    qrels = {str(i): gains for i in range(len(orders))}
    best = max(by_pytrec_eval(qrels, {str(i): order for i, order in enumerate(orders)}, trec_name))
    candidates = Run.from_dict({"q": scores})
    highest = measure({"q": grades}, ceiling({"q": grades}, candidates), [name]).means[name]
    assert pytest.approx(best, abs=1e-12) == highest
    assert measure({"q": grades}, candidates, [name]).means[name] <= highest + 1e-12


@given(
    st.dictionaries(DOCS, st.integers(-1, 3), min_size=1),
    st.dictionaries(DOCS, TIED_SCORES, min_size=1, max_size=5),
    st.sampled_from(
        [
            *("nDCG(dcg='exp-log2')@2", "nDCG(judged_only=True)@2", "MAP(rel=2,judged_only=True)", "RR'", "P'@2"),
            *(
                "R_cap@2",
                "R_cap(rel=2)@3",
                "Rprec",
                "Bpref",
                "Bpref(rel=2)",
                "ERR@3",
                "ERR",
                "RBP(p=0.3)@2",
                "Judged@2",
            ),
        ]
    ),
)
def test_ceiling_is_the_best_order_for_measures_that_trec_eval_lacks_too(grades, scores, name):
    name = parse_measure(name).name
    orders = [dict(zip(order, range(len(order), 0, -1), strict=True)) for order in itertools.permutations(scores)]
    qrels = {str(i): grades for i in range(len(orders))}
    runs = Run.from_dict({str(i): order for i, order in enumerate(orders)})
    best = measure({"q": grades}, ceiling({"q": grades}, Run.from_dict({"q": scores})), [name]).means[name]
    assert pytest.approx(measure(qrels, runs, [name]).values[name].max(), abs=1e-12) == best


def test_ceiling_keeps_the_pairs_and_counts_missing_judgments_as_not_relevant():
    candidates = Run.from_dict(
        {"q1": {"a": 5.0, "b": 4.0, "c": 3.0, "d": 2.0, "e": 1.0}, "unjudged": {"x": 1.0, "y": 2.0}}
    )
    best = ceiling({"q1": {"c": 3, "d": 2, "e": 1, "a": -1, "absent": 4}}, candidates)
    expected = {"q1": ["c", "d", "e", "a", "b"], "unjudged": ["y", "x"]}
    assert expected == {query_id: doc_ids for query_id, doc_ids, _ in best}


def test_ceiling_of_no_candidates_is_an_empty_run():
    assert 0 == len(ceiling({"q": {"d": 1}}, Run.from_dict({})))


def test_ceiling_cannot_reach_documents_that_are_no_candidates():
    qrels = {"q1": {"a": 1, "absent": 1}, "q2": {"absent": 1}}
    best = ceiling(qrels, Run.from_dict({"q1": {"x": 2.0, "a": 1.0}, "q2": {"x": 1.0}}))
    assert {"R@10": 0.25, "RR": 0.5} == measure(qrels, best, ["R@10", "RR"]).means


# Judged by answers

CONTAINED = st.dictionaries(DOCS, st.integers(0, 1))


@st.composite
def judged_both_ways(draw):
    """Judgments by people and by answers of the same queries."""
    qrels = draw(ALL_QRELS)
    return qrels, {query_id: draw(CONTAINED) for query_id in qrels}


@given(judged_both_ways(), RUNS, st.integers(1, 5))
def test_answer_recall_is_success_by_answers_and_leaves_the_other_measures_alone(judged, scores, cutoff):
    qrels, answers = judged
    run = Run.from_dict(scores)
    by_judgments = measure(qrels, run, ["nDCG@3", f"Success@{cutoff}", "MAP"])
    by_answers = measure(answers, run, [f"Success@{cutoff}"])
    names = ["nDCG@3", f"AnswerRecall@{cutoff}", f"Success@{cutoff}", "MAP"]
    both = measure(qrels, run, names, answers=answers)
    assert names == list(both.values)
    assert (by_judgments.query_ids, by_judgments.missing) == (both.query_ids, both.missing)
    for name, column in by_judgments.values.items():
        assert column.tolist() == both.values[name].tolist()
    assert by_answers.values[f"Success@{cutoff}"].tolist() == both.values[f"AnswerRecall@{cutoff}"].tolist()


@given(st.dictionaries(QUERIES, CONTAINED, min_size=1, max_size=4), RUNS, st.integers(1, 5))
def test_answer_recall_is_whether_one_of_the_first_documents_contains_an_answer(answers, scores, cutoff):
    expected = []
    for query_id in sorted(answers):
        found = scores.get(query_id, {})
        order = sorted(found, key=lambda doc_id: (np.float32(found[doc_id]), doc_id), reverse=True)
        expected.append(float(any(answers[query_id].get(doc_id) == 1 for doc_id in order[:cutoff])))
    per_query = measure({}, Run.from_dict(scores), [f"AnswerRecall@{cutoff}"], answers=answers)
    assert tuple(sorted(answers)) == per_query.query_ids
    assert expected == per_query.values[f"AnswerRecall@{cutoff}"].tolist()
    assert tuple(sorted(set(answers) - set(scores))) == per_query.missing


def test_questions_missing_from_the_run_or_without_an_answer_count_as_zero():
    answers = {"q1": {"d": 1}, "q2": {"d": 1}, "q3": {"d": 0}, "q4": {}}
    run = Run.from_dict({"q1": {"d": 1.0}, "q3": {"d": 1.0}, "q4": {"d": 1.0}})
    per_query = measure({}, run, ["AnswerRecall@20"], answers=answers)
    assert [1.0, 0.0, 0.0, 0.0] == per_query.values["AnswerRecall@20"].tolist()
    assert {"AnswerRecall@20": 0.25} == per_query.means
    assert ("q2",) == per_query.missing


@pytest.mark.parametrize("answers", [None, {}])
def test_a_measure_by_answers_is_refused_where_there_are_none(answers):
    with pytest.raises(DataError, match=r"^AnswerRecall@5 needs answers, and this dataset has only judgments\."):
        measure({"q": {"d": 1}}, Run.from_dict({"q": {"d": 1.0}}), ["nDCG@10", "AnswerRecall@5"], answers=answers)


@pytest.mark.parametrize("name", ["nDCG@10", "Success@20", "RR", "R@20"])
def test_a_measure_by_judgments_is_refused_where_there_are_only_answers(name):
    with pytest.raises(DataError, match=rf"^{name} needs judgments, and this dataset has only answers\."):
        measure({}, Run.from_dict({"q": {"d": 1.0}}), ["AnswerRecall@20", name], answers={"q": {"d": 1}})


def test_answer_recall_is_parsed_from_its_name():
    one = parse_measure("AnswerRecall@20")
    assert ("AnswerRecall@20", 20, "success_20", True) == (one.name, one.cutoff, one.trec_key, one.by_answers)
    assert not parse_measure("Success@20").by_answers


@pytest.mark.parametrize("name", ["AnswerRecall", "answerrecall@20", "AnswerSuccess@20", "answer_recall@20"])
def test_a_misspelt_answer_recall_is_refused_with_its_name(name):
    with pytest.raises(ConfigError, match=r"AnswerRecall@k"):
        parse_measure(name)


@pytest.mark.shared
def test_dl19_has_the_values_of_trec_eval_at_level_2(shared):
    """trec_eval -c -l 2: map .2476, recall_100 .4910, recip_rank .7036; one query has its first at rank 19."""
    folder = shared / "data" / "msmarco_dl19"
    qrels, run = read_qrels(folder / "qrels" / "test.tsv"), read_run(folder / "runs" / "BM25.dl19.txt")
    means = measure(qrels, run, ["MAP(rel=2)", "R(rel=2)@100", "RR(rel=2)", "RR(rel=2)@10"]).means
    assert [0.2476, 0.4910, 0.7036, 0.7024] == [round(value, 4) for value in means.values()]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ndcg@10", "nDCG@10"),
        ("ndcg_cut_10", "nDCG@10"),
        ("ndgc@5", "nDCG@5"),
        ("nCDG@10", "nDCG@10"),
        ("map", "MAP"),
        ("mrr@10", "RR@10"),
        ("recip_rank", "RR"),
        ("P_10", "P@10"),
        ("recall.100", "R@100"),
        ("recall", "R@k"),
        ("hit_rate@3", "Success@3"),
    ],
)
def test_a_measure_in_another_spelling_is_answered_with_ours(typed, meant):
    with pytest.raises(ConfigError, match=f"unknown measure '{re.escape(typed)}'. Did you mean {re.escape(meant)}\\?"):
        parse_measure(typed)


@pytest.mark.parametrize("typed", ["F1@10", "nDCG@0", "MAP(rel=x)", ""])
def test_a_name_that_is_like_none_gets_no_proposal(typed):
    with pytest.raises(ConfigError) as caught:
        parse_measure(typed)
    assert "Did you mean" not in str(caught.value)


def test_evaluators_that_are_kept_change_no_value():
    random = np.random.default_rng(5)
    qrels = {f"q{q}": {f"d{d}": int(random.integers(-1, 4)) for d in range(12)} for q in range(7)}
    answers = {query_id: {doc_id: int(grade == 0) for doc_id, grade in own.items()} for query_id, own in qrels.items()}
    runs = [{f"q{q}": {f"d{d}": random.normal() for d in range(2, 20)} for q in range(1, 9)} for _ in range(2)]
    kept = {}
    for run, names in itertools.product(
        runs, (["nDCG@10"], ["R@5"], ["R(rel=2)@5", "R@5"], ["AnswerRecall@5", "Success@5"])
    ):
        found = measure(qrels, run, names, answers=answers, evaluators=kept)
        fresh = measure(qrels, run, names, answers=answers)
        assert {name: own.tolist() for name, own in fresh.values.items()} == {
            name: own.tolist() for name, own in found.values.items()
        }
    assert {(frozenset({"ndcg_cut.10"}), 1), (frozenset({"recall.5"}), 2)} <= kept.keys()
