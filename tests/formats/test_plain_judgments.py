"""Judgments in plain lines, read column by column."""

import gzip

import pytest

from evalkit.errors import DataError
from evalkit.formats import judgments
from evalkit.formats.judgments import parse_judgments, read_judgments
from evalkit.formats.textfile import read_lines

HEADER = "query-id\tcorpus-id\tscore\n"


def written(tmp_path, text):
    path = tmp_path / "qrels"
    path.write_bytes(text.encode())
    return path


def in_order(qrels):
    return [(query_id, list(judged.items())) for query_id, judged in qrels.items()]


@pytest.fixture
def only_columns(monkeypatch):
    def refuse(_, name):
        raise AssertionError(f"{name} was read line by line")

    monkeypatch.setattr(judgments, "parse_judgments", refuse)


@pytest.mark.usefixtures("only_columns")
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{HEADER}q2\td1\t1\nq1\té9\t0\nq2\td0\t+2\nq1\td1\t-1\nq2\tNULL\t1.0\n", id="header"),
        pytest.param('q2\td"1\t1\nq1\t"d1"\t2', id="quotes, no line end"),
        pytest.param("q2 0 d1 1\nq1 Q0 d1 0\n\nq2 1 d3 2\n", id="TREC"),
        pytest.param("q2\t0\td1\t1\nq1\t0\tNA\t0\n", id="TREC with tabs"),
        pytest.param("q2 d1 1 0\nq2 d2 2 0\n", id="iteration last"),
    ],
)
def test_plain_lines_give_the_judgments_that_each_line_gives_in_their_order(tmp_path, text):
    path = written(tmp_path, text)
    assert in_order(read_judgments(path).qrels) == in_order(parse_judgments(read_lines(path), path).qrels)


@pytest.mark.usefixtures("only_columns")
def test_compressed_lines_are_plain_too(tmp_path):
    path = tmp_path / "qrels.gz"
    path.write_bytes(gzip.compress(f"{HEADER}q1\td1\t2\n".encode()))
    assert read_judgments(path).qrels == {"q1": {"d1": 2}}


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}q1\td 1\t1\nq1\td2\t0\n",
        f"\n{HEADER}q1\td1\t1\n",
        f"\ufeff{HEADER}q1\td1\t1\n",
        f"{HEADER}q1\td1\t1\r\nq1\td2\t1\r\n",
        f"{HEADER}q1\td1\t1\nq1\td1\t1\n",
        f"{HEADER}q1\td1\t1\n \nq1\td2\t1\n",
        "q1  0 d1 1\nq1 0 d2 2\n",
        "q1 0 d1 1\nq1 0 d2 2 \n",
        "q1\x1f0 d1 1\n",
        "q1,d1,1\nq1,d2,2\n",
        "q1\td1\nq1\td2\n",
        'query-id\tcorpus-id\tscore\n"q1"\t"d1"\t1\n',
    ],
)
def test_other_forms_are_read_line_by_line(tmp_path, text):
    path = written(tmp_path, text)
    expected = parse_judgments(read_lines(path), path)
    assert in_order(read_judgments(path).qrels) == in_order(expected.qrels)
    assert read_judgments(path).notes == expected.notes


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("q1\td1\t1\nq1\td2\n", ":2: 2 fields"),
        ("q1\td1\t1\nq1\td2\tx\n", ":2: the relevance is 'x'"),
        ("q1\td1\t1\nq1\td1\t2\n", ":2: document 'd1' is judged 2"),
        ("q1\td1\t1\nq1\t\t2\n", ":2: an id is empty"),
        ("q1\td1\t1\nq1\td\0\t2\n", ":2: an id is empty or holds a NUL"),
        (HEADER, "holds no judgments"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_line(tmp_path, text, part):
    with pytest.raises(DataError, match=part):
        read_judgments(written(tmp_path, text))


def test_bytes_that_are_not_utf8_are_refused_in_a_column_that_is_not_read_too(tmp_path):
    path = tmp_path / "qrels"
    path.write_bytes(b"q1 0 d1 1\nq1 \xff d2 1\n")
    with pytest.raises(DataError, match=":2: byte 4 is not UTF-8"):
        read_judgments(path)
