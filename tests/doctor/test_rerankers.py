"""The doctor's checks: a trained checkpoint passes them all, and each way of breaking it fails the right one."""

import json
import shutil

import numpy as np
import pytest
import torch
from diagnosed import diagnosed, failed
from stubs import changed, configured, tiny_bert
from tiny_checkpoints import (
    write_bert_reranker,
    write_gemma_reranker,
    write_minicpm_embedding,
    write_minicpm_layerwise,
    write_minicpm_reranker,
    write_qwen3_reranker,
)
from transformers import BertForSequenceClassification

from evalkit.doctor import checks, rerankers
from evalkit.errors import ConfigError
from evalkit.inference import attention, forward
from evalkit.load import load_reranker

NAMES = [
    "checkpoint",
    "answer tokens",
    "padding",
    "alone = in a batch",
    "distinct scores",
    "relevant first (en)",
    "relevant first (zh)",
    "published scores",
]


def diagnose(folder, name="cross_encoder", **asked):
    return diagnosed("reranker", name, folder, **asked)


def retokenized(source, target, config=lambda _: None, tokenizer=lambda _: None):
    """A copy of a checkpoint with other tokenizer_config.json and tokenizer.json."""
    shutil.copytree(source, target)
    for name, change in (("tokenizer_config.json", config), ("tokenizer.json", tokenizer)):
        parsed = json.loads((target / name).read_text(encoding="utf-8"))
        change(parsed)
        (target / name).write_text(json.dumps(parsed), encoding="utf-8")
    return target


def fill_head(value):
    def change(tensors):
        tensors["classifier.weight"].fill_(value)

    return change


def test_a_trained_checkpoint_passes_every_check_in_float32(good):
    found = diagnose(good)
    assert [*NAMES, "float32 = float32"] == list(found)
    skipped = {name for name, (outcome, _) in found.items() if outcome == "skipped"}
    assert {"answer tokens", "published scores", "float32 = float32"} == skipped
    assert failed(found) == set()
    assert found["relevant first (zh)"][1].startswith("6 of 6 queries; median margin +")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_compared_with_float32(good, dtype):
    found = diagnose(good, dtype=dtype)
    assert failed(found) == set()
    outcome, detail = found[f"{dtype} = float32"]
    assert outcome == "passed"
    assert "over 12 queries" in detail
    assert dtype in found["checkpoint"][1]


def test_states_that_bfloat16_rounds_away_fail_in_bfloat16_alone(good, tmp_path):
    def shift(tensors):
        """The same function, since the norm behind takes the mean off; but bfloat16 has steps of 8 at 2000."""
        tensors["bert.encoder.layer.1.output.dense.bias"].add_(2000)

    folder = changed(good, tmp_path / "c", shift)
    assert failed(diagnose(folder)) == set()
    found = diagnose(folder, dtype="bfloat16")
    assert "bfloat16 = float32" in failed(found)
    assert "Kendall's tau" in found["bfloat16 = float32"][1]


def test_states_that_float16_cannot_hold_fail_in_float16_alone(good, tmp_path):
    def rescale(tensors):
        """The same function, through numbers above 65504."""
        layer = "bert.encoder.layer.0.attention."
        for name in ("self.value.weight", "self.value.bias"):
            tensors[layer + name].mul_(1e6)
        tensors[f"{layer}output.dense.weight"].div_(1e6)

    folder = changed(good, tmp_path / "c", rescale)
    assert failed(diagnose(folder)) == set()
    found = diagnose(folder, dtype="float16")
    assert {"alone = in a batch", "relevant first"} == failed(found)
    assert "compute.dtype is too narrow" in found["relevant first"][1]


def test_half_precision_is_not_compared_when_asked_not_to(good, monkeypatch):
    loads = []
    load = rerankers.rerank.build
    monkeypatch.setattr(rerankers.rerank, "build", lambda *given, **named: loads.append(1) or load(*given, **named))
    assert diagnose(good, dtype="bfloat16", float32=False)["bfloat16 = float32"] == ("skipped", "asked not to")
    assert [1] == loads


