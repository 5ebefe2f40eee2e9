"""LoRA adapters: merged as peft merges them, or refused by the key that says what is not computed."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import evalkit
from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import AbsentModel, ModelError
from evalkit.models.checkpoint import resolve
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.types import Pair

pytestmark = pytest.mark.shared

PAIRS = [("what do bees make?", "Bees make honey."), ("Which river does the glacier feed?", "The moon.")]
HEAD = "base_model.model.classifier.weight"
QUERY = "base_model.model.bert.encoder.layer.{}.attention.self.query"


@pytest.fixture
def folder(shared, tmp_path):
    """The golden adapter over BERT, in a place of its own."""
    shutil.copytree(shared / "golden/lora_adapter_bert/model", tmp_path / "model")
    return tmp_path / "model"


def change(folder, **keys):
    file = folder / "adapter/adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | keys), encoding="utf-8")


def tensors(folder, edit):
    file = folder / "adapter/adapter_model.safetensors"
    stored = dict(load_file(file))
    edit(stored)
    save_file(stored, file, metadata={"format": "pt"})


def score(folder, name="adapter"):
    config = CrossEncoderConfig(name="x", model=str(folder / name))
    return rerank.build(config, ComputeConfig(device="cpu")).score(PAIRS).scores


def merged_by_hand(folder, scales):
    """The base with every change added in NumPy, by layer and projection."""
    base = folder / "base/model.safetensors"
    weights, adapter = dict(load_file(base)), load_file(folder / "adapter/adapter_model.safetensors")
    for name, tensor in adapter.items():
        own = name.removeprefix("base_model.model.")
        if own.endswith(".lora_A.weight"):
            module = own.removesuffix(".lora_A.weight")
            up = adapter[name.replace("lora_A", "lora_B")].double()
            weights[f"{module}.weight"] = (
                weights[f"{module}.weight"].double() + scales(module) * up @ tensor.double()
            ).float()
        elif "lora_" not in own:
            weights[own] = tensor
    shutil.copytree(folder / "base", folder / "merged")
    save_file(weights, folder / "merged/model.safetensors", metadata={"format": "pt"})
    return score(folder, "merged")


@pytest.mark.parametrize(
    ("keys", "scales"),
    [
        ({}, lambda _: 8 / 4),
        ({"use_rslora": True}, lambda _: 8 / 2),
        ({"alpha_pattern": {"query": 3}}, lambda module: 3 / 4 if module.endswith("query") else 2),
        (
            {"alpha_pattern": {"layer.0.attention.self.value": 1}},
            lambda module: 1 / 4 if "0.attention.self.value" in module else 2,
        ),
    ],
    ids=["plain", "rslora", "alpha by name", "alpha by place"],
)  # fmt: skip
def test_scores_are_those_of_the_weights_merged_by_hand(folder, keys, scales):
    change(folder, **keys)
    np.testing.assert_allclose(score(folder), merged_by_hand(folder, scales), rtol=0, atol=1e-5)


def test_rows_have_the_lengths_that_dora_stores(folder):
    """Liu et al. 2024, formula 5: m (W + s B A) / |W + s B A|, row by row."""
    lengths = {
        name.replace("lora_A.weight", "lora_magnitude_vector"): torch.linspace(0.2, 3, 32)
        for name in load_file(folder / "adapter/adapter_model.safetensors")
        if name.endswith("lora_A.weight")
    }
    change(folder, use_dora=True)
    with pytest.raises(ModelError, match=r"use_dora, and bert\..* has no lora_magnitude_vector of its rows"):
        score(folder)
    plain = merged_by_hand(folder, lambda _: 2)
    weights = dict(load_file(folder / "merged/model.safetensors"))
    for name, length in lengths.items():
        own = name.removeprefix("base_model.model.").replace("lora_magnitude_vector", "weight")
        matrix = weights[own].double()
        weights[own] = (matrix * (length.double() / (matrix**2).sum(dim=1).sqrt())[:, None]).float()
    save_file(weights, folder / "merged/model.safetensors", metadata={"format": "pt"})
    tensors(folder, lambda stored: stored.update(lengths))
    np.testing.assert_allclose(score(folder), score(folder, "merged"), rtol=0, atol=1e-5)
    assert np.abs(score(folder) - plain).max() > 1e-3


def test_a_bias_that_was_trained_too_replaces_that_of_the_base(folder):
    bias, name = torch.full((32,), 0.5), f"{QUERY.format(0)}.base_layer.bias"
    head = HEAD.replace("classifier.weight", "classifier.{}.bias")
    original = {head.format("original_module"): torch.ones(1)}
    tensors(folder, lambda stored: stored.update({name: bias} | original))
    found = score(folder)
    tensors(folder, lambda stored: [stored.pop(key) for key in (name, *original)])
    base = folder / "base/model.safetensors"
    weights = dict(load_file(base))
    weights[f"{QUERY.format(0)}.bias".removeprefix("base_model.model.")] = bias
    save_file(weights, base, metadata={"format": "pt"})
    np.testing.assert_allclose(found, score(folder), rtol=0, atol=1e-6)


def test_both_folders_are_in_the_identity_and_the_base_alone_scores_otherwise(folder):
    built = rerank.build(CrossEncoderConfig(name="x", model=str(folder / "adapter")), ComputeConfig(device="cpu"))
    assert {"adapter", "base"} == set(built.identity["checkpoint"])
    assert np.abs(score(folder) - score(folder, "base")).max() > 1e-3
    before = built.identity["checkpoint"]["base"]
    stored = dict(load_file(folder / "base/model.safetensors"))
    stored["bert.pooler.dense.bias"] += 1
    save_file(stored, folder / "base/model.safetensors", metadata={"format": "pt"})
    again = rerank.build(CrossEncoderConfig(name="x", model=str(folder / "adapter")), ComputeConfig(device="cpu"))
    assert before != again.identity["checkpoint"]["base"]


@pytest.mark.parametrize(
    ("keys", "part"),
    [
        ({"use_dora": True, "fan_in_fan_out": True}, "use_dora=True"),
        ({"peft_type": "IA3"}, "peft_type='IA3'. evalkit reads LORA"),
        ({"unheard_of": 3}, "unheard_of=3"),
        ({"layer_replication": [[0, 1]]}, "layer_replication="),
        ({"r": 0}, "r=0, expected a positive number"),
        ({"lora_alpha": None}, "lora_alpha=None"),
    ],
    ids=str,
)
def test_what_is_not_computed_is_refused_by_its_key(folder, keys, part):
    change(folder, **keys)
    with pytest.raises(ModelError) as error:
        score(folder)
    assert part in str(error.value)
    assert "adapter_config.json" in str(error.value)


def drop(name):
    return lambda stored: stored.pop(name)


def add(name, shape):
    return lambda stored: stored.update({name: torch.zeros(shape)})


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (drop(f"{QUERY.format(0)}.lora_B.weight"), "without its other half"),
        (add("base_model.model.bert.nowhere.lora_A.weight", (4, 32)), "without its other half"),
        (add("base_model.model.bert.nowhere.weight", (4, 32)), "which the base has no parameter for"),
        (add(f"{QUERY.format(0)}.lora_magnitude_vector", (32,)), "magnitude_vector, which evalkit does not compute"),
        (add("odd.weight", (1,)), "expected names that begin with base_model.model."),
        (add(HEAD, (3, 32)), "does not fit classifier.weight"),
        (add(f"{QUERY.format(0)}.lora_B.weight", (7, 4)), "does not fit"),
    ],
    ids=["half", "other half", "no parameter", "magnitude", "prefix", "head", "shape"],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_refused_by_name(folder, edit, part):
    tensors(folder, edit)
    with pytest.raises(ModelError) as error:
        score(folder)
    assert part in str(error.value)


def test_a_base_that_is_absent_is_named(folder):
    change(folder, base_model_name_or_path="../nowhere/at/all")
    with pytest.raises(AbsentModel, match=r"the base \.\./nowhere/at/all of this adapter"):
        resolve(str(folder / "adapter"))


def test_a_language_model_becomes_a_classifier_by_the_head_that_the_adapter_brings(shared, tmp_path):
    """As RankLLaMA's folders: the base has no head, and its configuration two labels."""
    folder = tmp_path / "model"
    shutil.copytree(shared / "golden/lora_adapter_qwen3/model", folder)
    expected = score(folder)
    config = json.loads((folder / "base/config.json").read_text())
    for key in ("id2label", "label2id"):
        config.pop(key)
    (folder / "base/config.json").write_text(json.dumps(config | {"architectures": ["Qwen3ForCausalLM"]}))
    stored = dict(load_file(folder / "base/model.safetensors"))
    stored.pop("score.weight")
    save_file(stored, folder / "base/model.safetensors", metadata={"format": "pt"})
    assert expected.tolist() == score(folder).tolist()


