"""Where a tokenizer splits every text: proven by its settings, and not claimed where they prove nothing."""

import json

import pytest
import tiny_tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers

from evalkit.inference.splitting import splits_after_colon
from evalkit.inference.tokens import CachedTokenizer, FastTokenizer
from evalkit.rerank.families.qwen3 import Qwen3Family, Qwen3RerankerConfig, body
from evalkit.types import Pair


def tokenize(tokenizer, pairs, **settings):
    return Qwen3Family(Qwen3RerankerConfig(name="x", model="x", **settings)).tokenize(tokenizer, pairs)


QWEN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def by(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def library(pre_tokenizer=None, normalizer=None, added=(), **model) -> Tokenizer:
    stored = json.loads(tiny_tokenizers.qwen().files["tokenizer.json"])
    stored["model"] |= model
    made = Tokenizer.from_str(json.dumps(stored))
    if pre_tokenizer is not None:
        made.pre_tokenizer = pre_tokenizer
    if normalizer is not None:
        made.normalizer = normalizer
    made.add_tokens([AddedToken(token, normalized=False) for token in added])
    return made


PROVEN = {"GPT-2's": None, "Qwen's": by(QWEN), "Llama 3's": by(QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|"))}
# Letters, marks that compose with what is before them, blanks of several kinds, colons, special tokens.
pieces = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["\u0301", "\u0338", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", ":", ": ", "::", "'s", "7", "é", "蜜"]
    ),
    st.sampled_from(
        ["moon", "<|im_end|>", "<think>", "\n<Document>:", "\n<Document>: ", "<Instruct>:", "가", "ᄀ", "ᅡ"]
    ),
)
texts = st.lists(pieces, max_size=12).map("".join)
quickly = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=PROVEN.values(), ids=PROVEN)
def proven(request) -> Tokenizer:
    return library(request.param)


@quickly
@given(before=texts, behind=texts)
def test_parts_before_and_behind_a_colon_with_a_blank_have_the_tokens_of_the_whole(proven, before, behind):
    assert splits_after_colon(proven)
    whole, *parts = (
        proven.encode(text, add_special_tokens=False).ids
        for text in (f"{before}: {behind}", f"{before}:", f" {behind}")
    )
    assert parts[0] + parts[1] == whole


@quickly
@given(pair=st.builds(Pair, texts, texts, texts), max_length=st.integers(170, 230))
def test_a_pair_in_parts_is_that_of_the_whole_text(proven, pair, max_length):
    """Ids, span of the document and what was cut, against the way that needs no splitting."""

    class Whole(FastTokenizer):
        splits_after_colon = False

    parts, whole = (
        tokenize(made(proven), [pair], max_length=max_length, default_instruction="Find.")
        for made in (FastTokenizer, Whole)
    )
    assert parts.ids[0].tolist() == whole.ids[0].tolist()
    assert parts.segments[0].tolist() == whole.segments[0].tolist()
    assert parts.documents.tolist() == whole.documents.tolist()
    assert parts.dropped.tolist() == whole.dropped.tolist()


NOT_PROVEN = {
    "another pattern": library(by(r".+")),
    "a blank put before each text": library(pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "words that are not split": library(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
    "another normaliser": library(normalizer=normalizers.Strip()),
    "an added token over the place": library(added=["<Document>: The"]),
    "an added token that ends at the place": library(added=["<Document>:"]),
    "chance": library(dropout=0.1),
}


@pytest.mark.parametrize("tokenizer", NOT_PROVEN.values(), ids=NOT_PROVEN)
def test_other_tokenizers_read_each_text_as_a_whole(tokenizer):
    assert not splits_after_colon(tokenizer)
    pair = Pair("Why?", "The moon.")
    pairs = tokenize(FastTokenizer(tokenizer), [pair], max_length=8192, default_instruction="Find.")
    if json.loads(tokenizer.to_str())["model"]["dropout"] is None:
        middle = tokenizer.encode(body(pair, "Find."), add_special_tokens=False).ids
        assert str(middle)[1:-1] in str(pairs.ids[0].tolist())


def test_queries_and_documents_of_a_crossing_are_tokenised_once_each():
    asked: list[str] = []

    class Asked(FastTokenizer):
        def token_ids(self, texts):
            asked.extend(texts)
            return super().token_ids(texts)

    cached = CachedTokenizer(Asked(library()))
    pairs = [Pair(f"Why {query}?", f"The moon {document}.") for query in range(4) for document in range(5)]
    for window in (pairs[:10], pairs[10:]):
        tokenize(cached, window, max_length=8192, default_instruction="Find.")
    assert len(asked) == len(set(asked)) == 2 + 4 + 1 + 5 + 1  # prompt, queries, none, documents, a blank