def test_an_embedder_fails_as_a_checkpoint_and_nothing_else_is_tried(tmp_path):
    found = diagnose(tiny_bert(tmp_path / "embedder"), max_length=64)
    assert ["checkpoint"] == list(found)
    outcome, detail = found["checkpoint"]
    assert outcome == "FAILED"
    assert "BertModel" in detail
    assert "promises no classification head" in detail


def test_an_embedder_whose_config_claims_a_head_fails_as_a_checkpoint(tmp_path):
    embedder = tiny_bert(tmp_path / "embedder")
    folder = configured(embedder, tmp_path / "c", architectures=["BertForSequenceClassification"])
    found = diagnose(folder, max_length=64)
    assert {"checkpoint"} == failed(found)
    assert "lacks 4 of the model's tensors, which would be newly initialised" in found["checkpoint"][1]
    assert "classifier.bias" in found["checkpoint"][1]


def test_a_minicpm_embedder_fails_as_a_minicpm_reranker(tmp_path):
    found = diagnose(write_minicpm_embedding(tmp_path / "embedder"), "minicpm_reranker", max_length=512)
    assert {"checkpoint"} == failed(found)
    assert "tensors" in found["checkpoint"][1]


def test_a_reranker_of_another_family_fails_as_a_checkpoint(good):
    found = diagnose(good, "qwen3_reranker_0_6b", max_length=512)
    assert {"checkpoint"} == failed(found)
    assert "expected Qwen3ForCausalLM" in found["checkpoint"][1]


def test_a_missing_tensor_fails_by_name(good, tmp_path):
    name = "bert.encoder.layer.1.output.dense.weight"
    found = diagnose(changed(good, tmp_path / "c", lambda tensors: tensors.pop(name)))
    assert {"checkpoint"} == failed(found)
    assert name in found["checkpoint"][1]


@pytest.mark.parametrize("seed", range(3))
def test_an_embedder_with_a_new_head_fails_relevance(tmp_path, seed):
    """What `AutoModelForSequenceClassification.from_pretrained` makes of an embedder, with a warning, and saves."""
    embedder = write_bert_reranker(tmp_path / "embedder", seed=seed)
    torch.manual_seed(seed)
    model = BertForSequenceClassification.from_pretrained(embedder)
    model.classifier.reset_parameters()
    model.save_pretrained(tmp_path / "c")
    for file in embedder.glob("tokenizer*"):
        shutil.copy(file, tmp_path / "c")
    assert {"relevant first (en)", "relevant first (zh)"} <= failed(diagnose(tmp_path / "c"))


def test_a_random_head_fails_relevance(good, tmp_path):
    generator = torch.Generator().manual_seed(0)

    def redraw(tensors):
        tensors["classifier.weight"].normal_(0, 0.02, generator=generator)

    assert {"relevant first (en)", "relevant first (zh)"} <= failed(diagnose(changed(good, tmp_path / "c", redraw)))


def test_a_head_of_the_wrong_sign_fails_relevance_alone(good, tmp_path):
    def negate(tensors):
        tensors["classifier.weight"].neg_()

    assert {"relevant first (en)", "relevant first (zh)"} == failed(diagnose(changed(good, tmp_path / "c", negate)))


@pytest.mark.parametrize(
    ("config", "tokenizer"),
    [
        ({"padding_side": "left"}, {}),
        ({}, {"direction": "Left"}),
        ({"padding_side": "left"}, {"direction": "Left"}),
    ],
)
def test_a_tokenizer_that_pads_on_the_wrong_side_fails_padding(good, tmp_path, config, tokenizer):
    folder = retokenized(
        good,
        tmp_path / "c",
        config=lambda parsed: parsed.update(config),
        tokenizer=lambda parsed: parsed["padding"].update(tokenizer),
    )
    found = diagnose(folder)
    assert {"padding"} == failed(found)
    assert "left" in found["padding"][1]
    assert "with padding on the right" in found["padding"][1]


def test_a_language_model_is_declared_to_be_padded_on_the_left(tmp_path):
    folder = write_gemma_reranker(tmp_path / "model")
    assert "left" == json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))["padding_side"]
    assert ("passed", "declared for other tools: left") == diagnose(folder, "bge_reranker_v2_gemma")["padding"]
    turned = retokenized(folder, tmp_path / "c", config=lambda parsed: parsed.update(padding_side="right"))
    assert "padding on the left" in diagnose(turned, "bge_reranker_v2_gemma")["padding"][1]


