"""Runs as files have them: by score, by rank, and what is odd about them."""

import json

import pytest

from evalkit.errors import DataError
from evalkit.formats.runfile import read_run_file


@pytest.fixture
def file(tmp_path):
    """A function that writes text, or anything as JSON, to a file."""

    def write(content):
        path = tmp_path / "run"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def listed(run):
    return {query_id: doc_ids for query_id, doc_ids, _ in run}


def kinds(found):
    return [note.kind for note in found.notes]


DISTANCES = "q1 Q0 a 1 0.1 faiss\nq1 Q0 b 2 0.5 faiss\nq2 Q0 c 1 0.2 faiss\nq2 Q0 d 2 0.7 faiss\n"


def test_scores_decide_and_queries_whose_ranks_say_otherwise_are_named(file):
    found = read_run_file(file(DISTANCES))
    assert listed(found.run) == {"q1": ["b", "a"], "q2": ["d", "c"]}
    assert listed(found.by_rank) == {"q1": ["a", "b"], "q2": ["c", "d"]}
    assert found.disagreeing == ("q1", "q2")


def test_ranks_decide_where_they_are_asked_for(file):
    found = read_run_file(file(DISTANCES), order="rank")
    assert listed(found.run) == {"q1": ["a", "b"], "q2": ["c", "d"]}
    assert (found.by_rank, found.disagreeing, found.notes) == (None, (), ())


def test_order_score_raises_no_doubts(file):
    found = read_run_file(file(DISTANCES), order="score")
    assert listed(found.run) == {"q1": ["b", "a"], "q2": ["d", "c"]}
    assert (found.by_rank, found.disagreeing) == (None, ())


@pytest.mark.parametrize("first", [0, 1])
def test_ranks_that_agree_raise_no_doubt_in_any_order_of_lines(file, first):
    lines = [f"q Q0 b {first + 1} 2.0 t", f"q Q0 c {first + 2} 1.0 t", f"q Q0 a {first} 3.0 t"]
    found = read_run_file(file("\n".join(lines)))
    assert (listed(found.run), found.by_rank, found.notes) == ({"q": ["a", "b", "c"]}, None, ())


def test_ties_that_ranks_break_otherwise_are_another_order_and_no_disagreement(file):
    found = read_run_file(file("q Q0 a 1 0 t\nq Q0 b 2 0 t\n"))
    assert (listed(found.run), listed(found.by_rank)) == ({"q": ["b", "a"]}, {"q": ["a", "b"]})
    assert found.disagreeing == ()


def test_zeros_in_the_rank_column_are_ignored(file):
    found = read_run_file(file("q Q0 a 0 2.0 t\nq Q0 b 0 3.0 t\nq Q0 c 0 1.0 t\n"))
    assert (found.by_rank, found.disagreeing, found.notes) == (None, (), ())


def test_distances_without_ranks_show_in_the_order_of_the_lines(file):
    content = DISTANCES.replace(" 1 ", " 0 ").replace(" 2 ", " 0 ")
    found = read_run_file(file(content))
    assert (found.ranks_are, found.disagreeing) == ("the order of the file", ("q1", "q2"))
    asked = read_run_file(file(content), order="rank")
    assert (listed(asked.run)["q1"], kinds(asked)) == (["a", "b"], ["no_ranks"])


def test_distances_in_json_show_in_its_order(file):
    found = read_run_file(file({"q1": {"a": 0.1, "b": 0.5, "c": 0.9}}))
    assert (found.disagreeing, listed(found.by_rank)) == (("q1",), {"q1": ["a", "b", "c"]})


def test_ranks_that_documents_share_are_noted_where_ranks_are_asked_for(file):
    found = read_run_file(file("q Q0 a 1 1.0 t\nq Q0 b 1 2.0 t\nq Q0 c 2 9.0 t\n"), order="rank")
    assert (listed(found.run), kinds(found)) == ({"q": ["b", "a", "c"]}, ["shared_ranks"])


def test_one_document_a_query_needs_no_ranks(file):
    found = read_run_file(file("q1 Q0 a 0 1.0 t\nq2 Q0 b 0 1.0 t\n"), order="rank")
    assert kinds(found) == []


