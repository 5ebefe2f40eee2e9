"""Judgments and runs in TREC and BEIR formats: what is read, what is refused, and what is written."""

import gzip
import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import DataError, EvalkitError
from evalkit.formats.trec import read_qrels, read_run, run_lines, write_run
from evalkit.measures import measure
from evalkit.run import Run

TREC_QRELS = """\
q1 0 d1 2
q1 0 d2 0
q2 0 d1 -1
"""
BEIR_QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t-1\n"
QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": -1}}

RUN = """\
q2 Q0 d1 1 0.5 tag
q1 Q0 d1 1 1.5 tag
q1 Q0 d3 2 2.5 tag
q1 Q0 d2 3 1.5 tag
"""
RANKINGS = {"q1": [("d3", 2.5), ("d2", 1.5), ("d1", 1.5)], "q2": [("d1", 0.5)]}


@pytest.fixture
def file(tmp_path):
    """A function that writes text or bytes to a file, always of the same name."""

    def write(content):
        path = tmp_path / "input.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rankings(run):
    return {query_id: list(zip(doc_ids, scores.tolist(), strict=True)) for query_id, doc_ids, scores in run}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TREC_QRELS, id="trec"),
        pytest.param(TREC_QRELS.replace(" ", "\t"), id="trec with tabs"),
        pytest.param(TREC_QRELS.replace(" ", "   "), id="trec with runs of blanks"),
        pytest.param(TREC_QRELS.replace(" 0 d", " Q0 d"), id="any second column"),
        pytest.param(BEIR_QRELS, id="beir"),
        pytest.param(BEIR_QRELS.split("\n", 1)[1], id="beir without a header"),
        pytest.param(BEIR_QRELS.replace("\t", " "), id="beir with blanks"),
        pytest.param("\ufeff" + TREC_QRELS, id="byte-order mark"),
        pytest.param("\ufeff" + BEIR_QRELS, id="byte-order mark and header"),
        pytest.param(TREC_QRELS.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(BEIR_QRELS.replace("\n", "\r\n"), id="beir with CRLF"),
        pytest.param("\n" + TREC_QRELS.replace("\n", "\n\n"), id="blank lines"),
        pytest.param(TREC_QRELS.rstrip(), id="no newline at the end"),
        pytest.param(TREC_QRELS.replace(" 2\n", " +2\n"), id="plus sign"),
        pytest.param(TREC_QRELS + "q1 0 d1 2\n", id="the same judgment twice"),
        pytest.param(gzip.compress(TREC_QRELS.encode()), id="gzip named txt"),
    ],
)
def test_judgments_are_read_from_every_legal_form(file, content):
    assert QRELS == read_qrels(file(content))


def test_ids_of_judgments_may_hold_spaces_when_tabs_separate(file):
    content = "query-id\tcorpus-id\tscore\nq 1\tdoc one\t1\nq 1\t doc two \t0\n"
    assert {"q 1": {"doc one": 1, "doc two": 0}} == read_qrels(file(content))


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        pytest.param("q1 0 d1 1\nq1 d2\n", 2, "2 fields, expected 4 (query_id 0 doc_id relevance)", id="two fields"),
        pytest.param("q1\tBees make good honey\n", 1, "5 fields, expected 3 or 4", id="an id and a text"),
        pytest.param("q1\n", 1, "1 field, expected 3 or 4", id="one field"),
        pytest.param("q1 0 d1 1 x\n", 1, "5 fields, expected 3 or 4", id="five fields"),
        pytest.param(BEIR_QRELS + "q3 0 d1 1\n", 5, "4 fields, expected 3", id="TREC line in a BEIR file"),
        pytest.param(TREC_QRELS + "q3\td1\t1\n", 4, "3 fields, expected 4", id="BEIR line in a TREC file"),
        pytest.param("q1 0 d1 1\n\nq1 0 d2 high\n", 3, "the relevance is 'high'", id="word, after a blank line"),
        pytest.param("q1 0 d1 0.5\n", 1, "the relevance is '0.5'", id="decimal"),
        pytest.param("q1 0 d1 1.50\n", 1, "the relevance is '1.50'", id="decimal that begins as an integer"),
        pytest.param("q1 0 d1 1_0\n", 1, "the relevance is '1_0'", id="underscore"),
        pytest.param("q1 0 d1 nan\n", 1, "the relevance is 'nan'", id="NaN"),
        pytest.param(BEIR_QRELS + BEIR_QRELS, 5, "the relevance is 'score'", id="second header"),
        pytest.param(b"q1 0 d1 1\nq1 0 d\xff 1\n", 2, "byte 7 is not UTF-8", id="not UTF-8"),
        pytest.param(TREC_QRELS + "q1 0 d1 1\n", 4, "document 'd1' is judged 1 for query 'q1', but 2", id="conflict"),
    ],
)
def test_malformed_judgment_is_an_error_that_names_file_and_line(file, content, line, message):
    path = file(content)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}:{line}: {message}')}"):
        read_qrels(path)


