"""Token ids: special tokens, exact truncation flags, and indifference to what a tokenizer.json stores."""

import numpy as np
import pytest
import tiny_tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from evalkit.errors import ModelError
from evalkit.inference import tokens
from evalkit.inference.tokens import (
    CachedTokenizer,
    FastTokenizer,
    TokenizedPairs,
    distinct_token_ids,
    prepare,
    tokenize,
    without_ends,
)

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


def test_truncation_and_padding_stored_in_the_file_do_not_matter(tokenizer_file, tokenizer, tmp_path):
    texts = ["the moon pulls the sea and makes tides", "honey", ""]
    expected = tokenize(tokenizer, texts, max_length=8)
    stored = Tokenizer.from_file(str(tokenizer_file))
    stored.enable_truncation(max_length=4, stride=1, strategy="only_first", direction="left")
    stored.enable_padding(length=12, pad_id=3, direction="left")
    stored.save(str(tmp_path / "tokenizer.json"))
    reread = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    # What was stored does change what the file alone gives; otherwise this test would show nothing.
    assert {12} == {len(encoding.ids) for encoding in reread.encode_batch(texts)}
    actual = tokenize(FastTokenizer(reread), texts, max_length=8)
    assert listed(expected.ids) == listed(actual.ids)
    assert expected.truncated.tolist() == actual.truncated.tolist()


def test_limit_of_an_earlier_call_does_not_matter(tokenizer, code):
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


def test_text_is_put_behind_its_instruction_as_it_is():
    assert prepare([" The Moon ", ""], instruction="query: ", lowercase=False) == ["query:  The Moon ", "query: "]
    assert prepare([" The [SEP] "], instruction="", lowercase=True) == [" the [sep] "]


@pytest.mark.parametrize("max_length", [8, 9])
def test_a_tokenizer_that_cuts_on_the_left_keeps_the_end_of_a_text(max_length):
    left = FastTokenizer(Tokenizer.from_str(tiny_tokenizers.bert().files["tokenizer.json"].decode()), cuts_left=True)
    words = ["moon", "sea", "tides", "bees", "honey", "nectar", "yeast", "bread", "rise"]
    uncut = tokenize(left, [" ".join(words)], max_length=512).ids[0].tolist()
    cut = tokenize(left, [" ".join(words)], max_length=max_length)
    assert [uncut[0], *uncut[1:-1][-(max_length - 2) :], uncut[-1]] == cut.ids[0].tolist()
    assert cut.truncated.tolist() == [True]


def test_a_tokenizer_without_segments_has_none_in_a_pair():
    content = tiny_tokenizers.bert().files["tokenizer.json"].decode()
    for segmented in (True, False):
        frame = FastTokenizer(Tokenizer.from_str(content), segmented=segmented).frame(2)
        assert segmented is bool(frame.segments[3])
        assert segmented is bool(frame.segments[4].any())


def test_an_empty_text_is_refused_only_where_the_tokenizer_adds_no_token():
    bare = FastTokenizer(Tokenizer.from_str(tiny_tokenizers.qwen().files["tokenizer.json"].decode()))
    assert len(tokenize(bare, ["moon"], max_length=8).ids[0]) > 0
    with pytest.raises(ModelError, match="text 1 is empty, and this tokenizer adds no token"):
        tokenize(bare, ["moon", ""], max_length=8)


@pytest.mark.parametrize(("ids", "kept"), [([5, 6, 3, 3], 2), ([5, 3, 6, 3], 3), ([3, 3, 3], 1), ([5, 6], 2)], ids=str)
def test_pairs_without_ends_lose_one_token_at_the_end_and_never_all(ids, kept):
    row = np.array(ids, dtype=np.int32)
    pairs = TokenizedPairs([row], [row * 0], np.array([[1, len(ids)]]), np.zeros((1, 2), dtype=np.int64))
    assert pairs is without_ends(pairs, None)
    found = without_ends(pairs, 3)
    assert (ids[:kept], kept) == (found.ids[0].tolist(), len(found.segments[0]))
    assert [[min(1, kept), kept]] == found.documents.tolist()


def tiny(kind: str) -> tuple[FastTokenizer, Tokenizer]:
    """One of the published kinds as evalkit reads it and as the library does."""
    made = {"xlm_roberta": lambda: tiny_tokenizers.xlm_roberta(512)}.get(kind) or getattr(tiny_tokenizers, kind)
    content = made().files["tokenizer.json"].decode()
    return FastTokenizer(Tokenizer.from_str(content)), Tokenizer.from_str(content)