@pytest.mark.parametrize("ranks", [(1, 2, 3), (0, 1, 2), ("1.0", "2.0", "3.0")])
def test_a_third_column_of_1_2_3_is_ranks(file, ranks):
    found = read_run_file(file("".join(f"q\t{doc}\t{rank}\n" for doc, rank in zip("abc", ranks, strict=True))))
    assert (listed(found.run), found.notes[0].facts) == ({"q": ["a", "b", "c"]}, {"read_as": "rank"})


def test_a_third_column_of_other_numbers_is_scores(file):
    found = read_run_file(file("q\ta\t88.12\nq\tb\t87.5\nq\tc\t88.3\n"))
    assert (listed(found.run), found.notes[0].facts) == ({"q": ["c", "a", "b"]}, {"read_as": "score"})


@pytest.mark.parametrize(("order", "expected"), [("rank", ["c", "b", "a"]), ("score", ["a", "b", "c"])])
def test_a_third_column_that_could_be_either_is_refused_until_somebody_chooses(file, order, expected):
    path = file("q\ta\t3\nq\tb\t2\nq\tc\t1\n")
    with pytest.raises(DataError, match=r"may hold ranks or scores.*--order score\|rank"):
        read_run_file(path)
    assert listed(read_run_file(path, order=order).run) == {"q": expected}


def test_ranks_and_scores_in_four_columns_are_both_read(file):
    found = read_run_file(file("q\ta\t1\t0.5\nq\tb\t2\t0.9\n"))
    assert (listed(found.run), found.disagreeing) == ({"q": ["b", "a"]}, ("q",))


def test_a_named_rank_without_a_score_orders_the_documents(file):
    assert listed(read_run_file(file("qid,docno,rank\nq,a,2\nq,b,1\n")).run) == {"q": ["b", "a"]}


def test_named_rank_that_is_not_a_number_is_an_error(file):
    with pytest.raises(DataError, match="the rank of 1 document is not a number"):
        read_run_file(file("qid,docno,rank\nq,a,first\nq,b,1\n"))


def test_candidates_without_scores_or_ranks_are_unordered(file):
    path = file("10\t7\twhat do bees make\tBees make honey\n10\t9\twhat do bees make\tBees\n")
    found = read_run_file(path)
    assert (listed(found.run), found.is_unordered) == ({"10": ["9", "7"]}, True)
    asked = read_run_file(path, order="rank")
    assert (listed(asked.run), asked.is_unordered, kinds(asked)) == ({"10": ["7", "9"]}, False, ["no_ranks"])


def test_rows_in_json_are_read_by_their_names(file):
    rows = [{"qid": "q", "docno": "a", "rank": 0, "score": 0.5}, {"qid": "q", "docno": "b", "rank": 1, "score": 0.9}]
    expected = ({"q": ["b", "a"]}, ("q",))
    for content in (rows, "".join(json.dumps(row) + "\n" for row in rows)):
        found = read_run_file(file(content))
        assert (listed(found.run), found.disagreeing) == expected


def test_a_row_in_json_that_lacks_a_key_is_an_error(file):
    with pytest.raises(DataError, match="entry 2 lacks some of qid, docno, score"):
        read_run_file(file([{"qid": "q", "docno": "a", "score": 0.5}, {"qid": "q", "docno": "b"}]))


@pytest.mark.parametrize(("order", "expected"), [("rank", ["a", "b"]), ("score", ["b", "a"])])
def test_a_list_of_hits_that_contradicts_its_scores_is_read_as_somebody_chooses(file, order, expected):
    hits = [{"docid": "a", "score": 1.0}, {"docid": "b", "score": 2.0}]
    path = file([{"query": {"qid": "q"}, "candidates": hits}])
    with pytest.raises(DataError, match=r"not in descending order.*retriever\.order"):
        read_run_file(path)
    assert listed(read_run_file(path, order=order).run) == {"q": expected}


def test_ms_marco_passage_0_is_a_document_and_not_a_sign_of_judgments(file):
    found = read_run_file(file("10\t0\twhat do bees make\tBees make honey\n10\t7\twhat do bees make\tNectar, 2 kg\n"))
    assert (listed(found.run), found.is_unordered) == ({"10": ["7", "0"]}, True)
    with pytest.raises(DataError, match="look like judgments"):
        read_run_file(file("10\t0\t7\t1\n"))
