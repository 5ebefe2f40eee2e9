"""The template of BGE's language-model rerankers, against FlagEmbedding's steps on the tokenizers library itself."""

import pytest
import tiny_tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from evalkit.errors import ModelError
from evalkit.inference.tokens import FastTokenizer
from evalkit.rerank.families.flag_llm import FlagLLMConfig, GemmaFamily
from evalkit.types import Pair


def tokenize(tokenizer, pairs, **settings):
    return GemmaFamily(FlagLLMConfig(name="x", model="x", **settings)).tokenize(tokenizer, pairs)


PROMPT = "Predict whether passage B contains an answer to query A."
SENTENCE = "The moon pulls the sea, and the sea answers with tides twice a day. "
FILES = {"llama": tiny_tokenizers.llama, "gemma": tiny_tokenizers.gemma, "qwen": tiny_tokenizers.qwen}
BOS = {"llama": 1, "gemma": 2}
NEWLINES = {"llama": 2, "gemma": 1}
KINDS = pytest.mark.parametrize("kind", ["llama", "gemma"])


def library(kind: str) -> Tokenizer:
    return Tokenizer.from_str(FILES[kind]().files["tokenizer.json"].decode())


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, FastTokenizer]:
    return {kind: FastTokenizer(library(kind)) for kind in FILES}


@pytest.fixture(scope="module")
def libraries() -> dict[str, Tokenizer]:
    return {kind: library(kind) for kind in FILES}


def encode(tokenizer: Tokenizer, text: str, limit: int | None = None) -> list[int]:
    if limit is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(limit)
    return tokenizer.encode(text, add_special_tokens=False).ids


