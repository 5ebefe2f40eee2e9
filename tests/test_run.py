"""The ranking rule, held equal to pytrec_eval's, and the values that flow through an evaluation."""

import numpy as np
import pyarrow as pa
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError
from evalkit.run import Run
from evalkit.types import Dataset, PerQuery

# U+FFFF sorts after U+1F600 in UTF-16 and before it in UTF-8; e-acute is the case that a signed char gets wrong.
DOC_IDS = st.text(alphabet="aAz09-\u00e9\u4e2d\uffff\U0001f600", min_size=1, max_size=3)


@st.composite
def near_ties(draw):
    """Scores from few values, moved by less or little more than float32 can tell apart."""
    base = draw(st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.1, -3.3, 12345.678, -1e30, 1e-40]))
    step = draw(st.integers(-4, 4))
    return base + step * (abs(base) * 2e-8 if base else 1e-50)


def ranks_by_pytrec_eval(scores):
    """Rank of each document: the document is the only relevant one of a query, and 1 / RR is its rank."""
    doc_ids = list(scores)
    qrels = {str(i): {doc_id: 1} for i, doc_id in enumerate(doc_ids)}
    answers = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(dict.fromkeys(qrels, scores))
    return {doc_id: round(1 / answers[str(i)]["recip_rank"]) for i, doc_id in enumerate(doc_ids)}


def rows(run):
    return {query_id: list(zip(doc_ids, scores.tolist(), strict=True)) for query_id, doc_ids, scores in run}


@given(st.dictionaries(DOC_IDS, near_ties(), min_size=1, max_size=12))
def test_order_is_that_of_pytrec_eval(scores):
    (ranking,) = Run.from_dict({"q": scores})
    expected = ranks_by_pytrec_eval(scores)
    assert expected == {doc_id: rank for rank, doc_id in enumerate(ranking.doc_ids, start=1)}


@given(
    st.dictionaries(
        st.sampled_from(["q1", "q10", "q2", "\u95ee"]),
        st.dictionaries(DOC_IDS, near_ties(), min_size=1, max_size=6),
        max_size=4,
    ),
    st.integers(0, 7),
)
def test_top_is_the_start_of_every_ranking(scores, depth):
    run = Run.from_dict(scores)
    order = {
        query_id: sorted(docs, key=lambda doc_id: (np.float32(docs[doc_id]), doc_id.encode()), reverse=True)
        for query_id, docs in scores.items()
    }
    expected = {query_id: order[query_id][:depth] for query_id in sorted(scores)} if depth else {}
    actual = {query_id: doc_ids for query_id, doc_ids, _ in run.top(depth)}
    assert list(expected.items()) == list(actual.items())


def test_scores_that_collapse_in_float32_are_a_tie_broken_by_document_id():
    run = Run.from_dict({"q": {"a": 1.00000002, "b": 1.00000001, "c": 1.0}})
    assert {"q": [("c", 1.0), ("b", 1.0), ("a", 1.0)]} == rows(run)


def test_negative_zero_ties_with_zero():
    run = Run.from_dict({"q": {"a": 0.0, "b": -0.0, "c": 0.0, "d": -1.0}})
    assert ["c", "b", "a", "d"] == next(iter(run)).doc_ids


def test_ties_are_broken_by_utf8_bytes_not_by_utf16():
    run = Run.from_dict({"q": {"\uffff": 1.0, "\U0001f600": 1.0, "z": 1.0, "\u00e9": 1.0}})
    assert ["\U0001f600", "\uffff", "\u00e9", "z"] == next(iter(run)).doc_ids


def test_queries_come_in_ascending_order_and_those_without_documents_are_left_out():
    run = Run.from_dict({"q2": {"d": 1.0}, "q3": {}, "q10": {"d": 2.0}})
    assert ("q10", "q2") == run.query_ids
    assert 2 == len(run)


