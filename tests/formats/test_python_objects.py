import json
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from evalkit.errors import DataError
from evalkit.formats.python_objects import is_from, kind_of, qrels_of, run_object, run_of
from evalkit.run import Run

RUN = {"q1": {"d1": 2.0, "d2": 1.5}, "q2": {"d2": 0.5}}
JUDGED = {"q1": {"d1": 1, "d2": 0}, "q2": {"d2": 2}}
SCORED = [("q1", "d2", 1.5), ("q2", "d2", 0.5), ("q1", "d1", 2.0)]
GRADED = [("q1", "d1", 1), ("q1", "d2", 0), ("q2", "d2", 2)]


class ScoredDoc(NamedTuple):
    query_id: str
    doc_id: str
    score: float


class Qrel(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int
    iteration: str = "0"


def as_dict(run):
    return {query_id: dict(zip(doc_ids, scores.tolist(), strict=True)) for query_id, doc_ids, scores in run}


def frame(rows, *names):
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize(
    "names",
    [
        ("qid", "docno", "score"),
        ("query_id", "doc_id", "score"),
        ("query-id", "corpus-id", "score"),
        ("q_id", "doc_id", "score"),
    ],
)
def test_tables_of_each_library_are_the_same_run(names):
    table = frame(SCORED, *names)
    assert RUN == as_dict(run_of(table))
    assert RUN == as_dict(run_of(pa.Table.from_pandas(table)))


def test_other_columns_of_pyterrier_are_left_out():
    table = frame(SCORED, "qid", "docno", "score").assign(docid=[7, 8, 9], query="bees", text="honey", rank=[1, 0, 0])
    assert RUN == as_dict(run_of(table))
    assert not run_object(table).disagreeing


def test_ids_in_a_named_index_are_columns():
    assert RUN == as_dict(run_of(frame(SCORED, "qid", "docno", "score").set_index(["qid", "docno"])))


def test_a_hugging_face_dataset_is_a_table():
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([dict(zip(("qid", "docno", "score"), row, strict=True)) for row in SCORED])
    assert RUN == as_dict(run_of(rows))


def test_rows_with_named_fields_are_read_once_also_from_an_iterator():
    assert RUN == as_dict(run_of(ScoredDoc(*row) for row in SCORED))
    assert RUN == as_dict(run_of([ScoredDoc(*row)._asdict() for row in SCORED]))
    assert JUDGED == qrels_of(Qrel(*row) for row in GRADED)


@pytest.mark.parametrize(
    "names", [("qid", "docno", "label"), ("query_id", "doc_id", "relevance"), ("q_id", "doc_id", "score")]
)
def test_judgments_of_each_library_are_the_same(names):
    assert JUDGED == qrels_of(frame(GRADED, *names))


def test_integer_ids_and_numbers_of_numpy_are_taken():
    run = {1: {np.int64(10): np.float32(0.5), 11: np.array(2.0)}, np.int32(2): {"10": 1}}
    assert {"1": {"11": 2.0, "10": 0.5}, "2": {"10": 1.0}} == as_dict(run_of(run))
    judged = {1: {10: np.int64(2), 11: 1.0}, np.int64(2): {"10": True, np.str_("12"): "1.0"}}
    assert {"1": {"10": 2, "11": 1}, "2": {"10": 1, "12": 1}} == qrels_of(judged)


def test_floats_that_are_whole_are_integer_ids_with_a_note(caplog):
    table = pd.DataFrame({"qid": [1.0, 2.0], "docno": [12.0, 13.0], "relevance": [1, 0]})
    given = {1.0: {np.float64(12.0): 1}, 2.0: {13.0: 0}}
    assert qrels_of(table) == qrels_of(given) == {"1": {"12": 1}, "2": {"13": 0}}
    assert "the judgments: 2 ids are numbers such as 12.0, read as 12." in caplog.messages
    assert run_of({1.0: {12.0: 0.5}}).query_ids == ("1",)


def test_an_integer_and_a_text_are_the_same_id():
    with pytest.raises(DataError, match="document '1' occurs twice for query 'q'"):
        run_of({"q": {1: 0.5, "1": 0.7}})
    for read in (qrels_of, run_of):
        with pytest.raises(DataError, match=r"the queries 1 and '1' have the same id as texts. Keep one\."):
            read({1: {"d": 1}, "1": {"e": 0}})


def test_a_list_of_documents_beside_grades_is_refused_as_in_a_file(tmp_path):
    given = {"q1": {"d1": 2}, "q2": ["d2"]}
    (tmp_path / "a.json").write_text(json.dumps(given))
    for source in (given, tmp_path / "a.json"):
        with pytest.raises(DataError, match="document 'd2' of query 'q2' has no grade, and others have one"):
            qrels_of(source)
    assert qrels_of({"q1": {"d1": 2}, "q2": []}) == {"q1": {"d1": 2}}


def test_two_columns_of_one_role_are_refused():
    rows = [{"qid": "q", "doc_id": "d", "docid": "e", "score": 1.0}]
    with pytest.raises(DataError, match="the run: the columns doc_id and docid could both be meant"):
        run_of(rows)


def test_the_argument_is_not_changed():
    given = {"q": {"d": 1.0}}
    run_of(given)
    assert given == {"q": {"d": 1.0}}


def test_a_run_of_evalkit_is_itself():
    run = Run.from_dict(RUN)
    assert run is run_of(run)
    assert run is run_object(run).run


def test_a_path_is_read(tmp_path):
    (tmp_path / "run.trec").write_text("q1 Q0 d1 1 2.0 t\nq1 Q0 d2 2 1.5 t\nq2 Q0 d2 1 0.5 t\n")
    (tmp_path / "qrels").write_text("q1 0 d1 1\nq1 0 d2 0\nq2 0 d2 2\n")
    assert RUN == as_dict(run_of(tmp_path / "run.trec")) == as_dict(run_of(str(tmp_path / "run.trec")))
    assert JUDGED == qrels_of(tmp_path / "qrels") == qrels_of(str(tmp_path / "qrels"))


def test_ranks_alone_make_a_run():
    run = run_of(frame([("q", "a", 1), ("q", "b", 0)], "qid", "docno", "rank"))
    assert [("q", ["b", "a"])] == [(query_id, doc_ids) for query_id, doc_ids, _ in run]


def test_ranks_that_contradict_scores_are_noted_and_can_be_taken(caplog):
    table = frame([("q", "a", 0, 0.1), ("q", "b", 1, 0.9)], "qid", "docno", "rank", "score")
    assert run_object(table, "distances").disagreeing == ("q",)
    assert ["b", "a"] == next(iter(run_of(table, "distances"))).doc_ids
    assert "distances: ranks and scores disagree for 1 queries" in caplog.text
    assert ["a", "b"] == next(iter(run_of(table, order="rank"))).doc_ids


def test_the_order_of_a_dictionary_is_no_ranking_unless_asked_for():
    given = {"q": {"a": 0.1, "b": 0.2, "c": 0.3}}
    assert not run_object(given).disagreeing
    assert ["a", "b", "c"] == next(iter(run_of(given, order="rank"))).doc_ids


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, r"the run: is None \(NoneType\). Expected \{query"),
        (3, "is 3"),
        (b"run", "is b'run'"),
        ([], "holds no rows"),
        ({}, "holds no scored documents"),
        ({"q": {}}, "holds no scored documents"),
        ([("q", "d", 1.0)], r"row 1 is \('q', 'd', 1.0\) \(tuple\). Expected"),
        (
            [ScoredDoc("q", "d", 1.0), Qrel("q", "d", 1)],
            "row 2 is Qrel.*expected the fields query_id, doc_id, score of",
        ),
        ({"q": ("d1", "d2")}, r"query 'q' has \('d1', 'd2'\) \(tuple\)"),
        ({"q": ["d1", "d2", "d1"]}, "the run: a document occurs twice for query 'q'"),
        ({"q": {"d": True}}, "the score of document 'd' for query 'q' is True"),
        ({"q": {"d": np.True_}}, "the score of document 'd' for query 'q' is "),
        ({"q": {"d": None}}, "the score of document 'd' for query 'q' is None"),
        ({"q": {"d": "high"}}, "is 'high'"),
        ({"q": {"d": {"score": 1}}}, "is {'score': 1}"),
        ({"q": {"d": np.array([1.0])}}, r"is array\(\[1.\]\) \(numpy.ndarray\)"),
        ({"q": {"d": Decimal("NaN")}}, "is Decimal"),
        ({"q": {"d": float("nan")}}, "the score of document 'd' for query 'q' is nan, which cannot be ranked"),
        ({"q": {"d": 10**400}}, "expected a number"),
        ({None: {"d": 1.0}}, r"the id None \(NoneType\) is neither a text nor an integer"),
        ({True: {"d": 1.0}}, "the id True"),
        ({1.5: {"d": 1.0}}, r"the id 1.5 \(float\) is neither a text nor an integer"),
        ({"q\tq": {"d": 1.0}}, "holds a tab"),
        ({"q": {"": 1.0}}, "the id '' is empty"),
        (frame([("q", "d")], "qid", "docno"), "has qid, docno. Expected"),
        (frame([], "qid", "docno", "score"), "holds no scored documents"),
        (frame([("q", "d", 1.0), ("q", "d", 2.0)], "qid", "docno", "score"), "occurs twice"),
        (frame([("q", "d", 1.0), (None, "d", 1.0)], "qid", "docno", "score"), "the id (None|nan)"),
        (frame([("q", ["d"], 1.0)], "qid", "docno", "score"), r"the id \['d'\] \(list\)"),
        (frame([(1.5, "d", 1.0)], "qid", "docno", "score"), "the id 1.5"),
    ],
)
def test_a_wrong_run_is_refused_by_what_was_found(given, words):
    with pytest.raises(DataError, match=words):
        run_of(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "the judgments: is None"),
        ({}, "holds no judgments"),
        ({"q": {"d": 0.5}}, "the judgments: query 'q': the relevance is '0.5', expected an integer"),
        ({"q": {"d": float("nan")}}, "the relevance is 'nan'"),
        ({"q": {"d": None}}, "the relevance is 'None'"),
        ({"q": {"d"}}, r"query 'q' has \{'d'\} \(set\)"),
        (frame([("q", "d")], "qid", "docno"), "has qid, docno. Expected"),
        ([Qrel("q", "d", 1), Qrel("q", "d", 0)], "judged 0 for query 'q', but 1 further up"),
    ],
)
def test_wrong_judgments_are_refused_by_what_was_found(given, words):
    with pytest.raises(DataError, match=words):
        qrels_of(given)