def test_a_tokenizer_that_declares_no_side_passes_padding(good, tmp_path):
    def forget(parsed):
        parsed["padding"] = None

    folder = retokenized(good, tmp_path / "c", config=lambda parsed: parsed.pop("padding_side"), tokenizer=forget)
    assert ("passed", "declared for other tools: no side") == diagnose(folder)["padding"]


@pytest.mark.parametrize("token", ["[PAD]", {"content": "[PAD]", "__type": "AddedToken"}])
def test_a_padding_id_that_is_another_token_fails_padding(good, tmp_path, token):
    folder = retokenized(good, tmp_path / "a", config=lambda parsed: parsed.update(pad_token=token))
    assert failed(diagnose(folder)) == set()
    found = diagnose(configured(folder, tmp_path / "b", pad_token_id=5))
    assert {"padding"} == failed(found)
    assert found["padding"][1] == "config.json pads with 5, and the tokenizer's [PAD] is [0]"


def test_rows_that_are_padded_on_the_left_score_otherwise_than_alone(good, pad_on_the_left):
    pad_on_the_left()
    found = diagnose(good, attention="sdpa")
    assert "alone = in a batch" in failed(found)
    assert "over 8 pairs" in found["alone = in a batch"][1]


def test_last_token_that_is_padding_scores_otherwise_than_alone(tmp_path, monkeypatch):
    """The mistake of code that takes `states[:, -1]` of rows padded on the right."""
    folder = write_minicpm_reranker(tmp_path / "model")
    assert "alone = in a batch" not in failed(diagnose(folder, "minicpm_reranker", attention="sdpa"))
    monkeypatch.setattr("evalkit.models.minicpm_decoder.last_states", lambda states, mask: states[:, mask.shape[1] - 1])
    assert "alone = in a batch" in failed(diagnose(folder, "minicpm_reranker", attention="sdpa"))


def test_a_mask_that_is_ignored_scores_otherwise_than_alone(good, monkeypatch):
    padded = forward._padded

    def unmasked(sequences, fill):
        ids, mask = padded(sequences, fill)
        return ids, torch.ones_like(mask)

    monkeypatch.setattr(forward, "_padded", unmasked)
    assert "alone = in a batch" in failed(diagnose(good, attention="sdpa"))


def test_attention_that_sees_the_neighbours_scores_otherwise_than_alone(good, monkeypatch):
    def across(query, key, value, batch, select, rule):
        rows = slice(None) if select == "all" else batch.rows(select)
        seen = torch.softmax(torch.einsum("qhd,khd->hqk", query, key) * rule.scale, dim=-1)
        assert query.shape[0] == len(key[rows])
        return torch.einsum("hqk,khd->qhd", seen, value)

    assert "alone = in a batch" not in failed(diagnose(good))
    monkeypatch.setitem(attention.KERNELS, "packed", across)
    assert "alone = in a batch" in failed(diagnose(good))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_all_equal_scores_fail(good, tmp_path, dtype):
    found = diagnose(changed(good, tmp_path / "c", fill_head(0.0)), dtype=dtype)
    assert {"distinct scores", "relevant first (en)", "relevant first (zh)"} <= failed(found)
    assert found["distinct scores"][1].startswith("1 different ones of 72")


def test_a_few_distinct_scores_are_not_enough():
    scores = {"en": np.arange(36, dtype=np.float32).reshape(6, 6) % 3}
    assert ("distinct scores", "FAILED") == rerankers.distinct(scores)[:2]
    assert ("distinct scores", "passed") == rerankers.distinct({"en": np.arange(36.0).reshape(6, 6)})[:2]


def test_scores_that_differ_in_the_last_digits_alone_fail():
    noise = np.random.default_rng(0).normal(0, 1e-4, (6, 6))
    assert rerankers.distinct({"en": (5 + noise).astype(np.float32)}).outcome == "FAILED"


@pytest.mark.parametrize("tensor", ["classifier.weight", "bert.encoder.layer.0.output.dense.weight"])
def test_weights_that_are_not_numbers_fail(good, tmp_path, tensor):
    found = diagnose(changed(good, tmp_path / "c", lambda tensors: tensors[tensor].fill_(torch.nan)))
    assert {"alone = in a batch", "relevant first"} == failed(found)
    assert "not a finite number" in found["relevant first"][1]


