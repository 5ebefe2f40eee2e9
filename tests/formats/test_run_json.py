"""Runs in the JSON layouts of other tools, through `read_run` as users read them."""

import gzip
import json
import re

import pytest

from evalkit.errors import DataError
from evalkit.formats.trec import read_run

SCORES = {"1": {"d1": 0.5, "d2": 2}, "q2": {"d1": -0.25}}
RANKINGS = {"1": [("d2", 2.0), ("d1", 0.5)], "q2": [("d1", -0.25)]}

HITS = [
    {
        "query": "text of one",
        "hits": [
            {"content": "...", "qid": 1, "docid": "d2", "rank": 1, "score": 2},
            {"content": "...", "qid": 1, "docid": "d1", "rank": 2, "score": 0.5},
        ],
    },
    {"query": "text of two", "hits": [{"content": "...", "qid": "q2", "docid": "d1", "rank": 1, "score": -0.25}]},
]
CANDIDATES = [
    {
        "query": {"qid": 1, "text": "text of one"},
        "candidates": [{"docid": "d2", "score": 2.0, "doc": {}}, {"docid": "d1", "score": 0.5, "doc": {}}],
    },
    {"query": {"qid": "q2", "text": "text of two"}, "candidates": [{"docid": "d1", "score": -0.25}]},
]


HIT = {"docid": "d", "score": 1.0}


def one_object_a_line(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def file(tmp_path):
    """A function that writes text, bytes, or anything as JSON to a file, always of the same name."""

    def write(content):
        path = tmp_path / "run.json"
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rankings(run):
    return {query_id: list(zip(doc_ids, scores.tolist(), strict=True)) for query_id, doc_ids, scores in run}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(SCORES, id="BEIR"),
        pytest.param(json.dumps(SCORES, indent=2), id="BEIR over lines"),
        pytest.param("\n  " + json.dumps(SCORES), id="BEIR after blanks"),
        pytest.param({"search_results": SCORES, "model_name": "m", "split": "dev"}, id="FlagEmbedding"),
        pytest.param({"mteb_model_meta": {"name": "m"}, "default": {"test": SCORES}}, id="mteb"),
        pytest.param({"default": {"test": SCORES}, "mteb_model_meta": None}, id="mteb with its meta last"),
        pytest.param(HITS, id="rank_llm hits"),
        pytest.param(json.dumps(HITS, indent=2), id="rank_llm hits over lines"),
        pytest.param(one_object_a_line(HITS), id="rank_llm hits a line"),
        pytest.param(CANDIDATES, id="rank_llm candidates"),
        pytest.param(one_object_a_line(CANDIDATES), id="rank_llm candidates a line"),
        pytest.param("\n" + one_object_a_line(CANDIDATES).replace("\n", "\r\n\r\n"), id="lines with blank ones, CRLF"),
        pytest.param(gzip.compress(one_object_a_line(CANDIDATES).encode()), id="gzip named json"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(SCORES).encode(), id="byte-order mark"),
        pytest.param(b"\xef\xbb\xbf" + one_object_a_line(HITS).encode(), id="byte-order mark before lines"),
    ],
)
def test_run_is_read_from_every_layout(file, content):
    assert RANKINGS == rankings(read_run(file(content)))


@pytest.mark.parametrize("row", [HITS[0], CANDIDATES[0]], ids=["hits", "candidates"])
def test_rank_llm_file_of_a_single_line_is_read(file, row):
    assert {"1": [("d2", 2.0), ("d1", 0.5)]} == rankings(read_run(file(one_object_a_line([row]))))


def test_integer_document_ids_become_text(file):
    rows = [{"query": {"qid": 7}, "candidates": [{"docid": 42, "score": 1.0}]}]
    assert {"7": [("42", 1.0)]} == rankings(read_run(file(rows)))


