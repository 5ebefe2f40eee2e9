"""Qwen3-Reranker's chat, against the strings of its card and the tokenizers library."""

import pytest
import tiny_tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from evalkit.errors import ModelError
from evalkit.inference.tokens import FastTokenizer
from evalkit.rerank.families.qwen3 import Qwen3Family, Qwen3RerankerConfig, body
from evalkit.types import Pair


def tokenize(tokenizer, pairs, **settings):
    return Qwen3Family(Qwen3RerankerConfig(name="x", model="x", **settings)).tokenize(tokenizer, pairs)


# As the card of Qwen/Qwen3-Reranker-0.6B writes them, in pieces.
PREFIX = (
    "<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
)
SUFFIX = "<|im_end|>\n" + "<|im_start|>assistant\n" + "<think>\n\n</think>\n\n"
DEFAULT = "Given a web search query, retrieve relevant passages that answer the query"
SENTENCE = "The moon pulls the sea, and the sea answers with tides twice a day. "


def library() -> Tokenizer:
    return Tokenizer.from_str(tiny_tokenizers.qwen().files["tokenizer.json"].decode())


@pytest.fixture(scope="module")
def tokenizer() -> FastTokenizer:
    return FastTokenizer(library())


@pytest.fixture(scope="module")
def encode():
    plain = library()
    return lambda text: plain.encode(text, add_special_tokens=False).ids


def one(tokenizer, pair: Pair, max_length: int = 8192):
    return tokenize(tokenizer, [pair], max_length=max_length, default_instruction=DEFAULT)


def test_pair_is_prefix_body_suffix_each_tokenized_alone(tokenizer, encode):
    middle = f"<Instruct>: {DEFAULT}\n<Query>: Why?\n<Document>: The moon."
    pairs = one(tokenizer, Pair("Why?", "The moon."))
    assert [*encode(PREFIX), *encode(middle), *encode(SUFFIX)] == pairs.ids[0].tolist()
    assert [[0, 0]] == pairs.dropped.tolist()


def test_markers_of_the_chat_are_one_token_each(tokenizer):
    special = tiny_tokenizers.qwen().ids
    ids = one(tokenizer, Pair("Why?", "The moon.")).ids[0].tolist()
    counts = {"<|im_start|>": 3, "<|im_end|>": 2, "<think>": 1, "</think>": 1}
    assert counts == {token: ids.count(special[token]) for token in counts}
    assert special["<|im_start|>"] == ids[0]


@pytest.mark.parametrize(("instruction", "expected"), [("Find it.", "Find it."), ("", DEFAULT), (None, DEFAULT)])
def test_instruction_of_the_pair_is_written_or_else_the_default(instruction, expected):
    assert f"<Instruct>: {expected}\n<Query>: q\n<Document>: d" == body(Pair("q", "d", instruction), DEFAULT)


@pytest.mark.parametrize("max_length", [180, 181, 300])
def test_long_document_is_cut_and_prefix_and_suffix_stay_whole(tokenizer, encode, max_length):
    pairs = one(tokenizer, Pair("Why?", SENTENCE * 40), max_length)
    middle = encode(f"<Instruct>: {DEFAULT}\n<Query>: Why?\n<Document>: {SENTENCE * 40}")
    budget = max_length - len(encode(PREFIX)) - len(encode(SUFFIX))
    assert [max_length] == pairs.lengths.tolist()
    assert [*encode(PREFIX), *middle[:budget], *encode(SUFFIX)] == pairs.ids[0].tolist()
    assert [[0, len(middle) - budget]] == pairs.dropped.tolist()
    assert [True] == pairs.truncated.tolist()


def test_long_query_is_cut_too_and_the_document_is_gone(tokenizer, encode):
    pairs = one(tokenizer, Pair(SENTENCE * 40, "The moon."), 180)
    middle = encode(f"<Instruct>: {DEFAULT}\n<Query>: {SENTENCE * 40}\n<Document>: The moon.")
    budget = 180 - len(encode(PREFIX)) - len(encode(SUFFIX))
    assert middle[:budget] == pairs.ids[0][len(encode(PREFIX)) : 180 - len(encode(SUFFIX))].tolist()
    start, stop = pairs.documents[0]
    assert (180 - len(encode(SUFFIX)), start) == (stop, stop)
    assert len(middle) - budget == pairs.dropped.sum()
    assert pairs.dropped[0][0] > 500


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_pair_is_cut_from_one_token_over_the_limit(tokenizer, extra):
    pair = Pair("Why?", SENTENCE)
    whole = int(one(tokenizer, pair).lengths[0])
    pairs = one(tokenizer, pair, whole - extra)
    assert ([[0, max(extra, 0)]], [extra > 0]) == (pairs.dropped.tolist(), pairs.truncated.tolist())


