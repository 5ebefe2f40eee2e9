"""MiniCPM-Reranker's template, against parts encoded by sentencepiece itself and cut one token after the other."""

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import tiny_tokenizers
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.errors import ModelError
from evalkit.inference.sentencepiece import SentencePieceTokenizer
from evalkit.inference.tokens import FastTokenizer
from evalkit.rerank.families.minicpm import MiniCPMFamily, MiniCPMRerankerConfig, query_text
from evalkit.types import Pair


def tokenize(tokenizer, pairs, **settings):
    return MiniCPMFamily(MiniCPMRerankerConfig(name="x", model="x", **settings)).tokenize(tokenizer, pairs)


BOS, EOS, UNKNOWN = 1, 2, 0
SENTENCE = "The moon pulls the sea, and the sea answers with tides twice a day. "


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("minicpm") / "tokenizer.model"
    path.write_bytes(tiny_tokenizers.minicpm().files["tokenizer.model"])
    return path


@pytest.fixture(scope="module")
def tokenizer(file) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(file)


@pytest.fixture(scope="module")
def encode(file):
    """Text -> ids, without our tokenizer."""
    return sentencepiece.SentencePieceProcessor(model_file=str(file)).encode


def cut_as_slow_tokenizers(query: list[int], document: list[int], total: int) -> list[int]:
    """transformers 4.37, `truncate_sequences` with LONGEST_FIRST: on a tie the second gives up a token."""
    query, document = list(query), list(document)
    for _ in range(max(len(query) + len(document) + 2 - total, 0)):
        (query if len(query) > len(document) else document).pop()
    return [BOS, *query, EOS, *document]


def ids_of(tokenizer, pair: Pair, *, max_length: int = 1024, truncation: str = "longest_first") -> list[int]:
    return tokenize(tokenizer, [pair], max_length=max_length, truncation=truncation).ids[0].tolist()


def test_query_is_written_with_its_instruction_where_there_is_one():
    assert query_text(Pair("who?", "d", "Find it.")) == "Instruction: Find it. Query: who?"
    assert query_text(Pair("who?", "d", "")) == query_text(Pair("who?", "d")) == "Query: who?"


def test_pair_is_bos_query_eos_document_and_nothing_behind(tokenizer, encode):
    expected = [BOS, *encode("Query: Why?"), EOS, *encode("The moon.")]
    assert expected == ids_of(tokenizer, Pair("Why?", "The moon."))


def test_pair_with_an_instruction_has_it_before_the_query(tokenizer, encode):
    expected = [BOS, *encode("Instruction: Find it. Query: Why?"), EOS, *encode("The moon.")]
    assert expected == ids_of(tokenizer, Pair("Why?", "The moon.", "Find it."))


def test_both_sides_begin_with_the_blank_of_sentencepiece(tokenizer):
    ids = ids_of(tokenizer, Pair("the sea", "the sea"))
    behind = ids.index(EOS) + 1
    assert [True, True] == [token.startswith("▁") for token in tokenizer.tokens([ids[1], ids[behind]])]


def test_empty_document_leaves_the_separator_last(tokenizer, encode):
    pairs = tokenize(tokenizer, [Pair("Why?", "")], max_length=64, truncation="longest_first")
    assert [[BOS, *encode("Query: Why?"), EOS]] == [ids.tolist() for ids in pairs.ids]
    assert [[len(pairs.ids[0])] * 2] == pairs.documents.tolist()


def test_empty_query_leaves_its_prefix(tokenizer, encode):
    assert [BOS, *encode("Query: "), EOS, *encode("sea")] == ids_of(tokenizer, Pair("", "sea"))


@pytest.mark.parametrize(("text", "special"), [("</s>", EOS), ("<s>", BOS), ("<unk>", UNKNOWN)])
def test_string_of_a_special_token_is_that_token_and_each_stretch_is_encoded_alone(tokenizer, encode, text, special):
    """Sentencepiece alone would spell it out."""
    assert special not in encode(f"moon{text}sea")
    expected = [BOS, *encode("Query: a"), special, *encode("b"), EOS, *encode("moon"), special, *encode("sea")]
    assert expected == ids_of(tokenizer, Pair(f"a{text}b", f"moon{text}sea"))
    assert [BOS, *encode("Query: a"), EOS, special, special] == ids_of(tokenizer, Pair("a", text * 2))