def test_a_class_is_recognised_by_the_package_that_defines_it():
    class Frame(pd.DataFrame):
        pass

    assert is_from(Frame(), "pandas", "DataFrame")
    assert not is_from(Frame(), "polars", "DataFrame")
    assert not is_from({}, "pandas", "DataFrame")
    assert "dict" == kind_of({})
    assert "numpy.ndarray" == kind_of(np.zeros(1))


@pytest.mark.interop
def test_ranx_objects_are_taken():
    ranx = pytest.importorskip("ranx")
    assert RUN == as_dict(run_of(ranx.Run(RUN)))
    assert JUDGED == qrels_of(ranx.Qrels(JUDGED))
    assert RUN == as_dict(run_of(ranx.Run(RUN).to_dataframe()))
    with pytest.raises(DataError, match=r"ranx.*Qrels"):
        run_of(ranx.Qrels(JUDGED))


@pytest.mark.interop
def test_ir_measures_rows_are_taken(tmp_path):
    ir_measures = pytest.importorskip("ir_measures")
    assert RUN == as_dict(run_of(ir_measures.ScoredDoc(*row) for row in SCORED))
    assert JUDGED == qrels_of([ir_measures.Qrel(*row) for row in GRADED])
    (tmp_path / "run").write_text("".join(f"{query} Q0 {doc} 1 {score} t\n" for query, doc, score in SCORED))
    assert RUN == as_dict(run_of(ir_measures.read_trec_run(str(tmp_path / "run"))))


def test_repeated_rows_are_read_once_as_those_of_a_file_are():
    found = run_object(frame([("q", "d", 1.0), ("q", "d", 1.0), ("q", "e", 2.0)], "qid", "docno", "score"))
    assert ["e", "d"] == next(iter(found.run)).doc_ids
    assert ["1 row is the same as an earlier one, and left out"] == [note.text for note in found.notes]


def test_lists_of_documents_are_read_best_first_as_those_of_a_file_are(tmp_path):
    given = {"q1": ["d2", "d1"], "q2": ["d1"]}
    (tmp_path / "run.json").write_text(json.dumps(given))
    assert run_of(given).digest() == run_of(tmp_path / "run.json").digest()
    assert ["d2", "d1"] == next(iter(run_of(given))).doc_ids