def test_argument_of_from_dict_is_not_changed():
    scores = {"q": {"a": 1.0, "b": 2.0}, "empty": {}}
    Run.from_dict(scores)
    assert {"q": {"a": 1.0, "b": 2.0}, "empty": {}} == scores
    assert ["a", "b"] == list(scores["q"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e39, -1e39])
def test_score_that_is_not_finite_in_float32_is_an_error_that_names_the_pair(value):
    with pytest.raises(DataError, match=r"^my run: the score of document 'bad' for query 'q2' .*\(1 such\)"):
        Run.from_dict({"q1": {"d": 1.0}, "q2": {"d": 1.0, "bad": value}}, source="my run")


def test_largest_float32_is_accepted():
    largest = float(np.finfo(np.float32).max)
    assert {"q": [("a", largest), ("b", -largest)]} == rows(Run.from_dict({"q": {"a": largest, "b": -largest}}))


def test_document_twice_for_a_query_is_an_error_that_names_the_pair():
    with pytest.raises(DataError, match=r"^file: document 'b' occurs twice for query 'q'"):
        Run.rank(
            ["q", "r"],
            ["a", "b"],
            queries=np.array([1, 0, 0, 1, 0]),
            documents=np.array([1, 1, 0, 0, 1]),
            scores=np.array([5.0, 1.0, 2.0, 3.0, 4.0]),
            source="file",
        )


def test_same_document_for_two_queries_is_legal():
    assert {"q": [("d", 1.0)], "r": [("d", 2.0)]} == rows(Run.from_dict({"r": {"d": 2.0}, "q": {"d": 1.0}}))


@pytest.mark.parametrize("scores", [{}, {"q": {}}])
def test_empty_run_has_no_rows_and_no_rankings(scores):
    run = Run.from_dict(scores)
    assert 0 == len(run)
    assert [] == list(run)
    assert () == run.query_ids
    assert [0] == run.offsets.tolist()
    assert 0 == len(run.queries_with_ties(10))


def test_empty_run_survives_every_operation():
    empty = Run.from_dict({})
    others = [
        empty.top(3),
        empty.select(np.zeros(0, dtype=bool)),
        empty.only_queries({"q"}),
        empty.rescored(np.zeros(0, dtype=np.float32)),
        Run.from_dict({"q": {"d": 1.0}}).top(0),
    ]
    assert [empty.digest()] * 5 == [other.digest() for other in others]


def test_chunked_document_ids_give_the_same_run_as_a_list():
    doc_ids = ["b", "unused", "a", "c", "\u4e2d"]
    arguments = {
        "queries": np.array([0, 0, 1, 1]),
        "documents": np.array([0, 2, 3, 4]),
        "scores": np.array([1.0, 1.0, -1.0, 2.0]),
    }
    chunked = Run.rank(["q", "r"], pa.chunked_array([doc_ids[:2], [], doc_ids[2:]], pa.string()), **arguments)
    expected = {"q": [("b", 1.0), ("a", 1.0)], "r": [("\u4e2d", 2.0), ("c", -1.0)]}
    assert expected == rows(chunked)
    assert Run.rank(["q", "r"], doc_ids, **arguments).digest() == chunked.digest()


def test_unused_documents_are_left_out():
    run = Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}})
    assert ["a", "b"] == run.top(2).doc_ids.to_pylist()


def test_error_from_chunked_document_ids_names_the_document():
    with pytest.raises(DataError, match="document 'b' for query 'q' is nan"):
        Run.rank(
            ["q"],
            pa.chunked_array([["a"], ["b"]]),
            queries=np.array([0]),
            documents=np.array([1]),
            scores=np.array([np.nan]),
        )


def test_select_keeps_exactly_the_rows_asked_for():
    run = Run.from_dict({"q1": {"a": 3.0, "b": 2.0}, "q2": {"a": 1.0}, "q3": {"c": 5.0, "b": 4.0}})
    kept = run.select(np.array([False, True, False, True, True]))
    assert {"q1": [("b", 2.0)], "q3": [("c", 5.0), ("b", 4.0)]} == rows(kept)