def test_tokenizer_without_the_special_tokens_is_refused():
    bert = FastTokenizer(tokenizers.Tokenizer.from_buffer(tiny_tokenizers.bert().files["tokenizer.json"]))
    with pytest.raises(ModelError, match="does not have <s> and </s> as special tokens"):
        tokenize(bert, [Pair("a", "b")], max_length=64, truncation="longest_first")


@pytest.mark.parametrize("max_length", [8, 9, 64, 65])
def test_equally_long_sides_share_and_the_query_keeps_the_odd_token(tokenizer, encode, max_length):
    text = SENTENCE * 5
    side = encode(f"Query: {text}")
    pairs = tokenize(tokenizer, [Pair(text, f"Query: {text}")], max_length=max_length, truncation="longest_first")
    start, stop = pairs.documents[0]
    budget = max_length - 2
    assert (budget - budget // 2, budget // 2) == (start - 2, stop - start)
    assert cut_as_slow_tokenizers(side, side, max_length) == pairs.ids[0].tolist()


@pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2])
def test_pair_is_cut_from_one_token_over_the_limit(tokenizer, encode, extra):
    pair = Pair("Why?", SENTENCE)
    whole = 2 + len(encode("Query: Why?")) + len(encode(SENTENCE))
    pairs = tokenize(tokenizer, [pair], max_length=whole - extra, truncation="longest_first")
    assert [[0, max(extra, 0)]] == pairs.dropped.tolist()
    assert [extra > 0] == pairs.truncated.tolist()
    assert [whole - max(extra, 0)] == pairs.lengths.tolist()


def test_separate_cuts_both_sides_to_half_and_adds_the_special_tokens_on_top(tokenizer, encode):
    """The card before 2024-09-24: 512 and 512 tokens, 1026 in all."""
    query, document = SENTENCE * 60, "Yeast eats the sugar. " * 200
    sides = encode(f"Query: {query}"), encode(document)
    assert min(len(side) for side in sides) > 600
    pairs = tokenize(tokenizer, [Pair(query, document)], max_length=1024, truncation="separate")
    assert [BOS, *sides[0][:512], EOS, *sides[1][:512]] == pairs.ids[0].tolist()
    assert ([1026], [[514, 1026]]) == (pairs.lengths.tolist(), pairs.documents.tolist())
    assert [[len(side) - 512 for side in sides]] == pairs.dropped.tolist()


def test_separate_does_not_give_one_side_what_the_other_leaves(tokenizer, encode):
    expected = [BOS, *encode("Query: Why?"), EOS, *encode(SENTENCE * 3)[:20]]
    assert expected == ids_of(tokenizer, Pair("Why?", SENTENCE * 3), max_length=40, truncation="separate")
    assert len(ids_of(tokenizer, Pair("Why?", SENTENCE * 3), max_length=40)) == 40


def test_no_pairs_give_no_ids(tokenizer):
    pairs = tokenize(tokenizer, [], max_length=64, truncation="longest_first")
    assert ([], (0, 2), np.int64) == (pairs.ids, pairs.documents.shape, pairs.lengths.dtype)


words = st.lists(st.sampled_from(["moon", "蜜蜂", "tides", "</s>", "é", "\n", " "]), max_size=14).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=words, document=words, instruction=words, max_length=st.integers(8, 60))
def test_cuts_are_those_of_the_slow_tokenizer(tokenizer, query, document, instruction, max_length):
    pair = Pair(query, document, instruction)
    sides = [ids.tolist() for ids in tokenizer.token_ids([query_text(pair), document])]
    pairs = tokenize(tokenizer, [pair], max_length=max_length, truncation="longest_first")
    expected = cut_as_slow_tokenizers(*sides, max_length)
    assert expected == pairs.ids[0].tolist()
    assert len(sides[0]) + len(sides[1]) + 2 - len(expected) == pairs.dropped.sum()
    start, stop = pairs.documents[0]
    assert (EOS, len(expected)) == (expected[start - 1], stop)
    assert sides[1][: stop - start] == expected[start:stop]
    assert [0] * len(expected) == pairs.segments[0].tolist()
