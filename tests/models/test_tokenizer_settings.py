"""`tokenizer_config.json` against `tokenizer.json`: what is applied is what transformers gives, the rest is refused."""

import json
import shutil
from pathlib import Path

import pytest
import tiny_tokenizers
from transformers import AutoTokenizer

from evalkit.errors import ModelError
from evalkit.inference.tokens import tokenize
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.tokenizers import load_tokenizer

TEXTS = ["The Moon PULLS the sea", "Café", "月亮 moon", "a [SEP] b"]


def folder_of(tmp_path: Path, kind: str, change=dict, **settings) -> Checkpoint:
    """A tiny tokenizer with `tokenizer.json` changed and `tokenizer_config.json` saying so much more."""
    made = getattr(tiny_tokenizers, kind)()
    raw = json.loads(made.files["tokenizer.json"])
    change(raw)
    stored = json.loads(made.files["tokenizer_config.json"]) | settings
    model_type = {"bert": "bert", "gemma": "gemma", "qwen": "qwen2"}[kind]
    for name, content in {
        "tokenizer.json": raw,
        "tokenizer_config.json": stored,
        "config.json": {"model_type": model_type},
    }.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return Checkpoint(tmp_path)


def ids_of(checkpoint: Checkpoint) -> list[list[int]]:
    return [ids.tolist() for ids in tokenize(load_tokenizer(checkpoint), TEXTS, max_length=64).ids]


@pytest.mark.parametrize("lowers", [True, False])
@pytest.mark.parametrize(
    "settings", [{"do_lower_case": True}, {"do_lower_case": False}, {"strip_accents": False}], ids=str
)
def test_case_and_accents_of_a_bert_tokenizer_are_those_of_its_class(tmp_path, lowers, settings):
    def change(raw):
        raw["normalizer"]["lowercase"] = lowers

    checkpoint = folder_of(tmp_path, "bert", change, **({"do_lower_case": lowers} | settings))
    expected = AutoTokenizer.from_pretrained(tmp_path)(TEXTS)["input_ids"]
    assert expected == ids_of(checkpoint)


def test_a_generic_class_takes_tokenizer_json_as_it_is_and_a_contradiction_is_refused(tmp_path):
    generic = {"tokenizer_class": "PreTrainedTokenizerFast"}
    checkpoint = folder_of(tmp_path, "bert", **generic, do_lower_case=True)
    expected = AutoTokenizer.from_pretrained(tmp_path)(TEXTS)["input_ids"]
    assert expected == ids_of(checkpoint)
    with pytest.raises(
        ModelError, match=r"tokenizer_config\.json: do_lower_case=false, but tokenizer\.json lower-cases"
    ):
        load_tokenizer(folder_of(tmp_path, "bert", **generic, do_lower_case=False))