def test_only_queries_keeps_their_rows_and_ignores_unknown_ones():
    run = Run.from_dict({"q1": {"a": 3.0, "b": 2.0}, "q2": {"a": 1.0}})
    assert {"q2": [("a", 1.0)]} == rows(run.only_queries({"q2", "unknown"}))


def test_rescored_gives_new_scores_in_row_order_and_ranks_again():
    run = Run.from_dict({"q2": {"x": 9.0}, "q1": {"a": 3.0, "b": 2.0, "c": 1.0}})
    reranked = run.rescored(np.array([0.5, 0.7, 0.5, -2.0]))
    assert {"q1": [("b", np.float32(0.7)), ("c", 0.5), ("a", 0.5)], "q2": [("x", -2.0)]} == rows(reranked)
    assert {"q1": [("a", 3.0), ("b", 2.0), ("c", 1.0)], "q2": [("x", 9.0)]} == rows(run)


def test_rescored_with_another_number_of_scores_is_refused():
    with pytest.raises(ValueError, match="2 scores for 3 rows"):
        Run.from_dict({"q": {"a": 3.0, "b": 2.0, "c": 1.0}}).rescored(np.array([1.0, 2.0]))


def test_rescored_with_nan_is_an_error():
    with pytest.raises(DataError, match="document 'b' for query 'q' is nan"):
        Run.from_dict({"q": {"a": 3.0, "b": 2.0}}).rescored(np.array([1.0, np.nan]))


def test_positions_and_row_queries_describe_the_rows():
    run = Run.from_dict({"q1": {"a": 3.0, "b": 2.0}, "q2": {"a": 1.0}, "q3": {"c": 5.0, "b": 4.0, "a": 3.0}})
    assert [0, 1, 0, 0, 1, 2] == run.positions.tolist()
    assert [0, 0, 1, 2, 2, 2] == run.row_queries.tolist()


def test_code_of_finds_documents_and_marks_absent_ones():
    run = Run.from_dict({"q": {"b": 1.0, "\u4e2d": 2.0, "a": 3.0}})
    assert [2, -1, 0, 1] == run.code_of(pa.array(["\u4e2d", "c", "a", "b"])).tolist()


def test_code_of_nothing_is_nothing():
    assert [] == Run.from_dict({"q": {"b": 1.0}}).code_of(pa.array([], pa.string())).tolist()


@pytest.mark.parametrize(
    ("cutoff", "expected"),
    [
        pytest.param(1, 0, id="no tie touches the first"),
        pytest.param(2, 1, id="the second of q2 ties with the third, beyond the cutoff"),
        pytest.param(3, 2, id="q1 ties at three and four"),
        pytest.param(10, 2, id="equal scores at the border of q2 and q3 are no tie"),
    ],
)
def test_tied_queries_counts_queries_with_a_tie_that_touches_the_cutoff(cutoff, expected):
    run = Run.from_dict(
        {"q1": {"a": 9, "b": 8, "c": 7, "d": 7}, "q2": {"a": 9, "b": 5, "c": 5}, "q3": {"a": 5, "b": 4}, "q4": {"a": 1}}
    )
    assert expected == len(run.queries_with_ties(cutoff))


def test_tied_queries_sees_ties_that_only_float32_has():
    assert ["q"] == Run.from_dict({"q": {"a": 1.0, "b": 1.00000001}}).queries_with_ties(10)


PASSAGES = st.builds("{}#{}".format, st.sampled_from(["D1", "D10", "D2", "\u4e2d"]), st.integers(0, 3))


