"""Ids that were meant to be the same."""

import pytest

from evalkit.formats.similar_ids import compared, lookalike, unpadded


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("4983.0", "4983"),
        ("4983", "4983.0"),
        ("0042", "42"),
        ("D7", "d7"),
        (" q1", "q1"),
        ("\uff11\uff12", "12"),
        ('"q1"', "q1"),
        ("doc_7", "doc-7"),
        ("doc/7.txt", "doc/7"),
        ("msmarco_passage_123", "123"),
        ("q12", "12"),
        ("123#0", "123"),
        ("PLAIN-2-x", "PLAIN-2"),
    ],
)
def test_ids_that_differ_in_writing_alone_are_a_pair(ours, theirs):
    pair = lookalike(["zzz", ours], ["other", theirs])
    assert pair is not None
    assert (ours, theirs) == pair[:2]


def test_the_nearest_likeness_is_taken_before_an_earlier_id():
    pair = lookalike(["7-x-9", "12.0"], ["doc 9", "12"])
    assert pair is not None
    assert ("12.0", "12") == pair[:2]


def test_ids_with_nothing_in_common_do_not_match():
    assert lookalike(["alpha"], ["12345"]) is None


def test_a_number_in_common_is_not_enough_where_ids_must_surely_be_meant_to_be_the_same():
    assert lookalike(["doc 12"], ["q12"], loosely=False) is None
    assert lookalike(["12.0"], ["12"], loosely=False) is not None


def test_sentence_names_both_ids_and_a_remedy():
    told = compared(["1.0"], ["1"], place="the run", other="the judgments")
    assert (
        told
        == "'1.0' stands in the run and '1' in the judgments. pandas reads ids as numbers unless it is given dtype=str."
    )


def test_without_a_pair_the_first_of_both_are_named():
    several = compared(["alpha"], ["12345"], place="the judgments", other="the corpus")
    assert several.startswith("The judgments have 'alpha', the corpus '12345'.")
    told = compared(["alpha"], ["12345"], place="the run", other="the judgments")
    assert told == "The run has 'alpha', the judgments '12345'. Are both of the same collection?"


@pytest.mark.parametrize(
    ("ids", "same"),
    [(("42", "00042", "42.0"), True), (("en-d7", "en-d007"), True), (("d10", "d1"), False), (("1.05", "1.5"), False)],
)
def test_ids_that_differ_in_zeros_alone_are_the_same_without_them(ids, same):
    assert same is (len({unpadded(text) for text in ids}) == 1)


def test_passages_in_the_place_of_documents_are_told_from_other_spellings():
    told = compared(["D9#1", "D123#4"], ["D123"], place="the run", other="the judgments")
    assert told == (
        "'D123#4' stands in the run and 'D123' in the judgments. Ids with # are of passages: --maxp '#', or "
        "dataset.maxp='#', takes the best passage of each document."
    )


@pytest.mark.parametrize(("ours", "theirs"), [("D2#1", "D1"), ("alpha#0", "12345"), ("12345", "alpha#0")])
def test_passages_on_one_side_alone_bring_a_hint_at_maxp(ours, theirs):
    assert "--maxp '#'" in compared([ours], [theirs], place="the run", other="the judgments")