HEADED = "base_model.model.lm_head."


@pytest.fixture
def language_model(shared, tmp_path):
    """A tied language model that answers with 1 or 0, and an adapter over it as sentence-transformers saves one."""
    base = shutil.copytree(shared / "golden/logit_score_qwen2_stv6/model", tmp_path / "model/base")
    adapter = tmp_path / "model/adapter"
    adapter.mkdir()
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "1_LogitScore"):
        (base / name).rename(adapter / name)
    keys = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "../base", "r": 4}
    (adapter / "adapter_config.json").write_text(json.dumps(keys | {"lora_alpha": 8}), encoding="utf-8")
    return tmp_path / "model"


def score_words(folder, name="adapter"):
    return evalkit.load_reranker("auto", model=str(folder / name), compute={"device": "cpu"}).score(PAIRS).scores


def of_head(folder, **parts):
    named = {HEADED + name.replace("__", "."): tensor for name, tensor in parts.items()}
    save_file(named, folder / "adapter/adapter_model.safetensors")


@pytest.mark.parametrize("saved", ["low rank", "low rank over a matrix of its own", "whole"])
def test_a_head_over_the_vocabulary_is_changed_where_it_is_tied_too(language_model, saved):
    """peft adds to the logits; the embeddings stay as they are, though base and head share a matrix."""
    folder, draw = language_model, torch.Generator().manual_seed(4)
    weights = dict(load_file(folder / "base/model.safetensors"))
    embeddings = weights["model.embed_tokens.weight"].float()
    down, up = torch.randn(4, embeddings.shape[1], generator=draw), torch.randn(len(embeddings), 4, generator=draw)
    other = torch.randn(embeddings.shape, generator=draw) * 0.2
    parts, head = {
        "low rank": ({"lora_A__weight": down, "lora_B__weight": up}, embeddings + 2 * up @ down),
        "low rank over a matrix of its own": (
            {"base_layer__weight": other, "lora_A__weight": down, "lora_B__weight": up},
            other + 2 * up @ down,
        ),
        "whole": ({"weight": other}, other),
    }[saved]
    of_head(folder, **parts)
    found = score_words(folder)
    merged = shutil.copytree(folder / "base", folder / "merged")
    for name in ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"):
        shutil.copy(folder / "adapter" / name, merged)
    shutil.copytree(folder / "adapter/1_LogitScore", merged / "1_LogitScore")
    settings = json.loads((merged / "config.json").read_text(encoding="utf-8"))
    (merged / "config.json").write_text(json.dumps(settings | {"tie_word_embeddings": False}), encoding="utf-8")
    save_file(weights | {"lm_head.weight": head}, merged / "model.safetensors", metadata={"format": "pt"})
    np.testing.assert_allclose(found, score_words(folder, "merged"), rtol=0, atol=1e-5)