def test_grades_as_pandas_writes_them_are_integers(file):
    """A first judgment with a decimal is no header: dropping it silently would change every measure."""
    assert {"q1": {"d1": 2, "d2": 0, "d3": -1}} == read_qrels(file("q1\td1\t2.0\nq1\td2\t0.0\nq1\td3\t-1.\n"))


def test_first_judgment_with_a_fraction_is_an_error_not_a_header(file):
    path = file("q1\td1\t2.5\nq1\td2\t1\n")
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:1: "):
        read_qrels(path)


@pytest.mark.parametrize("digits", [10, 20, 5000])
def test_relevance_beyond_what_trec_eval_can_hold_is_an_error_that_names_file_and_line(file, digits):
    """trec_eval counts documents per grade in an array as long as the highest grade."""
    path = file(f"q1 0 d1 {'9' * digits}\n")
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:1: "):
        read_qrels(path)


@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff", "query-id\tcorpus-id\tscore\n"])
def test_file_without_judgments_is_an_error_that_names_it(file, content):
    path = file(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: holds no judgments"):
        read_qrels(path)


@pytest.mark.parametrize("read", [read_qrels, read_run])
def test_missing_file_is_an_error_that_names_it(tmp_path, read):
    with pytest.raises(DataError, match=r"absent\.txt: No such file"):
        read(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(RUN, id="trec"),
        pytest.param(RUN.replace(" ", "\t"), id="tabs"),
        pytest.param(RUN.replace(" ", "   "), id="runs of blanks"),
        pytest.param("\ufeff" + RUN, id="byte-order mark"),
        pytest.param(RUN.replace("\n", "\r\n"), id="CRLF"),
        pytest.param("\n\n" + RUN + "\n", id="blank lines"),
        pytest.param(RUN.rstrip(), id="no newline at the end"),
        pytest.param(RUN.replace("1.5", "15e-1"), id="exponents"),
        pytest.param("".join(sorted(RUN.splitlines(keepends=True))), id="other order of lines"),
        pytest.param(gzip.compress(RUN.encode()), id="gzip named txt"),
    ],
)
def test_run_is_read_from_every_legal_form(file, content):
    assert RANKINGS == rankings(read_run(file(content)))


def test_rank_column_is_ignored_whatever_it_holds(file):
    content = "q1 Q0 best 9 3 tag\nq1 Q0 worst 1 1 tag\nq1 Q0 middle none 2 tag\n"
    assert {"q1": [("best", 3.0), ("middle", 2.0), ("worst", 1.0)]} == rankings(read_run(file(content)))


def test_ids_of_runs_may_hold_spaces_when_tabs_separate(file):
    content = "q 1\tQ0\tdoc one\t1\t0.5\tmy tag\n"
    assert {"q 1": [("doc one", 0.5)]} == rankings(read_run(file(content)))


@pytest.mark.parametrize(
    ("second", "message"),
    [
        pytest.param("q1 Q0 d2 2 0.5", "5 fields, expected 6 (query_id Q0 doc_id rank score tag)", id="no tag"),
        pytest.param("q1 Q0 d2 2 0.5 my tag", "7 fields, expected 6", id="tag of two words"),
        pytest.param("q1", "1 field, expected 6", id="one field"),
        pytest.param("q1 Q0 d2 2 high tag", "the score is 'high', expected a number", id="word"),
        pytest.param("q1 Q0 d2 2 0,5 tag", "the score is '0,5', expected a number", id="decimal comma"),
        pytest.param("q1 Q0 d2 2 nan tag", "the score is nan, which cannot be ranked", id="nan"),
        pytest.param("q1 Q0 d2 2 NaN tag", "the score is NaN, which cannot be ranked", id="NaN"),
        pytest.param("q1 Q0 d2 2 inf tag", "the score is inf, which cannot be ranked", id="inf"),
        pytest.param("q1 Q0 d2 2 -Infinity tag", "the score is -Infinity, which cannot be ranked", id="-Infinity"),
        pytest.param("q1 Q0 d2 2 1e39 tag", "the score is 1e39, which cannot be ranked", id="1e39"),
        pytest.param("q1 Q0 d2 2 -1e400 tag", "the score is -1e400, which cannot be ranked", id="-1e400"),
        pytest.param(b"q1 Q0 d\xe9 2 0.5 tag", "byte 8 is not UTF-8", id="Latin-1"),
        pytest.param("q1 Q0 d1 2 0.5 tag", "document 'd1' occurs twice for query 'q1'", id="twice"),
    ],
)
def test_malformed_line_of_a_run_is_an_error_that_names_file_and_line(file, second, message):
    second = second if isinstance(second, bytes) else second.encode()
    path = file(b"q1 Q0 d1 1 1.5 tag\n" + second + b"\nq1 Q0 d9 3 0.1 tag\n")
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}:2: {message}')}"):
        read_run(path)


