"""A `tokenizer.model` alone: sentencepiece's own ids between the special tokens that are written in a text."""

import io
import re
import sys

import pytest
import sentencepiece
import tiny_tokenizers
from hypothesis import given
from hypothesis import strategies as st

from evalkit.errors import MissingExtra, ModelError
from evalkit.inference.sentencepiece import SentencePieceTokenizer
from evalkit.inference.tokens import tokenize

SPECIALS = {"<unk>": 0, "<s>": 1, "</s>": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The file; ids 0 to 2 are <unk>, <s> and </s>, and bytes stand for what has no piece."""
    path = tmp_path_factory.mktemp("sentencepiece") / "tokenizer.model"
    path.write_bytes(tiny_tokenizers.minicpm().files["tokenizer.model"])
    return path


@pytest.fixture(scope="module")
def tokenizer(model) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(model)


@pytest.fixture(scope="module")
def library(model) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


def ids_of(tokenizer: SentencePieceTokenizer, text: str) -> list[int]:
    (ids,) = tokenizer.token_ids([text])
    return ids.tolist()


def trained(path, **settings):
    """Another vocabulary of the same sentences."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(tiny_tokenizers.SENTENCES),
        model_writer=written,
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    path.write_bytes(written.getvalue())
    return path


@pytest.mark.parametrize(
    "text",
    ["The moon pulls the sea.", "the  sea", " the sea ", "\n", "月亮的引力", "🌙 is no piece", "< s > and <S>", "a\tb"],
)
def test_text_without_special_tokens_has_the_ids_of_sentencepiece(tokenizer, library, text):
    assert library.encode(text) == ids_of(tokenizer, text) != []


def test_empty_text_has_no_ids(tokenizer):
    assert [ids.tolist() for ids in tokenizer.token_ids(["", ""])] == [[], []]


@pytest.mark.parametrize("special", SPECIALS)
def test_string_of_a_special_token_becomes_its_id(tokenizer, library, special):
    assert [SPECIALS[special]] == ids_of(tokenizer, special)
    # sentencepiece itself spells it out, so that this is more than what it does.
    assert SPECIALS[special] not in library.encode(special)


stretches = st.sampled_from(["the sea", " the sea", "moon ", " ", "月亮", "<", "s>", "/s>", "un", "</", ""])
parts = st.lists(st.one_of(stretches, st.sampled_from(list(SPECIALS))), max_size=8)


@given(parts)
def test_every_stretch_between_special_tokens_is_encoded_on_its_own(tokenizer, library, parts):
    text = "".join(parts)
    expected, rest = [], text
    # Character by character: none of the three strings begins in another.
    stretch = ""
    while rest:
        special = next((token for token in SPECIALS if rest.startswith(token)), None)
        if special is None:
            stretch, rest = stretch + rest[0], rest[1:]
            continue
        expected += [*(library.encode(stretch) if stretch else []), SPECIALS[special]]
        stretch, rest = "", rest.removeprefix(special)
    expected += library.encode(stretch) if stretch else []
    assert expected == ids_of(tokenizer, text)


def test_stretch_behind_a_special_token_begins_with_the_blank_of_a_text(tokenizer):
    ids = ids_of(tokenizer, "moon</s>the sea")
    assert [*ids_of(tokenizer, "moon"), 2, *ids_of(tokenizer, "the sea")] == ids
    assert tokenizer.tokens(ids)[-3:] == ["</s>", "▁the", "▁sea"]


def test_blank_after_a_special_token_stays(tokenizer):
    assert [2, *ids_of(tokenizer, " moon")] == ids_of(tokenizer, "</s> moon")
    assert ids_of(tokenizer, "</s> moon") != ids_of(tokenizer, "</s>moon")


def test_special_tokens_have_the_names_and_ids_of_the_model(tmp_path):
    file = trained(
        tmp_path / "tokenizer.model", bos_id=3, eos_id=1, unk_id=2, pad_id=-1, bos_piece="[B]", eos_piece="[B]]"
    )
    tokenizer = SentencePieceTokenizer(file)
    # `[B]` is the beginning of `[B]]`; the longer one is meant.
    assert [*ids_of(tokenizer, "moon"), 1, 3] == ids_of(tokenizer, "moon[B]][B]")
    assert tokenizer.frame(1).before.tolist() == [3]
    assert 1 not in ids_of(tokenizer, "</s>")


def test_every_id_is_shown_as_its_piece(tokenizer, library):
    ids = [*range(len(SPECIALS)), *ids_of(tokenizer, "the moon 🌙")]
    assert [library.id_to_piece(index) for index in ids] == tokenizer.tokens(ids)
    assert tokenizer.tokens([0, 1, 2]) == list(SPECIALS)


def test_beginning_of_text_is_put_before_every_text_and_nothing_behind(tokenizer):
    one, two = tokenizer.frame(1), tokenizer.frame(2)
    assert [part.tolist() for part in one[:3]] == [[1], [], []]
    assert [part.tolist() for part in two[:3]] == [[1], [1], []]
    for frame in (one, two):
        before, of_first, between, of_second, behind = frame.segments
        assert [len(part) for part in frame[:3]] == [len(before), len(between), len(behind)]
        assert {of_first, of_second, *before, *between, *behind} == {0}


def test_text_is_framed_and_cut_behind_its_beginning(tokenizer):
    words = ids_of(tokenizer, "the moon pulls the sea")
    actual = tokenize(tokenizer, ["the moon pulls the sea", ""], max_length=len(words))
    assert [[1, *words[:-1]], [1]] == [ids.tolist() for ids in actual.ids]
    assert actual.truncated.tolist() == [True, False]


def test_file_that_is_not_a_sentencepiece_model_is_named(tmp_path):
    file = tmp_path / "tokenizer.model"
    file.write_text("moon", encoding="utf-8")
    with pytest.raises(ModelError, match=re.escape(f"{file}: not a sentencepiece model")):
        SentencePieceTokenizer(file)


def test_a_file_that_is_absent_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.model: not a sentencepiece model"):
        SentencePieceTokenizer(tmp_path / "absent.model")


@pytest.mark.parametrize("lacking", ["bos_id", "eos_id"])
def test_a_vocabulary_without_beginning_or_end_of_text_is_refused(tmp_path, lacking):
    file = trained(tmp_path / "tokenizer.model", **{lacking: -1})
    with pytest.raises(ModelError, match="has no <unk>, <s> or </s>"):
        SentencePieceTokenizer(file)


def test_sentencepiece_that_is_not_installed_is_a_missing_extra(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(MissingExtra, match=r"pip install 'evalkit\[models\]'"):
        SentencePieceTokenizer(model)
