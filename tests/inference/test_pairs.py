"""Pairs as one sequence: joints, segments, and cuts that equal those of the tokenizers library."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from evalkit.errors import ModelError
from evalkit.inference.pairs import tokenize_pairs

WORDS = ["the", "moon", "pulls", "sea", "and", "makes", "tides", "bees", "honey"]


def listed(arrays) -> list[list[int]]:
    return [array.tolist() for array in arrays]


def test_pair_has_its_second_text_in_the_second_segment(tokenizer, code):
    actual = tokenize_pairs(tokenizer, [("moon", "the sea")], max_length=16, truncation="longest_first")
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[begin, code["moon"], end, code["the"], code["sea"], end]] == listed(actual.ids)
    assert listed(actual.segments) == [[0, 0, 0, 1, 1, 1]]


def test_pair_is_flagged_from_one_token_over_the_limit_wherever_the_surplus_is(tokenizer):
    pairs = [("moon " * 3, "sea " * 2), ("moon " * 4, "sea " * 2), ("moon " * 3, "sea " * 3), ("moon " * 5, "")]
    actual = tokenize_pairs(tokenizer, pairs, max_length=8, truncation="longest_first")
    assert actual.truncated.tolist() == [False, True, True, False]


def test_only_second_leaves_the_first_text_whole(tokenizer, code):
    actual = tokenize_pairs(
        tokenizer, [("moon pulls sea", "bees honey bees honey")], max_length=8, truncation="only_second"
    )
    begin, end = code["[CLS]"], code["[SEP]"]
    first = [code["moon"], code["pulls"], code["sea"]]
    assert [[begin, *first, end, code["bees"], code["honey"], end]] == listed(actual.ids)


def test_longest_first_takes_from_the_longer_text_until_both_are_equal(tokenizer, code):
    actual = tokenize_pairs(
        tokenizer, [("moon " * 9, "sea " * 2), ("moon " * 2, "sea " * 9)], max_length=8, truncation="longest_first"
    )
    assert [[ids.tolist().count(code["moon"]), ids.tolist().count(code["sea"])] for ids in actual.ids] == [
        [3, 2],
        [2, 3],
    ]


@pytest.mark.shared
def test_string_of_a_special_token_in_a_text_is_read_as_the_checkpoint_s_tokenizer_does(shared, tmp_path):
    shutil.copy(shared / "golden/bge_reranker_v2_m3/model/tokenizer.json", tmp_path)
    golden = json.loads((shared / "golden/bge_reranker_v2_m3/expected.json").read_text(encoding="utf-8"))
    pair = next(pair for pair in golden["pairs"] if pair["id"] == "special_token_strings")
    case = next(case for case in golden["cases"] if case["id"] == pair["id"] and case["max_length"] == 512)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    actual = tokenize_pairs(tokenizer, [(pair["query"], pair["document"])], max_length=512, truncation="longest_first")
    assert [case["input_ids"]] == listed(actual.ids)


words = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6), st.integers(8, 24))
def test_ids_segments_and_cuts_are_those_of_the_tokenizers_library(file, tokenizer, pairs, max_length):
    """Independent: the library cuts and joins here, in its own code."""
    library = Tokenizer.from_file(str(file))
    library.enable_truncation(max_length=max_length, strategy="longest_first")
    expected = library.encode_batch(pairs)
    actual = tokenize_pairs(tokenizer, pairs, max_length=max_length, truncation="longest_first")
    assert [encoding.ids for encoding in expected] == listed(actual.ids)
    assert [encoding.type_ids for encoding in expected] == listed(actual.segments)
    assert [bool(encoding.overflowing) for encoding in expected] == actual.truncated.tolist()


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6), st.integers(18, 30))
def test_only_second_cuts_as_the_tokenizers_library_does(file, tokenizer, pairs, max_length):
    library = Tokenizer.from_file(str(file))
    library.enable_truncation(max_length=max_length, strategy="only_second")
    expected = library.encode_batch(pairs)
    actual = tokenize_pairs(tokenizer, pairs, max_length=max_length, truncation="only_second")
    assert [encoding.ids for encoding in expected] == listed(actual.ids)


def test_a_query_that_leaves_no_room_is_an_error_when_only_the_document_may_be_cut(tokenizer):
    with pytest.raises(ModelError, match="leaves no room"):
        tokenize_pairs(tokenizer, [("moon " * 20, "sea")], max_length=16, truncation="only_second")


def test_two_very_long_texts_are_cut_in_reasonable_time(tokenizer):
    """The library keeps every overflowing piece of both, a product of their lengths: minutes and gigabytes here."""
    actual = tokenize_pairs(tokenizer, [("moon " * 20_000, "sea " * 20_000)], max_length=16, truncation="longest_first")
    assert actual.lengths.tolist() == [16]