def test_a_head_of_another_vocabulary_is_refused(language_model):
    of_head(language_model, weight=torch.zeros(3, 32))
    with pytest.raises(ModelError, match=r"lm_head\.weight does not fit lm_head\.weight"):
        score_words(language_model)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_changed_head_has_the_logits_of_peft(language_model):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    from transformers import AutoModelForCausalLM

    folder = language_model
    settings = {"r": 4, "lora_alpha": 8, "init_lora_weights": False, "task_type": "CAUSAL_LM"}
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    config = peft.LoraConfig(target_modules=["embed_tokens", "lm_head", "q_proj"], **settings)
    model = peft.get_peft_model(base, config).eval()
    model.save_pretrained(folder / "trained")
    shutil.copy(folder / "trained/adapter_model.safetensors", folder / "adapter")
    reranker = evalkit.load_reranker("auto", model=str(folder / "adapter"), compute={"device": "cpu"})
    stored = json.loads((folder / "adapter/1_LogitScore/config.json").read_text(encoding="utf-8"))
    with torch.no_grad():
        rows = reranker.tokenize([Pair(*pair) for pair in PAIRS]).ids
        logits = [model(torch.tensor(ids[None].tolist())).logits[0, -1] for ids in rows]
    theirs = [float(row[stored["true_token_id"]] - row[stored["false_token_id"]]) for row in logits]
    np.testing.assert_allclose(reranker.score(PAIRS).scores, theirs, rtol=0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_scores_are_those_of_peft(folder):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    change(folder, alpha_pattern={"value": 5}, use_rslora=True)
    tokenizer = AutoTokenizer.from_pretrained(folder / "adapter")
    base = AutoModelForSequenceClassification.from_pretrained(folder / "base", dtype=torch.float32)
    model = peft.PeftModel.from_pretrained(base, folder / "adapter").eval()
    with torch.no_grad():
        theirs = [float(model(**tokenizer(q, d, return_tensors="pt")).logits) for q, d in PAIRS]
    np.testing.assert_allclose(score(folder), theirs, rtol=0, atol=1e-5)
