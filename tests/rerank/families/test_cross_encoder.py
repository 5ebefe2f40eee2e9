"""Pairs as one sequence: joints, segments, and cuts that equal those of the tokenizers library."""

import json
import shutil

import pytest
import tiny_tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from evalkit.errors import ModelError
from evalkit.inference.tokens import FastTokenizer
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig, CrossEncoderFamily
from evalkit.types import Pair


def tokenize(tokenizer, pairs, **settings):
    return CrossEncoderFamily(CrossEncoderConfig(name="x", model="x", **settings)).tokenize(tokenizer, pairs)


WORDS = ["the", "moon", "pulls", "sea", "and", "makes", "tides", "bees", "honey"]


@pytest.fixture(scope="module")
def xlm_roberta() -> Tokenizer:
    return Tokenizer.from_str(tiny_tokenizers.xlm_roberta(512).files["tokenizer.json"].decode())


def listed(arrays) -> list[list[int]]:
    return [array.tolist() for array in arrays]


def test_pair_has_its_second_text_in_the_second_segment(tokenizer, code):
    actual = tokenize(tokenizer, [Pair("moon", "the sea")], max_length=16, truncation="longest_first")
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[begin, code["moon"], end, code["the"], code["sea"], end]] == listed(actual.ids)
    assert listed(actual.segments) == [[0, 0, 0, 1, 1, 1]]


def test_pair_is_flagged_from_one_token_over_the_limit_wherever_the_surplus_is(tokenizer):
    pairs = [Pair("moon " * q, "sea " * d) for q, d in ((3, 2), (4, 2), (3, 3), (5, 0))]
    actual = tokenize(tokenizer, pairs, max_length=8, truncation="longest_first")
    assert actual.truncated.tolist() == [False, True, True, False]


def test_only_second_leaves_the_first_text_whole(tokenizer, code):
    pair = Pair("moon pulls sea", "bees honey bees honey")
    actual = tokenize(tokenizer, [pair], max_length=8, truncation="only_second")
    begin, end = code["[CLS]"], code["[SEP]"]
    first = [code["moon"], code["pulls"], code["sea"]]
    assert [[begin, *first, end, code["bees"], code["honey"], end]] == listed(actual.ids)


def test_longest_first_takes_from_the_longer_text_until_both_are_equal(tokenizer, code):
    pairs = [Pair("moon " * 9, "sea " * 2), Pair("moon " * 2, "sea " * 9)]
    actual = tokenize(tokenizer, pairs, max_length=8, truncation="longest_first")
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
    tokenizer = FastTokenizer(Tokenizer.from_file(str(tmp_path / "tokenizer.json")))
    actual = tokenize(tokenizer, [Pair(pair["query"], pair["document"])], max_length=512, truncation="longest_first")
    assert [case["input_ids"]] == listed(actual.ids)


words = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6), st.integers(8, 24))
def test_ids_segments_and_cuts_are_those_of_the_tokenizers_library(tokenizer_file, tokenizer, pairs, max_length):
    """Independent: the library cuts and joins here, in its own code."""
    library = Tokenizer.from_file(str(tokenizer_file))
    library.enable_truncation(max_length=max_length, strategy="longest_first")
    expected = library.encode_batch(pairs)
    actual = tokenize(tokenizer, [Pair(*pair) for pair in pairs], max_length=max_length, truncation="longest_first")
    assert [encoding.ids for encoding in expected] == listed(actual.ids)
    assert [encoding.type_ids for encoding in expected] == listed(actual.segments)
    assert [bool(encoding.overflowing) for encoding in expected] == actual.truncated.tolist()


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6), st.integers(18, 30))
def test_only_second_cuts_as_the_tokenizers_library_does(tokenizer_file, tokenizer, pairs, max_length):
    library = Tokenizer.from_file(str(tokenizer_file))
    library.enable_truncation(max_length=max_length, strategy="only_second")
    expected = library.encode_batch(pairs)
    actual = tokenize(tokenizer, [Pair(*pair) for pair in pairs], max_length=max_length, truncation="only_second")
    assert [encoding.ids for encoding in expected] == listed(actual.ids)


def test_a_query_that_leaves_no_room_is_an_error_when_only_the_document_may_be_cut(tokenizer):
    with pytest.raises(ModelError, match="leaves no room"):
        tokenize(tokenizer, [Pair("moon " * 20, "sea")], max_length=16, truncation="only_second")


def test_two_very_long_texts_are_cut_in_reasonable_time(tokenizer):
    """The library keeps every overflowing piece of both, a product of their lengths: minutes and gigabytes here."""
    pair = Pair("moon " * 20_000, "sea " * 20_000)
    actual = tokenize(tokenizer, [pair], max_length=16, truncation="longest_first")
    assert actual.lengths.tolist() == [16]


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6), st.integers(13, 24))
def test_flag_embedding_cuts_the_query_to_three_quarters_and_then_the_document(tokenizer, code, pairs, max_length):
    actual = tokenize(tokenizer, [Pair(*pair) for pair in pairs], max_length=max_length, truncation="flag_embedding")
    for (query, document), ids, dropped in zip(pairs, actual.ids, actual.dropped.tolist(), strict=True):
        first = [code[word] for word in query.split()][: int(0.75 * max_length)]
        second = [code[word] for word in document.split()][: max_length - 3 - len(first)]
        assert [code["[CLS]"], *first, code["[SEP]"], *second, code["[SEP]"]] == ids.tolist()
        assert [len(query.split()) - len(first), len(document.split()) - len(second)] == dropped


