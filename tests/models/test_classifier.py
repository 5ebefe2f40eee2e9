"""Sequence classifiers: complete checkpoints with a trained head only, and the logit asked for."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from stubs import changed, configured, tiny_bert
from tiny_checkpoints import write_gte_reranker, write_jina_reranker, write_xlm_roberta_reranker
from transformers import BertForSequenceClassification, GemmaConfig, GemmaForSequenceClassification

from evalkit import models, rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.forward import PairInputs
from evalkit.models.checkpoint import resolve
from evalkit.models.classifier import load_classifier
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig

CPU = ComputeConfig(device="cpu", attention="sdpa")
TENSOR = "encoder.layer.1.output.dense.weight"
# One pair of six tokens, and one of four with padding behind it.
INPUTS = PairInputs(
    torch.tensor([[2, 5, 3, 7, 8, 3], [2, 6, 9, 3, 0, 0]]),
    torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
    torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0]]),
    torch.tensor([[3, 5], [2, 3]]),
)


def load(folder, label=None, compute=CPU):
    return load_classifier(resolve(str(folder)), compute, label)


def scores(model) -> np.ndarray:
    with torch.no_grad():
        return model(INPUTS).numpy()


def test_classifier_is_loaded_with_the_weights_of_the_file(classifier):
    model = load(classifier)
    stored = load_file(classifier / "model.safetensors")
    assert not any(module.training for module in model.model.modules())
    assert {f"model.{name}" for name in stored} == set(model.state_dict())
    assert all(torch.equal(stored[name], model.state_dict()[f"model.{name}"]) for name in stored)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_score_is_the_raw_logit_of_the_label(tmp_path, label):
    """Each pair alone, unpadded, in float64. On a processor with AMX float32 is off by up to 1.2e-5."""
    folder = tiny_bert(tmp_path / "three", classifier=True, labels=3)
    library = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float64).eval()
    expected = []
    for row, length in enumerate((6, 4)):
        ids, segments = INPUTS.input_ids[row : row + 1, :length], INPUTS.token_type_ids[row : row + 1, :length]
        with torch.no_grad():
            expected.append([library(input_ids=ids, token_type_ids=segments).logits[0, label].item()])
    actual = scores(load(folder, label))
    assert (np.float32, (2, 1)) == (actual.dtype, actual.shape)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


def test_encoder_is_in_the_dtype_asked_for_and_the_head_in_float64(classifier):
    model = load(classifier, compute=ComputeConfig(device="cpu", dtype="bfloat16", attention="sdpa"))
    dtypes = {name: {parameter.dtype for parameter in part.parameters()} for name, part in model.model.named_children()}
    assert {"bert": {torch.bfloat16, torch.float64}, "dropout": set(), "classifier": {torch.float64}} == dtypes
    actual = scores(model)
    assert np.float32 == actual.dtype
    # More digits than bfloat16 has.
    assert not np.array_equal(actual, torch.from_numpy(actual).bfloat16().float().numpy())


@pytest.mark.parametrize(("label", "labels"), [(2, 2), (-1, 2), (None, 3), (3, 3)])
def test_model_with_several_logits_needs_one_of_them(tmp_path, label, labels):
    folder = tiny_bert(tmp_path / "several", classifier=True, labels=labels)
    with pytest.raises(ModelError, match=rf"{labels} logits \(.*\) and reranker\.label={label}.*0 to {labels - 1}"):
        load(folder, label)


@pytest.mark.parametrize("label", [1, -1])
def test_label_that_a_model_with_one_logit_does_not_have_is_refused(classifier, label):
    with pytest.raises(ModelError, match=r"reranker\.label"):
        load(classifier, label)


def test_model_with_one_logit_needs_no_label(classifier):
    assert scores(load(classifier, 0)).tolist() == scores(load(classifier)).tolist()


@pytest.mark.parametrize("name", ["classifier.weight", "bert.pooler.dense.bias", f"bert.{TENSOR}"])
def test_classifier_that_lacks_a_tensor_is_refused_by_name(classifier, tmp_path, name):
    folder = changed(classifier, tmp_path / "c", lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match=name):
        load(folder)


@pytest.mark.parametrize("name", ["head.weight", "lm_head.weight", "bert.pooler.extra.weight"])
def test_classifier_with_a_surplus_tensor_is_refused_by_name(classifier, tmp_path, name):
    folder = changed(classifier, tmp_path / "c", lambda tensors: tensors.update({name: torch.zeros(2)}))
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load(folder)


def test_position_ids_that_older_libraries_stored_are_accepted(classifier, tmp_path):
    ids = {"bert.embeddings.position_ids": torch.arange(64)[None]}
    folder = changed(classifier, tmp_path / "c", lambda tensors: tensors.update(ids))
    assert scores(load(classifier)).tolist() == scores(load(folder)).tolist()


def test_checkpoint_without_a_classification_head_is_refused(encoder):
    with pytest.raises(ModelError, match=r"BertModel, not a \.\.\.ForSequenceClassification"):
        load(encoder)


def test_checkpoint_that_names_no_architecture_is_what_its_tensors_say(classifier, encoder, tmp_path):
    named = scores(load(classifier))
    assert named.tolist() == scores(load(configured(classifier, tmp_path / "c", architectures=None))).tolist()
    with pytest.raises(ModelError, match=r"lacks \d+ of .*classifier\.bias"):
        load(configured(encoder, tmp_path / "e", architectures=None))


@pytest.mark.parametrize("write", [write_xlm_roberta_reranker, write_jina_reranker, write_gte_reranker])
def test_published_layout_that_lacks_its_head_is_refused_by_name(tmp_path, write):
    folder = write(tmp_path / "whole")
    load(folder)
    head = next(name for name in load_file(folder / "model.safetensors") if name.startswith("classifier."))
    lacking = changed(folder, tmp_path / "lacking", lambda tensors: tensors.pop(head))
    with pytest.raises(ModelError, match=head):
        load(lacking)


def test_decoder_scores_its_last_token_and_names_the_one_that_is_never_scored(tmp_path):
    """Texts are given without that token at their end (`without_ends`): transformers looks for the last other one."""
    config = GemmaConfig(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        num_labels=1,
        pad_token_id=3,
    )
    torch.manual_seed(0)
    GemmaForSequenceClassification(config).save_pretrained(tmp_path)
    model = load(tmp_path)
    alone = [
        row[row.new_tensor(mask).bool()]
        for row, mask in zip(INPUTS.input_ids, INPUTS.attention_mask.tolist(), strict=True)
    ]
    with torch.no_grad():
        states = [model.model.model(ids[None]).last_hidden_state[0, -1] for ids in alone]
        expected = torch.stack([model.model.score(state) for state in states]).numpy()
    assert model.unscored == 3
    np.testing.assert_allclose(scores(model), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("write", "layout", "right"),
    [(write_gte_reranker, "jina", "new"), (write_jina_reranker, "xlm-roberta", "jina")],
)
def test_a_name_refuses_the_checkpoint_of_another_model(tmp_path, write, layout, right):
    """Else a number of gte would be saved under the name of jina."""
    folder = str(write(tmp_path / "model"))
    with pytest.raises(ModelError, match=f"of type {right}, and named one of type {layout}"):
        rerank.build(CrossEncoderConfig(name="named", model=folder, layout=layout, max_length=32), ComputeConfig())
    assert rerank.build(CrossEncoderConfig(name="named", model=folder, layout=right, max_length=32), ComputeConfig())


class OlderTransformers(ModuleType):
    """transformers before 5.18, which has no GTE."""

    def __getattr__(self, name):
        if name.startswith("Gte"):
            raise AttributeError(name)
        return getattr(transformers, name)


def test_transformers_without_gte_still_serves_every_other_classifier(classifier, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", OlderTransformers("transformers"))
    monkeypatch.delitem(sys.modules, "evalkit.models.gte", raising=False)
    monkeypatch.delattr(models, "gte", raising=False)
    assert load(classifier).bare is not None
    assert load(write_jina_reranker(tmp_path / "jina")).bare is not None
    with pytest.raises(ModelError, match=r"no GTE\. Run: pip install 'transformers>=5\.18'"):
        load(write_gte_reranker(tmp_path / "gte"))
