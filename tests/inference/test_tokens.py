"""Token ids: special tokens, exact truncation flags, pairs, and indifference to what a tokenizer.json stores."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stubs import tiny_bert
from tokenizers import Tokenizer

from evalkit.inference import tokens
from evalkit.inference.tokens import tokenize

WORDS = ["the", "moon", "pulls", "sea", "and", "makes", "tides", "bees", "honey"]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("tokens")) / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer(file) -> Tokenizer:
    return Tokenizer.from_file(str(file))


@pytest.fixture(scope="module")
def code(file) -> dict[str, int]:
    """Token -> id, read from the file."""
    return json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]


def listed(arrays) -> list[list[int]]:
    return [array.tolist() for array in arrays]


def test_special_tokens_are_round_the_words(tokenizer, code):
    actual = tokenize(tokenizer, ["The moon pulls", ""], max_length=16, truncation="longest_first")
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[begin, code["the"], code["moon"], code["pulls"], end], [begin, end]] == listed(actual.ids)
    assert listed(actual.segments) == [[0] * 5, [0] * 2]
    assert actual.lengths.tolist() == [5, 2]


def test_pair_has_its_second_text_in_the_second_segment(tokenizer, code):
    actual = tokenize(tokenizer, [("moon", "the sea")], max_length=16, truncation="longest_first")
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[begin, code["moon"], end, code["the"], code["sea"], end]] == listed(actual.ids)
    assert listed(actual.segments) == [[0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("max_length", [8, 9, 15])
@pytest.mark.parametrize("truncation", ["longest_first", "only_second"])
def test_text_is_flagged_from_one_token_over_the_limit(tokenizer, code, max_length, truncation):
    fits, over = " ".join(["moon"] * (max_length - 2)), " ".join(["moon"] * (max_length - 1))
    if truncation == "only_second":
        fits, over = ("sea", " ".join(["moon"] * (max_length - 4))), ("sea", " ".join(["moon"] * (max_length - 3)))
    actual = tokenize(tokenizer, [over, fits, over], max_length=max_length, truncation=truncation)
    assert actual.truncated.tolist() == [True, False, True]
    assert [max_length] * 3 == actual.lengths.tolist()
    assert {code["[SEP]"]} == {int(ids[-1]) for ids in actual.ids}


def test_pair_is_flagged_from_one_token_over_the_limit_wherever_the_surplus_is(tokenizer):
    pairs = [("moon " * 3, "sea " * 2), ("moon " * 4, "sea " * 2), ("moon " * 3, "sea " * 3), ("moon " * 5, "")]
    actual = tokenize(tokenizer, pairs, max_length=8, truncation="longest_first")
    assert actual.truncated.tolist() == [False, True, True, False]


def test_only_second_leaves_the_first_text_whole(tokenizer, code):
    actual = tokenize(tokenizer, [("moon pulls sea", "bees honey bees honey")], max_length=8, truncation="only_second")
    begin, end = code["[CLS]"], code["[SEP]"]
    first = [code["moon"], code["pulls"], code["sea"]]
    assert [[begin, *first, end, code["bees"], code["honey"], end]] == listed(actual.ids)


def test_longest_first_takes_from_the_longer_text_until_both_are_equal(tokenizer, code):
    actual = tokenize(
        tokenizer, [("moon " * 9, "sea " * 2), ("moon " * 2, "sea " * 9)], max_length=8, truncation="longest_first"
    )
    assert [[ids.tolist().count(code["moon"]), ids.tolist().count(code["sea"])] for ids in actual.ids] == [
        [3, 2],
        [2, 3],
    ]


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=20), max_size=8), st.integers(8, 20))
def test_ids_are_the_vocabulary_s_and_flags_are_word_counts(tokenizer, code, texts, max_length):
    actual = tokenize(tokenizer, [" ".join(text) for text in texts], max_length=max_length, truncation="longest_first")
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[begin, *[code[word] for word in text[: max_length - 2]], end] for text in texts] == listed(actual.ids)
    assert [len(text) + 2 > max_length for text in texts] == actual.truncated.tolist()


def test_truncation_and_padding_stored_in_the_file_do_not_matter(file, tokenizer, tmp_path):
    texts = ["the moon pulls the sea and makes tides", "honey", ""]
    expected = tokenize(tokenizer, texts, max_length=8, truncation="longest_first")
    stored = Tokenizer.from_file(str(file))
    stored.enable_truncation(max_length=4, stride=1, strategy="only_first", direction="left")
    stored.enable_padding(length=12, pad_id=3, direction="left")
    stored.save(str(tmp_path / "tokenizer.json"))
    reread = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    # What was stored does change what the file alone gives; otherwise this test would show nothing.
    assert {12} == {len(encoding.ids) for encoding in reread.encode_batch(texts)}
    actual = tokenize(reread, texts, max_length=8, truncation="longest_first")
    assert listed(expected.ids) == listed(actual.ids)
    assert expected.truncated.tolist() == actual.truncated.tolist()


def test_limit_of_an_earlier_call_does_not_matter(file, code):
    tokenizer = Tokenizer.from_file(str(file))
    tokenize(tokenizer, ["moon " * 30], max_length=8, truncation="longest_first")
    actual = tokenize(tokenizer, ["moon " * 30], max_length=32, truncation="longest_first")
    assert [ids.tolist().count(code["moon"]) for ids in actual.ids] == [30]
    assert actual.truncated.tolist() == [False]


def test_result_does_not_depend_on_texts_per_call(tokenizer, monkeypatch):
    texts = [" ".join(WORDS[: index % 9]) for index in range(20)]
    expected = tokenize(tokenizer, texts, max_length=8, truncation="longest_first")
    monkeypatch.setattr(tokens, "_TEXTS_PER_CALL", 3)
    actual = tokenize(tokenizer, texts, max_length=8, truncation="longest_first")
    assert listed(expected.ids) == listed(actual.ids)
    assert expected.truncated.tolist() == actual.truncated.tolist()


def test_no_text_gives_no_ids(tokenizer):
    actual = tokenize(tokenizer, [], max_length=8, truncation="longest_first")
    assert ([], np.int64, np.bool_) == (actual.ids, actual.lengths.dtype, actual.truncated.dtype)


@pytest.mark.shared
def test_string_of_a_special_token_in_a_text_is_read_as_the_checkpoint_s_tokenizer_does(shared, tmp_path):
    shutil.copy(shared / "golden/bge_reranker_v2_m3/model/tokenizer.json", tmp_path)
    golden = json.loads((shared / "golden/bge_reranker_v2_m3/expected.json").read_text(encoding="utf-8"))
    pair = next(pair for pair in golden["pairs"] if pair["id"] == "special_token_strings")
    case = next(case for case in golden["cases"] if case["id"] == pair["id"] and case["max_length"] == 512)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    actual = tokenize(tokenizer, [(pair["query"], pair["document"])], max_length=512, truncation="longest_first")
    assert [case["input_ids"]] == listed(actual.ids)
