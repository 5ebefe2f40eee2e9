"""Rerankers that read a pair: cross-encoders against transformers on one pair at a time, and what families share."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from stubs import tiny_bert
from tiny_checkpoints import write_minicpm_reranker
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.pair_reranker import PairReranker
from evalkit.types import Pair

PAIRS = [
    Pair("why does the sea have tides", "the moon pulls the sea and makes tides."),
    Pair("what makes bread rise", "yeast makes bread rise."),
    Pair("moon", ""),
    Pair("", "the moon has no air."),
    Pair("what makes bread rise", "moon"),
    Pair("", ""),
]
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("cross") / "one", classifier=True)


@pytest.fixture(scope="module")
def two_labels(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("cross") / "two", classifier=True, labels=2)


def reranker(model: Path, *, batch_tokens: int = 2048, **settings) -> PairReranker:
    config = CrossEncoderConfig(name="cross", model=str(model), **({"max_length": 32} | settings))
    return rerank.build(config, ComputeConfig(device="cpu", batch_tokens=batch_tokens))


def scored(model: PairReranker, pairs: list[Pair]) -> np.ndarray:
    return model.score(pairs, advance=lambda _: None).scores


def reference(folder: Path, pairs: list[Pair], *, token_types: bool = True) -> np.ndarray:
    """Logits of each pair alone, unpadded, in float64; shape (pairs, labels)."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float64
    ).eval()
    rows = []
    for pair in pairs:
        encoding = tokenizer.encode(pair.query, pair.document)
        types = encoding.type_ids if token_types else [0] * len(encoding.ids)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([encoding.ids]), token_type_ids=torch.tensor([types])).logits
        rows.append(logits[0].numpy())
    return np.array(rows)


@pytest.mark.shared
@pytest.mark.parametrize("max_length", [64, 65, 512])
def test_golden_pairs_have_the_ids_and_scores_of_flagembedding(shared, max_length):
    folder = shared / "golden" / "bge_reranker_v2_m3"
    golden = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    texts = {pair["id"]: Pair(pair["query"], pair["document"]) for pair in golden["pairs"]}
    cases = [case for case in golden["cases"] if case["max_length"] == max_length]
    pairs = [texts[case["id"]] for case in cases]
    assert len(cases) == 14

    model = reranker(folder / "model", max_length=max_length, truncation="flag_embedding")
    assert [case["input_ids"] for case in cases] == [row.tolist() for row in model.tokenize(pairs).ids]
    np.testing.assert_allclose(scored(model, pairs), [case["score"] for case in cases], rtol=0, atol=1e-4)


def test_scores_are_the_logits_of_transformers(bert):
    result = reranker(bert).score(PAIRS, advance=lambda _: None)
    assert (np.float32, 0) == (result.scores.dtype, result.truncated)
    np.testing.assert_allclose(result.scores, reference(bert, PAIRS)[:, 0], rtol=0, atol=ROUNDING)


def test_token_types_reach_the_model(bert):
    blind = reference(bert, PAIRS, token_types=False)[:, 0]
    assert np.abs(scored(reranker(bert), PAIRS) - blind).max() > 1e-2