def as_flag_embedding(tokenizer: Tokenizer, bos: int, pair: Pair, max_length: int, prompt: str = PROMPT) -> list[int]:
    """`compute_score_single_gpu` step by step: two encodings with a limit, `only_second`, and the prompt behind."""
    queries = encode(tokenizer, f"A: {pair.query}", max_length * 3 // 4)
    passages = encode(tokenizer, f"B: {pair.document}", max_length)
    newline, question = encode(tokenizer, "\n"), encode(tokenizer, prompt)
    first, second = [bos, *queries], [*newline, *passages]
    limit = max_length + len(newline) + len(question)
    while len(first) + len(second) > limit:
        second.pop()
    return [*first, *second, *newline, *question]


def one(tokenizer: FastTokenizer, pair: Pair, max_length: int, **settings):
    return tokenize(tokenizer, [pair], max_length=max_length, **{"prompt": PROMPT, **settings})


@KINDS
def test_pair_is_written_as_the_card_shows_it(tokenizers, libraries, kind):
    pairs = one(tokenizers[kind], Pair("Why?", "The moon."), 512)
    newline = encode(libraries[kind], "\n")
    expected = [BOS[kind], *encode(libraries[kind], "A: Why?"), *newline, *encode(libraries[kind], "B: The moon.")]
    assert [*expected, *newline, *encode(libraries[kind], PROMPT)] == pairs.ids[0].tolist()
    assert [[0, 0]] == pairs.dropped.tolist()


@KINDS
def test_newline_is_as_many_tokens_as_the_vocabulary_gives_it(tokenizers, libraries, kind):
    """Llama-type vocabularies begin it with a blank."""
    newline = encode(libraries[kind], "\n")
    assert NEWLINES[kind] == len(newline)
    pairs = one(tokenizers[kind], Pair("Why?", "The moon."), 512)
    start, stop = pairs.documents[0]
    ids = pairs.ids[0].tolist()
    assert newline == ids[start - len(newline) : start] == ids[stop : stop + len(newline)]


@KINDS
def test_instruction_of_a_pair_is_not_read(tokenizers, kind):
    ids = [one(tokenizers[kind], Pair("Why?", "The moon.", text), 512).ids[0].tolist() for text in (None, "", "Find.")]
    assert ids[0] == ids[1] == ids[2]


@KINDS
@pytest.mark.parametrize("max_length", [8, 63, 64, 65, 66])
def test_query_is_cut_to_three_quarters_before_the_first_token_is_added(tokenizers, libraries, kind, max_length):
    pairs = one(tokenizers[kind], Pair(SENTENCE * 30, "The moon."), max_length)
    whole = encode(libraries[kind], f"A: {SENTENCE * 30}")
    kept = {8: 6, 63: 47, 64: 48, 65: 48, 66: 49}[max_length]
    assert [BOS[kind], *whole[:kept], *encode(libraries[kind], "\n")] == pairs.ids[0][: pairs.documents[0][0]].tolist()
    assert len(whole) - kept == pairs.dropped[0][0]


@KINDS
def test_document_of_a_short_query_keeps_max_length_tokens(tokenizers, libraries, kind):
    """The limit leaves room for the prompt, which comes behind it: a document may use that up."""
    prompt = PROMPT * 3
    pairs = one(tokenizers[kind], Pair("a", SENTENCE * 30), 64, prompt=prompt)
    assert 64 == pairs.documents[0][1] - pairs.documents[0][0]
    assert encode(libraries[kind], f"B: {SENTENCE * 30}")[:64] == pairs.ids[0][slice(*pairs.documents[0])].tolist()


@KINDS
@pytest.mark.parametrize("max_length", [64, 65, 512])
def test_two_long_texts_reach_the_greatest_length_that_there_is(tokenizers, libraries, kind, max_length):
    """`max_length`, both newlines and the prompt twice."""
    pairs = one(tokenizers[kind], Pair(SENTENCE * 60, SENTENCE * 60), max_length)
    joints = len(encode(libraries[kind], "\n")) + len(encode(libraries[kind], PROMPT))
    assert [max_length + 2 * joints] == pairs.lengths.tolist()
    # Never more, even where the document is cut to `max_length` beside an empty query.
    assert one(tokenizers[kind], Pair("", SENTENCE * 60), max_length).lengths[0] <= max_length + 2 * joints


@KINDS
def test_empty_texts_leave_their_prefixes(tokenizers, libraries, kind):
    pairs = one(tokenizers[kind], Pair("", ""), 64)
    assert as_flag_embedding(libraries[kind], BOS[kind], Pair("", ""), 64) == pairs.ids[0].tolist()
    assert encode(libraries[kind], "B: ") == pairs.ids[0][slice(*pairs.documents[0])].tolist()


@KINDS
def test_prefixes_and_prompt_are_as_configured(tokenizers, libraries, kind):
    pairs = one(tokenizers[kind], Pair("x", "y"), 64, query_prefix="Q ", document_prefix="", prompt="Is it the same?")
    newline = encode(libraries[kind], "\n")
    texts = [encode(libraries[kind], text) for text in ("Q x", "y", "Is it the same?")]
    assert [BOS[kind], *texts[0], *newline, *texts[1], *newline, *texts[2]] == pairs.ids[0].tolist()


def test_tokenizer_that_begins_texts_with_nothing_is_refused(tokenizers):
    with pytest.raises(ModelError, match="puts no <s> or <bos> before a text"):
        one(tokenizers["qwen"], Pair("a", "b"), 64)


words = st.lists(st.sampled_from(["moon", "蜜蜂", "tides", "</s>", "<bos>", "é", "\n", "  "]), max_size=40).map(
    " ".join
)


@KINDS
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.builds(Pair, words, words), min_size=1, max_size=4), max_length=st.integers(8, 90))
def test_ids_are_those_of_flagembedding_s_steps(tokenizers, libraries, kind, pairs, max_length):
    actual = tokenize(tokenizers[kind], pairs, max_length=max_length, prompt=PROMPT)
    expected = [as_flag_embedding(libraries[kind], BOS[kind], pair, max_length) for pair in pairs]
    assert expected == [ids.tolist() for ids in actual.ids]
    behind = len(encode(libraries[kind], "\n")) + len(encode(libraries[kind], PROMPT))
    assert [len(ids) - behind for ids in expected] == actual.documents[:, 1].tolist()
    whole = [
        [len(encode(libraries[kind], f"A: {p.query}")), len(encode(libraries[kind], f"B: {p.document}"))] for p in pairs
    ]
    spans = actual.documents[:, 1] - actual.documents[:, 0]
    assert [document for _, document in whole] == (spans + actual.dropped[:, 1]).tolist()
    assert [query for query, _ in whole] == (
        actual.lengths - spans - behind - 1 - NEWLINES[kind] + actual.dropped[:, 0]
    ).tolist()
