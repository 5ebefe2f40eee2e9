"""Judgments in the formats that people have, and what is refused of them."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.errors import DataError
from evalkit.formats.judgments import read_judgments
from evalkit.formats.python_objects import qrels_of

TRIPLES = [("q1", "d1", 1), ("q1", "d2", 0), ("q2", "d2", 2)]
WANTED = {"q1": {"d1": 1, "d2": 0}, "q2": {"d2": 2}}


def read(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_judgments(folder / name).qrels


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td2\t2\n"),
        ("a.txt", "q1 0 d1 1\nq1 0 d2 0\nq2 0 d2 2\n"),
        ("a.trec", "q1\t0\td1\t1\r\nq1\t0\td2\t0\r\nq2\t0\td2\t2\r\n"),
        ("a", "q1 0 d1 1\nq1 0 d2 0\nq2 0 d2 2\n"),
        ("a.tsv", "score\tdoc_id\tquery_id\n1\td1\tq1\n0\td2\tq1\n2\td2\tq2\n"),
        ("a.tsv", "query-id\tQ0\tcorpus-id\tscore\nq1\t0\td1\t1\nq1\t0\td2\t0\nq2\t0\td2\t2\n"),
        ("a.csv", "\ufeffquery-id,corpus-id,score\r\nq1,d1,1\r\nq1,d2,0\r\nq2,d2,2\r\n"),
        ("a.csv", '"query_id","doc_id","relevance"\n"q1","d1","1"\n"q1","d2","0"\n"q2","d2","2"\n'),
        ("a.csv", ",qid,docid,label\n0,q1,d1,1\n1,q1,d2,0\n2,q2,d2,2\n"),
        ("a.csv", "q1,d1,1\nq1,d2,0\nq2,d2,2\n"),
        ("a.csv", "q1;0;d1;1\nq1;0;d2;0\nq2;0;d2;2\n"),
        ("a.csv.gz", gzip.compress(b"query-id,corpus-id,score\nq1,d1,1\nq1,d2,0\nq2,d2,2\n", mtime=0)),
        ("a.json", '{"q1": {"d1": 1, "d2": 0}, "q2": {"d2": 2}}'),
        ("a.jsonl", '{"q1": {"d1": 1, "d2": 0}}\n{"q2": {"d2": 2}}\n'),
        ("a.json", json.dumps([{"qid": q, "docid": d, "grade": grade} for q, d, grade in TRIPLES])),
        ("a.jsonl", "".join(json.dumps({"qid": q, "pid": d, "rel": float(g)}) + "\n" for q, d, g in TRIPLES)),
    ],
)
def test_the_same_judgments_are_read_from_every_format(tmp_path, name, content):
    assert read(tmp_path, name, content) == WANTED


def test_judgments_are_read_from_parquet_also_with_ids_that_are_numbers(tmp_path):
    table = {"query-id": [1.0, 1.0, 2.0], "corpus-id": ["d1", "d2", "d2"], "score": [1.0, 0.0, 2.0]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    found = read_judgments(tmp_path / "a.parquet").qrels
    assert found == {"1": WANTED["q1"], "2": WANTED["q2"]}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.csv", "query-id,corpus-id,score\nq1,d1\n", "a.csv:2: 2 fields"),
        ("a.csv", "query-id,corpus-id,score\nq1,d1,high\n", "a.csv:2: the relevance is 'high'"),
        ("a.csv", "query-id,corpus-id,score\nq1,d1,0.5\n", "a.csv:2: the relevance is '0.5'"),
        (
            "a.csv",
            "query-id,corpus-id,score\nq1,d1,99999999999\n",
            "'99999999999', too large, expected an integer such as 0, 1 or 2",
        ),
        ("a.json", '{"q1": {"d1": null, "d2": 0}}', "document 'd1' of query 'q1' has no grade, and others have one."),
        ("a.jsonl", '{"q1": {"d1": 2}}\n{"q2": ["d2"]}\n', "a.jsonl:2: document 'd2' of query 'q2' has no grade"),
        (
            "a.jsonl",
            '{"qid": "q", "docid": "d", "relevance": 0}\n{"qid": "q", "docid": "e", "relevance": null}\n',
            "a.jsonl:2: document 'e' of query 'q' has no grade",
        ),
        (
            "a.jsonl",
            '{"qid": "q", "docid": "d"}\n{"qid": "q", "docid": "e", "relevance": 1}\n',
            "a.jsonl:1: document 'd' of query 'q' has no grade",
        ),
        ("a.csv", "qid,docid,label,grade\nq,d,1,0\n", "a.csv:1: the columns label and grade could both be meant"),
        ("a.json", '[{"qid": "q", "doc_id": "d", "pid": "e", "rel": 1}]', "the columns doc_id and pid could both be"),
        ("a.csv", "query-id,corpus-id,score\n", "a.csv: holds no judgments"),
        ("a.csv", "", "a.csv: holds no judgments"),
        ("a.json", '{"q1": {"d1": 0.5}}', "the relevance is '0.5'"),
        ("a.json", '{"q1": [["d1"]]}', "Expected {document: grade}, or a list of the relevant ids"),
        ("a.json", "{}", "holds no judgments"),
        (
            "a.jsonl",
            '{"query-id": "q1", "score": 1}\n{"query-id": "q2", "score": 1}\n',
            "a.jsonl:1: {'query-id': 'q1', 'score': 1} has no query, document and grade",
        ),
        ("a.parquet", b"PAR1\0", "the table is damaged"),
        ("a.tsv", b"\xfd7zXZ\0\0\0\xff", "is damaged"),
    ],
)
def test_malformed_judgments_name_file_and_line(tmp_path, name, content, part):
    with pytest.raises(DataError) as caught:
        read(tmp_path, name, content)
    assert part in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / name))


def test_true_and_false_are_grades_in_a_file_as_in_a_dict(tmp_path):
    (tmp_path / "a.json").write_text('{"q1": {"d1": true, "d2": false}}')
    expected = {"q1": {"d1": 1, "d2": 0}}
    assert expected == read_judgments(tmp_path / "a.json").qrels == qrels_of({"q1": {"d1": True, "d2": False}})


def test_lists_of_relevant_documents_are_judgments_in_a_file_as_in_a_dict(tmp_path, caplog):
    (tmp_path / "a.json").write_text('{"q1": ["d1", "d2"], "2": [3]}')
    expected = {"q1": {"d1": 1, "d2": 1}, "2": {"3": 1}}
    assert expected == read_judgments(tmp_path / "a.json").qrels == qrels_of({"q1": ["d1", "d2"], 2: (3,)})
    assert "the judgments have no grades" in caplog.text
    with pytest.raises(DataError, match="is neither a text nor an integer"):
        qrels_of({"q1": [["d1"]]})


def test_grades_that_are_all_null_are_no_grades(tmp_path):
    (tmp_path / "a.json").write_text('{"q1": {"d1": null}, "q2": ["d2"]}')
    found = read_judgments(tmp_path / "a.json")
    assert (found.qrels, [note.kind for note in found.notes]) == ({"q1": {"d1": 1}, "q2": {"d2": 1}}, ["no_grades"])