@given(
    st.dictionaries(
        st.sampled_from(["q1", "q10", "q2"]),
        st.dictionaries(PASSAGES | st.sampled_from(["D1", "#7", "D3#1#2"]), near_ties(), min_size=1, max_size=8),
        min_size=1,
        max_size=3,
    )
)
def test_a_document_has_the_score_of_its_best_passage(scores):
    best = {}
    for query_id, found in scores.items():
        for passage_id, score in found.items():
            doc_id = passage_id.split("#")[0] or passage_id
            before = best.setdefault(query_id, {}).get(doc_id, -np.inf)
            best[query_id][doc_id] = max(before, float(np.float32(score)))
    assert rows(Run.from_dict(best)) == rows(Run.from_dict(scores).by_document("#"))


def test_documents_of_documents_are_the_same_run():
    run = Run.from_dict({"q1": {"a": 1.0, "b": 2.0}, "q2": {"a": 0.5}})
    assert run.by_document("#").digest() == run.digest()
    assert len(Run.from_dict({}).by_document("#")) == 0


def test_own_ids_are_documents_or_passages_of_the_query_s_id():
    run = Run.from_dict({"a": {"a": 4.0, "a#1": 3.0, "ab#1": 2.0, "b": 1.0}, "b": {"a": 2.0, "b#2": 1.0}})
    assert run.own_ids().tolist() == [True, False, False, False, False, False]
    assert run.own_ids("#").tolist() == [True, True, False, False, False, True]


def test_digest_does_not_depend_on_the_order_of_the_input():
    one = Run.from_dict({"q1": {"a": 1.0, "b": 2.0}, "q2": {"c": 1.0}})
    two = Run.from_dict({"q2": {"c": 1.0}, "q1": {"b": 2.0, "a": 1.0}})
    assert one.digest() == two.digest()


def test_digest_tells_apart_every_kind_of_difference():
    runs = [
        {"q1": {"a": 1.0, "b": 2.0}},
        {"q1": {"a": 1.0, "b": 2.5}},
        {"q1": {"a": 1.0, "c": 2.0}},
        {"q2": {"a": 1.0, "b": 2.0}},
        {"q1": {"a": 2.0, "b": 1.0}},
        {"q1": {"a": 1.0}, "q2": {"b": 2.0}},
        {"q1": {"ab": 1.0}},
        {"q1a": {"b": 1.0}},
        {"q": {"1ab": 1.0}},
        {"q1": {"a": 1.0}},
        {},
    ]
    assert len(runs) == len({Run.from_dict(scores).digest() for scores in runs})


def test_means_are_over_all_judged_queries():
    values = {"nDCG@10": np.array([0.5, 0.0, 0.25]), "RR": np.array([1.0, 0.0, 1.0])}
    per_query = PerQuery(("q1", "q2", "q3"), values, missing=("q2",))
    assert {"nDCG@10": 0.25, "RR": 2 / 3} == per_query.means


def test_frame_has_one_row_a_query_and_one_column_a_measure():
    frame = PerQuery(("q1", "q2"), {"nDCG@10": np.array([0.5, 0.0])}, missing=("q2",)).to_frame()
    assert {"query_id": ["q1", "q2"], "nDCG@10": [0.5, 0.0]} == frame.to_dict(orient="list")


class ThreeDocuments:
    ids = pa.chunked_array([["b", "a"], ["c"]])

    def __len__(self):
        return 3

    def texts(self, rows):
        return [f"text {row}" for row in rows]


@pytest.mark.parametrize(
    ("doc_ids", "expected"),
    [(["c", "b"], [2, 0]), (["absent", "a"], [-1, 1]), (["a", "b", "c"], [1, 0, 2]), (["absent"], [-1]), ([], [])],
)
def test_rows_of_documents_in_the_corpus(doc_ids, expected):
    dataset = Dataset("toy", "test", "en", ThreeDocuments(), {}, {}, False, "", "")  # noqa: FBT003 - as declared
    assert expected == dataset.rows(pa.array(doc_ids, pa.string())).tolist()


def test_a_run_is_shown_by_its_counts():
    run = Run.from_dict({"q1": {"d1": 0.5, "d2": 0.25}, "q2": {"d1": 1.0}})
    assert "<Run of 2 queries and 3 scored documents>" == repr(run)