def test_max_length_that_leaves_room_for_one_token_is_enough_and_one_less_is_an_error(tokenizer, encode):
    prompt = len(encode(PREFIX)) + len(encode(SUFFIX))
    first = encode(f"<Instruct>: {DEFAULT}")[0]
    expected = [*encode(PREFIX), first, *encode(SUFFIX)]
    assert expected == one(tokenizer, Pair("q", "d"), prompt + 1).ids[0].tolist()
    with pytest.raises(ModelError, match=rf"max_length={prompt} leaves no room after {prompt} tokens of prompt"):
        one(tokenizer, Pair("q", "d"), prompt)


@pytest.mark.parametrize("document", ["", "\n\n", "<|im_end|>", "</think> yes", "蜜蜂", "7", "yes"])
def test_document_that_does_not_merge_with_the_blank_before_it_is_where_it_is_said_to_be(tokenizer, encode, document):
    pairs = one(tokenizer, Pair("Why?", document))
    start, stop = pairs.documents[0]
    assert encode(document) == pairs.ids[0][start:stop].tolist()
    assert encode(SUFFIX) == pairs.ids[0][stop:].tolist()


@pytest.mark.parametrize("document", ["the sea", "honey", "twice a day"])
def test_document_that_merges_with_the_blank_before_it_is_where_it_is_said_to_be(tokenizer, document):
    pairs = one(tokenizer, Pair("Why?", document))
    found = library().decode(pairs.ids[0][slice(*pairs.documents[0])].tolist(), skip_special_tokens=False)
    assert document.strip() == found.strip()


words = st.lists(st.sampled_from(["moon", "蜜蜂", "tides", "<|im_end|>", "é", "\n", " "]), max_size=30).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=words, document=words, instruction=words, max_length=st.integers(170, 260))
def test_ids_are_the_library_s_and_what_was_dropped_adds_up(tokenizer, query, document, instruction, max_length):
    plain = library()
    sizes = [len(plain.encode(text, add_special_tokens=False).ids) for text in (PREFIX, SUFFIX)]
    middle = f"<Instruct>: {instruction or DEFAULT}\n<Query>: {query}\n<Document>: {document}"
    whole = len(plain.encode(middle, add_special_tokens=False).ids)
    outer = [plain.encode(text, add_special_tokens=False).ids for text in (PREFIX, SUFFIX)]
    plain.enable_truncation(max_length - sum(sizes))
    expected = plain.encode(middle, add_special_tokens=False).ids
    pairs = one(tokenizer, Pair(query, document, instruction), max_length)
    assert [*outer[0], *expected, *outer[1]] == pairs.ids[0].tolist()
    assert whole - len(expected) == pairs.dropped.sum()
    assert pairs.dropped.min() >= 0
    start, stop = pairs.documents[0]
    assert sizes[0] <= start <= stop == pairs.lengths[0] - sizes[1]


def test_start_is_what_pairs_of_all_queries_have_in_common_and_depends_on_no_other_pair(tokenizer, encode):
    pairs = [Pair("Why?", "The moon."), Pair("Bees and honey", "The sea."), Pair("Why?", "Bees.", "Find bees")]
    together = tokenize(tokenizer, pairs, max_length=8192, default_instruction=DEFAULT)
    template = [*encode(PREFIX), *encode(f"<Instruct>: {DEFAULT}\n<Query>: ")]
    assert [len(template)] * 2 == together.starts[:2].tolist()
    assert [template] * 2 == [ids[: len(template)].tolist() for ids in together.ids[:2]]
    assert [int(one(tokenizer, pair).starts[0]) for pair in pairs] == together.starts.tolist()
    assert len(encode(PREFIX)) < together.starts[2] < len(template)
