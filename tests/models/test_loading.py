"""Loading: complete checkpoints only, no remote code, no silent fallback, no more positions than there are."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from stubs import tiny_bert
from transformers import BertForMaskedLM

from evalkit.config import ComputeConfig
from evalkit.errors import MissingExtra, ModelError
from evalkit.models.checkpoint import resolve
from evalkit.models.loading import device_name, load_classifier, load_encoder, load_tokenizer

CPU = ComputeConfig(device="cpu")
TENSOR = "encoder.layer.1.output.dense.weight"


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("loading") / "encoder")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("loading") / "classifier", classifier=True)


def changed(source: Path, target: Path, change) -> Path:
    """A copy of a checkpoint with `change` applied to its dictionary of tensors."""
    shutil.copytree(source, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def configured(source: Path, target: Path, **settings) -> Path:
    """A copy of a checkpoint with settings changed in its config.json."""
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    (target / "config.json").write_text(json.dumps(config | settings), encoding="utf-8")
    return target


def test_encoder_is_loaded_with_the_weights_of_the_file(encoder):
    model = load_encoder(resolve(str(encoder)), CPU)
    stored = load_file(encoder / "model.safetensors")
    assert (model.training, model.device.type) == (False, "cpu")
    assert set(stored) == set(model.state_dict())
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())


def test_classifier_is_loaded_with_the_weights_of_the_file(classifier):
    model = load_classifier(resolve(str(classifier)), CPU)
    stored = load_file(classifier / "model.safetensors")
    assert model.training is False
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_in_the_dtype_asked_for(encoder, dtype):
    model = load_encoder(resolve(str(encoder)), ComputeConfig(device="cpu", dtype=dtype))
    assert {getattr(torch, dtype)} == {parameter.dtype for parameter in model.parameters()}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_attention_is_the_one_asked_for(encoder, attention):
    model = load_encoder(resolve(str(encoder)), ComputeConfig(device="cpu", attention=attention))
    assert attention == model.config._attn_implementation


def test_missing_tensor_is_refused_by_name(encoder, tmp_path):
    folder = changed(encoder, tmp_path / "c", lambda tensors: tensors.pop(TENSOR))
    with pytest.raises(ModelError, match=TENSOR):
        load_encoder(resolve(str(folder)), CPU)


def test_surplus_tensor_is_refused_by_name(encoder, tmp_path):
    folder = changed(encoder, tmp_path / "c", lambda tensors: tensors.update({"extra.weight": torch.zeros(2)}))
    with pytest.raises(ModelError, match=r"extra\.weight"):
        load_encoder(resolve(str(folder)), CPU)


def test_layer_more_than_the_config_says_is_refused(encoder, tmp_path):
    folder = configured(encoder, tmp_path / "c", num_hidden_layers=1)
    with pytest.raises(ModelError, match=r"encoder\.layer\.1\."):
        load_encoder(resolve(str(folder)), CPU)


def test_misshapen_tensor_is_refused_by_name(encoder, tmp_path):
    folder = changed(encoder, tmp_path / "c", lambda tensors: tensors.update({TENSOR: torch.zeros(32, 63)}))
    with pytest.raises(ModelError, match=TENSOR):
        load_encoder(resolve(str(folder)), CPU)


@pytest.mark.parametrize("name", ["classifier.weight", "bert.pooler.dense.bias", f"bert.{TENSOR}"])
def test_classifier_that_lacks_a_tensor_is_refused_by_name(classifier, tmp_path, name):
    folder = changed(classifier, tmp_path / "c", lambda tensors: tensors.pop(name))
    with pytest.raises(ModelError, match=name):
        load_classifier(resolve(str(folder)), CPU)


def test_classifier_with_a_surplus_tensor_is_refused_by_name(classifier, tmp_path):
    folder = changed(classifier, tmp_path / "c", lambda tensors: tensors.update({"head.weight": torch.zeros(2)}))
    with pytest.raises(ModelError, match=r"head\.weight"):
        load_classifier(resolve(str(folder)), CPU)


def test_encoder_of_a_checkpoint_with_pretraining_heads_leaves_them_out(encoder, tmp_path):
    """Published BERTs hold a pooler, the heads of pretraining, and position ids; an encoder has no place for them."""
    folder = shutil.copytree(encoder, tmp_path / "c")
    plain = load_encoder(resolve(str(folder)), CPU)
    model = BertForMaskedLM(plain.config)
    model.bert.load_state_dict(plain.state_dict())
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tensors |= {"bert.pooler.dense.weight": torch.zeros(32, 32), "bert.embeddings.position_ids": torch.arange(64)[None]}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    actual = load_encoder(resolve(str(folder)), CPU)
    expected = plain.state_dict()
    assert set(expected) == set(actual.state_dict())
    assert all(torch.equal(expected[name], tensor) for name, tensor in actual.state_dict().items())


def test_checkpoint_without_weights_is_refused(encoder, tmp_path):
    folder = shutil.copytree(encoder, tmp_path / "c")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=str(folder)):
        load_encoder(resolve(str(folder)), CPU)


def test_damaged_weights_are_refused(encoder, tmp_path):
    folder = shutil.copytree(encoder, tmp_path / "c")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=str(folder)):
        load_encoder(resolve(str(folder)), CPU)


@pytest.mark.parametrize("load", [load_encoder, load_classifier])
def test_unknown_model_type_is_refused(classifier, tmp_path, load):
    folder = configured(classifier, tmp_path / "c", model_type="unheard_of")
    with pytest.raises(ModelError, match="no model of type 'unheard_of'"):
        load(resolve(str(folder)), CPU)


@pytest.mark.parametrize("load", [load_encoder, load_classifier])
@pytest.mark.parametrize("model_type", ["unheard_of", "bert"])
def test_code_in_a_checkpoint_is_never_run(encoder, classifier, tmp_path, load, model_type):
    auto_map = {
        "AutoConfig": "remote.Config",
        "AutoModel": "remote.Model",
        "AutoModelForSequenceClassification": "remote.Model",
    }
    source = encoder if load is load_encoder else classifier
    folder = configured(source, tmp_path / "c", model_type=model_type, auto_map=auto_map)
    ran = tmp_path / "ran"
    (folder / "remote.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
    if model_type == "bert":  # transformers knows it, so the checkpoint's own code is not needed
        assert type(load(resolve(str(folder)), CPU)).__module__ == "transformers.models.bert.modeling_bert"
    else:
        with pytest.raises(ModelError, match="evalkit never does"):
            load(resolve(str(folder)), CPU)
    assert not ran.exists()


def test_checkpoint_without_a_classification_head_is_no_classifier(encoder):
    with pytest.raises(ModelError, match=r"BertModel, not a \.\.\.ForSequenceClassification"):
        load_classifier(resolve(str(encoder)), CPU)


def test_checkpoint_that_names_no_architecture_is_no_classifier(classifier, tmp_path):
    folder = configured(classifier, tmp_path / "c", architectures=None)
    with pytest.raises(ModelError, match="no architecture"):
        load_classifier(resolve(str(folder)), CPU)


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash_attn is installed")
def test_flash_attention_that_is_not_installed_is_refused_with_the_command(encoder):
    with pytest.raises(MissingExtra, match=r"pip install 'evalkit\[flash\]'"):
        load_encoder(resolve(str(encoder)), ComputeConfig(device="cpu", attention="flash_attention_2"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_that_is_not_there_is_refused_and_auto_takes_the_cpu(encoder):
    assert device_name(ComputeConfig(device="auto")) == "cpu"
    with pytest.raises(ModelError, match=r"compute\.device=cpu"):
        load_encoder(resolve(str(encoder)), ComputeConfig(device="cuda"))


def test_device_cpu_is_the_cpu():
    assert device_name(CPU) == "cpu"


def test_max_length_may_be_as_many_as_there_are_positions_and_no_more(encoder):
    assert load_tokenizer(resolve(str(encoder)), 64).get_vocab_size() > 4
    with pytest.raises(ModelError, match="max_length=65, but the model has 64 positions"):
        load_tokenizer(resolve(str(encoder)), 65)


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"])
def test_families_that_count_positions_from_behind_the_padding_have_two_less(encoder, tmp_path, model_type):
    """Their first position id is padding id + 1, in every one of these modelling files of transformers."""
    folder = configured(encoder, tmp_path / "c", model_type=model_type, pad_token_id=1)
    assert load_tokenizer(resolve(str(folder)), 62).get_vocab_size() > 4
    with pytest.raises(ModelError, match="max_length=63, but the model has 62 positions"):
        load_tokenizer(resolve(str(folder)), 63)


def test_model_without_a_table_of_positions_has_no_limit(encoder, tmp_path):
    folder = configured(encoder, tmp_path / "c", max_position_embeddings=None)
    assert load_tokenizer(resolve(str(folder)), 100_000).get_vocab_size() > 4


@pytest.mark.parametrize("content", ["", "{", "{}", '{"model": 1}'])
def test_malformed_tokenizer_is_refused(encoder, tmp_path, content):
    folder = shutil.copytree(encoder, tmp_path / "c")
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="no usable tokenizer"):
        load_tokenizer(resolve(str(folder)), 32)


def test_word_list_is_enough_of_a_tokenizer_for_a_bert(encoder, tmp_path):
    expected = load_tokenizer(resolve(str(encoder)), 32)
    folder = shutil.copytree(encoder, tmp_path / "c")
    (folder / "tokenizer.json").unlink()
    words = sorted(expected.get_vocab().items(), key=lambda word: word[1])
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word, _ in words), encoding="utf-8")
    actual = load_tokenizer(resolve(str(folder)), 32)
    pair = ("The moon pulls the sea.", "Bees make honey")
    assert expected.encode(*pair).ids == actual.encode(*pair).ids
    assert expected.encode(*pair).type_ids == actual.encode(*pair).type_ids


def test_checkpoint_without_tokenizer_is_refused(encoder, tmp_path):
    """Not read with an empty vocabulary, which makes every word unknown and every score a matter of length."""
    folder = shutil.copytree(encoder, tmp_path / "c")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="has no tokenizer"):
        load_tokenizer(resolve(str(folder)), 32)