def test_query_id_zero_is_an_id(file):
    rows = [{"query": "text", "hits": [{"qid": 0, "docid": "d", "score": 1.0}]}]
    assert {"0": [("d", 1.0)]} == rankings(read_run(file(rows)))


def test_equal_scores_in_any_order_do_not_contradict_the_ranking(file):
    rows = [{"query": {"qid": "q"}, "candidates": [{"docid": doc, "score": 1.0} for doc in ("a", "c", "b")]}]
    assert {"q": [("c", 1.0), ("b", 1.0), ("a", 1.0)]} == rankings(read_run(file(rows)))


def test_query_without_candidates_is_left_out(file):
    rows = [*CANDIDATES, {"query": {"qid": "q3"}, "candidates": []}]
    assert RANKINGS == rankings(read_run(file(rows)))


@pytest.mark.parametrize("layout", ["hits", "candidates"])
def test_rank_llm_order_that_contradicts_the_scores_is_an_error(file, layout):
    hits = [{"qid": "q", "docid": "a", "score": 1.0}, {"qid": "q", "docid": "b", "score": 2.0}]
    path = file([{"query": {"qid": "q"}, layout: hits}])
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: the hits of query 'q' are not in descending order"):
        read_run(path)


def test_order_is_checked_within_a_query_not_across_queries(file):
    rows = [{"query": {"qid": q}, "candidates": [{"docid": "d", "score": s}]} for q, s in (("q1", 1.0), ("q2", 2.0))]
    assert {"q1": [("d", 1.0)], "q2": [("d", 2.0)]} == rankings(read_run(file(rows)))


@pytest.mark.parametrize(
    ("score", "shown"),
    [("high", "'high'"), (True, "True"), (False, "False"), (None, "None"), ([1], r"\[1\]"), ({}, "{}")],
)
@pytest.mark.parametrize(
    "layout",
    [
        lambda score: {"q": {"a": 1.0, "d": score}},
        lambda score: {"search_results": {"q": {"d": score}}},
        lambda score: {"mteb_model_meta": {}, "default": {"test": {"q": {"d": score}}}},
        lambda score: [{"query": {"qid": "q"}, "candidates": [{"docid": "d", "score": score}]}],
    ],
    ids=["BEIR", "FlagEmbedding", "mteb", "rank_llm"],
)
def test_score_that_is_not_a_number_is_an_error_with_the_pair(file, layout, score, shown):
    path = file(layout(score))
    message = f"^{re.escape(str(path))}: the score of 'd' for query 'q' is {shown}, expected a number"
    with pytest.raises(DataError, match=message):
        read_run(path)