@pytest.mark.parametrize("score", ["1_0", "\u0663"], ids=["underscore", "Arabic digit"])
def test_number_that_only_python_reads_is_not_a_score(file, score):
    path = file(f"q1 Q0 d1 1 {score} tag\n")
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:1: the score is '{score}', expected a number"):
        read_run(path)


@pytest.mark.parametrize("content", ["", " \n\n", "\ufeff\n", "{}", "[]", '{"q1": {}}'])
def test_file_without_scored_documents_is_an_error_that_names_it(file, content):
    path = file(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: holds no scored documents"):
        read_run(path)


@pytest.mark.parametrize("read", [read_qrels, read_run])
@pytest.mark.parametrize(
    "kept", [2, 11, -12, -4], ids=["magic only", "header only", "cut in the data", "cut at the end"]
)
def test_truncated_gzip_is_an_error_that_names_file_and_line(file, read, kept):
    content = {read_qrels: TREC_QRELS, read_run: RUN}[read]
    path = file(gzip.compress(content.encode())[:kept])
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:.*damaged or cut short"):
        read(path)


def test_run_truncated_far_from_its_start_is_an_error_that_names_file_and_line(file):
    """The first 4096 bytes are whole, so that the kind of the file is known before the damage shows."""
    noise = np.random.default_rng(0)
    content = "".join(f"q1 Q0 d{i} {i} {noise.normal()} tag\n" for i in range(2000))
    compressed = gzip.compress(content.encode())
    path = file(compressed[: len(compressed) // 2])
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}:\d+: .*damaged or cut short"):
        read_run(path)


def test_gzip_run_with_a_wrong_checksum_is_an_error_that_names_the_file(file):
    content = bytearray(gzip.compress(RUN.encode()))
    content[-8] ^= 0xFF
    path = file(bytes(content))
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:.*damaged or cut short"):
        read_run(path)


def test_lines_are_written_in_ranking_order_with_ranks_from_one():
    run = Run.from_dict({"q2": {"d1": 0.5}, "q1": {"d1": 1.5, "d3": 2.5, "d2": 1.5}})
    expected = ["q1 Q0 d3 1 2.5 bm25", "q1 Q0 d2 2 1.5 bm25", "q1 Q0 d1 3 1.5 bm25", "q2 Q0 d1 1 0.5 bm25"]
    assert "\n".join([*expected, ""]) == "".join(run_lines(run, "bm25"))


def test_scores_are_written_as_the_shortest_decimals_of_a_float32():
    run = Run.from_dict({"q": {"a": 0.1, "b": 1 / 3, "c": -1e-40, "d": 65504.0}})
    assert ["65504.0", "0.33333334", "0.1", "-1e-40"] == [line.split()[4] for line in run_lines(run, "t")]


def test_tabs_separate_the_lines_of_a_query_with_a_space_in_an_id():
    run = Run.from_dict({"q1": {"doc one": 2.0, "d2": 1.0}, "q2": {"d2": 1.0}})
    expected = ["q1\tQ0\tdoc one\t1\t2.0\tt\n", "q1\tQ0\td2\t2\t1.0\tt\n", "q2 Q0 d2 1 1.0 t\n"]
    assert expected == list(run_lines(run, "t"))


IDS = st.text(alphabet="ab 9-_:\u00e9\u4e2d\U0001f600", min_size=1, max_size=4).filter(
    lambda text: text == text.strip()
)
SCORES = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.dictionaries(IDS, st.dictionaries(IDS, SCORES, min_size=1, max_size=5), min_size=1, max_size=3))
def test_writers_run_is_read_back_exactly(tmp_path_factory, scores):
    path = tmp_path_factory.mktemp("round-trip") / "run.trec.gz"
    write_run(Run.from_dict(scores), path, tag="tag")
    bits = {query: {doc: struct.pack("f", score) for doc, score in docs.items()} for query, docs in scores.items()}
    actual = {
        query_id: {doc_id: score.tobytes() for doc_id, score in zip(doc_ids, values, strict=True)}
        for query_id, doc_ids, values in read_run(path)
    }
    assert bits == actual


@pytest.mark.parametrize("doc_id", ["a\u00a0b", "a\u3000b", "a\x1cb"], ids=["no-break", "ideographic", "separator"])
def test_ids_with_unusual_blanks_are_read_back_exactly(tmp_path, doc_id):
    write_run(Run.from_dict({"q": {doc_id: 1.0}}), tmp_path / "run.gz", tag="tag")
    assert {"q": [(doc_id, 1.0)]} == rankings(read_run(tmp_path / "run.gz"))


def test_id_that_starts_as_json_does_is_read_back_exactly(tmp_path):
    write_run(Run.from_dict({"[q]": {"d": 1.0}}), tmp_path / "run.gz", tag="tag")
    assert {"[q]": [("d", 1.0)]} == rankings(read_run(tmp_path / "run.gz"))


def test_same_run_gives_the_same_bytes_with_gzip_where_the_name_says_so(tmp_path):
    scores = {"q1": {"d1": 0.1, "d2": 0.2}, "q2": {"d 3": -0.5}}
    write_run(Run.from_dict(scores), tmp_path / "one.gz", tag="tag")
    reordered = {"q2": {"d 3": -0.5}, "q1": {"d2": 0.2, "d1": 0.1}}
    write_run(Run.from_dict(reordered), tmp_path / "two.trec.gz", tag="tag")
    write_run(Run.from_dict(reordered), tmp_path / "plain.trec", tag="tag")
    content = (tmp_path / "one.gz").read_bytes()
    assert content == (tmp_path / "two.trec.gz").read_bytes()
    assert gzip.decompress(content) == (tmp_path / "plain.trec").read_bytes()
    assert bytes(4) == content[4:8]  # no modification time in the gzip header


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("run1", 0.6844),
        ("UIUC_DMG_setrank_ret", 0.6082),
        ("base.unipd.it", 0.5720),
        ("BERT", 0.1731),
        ("SFDC-23April-run2", 0.0218),
        ("yn-r1-alltext", 0.0205),
    ],
)
def test_trec_covid_runs_have_their_official_values(shared, name, expected):
    """Runs whose value depends on the order of ties and on ignoring the rank column; see expected.json beside them."""
    folder = shared / "data" / "trec_covid_round1"
    run = read_run(folder / "runs" / f"{name}.gz")
    means = measure(read_qrels(folder / "qrels-rnd1.txt"), run, ["nDCG@10"]).means
    assert expected == round(means["nDCG@10"], 4)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("BM25.dl19.txt", 0.5058),
        ("SPLADE.dl19.txt", 0.7308),
        ("BM25.dl19.rankvicuna.txt", 0.6682),
        ("SPLADE.dl19.rankvicuna.txt", 0.7459),
    ],
)
def test_dl19_runs_have_their_published_values(shared, name, expected):
    folder = shared / "data" / "msmarco_dl19"
    means = measure(read_qrels(folder / "qrels" / "test.tsv"), read_run(folder / "runs" / name), ["nDCG@10"]).means
    assert expected == round(means["nDCG@10"], 4)


def test_a_run_is_written_to_a_path_of_any_kind_and_anything_else_is_refused(tmp_path):
    write_run(run := Run.from_dict({"q": {"d": 1.0}}), str(tmp_path / "run.gz"))
    assert run.digest() == read_run(str(tmp_path / "run.gz")).digest()
    with pytest.raises(
        DataError, match=r"^\{'q': \{'d': 1.0\}\} is not an evalkit.Run. Give result.run, or evalkit.Run"
    ):
        write_run({"q": {"d": 1.0}}, tmp_path / "run.gz")
    with pytest.raises(DataError, match=r"absent/run.gz: cannot be written \(No such file or directory\)"):
        write_run(run, tmp_path / "absent/run.gz")


@pytest.mark.parametrize("read", [read_run, read_qrels])
@pytest.mark.parametrize("path", [None, 3, {}])
def test_what_is_no_path_is_one_line(read, path):
    with pytest.raises(EvalkitError, match=r"^(None|3|\{\}) \(\w+\) is not the path of a file or folder\.$"):
        read(path)