@pytest.mark.parametrize("batch_tokens", [1, 20, 40, 4096])
def test_scores_do_not_depend_on_the_batch_budget_or_the_order_of_pairs(bert, batch_tokens):
    alone = reranker(bert)
    expected = np.concatenate([scored(alone, [pair]) for pair in PAIRS])
    model, order = reranker(bert, batch_tokens=batch_tokens), [3, 1, 5, 0, 2, 4]
    np.testing.assert_allclose(scored(model, PAIRS), expected, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(scored(model, [PAIRS[i] for i in order]), expected[order], rtol=0, atol=ROUNDING)


def test_repeated_pairs_get_equal_scores_and_are_all_counted(bert):
    steps = []
    long = Pair("moon", "sea " * 40)
    result = reranker(bert, batch_tokens=20).score([*PAIRS, long, PAIRS[1], long], advance=steps.append)
    assert [result.scores[6], result.scores[1]] == [result.scores[8], result.scores[7]]
    assert len(PAIRS) + 3 == sum(steps)
    assert result.truncated == 2


def test_pair_is_counted_as_cut_from_one_token_over_the_limit(bert):
    fits, over = Pair("moon", "sea " * 4), Pair("moon", "sea " * 5)
    model = reranker(bert, max_length=8)
    assert [model.score([pair], advance=lambda _: None).truncated for pair in (fits, over)] == [0, 1]
    # What is cut is the document's end, so both read the same.
    assert [scored(model, [fits])[0]] == scored(model, [over]).tolist()


def test_no_pairs_get_no_scores(bert):
    result = reranker(bert).score([], advance=lambda _: None)
    assert (0, np.float32, 0) == (len(result.scores), result.scores.dtype, result.truncated)


@pytest.mark.parametrize("label", [0, 1])
def test_label_chooses_the_logit(two_labels, label):
    actual = scored(reranker(two_labels, label=label), PAIRS)
    np.testing.assert_allclose(actual, reference(two_labels, PAIRS)[:, label], rtol=0, atol=ROUNDING)


def test_of_two_labels_the_second_less_the_first_is_the_score(two_labels):
    logits = reference(two_labels, PAIRS)
    np.testing.assert_allclose(scored(reranker(two_labels), PAIRS), logits[:, 1] - logits[:, 0], rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("names", [{0: "relevant", 1: "irrelevant"}, {0: "yes", 1: "no"}], ids=str)
def test_two_labels_need_a_setting_where_the_second_says_the_opposite(two_labels, tmp_path, names):
    folder = shutil.copytree(two_labels, tmp_path / "named")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    labels = {"id2label": names, "label2id": {name: index for index, name in names.items()}}
    (folder / "config.json").write_text(json.dumps(config | labels), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"2 logits \({names[0]}, {names[1]}\)"):
        scored(reranker(folder), PAIRS)
    assert len(scored(reranker(folder, label=0), PAIRS)) == len(PAIRS)


@pytest.mark.parametrize("label", [2, -1])
def test_label_that_a_model_with_two_logits_does_not_have_is_refused(two_labels, label):
    with pytest.raises(ModelError, match=r"2 logits.*reranker\.label.*0 to 1"):
        scored(reranker(two_labels, label=label), PAIRS)


@pytest.mark.parametrize("label", [1, -1])
def test_label_that_a_model_with_one_logit_does_not_have_is_refused(bert, label):
    with pytest.raises(ModelError, match=r"reranker\.label"):
        scored(reranker(bert, label=label), PAIRS)


def test_checkpoint_without_a_classification_head_is_refused(tmp_path):
    """At once: not after hours of retrieval."""
    with pytest.raises(ModelError, match=r"BertModel, not a \.\.\.ForSequenceClassification"):
        reranker(tiny_bert(tmp_path / "encoder"))


def test_more_tokens_than_there_are_positions_are_refused_at_once(bert):
    with pytest.raises(ModelError, match="max_length=65, but the model has 64 positions"):
        reranker(bert, max_length=65)


def test_query_that_alone_is_too_long_is_refused_when_only_the_document_may_be_cut(bert):
    model = reranker(bert, max_length=8, truncation="only_second")
    with pytest.raises(ModelError, match=r"leaves no room.*longest_first"):
        scored(model, [PAIRS[4], Pair("moon " * 20, "sea")])
    assert np.isfinite(scored(reranker(bert, max_length=8), [Pair("moon " * 20, "sea")])).tolist() == [True]


def test_bfloat16_gives_float32_scores_near_the_exact_ones(bert):
    """8 bits of mantissa through two layers and a head: within 2 % of the spread of logits, or 0.2."""
    config = CrossEncoderConfig(name="cross", model=str(bert), max_length=32)
    model = rerank.build(config, ComputeConfig(device="cpu", dtype="bfloat16"))
    actual = scored(model, PAIRS)
    assert np.float32 == actual.dtype
    assert 0 < np.abs(actual - reference(bert, PAIRS)[:, 0]).max() < 0.2


def test_identity_is_known_without_loading_and_tells_settings_apart(bert):
    models = [
        reranker(bert, **settings) for settings in ({}, {"max_length": 16}, {"truncation": "only_second"}, {"label": 0})
    ]
    identities = [dict(model.identity) for model in models]
    assert [identities.count(identity) for identity in identities] == [1] * 4
    assert all({"model", "tokenizer"}.isdisjoint(vars(model)) for model in models)


def test_auto_attention_is_resolved_to_a_name(bert):
    """`auto` may mean another kernel tomorrow, and then scores of today must not be found under its key."""
    assert (reranker(bert).identity["attention"], reranker(bert).compute.attention) == ("packed", "packed")


def test_unloaded_model_is_loaded_again_and_gives_the_same_scores(bert):
    model = reranker(bert)
    before = scored(model, PAIRS)
    model.unload()
    assert "model" not in vars(model)
    assert before.tolist() == scored(model, PAIRS).tolist()
    model.unload()
    model.unload()


# Instructions, with a family that has a place for one


@pytest.fixture(scope="module")
def minicpm(tmp_path_factory) -> Path:
    return write_minicpm_reranker(tmp_path_factory.mktemp("minicpm") / "model")


def instructed(folder: Path, instructions: str) -> PairReranker:
    config = MiniCPMRerankerConfig(name="minicpm", model=str(folder), max_length=128, instructions=instructions)
    return rerank.build(config, ComputeConfig(device="cpu"))


def test_pair_s_own_instruction_goes_before_that_of_the_reranker_and_an_empty_one_is_none(minicpm):
    pairs = [Pair("moon", "sea", "Find it."), Pair("moon", "sea"), Pair("moon", "sea", "")]
    by_pair = instructed(minicpm, "none")
    given, bare = [row.tolist() for row in by_pair.tokenize(pairs[:2]).ids]
    actual = [row.tolist() for row in instructed(minicpm, "Find them.").tokenize(pairs).ids]
    of_all = [row.tolist() for row in by_pair.tokenize([Pair("moon", "sea", "Find them.")]).ids]
    assert [given, *of_all, bare] == actual
    assert len({tuple(ids) for ids in actual}) == 3


def test_pairs_that_differ_in_their_instruction_alone_are_scored_apart(minicpm):
    pairs = [Pair("moon", "sea", "Find it."), Pair("moon", "sea"), Pair("moon", "sea", "Find it.")]
    first, second, third = scored(instructed(minicpm, "none"), pairs).tolist()
    assert first == third
    assert abs(first - second) > 1e-3


def test_lower_case_that_is_asked_for_without_modules_json_changes_no_score_and_has_a_key(bert, tmp_path):
    """sentence-transformers reads that file beside modules.json alone; scores of lowered texts were once stored."""
    cased = shutil.copytree(bert, tmp_path / "cased")
    content = json.loads((cased / "tokenizer.json").read_text(encoding="utf-8")) | {"normalizer": None}
    (cased / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    pairs = [Pair("The MOON", "the moon"), Pair("moon", "MOON")]
    before = reranker(cased)
    expected, key = scored(before, pairs), dict(before.identity)
    (cased / "sentence_bert_config.json").write_text('{"do_lower_case": true}', encoding="utf-8")
    asked = reranker(cased)
    np.testing.assert_array_equal(scored(asked, pairs), expected)
    assert ("lowercase" in key, asked.identity["lowercase"]) == (False, False)


def test_instruction_is_part_of_the_identity(minicpm):
    identities = [dict(instructed(minicpm, text).identity) for text in ("none", "Find it.", "Find them.")]
    assert [""] == [identity["instruction"] for identity in identities[:1]]
    assert [identities.count(identity) for identity in identities] == [1] * 3


def test_reranker_without_a_place_for_an_instruction_has_none(bert):
    pairs = [Pair("moon", "sea"), Pair("moon", "sea", "Find it.")]
    assert reranker(bert).identity["instruction"] == ""
    one, other = scored(reranker(bert), pairs)
    assert one == other


def test_weights_that_are_swapped_between_identity_and_loading_are_refused(tmp_path):
    folder = tiny_bert(tmp_path / "one", classifier=True)
    model = reranker(folder)
    assert model.identity["checkpoint"] == reranker(folder).identity["checkpoint"]
    other = tiny_bert(tmp_path / "other", classifier=True, seed=1)
    (other / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(ModelError, match="changed while the checkpoint was read"):
        scored(model, PAIRS)