def test_hit_without_a_score_is_an_error_that_names_the_pair(file):
    path = file([{"query": {"qid": "q"}, "candidates": [{"docid": "d"}]}])
    with pytest.raises(DataError, match="the score of 'd' for query 'q' is None, expected a number"):
        read_run(path)


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1e39", "1e400", "1" + "0" * 60, "1" + "0" * 400])
def test_score_beyond_float32_is_an_error_that_names_the_file(file, score):
    path = file(f'{{"q": {{"d": {score}}}}}')
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:"):
        read_run(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param('{"q": {"d": 1, "d": 2}}', id="document in BEIR"),
        pytest.param('{"q": {"d": 1}, "q": {"e": 2}}', id="query in BEIR"),
        pytest.param(one_object_a_line([{"query": {"qid": "q"}, "candidates": [HIT, HIT]}] * 2), id="rank_llm"),
        pytest.param(one_object_a_line([CANDIDATES[0], CANDIDATES[0]]), id="query in rank_llm lines"),
    ],
)
def test_repeated_document_or_query_is_an_error_that_names_the_file(file, content):
    path = file(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:.* twice"):
        read_run(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"q": [["d", 1]], "r": 1}, id="lists and a number"),
        pytest.param({"q": 1.0}, id="one score a query"),
        pytest.param({"q": {"d": 1.0}, "note": "text"}, id="one text among queries"),
        pytest.param({"search_results": [1]}, id="FlagEmbedding list"),
        pytest.param({"search_results": None}, id="FlagEmbedding null"),
        pytest.param({"mteb_model_meta": {}, "default": {"test": [1]}}, id="mteb list"),
        pytest.param({"mteb_model_meta": {}, "default": 3}, id="mteb number"),
        pytest.param({"mteb_model_meta": {}, "default": "text"}, id="mteb text"),
        pytest.param([1, 2], id="numbers"),
        pytest.param([["q", "d", 1.0]], id="rows as lists"),
        pytest.param([{"query": "text"}], id="rank_llm without hits"),
        pytest.param([{"query": {"qid": "q"}, "candidates": {"d": 1.0}}], id="rank_llm with a mapping"),
        pytest.param([{"query": {"qid": "q"}, "candidates": ["d"]}], id="rank_llm with bare ids"),
        pytest.param([{"query": {"qid": "q"}, "candidates": [{"score": 1.0}]}], id="rank_llm without docid"),
    ],
)
def test_another_layout_is_an_error_that_lists_the_legal_ones(file, content):
    path = file(content)
    legal = "BEIR {query: {document: score}}, FlagEmbedding search results, mteb predictions, rank_llm or DPR results"
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: .*{re.escape(legal)}"):
        read_run(path)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"default": {"test": SCORES, "dev": SCORES}}, "default/test, default/dev"),
        ({"en": {"test": SCORES}, "zh": {"test": SCORES}}, "en/test, zh/test"),
        ({}, "none"),
    ],
)
def test_mteb_predictions_of_other_than_one_split_are_an_error_that_names_them(file, content, names):
    path = file({"mteb_model_meta": {}, **content})
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: mteb predictions of several .*\({names}\)"):
        read_run(path)


def test_rank_llm_entry_without_a_query_id_is_an_error_that_names_the_entry(file):
    path = file([CANDIDATES[0], {"query": "text", "hits": [{"docid": "d", "score": 1.0}]}])
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: entry 2 names no query id \(qid\)"):
        read_run(path)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        pytest.param("{'q': {'d': 1}}", 1, id="single quotes"),
        pytest.param('{"q": {"d": 1}', 1, id="cut short"),
        pytest.param('{\n "q": {\n  "d": oops\n }\n}', 3, id="over lines"),
        pytest.param(one_object_a_line(CANDIDATES) + '{"query": ', 3, id="last line cut short"),
        pytest.param(one_object_a_line(CANDIDATES[:1]) + "oops\n", 2, id="second line"),
    ],
)
def test_file_that_is_not_json_is_an_error_that_names_file_and_line(file, content, line):
    path = file(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:{line}: not JSON"):
        read_run(path)


def test_byte_that_is_not_utf8_is_an_error_that_names_the_file(file):
    path = file(b'{"q": {"d\xff": 1}}')
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}.* not UTF-8"):
        read_run(path)


def test_lone_surrogate_in_an_id_is_an_error_that_names_the_file(file):
    path = file('{"q": {"\\ud800": 1}}')
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}:"):
        read_run(path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"q":' * 100_000], ids=["lists", "objects"])
def test_deep_nesting_is_an_error_that_names_the_file(file, content):
    path = file(content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}.*(nested too deeply|not JSON)"):
        read_run(path)


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_gzip_is_an_error_that_names_the_file(file, kept):
    content = gzip.compress(json.dumps({"q": {f"d{i}": i * 0.37 for i in range(3000)}}).encode())
    path = file(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}.*damaged or cut short"):
        read_run(path)


@pytest.mark.shared
def test_rank_llm_candidates_are_the_trec_file_of_the_same_name(shared):
    folder = shared / "data" / "msmarco_dl19"
    in_trec = read_run(folder / "runs" / "BM25.dl19.txt")
    assert in_trec.digest() == read_run(folder / "candidates" / "BM25.dl19.json").digest()
    assert 43 == len(in_trec.query_ids)
