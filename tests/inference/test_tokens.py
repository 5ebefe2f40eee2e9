"""Token ids: special tokens, exact truncation flags, and indifference to what a tokenizer.json stores."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from evalkit.inference import tokens
from evalkit.inference.tokens import prepare, tokenize

WORDS = ["the", "moon", "pulls", "sea", "and", "makes", "tides", "bees", "honey"]


def listed(arrays) -> list[list[int]]:
    return [array.tolist() for array in arrays]


def test_special_tokens_are_round_the_words(tokenizer, code):
    actual = tokenize(tokenizer, ["The moon pulls", ""], max_length=16)
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[begin, code["the"], code["moon"], code["pulls"], end], [begin, end]] == listed(actual.ids)
    assert listed(actual.segments) == [[0] * 5, [0] * 2]
    assert actual.lengths.tolist() == [5, 2]


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=20), max_size=8), st.integers(8, 20))
def test_ids_are_the_vocabulary_s_and_flags_are_word_counts(tokenizer, code, texts, max_length):
    actual = tokenize(tokenizer, [" ".join(text) for text in texts], max_length=max_length)
    begin, end = code["[CLS]"], code["[SEP]"]
    assert [[begin, *[code[word] for word in text[: max_length - 2]], end] for text in texts] == listed(actual.ids)
    assert [len(text) + 2 > max_length for text in texts] == actual.truncated.tolist()


def test_truncation_and_padding_stored_in_the_file_do_not_matter(file, tokenizer, tmp_path):
    texts = ["the moon pulls the sea and makes tides", "honey", ""]
    expected = tokenize(tokenizer, texts, max_length=8)
    stored = Tokenizer.from_file(str(file))
    stored.enable_truncation(max_length=4, stride=1, strategy="only_first", direction="left")
    stored.enable_padding(length=12, pad_id=3, direction="left")
    stored.save(str(tmp_path / "tokenizer.json"))
    reread = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    # What was stored does change what the file alone gives; otherwise this test would show nothing.
    assert {12} == {len(encoding.ids) for encoding in reread.encode_batch(texts)}
    actual = tokenize(reread, texts, max_length=8)
    assert listed(expected.ids) == listed(actual.ids)
    assert expected.truncated.tolist() == actual.truncated.tolist()


def test_limit_of_an_earlier_call_does_not_matter(file, code):
    tokenizer = Tokenizer.from_file(str(file))
    tokenize(tokenizer, ["moon " * 30], max_length=8)
    actual = tokenize(tokenizer, ["moon " * 30], max_length=32)
    assert [ids.tolist().count(code["moon"]) for ids in actual.ids] == [30]
    assert actual.truncated.tolist() == [False]


def test_result_does_not_depend_on_texts_per_call(tokenizer, monkeypatch):
    texts = [" ".join(WORDS[: index % 9]) for index in range(20)]
    expected = tokenize(tokenizer, texts, max_length=8)
    monkeypatch.setattr(tokens, "_TEXTS_PER_CALL", 3)
    actual = tokenize(tokenizer, texts, max_length=8)
    assert listed(expected.ids) == listed(actual.ids)
    assert expected.truncated.tolist() == actual.truncated.tolist()


def test_no_text_gives_no_ids(tokenizer):
    actual = tokenize(tokenizer, [], max_length=8)
    assert ([], np.int64, np.bool_) == (actual.ids, actual.lengths.dtype, actual.truncated.dtype)


@pytest.mark.parametrize("max_length", [8, 9, 15])
def test_text_is_flagged_from_one_token_over_the_limit(tokenizer, code, max_length):
    fits, over = " ".join(["moon"] * (max_length - 2)), " ".join(["moon"] * (max_length - 1))
    actual = tokenize(tokenizer, [over, fits, over], max_length=max_length)
    assert actual.truncated.tolist() == [True, False, True]
    assert [max_length] * 3 == actual.lengths.tolist()
    assert {code["[SEP]"]} == {int(ids[-1]) for ids in actual.ids}


def test_text_is_prepared_as_sentence_transformers_reads_it():
    assert prepare([" The Moon ", ""], instruction="query: ", lowercase=False) == ["query:  The Moon", "query:"]
    assert prepare([" The Moon "], instruction="", lowercase=True) == ["the moon"]
