"""Which field of a line is what, in layouts that other tools write."""

import pytest

from evalkit.errors import DataError
from evalkit.formats.rows import GRADES, FieldPlaces, name_columns, qrels_layout, run_layout

RUN_LINES = {
    "trec": "q1 Q0 d1 1 0.5 tag\n",
    "ms marco": "q1\td1\t1\n",
    "blanks": "q1 d1 0.5\n",
    "colbert": "q1\td1\t1\t0.5\n",
    "csv": "q1,d1,0.5\n",
    "csv of trec": "q1,Q0,d1,1,0.5,tag\n",
    "semicolons": "q1;d1;0.5\n",
    "quoted": '"q1"\t"d1"\t"0.5"\n',
    "names": "query_id\tdoc_id\tscore\nq1\td1\t0.5\n",
    "names of trec": "qid Q0 docno rank score tag\nq1 Q0 d1 1 0.5 tag\n",
    "names in another order": "score,docno,qid\n0.5,d1,q1\n",
    "quoted names": '"query-id","corpus-id","score"\n"q1","d1","0.5"\n',
    "pyterrier": "qid,docid,docno,rank,score,query\nq1,7,d1,1,0.5,what bees make\n",
    "ranks alone": "qid\tpid\trank\nq1\td1\t1\n",
}


def rows(layout, content):
    numbered = enumerate(content.splitlines(), start=1)
    return [(row.query_id, row.doc_id) for row in layout.rows(numbered, "f")]


@pytest.mark.parametrize("name", RUN_LINES)
def test_query_and_document_of_a_run_are_found_in_every_layout(name):
    content = RUN_LINES[name]
    layout = run_layout(content.splitlines()[0], "f:1")
    assert [("q1", "d1")] == rows(layout, content)
    (row,) = layout.rows(enumerate(content.splitlines(), start=1), "f")
    assert row.value in {"0.5", "1", None}
    assert (row.value is None) == (name == "ranks alone")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("q d 0.5", FieldPlaces(0, 1, None, 2, may_be_ranks=True)),
        ("q\td\t3\t0.5", FieldPlaces(0, 1, 2, 3)),
        ("q\td\twhat bees make\tBees make honey.", FieldPlaces(0, 1, None, None)),
        ("10\t0\twhat bees make\tBees make honey.", FieldPlaces(0, 1, None, None)),
        ("10\t0\t1\t0.5", FieldPlaces(0, 1, 2, 3)),
        ("qid\tdocno\tscore", FieldPlaces(0, 1, None, 2)),
        ("Query ID\tCorpus ID\tRank\tScore", FieldPlaces(0, 1, 2, 3)),
    ],
)
def test_a_value_without_a_name_may_be_a_rank(line, expected):
    assert expected == run_layout(line, "f:1").columns


@pytest.mark.parametrize(
    "content",
    [
        "q1 0 d1 1\n",
        "q1\td1\t1\n",
        "query-id,corpus-id,score\nq1,d1,1\n",
        "q1,d1,1\n",
        "q1,0,d1,1\n",
        '"q1"\t"d1"\t1\n',
        "query_id\titeration\tdoc_id\trelevance\nq1\t0\td1\t1\n",
        "qid docno label iteration\nq1 d1 1 0\n",
        "the query\tsome document\tjudgement\nq1\td1\t1\n",
    ],
)
def test_judgments_are_found_in_every_layout(content):
    layout = qrels_layout(content.splitlines()[0], "f:1")
    (row,) = layout.rows(enumerate(content.splitlines(), start=1), "f")
    assert ("q1", "d1", "1") == (row.query_id, row.doc_id, row.value)


def test_quotes_are_letters_of_an_id_unless_both_ids_have_them():
    assert [('"q1"', "d1")] == rows(run_layout('"q1" Q0 d1 1 0.5 t', "f:1"), '"q1" Q0 d1 1 0.5 t')
    assert [("q1", '"d1"')] == rows(qrels_layout('q1 0 "d1" 1', "f:1"), 'q1 0 "d1" 1')


def test_line_with_a_number_is_never_a_header():
    layout = run_layout("query Q0 document 1 0.5 rank", "f:1")
    assert not layout.has_header
    assert not qrels_layout("query doc 1", "f:1").has_header


@pytest.mark.parametrize("line", ["q1", "q1 d1", "q1 Q0 d1 1", "q1 Q0 d1 1 0.5", "q1 d1 high", "a b c d e f g"])
def test_another_number_of_fields_in_a_run_is_an_error_that_names_the_layouts(line):
    with pytest.raises(DataError, match=r"^f:1: \d fields?, expected 6 \(query_id Q0 doc_id rank score tag\)"):
        run_layout(line, "f:1")


def test_judgments_in_the_place_of_a_run_are_called_so():
    with pytest.raises(DataError, match="These look like judgments: the order is QRELS RUN"):
        run_layout("q1 0 d1 1", "f:1")


def test_a_row_of_another_width_than_the_header_is_an_error():
    layout = run_layout("qid,docno,score", "f:1")
    with pytest.raises(DataError, match=r"^f:2: 2 fields, expected 3 \(qid docno score\)"):
        list(layout.rows([(1, "qid,docno,score"), (2, "q1,d1")], "f"))


def test_grades_may_be_called_scores_and_scores_not_grades():
    assert name_columns(["query-id", "corpus-id", "score"], GRADES) == FieldPlaces(0, 1, None, 2)
    assert name_columns(["qid", "docno", "relevance"]) is None


@pytest.mark.parametrize(
    ("names", "both"),
    [
        ("qid,docno,score,score", "score and score"),
        ("qid,docno,score,similarity", "score and similarity"),
        ("qid,doc_id,docid,score", "doc_id and docid"),
        ("qid,query_id,docno,score", "query_id and qid"),
        ("qid\tdocno\trank\trank\tscore", "rank and rank"),
    ],
)
def test_two_columns_that_may_both_be_meant_are_refused(names, both):
    with pytest.raises(
        DataError, match=f"^run:1: the columns {both} could both be meant. Leave one out, or rename it.$"
    ):
        run_layout(names, "run:1")


def test_texts_beside_ids_and_scores_beside_grades_are_not_taken_for_them():
    assert run_layout("qid,query,docid,docno,document,score", "run:1").columns == FieldPlaces(0, 3, None, 5)
    assert qrels_layout("qid,docno,score,relevance", "qrels:1").columns == FieldPlaces(0, 1, None, 3)


def test_columns_of_other_names_are_named_with_those_that_are_expected():
    with pytest.raises(DataError, match=r"^run:1: has the columns foo, bar, baz\. Expected query_id, doc_id and score"):
        run_layout("foo,bar,baz", "run:1")