@pytest.mark.parametrize("kind", ["bert", "xlm_roberta", "llama", "gemma", "qwen"])
@pytest.mark.parametrize("pair", [("the moon pulls", "the sea answers"), ("a", "b"), ("<s>", "</s> [SEP]")], ids=str)
def test_frame_round_the_bare_ids_is_what_the_library_makes_of_one_text_or_two(kind, pair):
    tokenizer, library = tiny(kind)
    first, second = tokenizer.token_ids(pair)
    one, two = tokenizer.frame(1), tokenizer.frame(2)
    assert [*one.before, *first, *one.behind] == library.encode(pair[0]).ids
    assert [*two.before, *first, *two.between, *second, *two.behind] == library.encode(*pair).ids
    before, of_first, between, of_second, behind = two.segments
    segments = [*before, *[of_first] * len(first), *between, *[of_second] * len(second), *behind]
    assert segments == library.encode(*pair).type_ids


@pytest.mark.parametrize(
    ("kind", "count"), [("bert", (2, 3)), ("xlm_roberta", (2, 4)), ("gemma", (1, 2)), ("qwen", (0, 0))]
)
def test_frame_counts_its_special_tokens(kind, count):
    tokenizer, _ = tiny(kind)
    assert count == (tokenizer.frame(1).tokens, tokenizer.frame(2).tokens)


def test_one_text_has_nothing_between(tokenizer):
    assert tokenizer.frame(1).between.tolist() == []


def test_token_of_every_id_is_the_vocabulary_s_string(tokenizer, code):
    assert tokenizer.tokens([code["moon"], code["[SEP]"], code["[UNK]"]]) == ["moon", "[SEP]", "[UNK]"]


def test_special_token_strings_in_a_text_become_special_ids():
    library = tiny_tokenizers.bert()
    special = FastTokenizer(Tokenizer.from_str(library.files["tokenizer.json"].decode()))
    (ids,) = special.token_ids(["[SEP]"])
    assert [library.ids["[SEP]"]] == ids.tolist()


def test_bare_ids_have_no_special_token_and_are_never_cut(tokenizer, code):
    (none, long) = tokenizer.token_ids(["", "moon " * 5000])
    assert ([], [code["moon"]] * 5000) == (none.tolist(), long.tolist())


def test_distinct_texts_are_tokenised_once_each(tokenizer, code):
    class Counting:
        def token_ids(self, texts):
            self.texts = texts
            return tokenizer.token_ids(texts)

    counting = Counting()
    ids = distinct_token_ids(counting, ["sea", "moon", "sea", "", "moon"])
    assert counting.texts == ["sea", "moon", ""]
    assert {"sea": [code["sea"]], "moon": [code["moon"]], "": []} == {text: row.tolist() for text, row in ids.items()}


class Counting:
    """A tokenizer of one token a letter that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.frame = self.tokens = self.text = self.token_id = None
        self.cuts_left = self.splits_after_colon = False

    def token_ids(self, texts):
        self.asked.append(list(texts))
        return [np.array([ord(letter) for letter in text], dtype=np.int32) for text in texts]


def test_text_seen_before_is_not_tokenised_again():
    inner = Counting()
    cached = CachedTokenizer(inner)
    assert listed(cached.token_ids(["ab", "c", "ab"])) == [[97, 98], [99], [97, 98]]
    assert listed(cached.token_ids(["c", "d"])) == [[99], [100]]
    assert inner.asked == [["ab", "c"], ["d"]]


def test_cache_is_emptied_at_its_limit():
    inner = Counting()
    cached = CachedTokenizer(inner, limit=4)
    for texts in (["abc"], ["de"], ["de"], ["abc"], ["123456"], ["abc"]):
        assert listed(cached.token_ids(texts)) == [[ord(letter) for letter in text] for text in texts]
    # "de" pushed "abc" out, which pushed "de" out; six tokens were never held, but made room.
    assert [["abc"], ["de"], ["abc"], ["123456"], ["abc"]] == [asked for asked in inner.asked if asked]


def test_texts_with_lone_surrogates_are_cached_too():
    cached = CachedTokenizer(Counting())
    assert listed(cached.token_ids(["\ud800"])) == listed(cached.token_ids(["\ud800"])) == [[0xD800]]