def test_relevance_asks_for_five_of_six_queries():
    scores = np.eye(6, dtype=np.float32)
    scores[0, 1] = 2
    assert ("passed", "5 of 6 queries; median margin +1") == checks.relevance("en", scores)[1:]
    scores[1, 2] = 1  # a tie is not first
    assert ("relevant first (en)", "FAILED") == checks.relevance("en", scores)[:2]


def test_only_languages_that_the_reranker_is_made_for_are_probed(good):
    found = diagnose(good, languages=["zh"])
    assert "relevant first (zh)" in found
    assert "relevant first (en)" not in found
    assert found["distinct scores"][1].startswith("36 different ones of 36")


def test_a_reranker_of_languages_without_probes_is_shown_all_of_them(good):
    found = diagnose(good, languages=["fra"])
    assert {"relevant first (en)", "relevant first (zh)"} <= set(found)
    assert found["relevant first (fr)"] == ("skipped", "there are no texts in it; languages with texts are en, zh")


def test_languages_are_codes_in_any_of_their_forms(good):
    assert "relevant first (zh)" not in diagnose(good, languages=["eng", "en-US"])
    with pytest.raises(ConfigError, match=r"reranker\.languages=klingon is not a language code"):
        diagnose(good, languages=["klingon"])


@pytest.mark.shared
@pytest.mark.parametrize("name", ["late_colbert_modernbert", "jina_reranker_v3"])
def test_late_interaction_and_lists_are_compared_with_float32_too(shared, name):
    found = diagnose(shared / "golden" / name / "model", "auto", dtype="bfloat16")
    assert found["bfloat16 = float32"][1].startswith("Kendall's tau ")
    assert found["checkpoint"][0] == "passed"


def test_a_language_model_whose_answer_is_several_tokens_fails(tmp_path):
    """The tokenizer of another model, of which "Yes" is no word."""
    folder = write_gemma_reranker(tmp_path / "model")
    assert diagnose(folder, "bge_reranker_v2_gemma")["answer tokens"][0] == "passed"

    def split(parsed):
        merges = parsed["model"]["merges"]
        parsed["model"]["merges"] = [merge for merge in merges if "".join(merge) not in {"Yes", "Ye", "es"}]

    found = diagnose(retokenized(folder, tmp_path / "c", tokenizer=split), "bge_reranker_v2_gemma")
    assert found["answer tokens"][0] == "FAILED"
    assert "first token of each" in found["answer tokens"][1]


def test_answer_tokens_are_named_with_their_ids(tmp_path):
    folder = write_qwen3_reranker(tmp_path / "model")
    vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    outcome, detail = diagnose(folder, "qwen3_reranker_0_6b")["answer tokens"]
    assert outcome == "passed"
    assert detail == f"one token each: 'yes' is {vocabulary['yes']}, 'no' is {vocabulary['no']}"


def test_of_several_cutoff_layers_the_last_is_looked_at(tmp_path):
    folder = write_minicpm_layerwise(tmp_path / "model")
    name = "bge_reranker_v2_minicpm_layerwise"
    alone = diagnose(folder, name, cutoff_layers=[3])
    several = diagnose(folder, name, cutoff_layers=[1, 3])
    assert list(NAMES) == list(several)[: len(NAMES)]
    assert alone["relevant first (en)"] == several["relevant first (en)"]
    assert alone["distinct scores"] == several["distinct scores"]


def test_the_dtype_of_the_weights_is_checked(good):
    reranker = load_reranker("cross_encoder", model=good, compute={"device": "cpu", "attention": "sdpa"})
    assert ("checkpoint", "passed") == rerankers.weights(reranker)[:2]
    reranker.model.to(torch.bfloat16)
    assert ("checkpoint", "FAILED") == rerankers.weights(reranker)[:2]


def test_probes_are_six_distinct_pairs_of_each_language():
    probes = checks.probes([])
    assert ["en", "zh"] == list(probes)
    for pairs in probes.values():
        assert 6 == len({query for query, _ in pairs}) == len({document for _, document in pairs})
        assert all(query and document for query, document in pairs)