def test_three_quarters_that_leave_no_room_for_a_document_are_an_error(tokenizer):
    with pytest.raises(
        ModelError, match=r"the query 'moon moon .* leaves no room for its document: it has 20 tokens, and max_length=8"
    ):
        tokenize(tokenizer, [Pair("moon " * 20, "sea")], max_length=8, truncation="flag_embedding")


@given(st.lists(st.tuples(words, words), max_size=6), st.integers(8, 24))
def test_document_is_where_the_columns_say_and_what_was_dropped_is_the_rest(tokenizer, code, pairs, max_length):
    pairs = [Pair(*pair) for pair in pairs]
    actual = tokenize(tokenizer, pairs, max_length=max_length, truncation="longest_first")
    for row, pair in enumerate(pairs):
        start, stop = actual.documents[row]
        of_query, of_document = (len(text.split()) for text in (pair.query, pair.document))
        kept = of_document - actual.dropped[row, 1]
        assert [code[word] for word in pair.document.split()][:kept] == actual.ids[row][start:stop].tolist()
        assert actual.lengths[row] == 3 + of_query - actual.dropped[row, 0] + kept


def test_joint_of_two_tokens_is_part_of_the_template(xlm_roberta):
    tokenizer = FastTokenizer(xlm_roberta)
    (query, document) = tokenizer.token_ids(["the moon", "the sea"])
    actual = tokenize(tokenizer, [Pair("the moon", "the sea")], max_length=64, truncation="longest_first")
    assert [[0, *query, 2, 2, *document, 2]] == listed(actual.ids)
    assert [[3 + len(query), 3 + len(query) + len(document)]] == actual.documents.tolist()
    assert {0} == set(actual.segments[0].tolist())
    assert xlm_roberta.encode("the moon", "the sea").ids == actual.ids[0].tolist()


def test_instruction_is_not_part_of_this_template(tokenizer):
    pairs = [Pair("moon", "sea"), Pair("moon", "sea", "bees make honey")]
    plain, instructed = listed(tokenize(tokenizer, pairs, max_length=16, truncation="longest_first").ids)
    assert plain == instructed


def test_a_tokenizer_that_adds_nothing_joins_the_texts_and_refuses_a_pair_without_any():
    tokenizer = FastTokenizer(Tokenizer.from_str(tiny_tokenizers.qwen().files["tokenizer.json"].decode()))
    first, second = tokenizer.token_ids(["moon", "sea"])
    (ids,) = tokenize(tokenizer, [Pair("moon", "sea")], max_length=16, truncation="longest_first").ids
    assert [*first, *second] == ids.tolist()
    with pytest.raises(ModelError, match="text 1 is empty"):
        tokenize(tokenizer, [Pair("moon", ""), Pair("", "")], max_length=16, truncation="longest_first")


@pytest.mark.parametrize("truncation", ["longest_first", "flag_embedding"])
def test_cuts_on_the_left_are_those_of_the_library(tokenizer, truncation):
    """The ends of both texts stay, as many tokens of each as when the beginnings stay."""
    words = ["the", "moon", "pulls", "the", "sea", "and", "makes", "tides", "bees", "make", "honey", "from", "nectar"]
    pair = Pair(" ".join(words), " ".join(reversed(words)))
    right = tokenize(tokenizer, [pair], max_length=18, truncation=truncation)
    tokenizer.cuts_left = True
    try:
        left = tokenize(tokenizer, [pair], max_length=18, truncation=truncation)
    finally:
        tokenizer.cuts_left = False
    assert (right.dropped.tolist(), right.documents.tolist()) == (left.dropped.tolist(), left.documents.tolist())
    start, stop = left.documents[0]
    assert tokenizer.token_ids([pair.document])[0][-(stop - start) :].tolist() == left.ids[0][start:stop].tolist()


def test_an_instruction_is_put_before_every_query_and_no_document(tokenizer):
    with_it = tokenize(
        tokenizer, [Pair("moon", "sea")], max_length=16, truncation="longest_first", query_instruction="the "
    )
    without = tokenize(tokenizer, [Pair("the moon", "sea")], max_length=16, truncation="longest_first")
    assert with_it.ids[0].tolist() == without.ids[0].tolist()


def test_no_pair_gives_no_ids(tokenizer):
    actual = tokenize(tokenizer, [], max_length=8, truncation="longest_first")
    assert ([], (0, 2)) == (actual.ids, actual.documents.shape)


def test_start_is_the_instruction_before_every_query(tokenizer, code):
    pairs = [Pair("tides", "the sea"), Pair("bees", "honey")]
    found = tokenize(tokenizer, pairs, max_length=16, truncation="longest_first", query_instruction="the moon ")
    assert [3, 3] == found.starts.tolist()
    assert [code["[CLS]"], code["the"], code["moon"]] == found.ids[0][:3].tolist()
    assert tokenize(tokenizer, pairs, max_length=16, truncation="longest_first").starts is None