@pytest.mark.parametrize("listed", [True, False])
def test_lower_case_of_sentence_transformers_is_that_of_the_tokenizer_beside_modules_json_alone(tmp_path, listed):
    checkpoint = folder_of(tmp_path, "bert", lambda raw: raw.update(normalizer=None), do_lower_case=False)
    (tmp_path / "sentence_bert_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    if listed:
        modules = [{"type": "sentence_transformers.models.Transformer", "path": ""}]
        (tmp_path / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    upper, lower, special = tokenize(load_tokenizer(checkpoint), ["The MOON", "the moon", "[SEP]"], max_length=64).ids
    assert listed is (upper.tolist() == lower.tolist())
    assert special[1] == special[2]  # lower case comes behind the search for special tokens


# The expected tokens are those that transformers 4.57.6 gave for each.
@pytest.mark.parametrize(
    ("settings", "before", "behind"),
    [
        ({"add_bos_token": True, "add_eos_token": False}, ["<bos>"], []),
        ({"add_bos_token": True, "add_eos_token": True}, ["<bos>"], ["<eos>"]),
        ({"add_eos_token": True}, ["<bos>"], ["<eos>"]),
        ({"add_bos_token": False}, [], []),
        ({"add_bos_token": False, "add_eos_token": True}, [], ["<eos>"]),
        ({}, ["<bos>"], []),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["GemmaTokenizer", "LlamaTokenizerFast"])
def test_tokens_at_the_ends_are_those_that_the_class_of_transformers_4_writes(
    tmp_path, caplog, name, settings, before, behind
):
    flags = {"add_bos_token": None, "add_eos_token": None} | settings
    tokenizer = load_tokenizer(folder_of(tmp_path, "gemma", **flags, tokenizer_class=name))
    frame, pair = tokenizer.frame(1), tokenizer.frame(2)
    assert (before, behind) == (tokenizer.tokens(frame.before), tokenizer.tokens(frame.behind))
    assert [*behind, *before] == tokenizer.tokens(pair.between)
    contradicted = (before, behind) != (["<bos>"], [])
    assert contradicted is ("counts, as in transformers 4; tokenizer.json says otherwise" in caplog.text)


@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "Qwen2Tokenizer", "TokenizersBackend"])
def test_other_classes_take_the_tokens_at_the_ends_from_tokenizer_json(tmp_path, name):
    plain = ids_of(folder_of(tmp_path, "gemma", add_bos_token=None, add_eos_token=None, tokenizer_class=name))
    asked = folder_of(tmp_path, "gemma", add_bos_token=False, add_eos_token=True, tokenizer_class=name)
    assert plain == ids_of(asked)


def test_a_token_at_the_end_that_the_vocabulary_lacks_is_refused(tmp_path):
    absent = folder_of(tmp_path, "gemma", add_eos_token=True, eos_token="</nowhere>", tokenizer_class="LlamaTokenizer")
    with pytest.raises(ModelError, match=r"add_eos_token asks for the token '</nowhere>', which tokenizer.json lacks"):
        load_tokenizer(absent)


@pytest.mark.parametrize("where", ["tokenizer_config.json", "tokenizer.json"])
def test_the_side_of_the_cut_is_read_from_either_file(tmp_path, where):
    assert not load_tokenizer(folder_of(tmp_path, "bert")).cuts_left
    if where == "tokenizer_config.json":
        checkpoint = folder_of(tmp_path, "bert", truncation_side="left")
    else:
        left = {"direction": "Left", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
        checkpoint = folder_of(tmp_path, "bert", lambda raw: raw.update(truncation=left))
    made = load_tokenizer(checkpoint)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert made.cuts_left
    cut = tokenize(made, TEXTS[:1], max_length=5).ids[0].tolist()
    assert theirs(TEXTS[0], truncation=True, max_length=5)["input_ids"] == cut
    with pytest.raises(ModelError, match="truncation_side='middle'"):
        load_tokenizer(folder_of(tmp_path, "bert", truncation_side="middle"))


@pytest.mark.parametrize(
    ("settings", "segmented"),
    [
        ({}, True),
        ({"model_input_names": ["input_ids", "attention_mask"]}, False),
        ({"model_input_names": ["input_ids", "token_type_ids"]}, True),
        ({"tokenizer_class": "DistilBertTokenizer"}, False),
        ({"tokenizer_class": "RobertaTokenizerFast"}, False),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, True),
        ({"tokenizer_class": "TokenizersBackend"}, False),
    ],
    ids=str,
)
def test_segments_are_read_where_the_input_names_or_the_class_say_so(tmp_path, settings, segmented):
    frame = load_tokenizer(folder_of(tmp_path, "bert", **settings)).frame(2)
    assert segmented is bool(frame.segments[3])


def test_special_token_strings_are_words_where_the_tokenizer_splits_them(tmp_path):
    whole, split = (ids_of(folder_of(tmp_path, "bert", split_special_tokens=on))[3] for on in (False, True))
    assert len(whole) < len(split)


def test_special_tokens_may_be_named_or_listed(tmp_path):
    for tokens in (["[SEP]"], {"end_token": "[SEP]"}, {}, []):
        assert ids_of(folder_of(tmp_path, "bert", extra_special_tokens=tokens))


def test_special_tokens_that_tokenizer_json_lacks_are_refused(tmp_path):
    for settings in ({"extra_special_tokens": ["[Q] "]}, {"added_tokens_decoder": {"999": {"content": "[Q] "}}}):
        with pytest.raises(ModelError, match=r"names the special token '\[Q\] '"):
            load_tokenizer(folder_of(tmp_path, "bert", **settings))


def test_a_blank_before_the_first_word_that_only_one_file_wants_is_refused(tmp_path):
    assert ids_of(folder_of(tmp_path, "qwen", add_prefix_space=False))
    with pytest.raises(ModelError, match=r"add_prefix_space=true, but tokenizer\.json says false"):
        load_tokenizer(folder_of(tmp_path, "qwen", add_prefix_space=True))


@pytest.mark.parametrize("name", ["T5Tokenizer", "XLMRobertaTokenizerFast"])
def test_a_class_of_another_vocabulary_that_would_drop_segments_is_refused(shared, tmp_path, name):
    folder = shutil.copytree(shared / "golden" / "two_labels" / "model", tmp_path / "m")
    file = folder / "tokenizer_config.json"
    stored = json.loads(file.read_text(encoding="utf-8"))

    def load(**settings):
        file.write_text(json.dumps(stored | settings), encoding="utf-8")
        return load_tokenizer(Checkpoint(folder)).frame(2).segments[3]

    with pytest.raises(ModelError, match=rf"tokenizer_class={name} has Unigram and no token types, but .*WordPiece"):
        load(tokenizer_class=name)
    assert load() == 1
    # These say themselves that there are none, as transformers reads them.
    assert load(tokenizer_class="DistilBertTokenizer") == 0
    assert load(tokenizer_class=name, model_input_names=["input_ids", "attention_mask"]) == 0
