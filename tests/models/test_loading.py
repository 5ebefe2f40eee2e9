"""Loading: complete checkpoints only, no remote code, no silent fallback, no more positions than there are."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from stubs import changed, configured
from tiny_checkpoints import write_bert_embedder, write_jina_reranker, write_minicpm_embedding, write_minicpm_reranker
from transformers import BartConfig, BertForMaskedLM

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import resolve
from evalkit.models.classifier import load_classifier
from evalkit.models.loading import load_encoder, refusing
from evalkit.models.requirements import require_classifier, require_encoder, require_positions

CPU = ComputeConfig(device="cpu", attention="sdpa")
TENSOR = "encoder.layer.1.output.dense.weight"


def encoder_of(checkpoint):
    return load_encoder(checkpoint, CPU)


def classifier_of(checkpoint):
    return load_classifier(checkpoint, CPU, None)


def test_encoder_is_loaded_with_the_weights_of_the_file(encoder):
    model = load_encoder(resolve(str(encoder)), CPU)
    stored = load_file(encoder / "model.safetensors")
    assert (model.training, model.device.type) == (False, "cpu")
    assert set(stored) == set(model.state_dict())
    assert all(torch.equal(stored[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_are_in_the_dtype_asked_for(encoder, dtype):
    model = load_encoder(resolve(str(encoder)), ComputeConfig(device="cpu", dtype=dtype, attention="sdpa"))
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


def test_weights_that_were_swapped_after_the_checkpoint_was_found_are_refused(encoder, tmp_path):
    found = resolve(str(shutil.copytree(encoder, tmp_path / "c")))
    before = found.identity
    other = changed(encoder, tmp_path / "other", lambda tensors: tensors[TENSOR].zero_())
    (other / "model.safetensors").replace(found.path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors: changed while the checkpoint was read\. Run again"):
        load_encoder(found, CPU)
    assert resolve(str(found.path)).identity != before


def test_weights_under_another_name_than_evalkit_reads_are_refused(encoder, tmp_path):
    folder = configured(encoder, tmp_path / "c", transformers_weights="other.safetensors")
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")
    with pytest.raises(ModelError, match="transformers_weights"):
        load_encoder(resolve(str(folder)), CPU)


@pytest.mark.parametrize("load", [encoder_of, classifier_of])
def test_unknown_model_type_is_refused(classifier, tmp_path, load):
    folder = configured(classifier, tmp_path / "c", model_type="unheard_of")
    with pytest.raises(ModelError, match="no model of type 'unheard_of'"):
        load(resolve(str(folder)))


@pytest.mark.parametrize("require", [require_encoder, require_classifier])
@pytest.mark.parametrize("model_type", ["unheard_of", "bert"])
def test_code_in_a_checkpoint_is_refused_also_where_transformers_has_a_class_of_that_type(
    encoder, classifier, tmp_path, require, model_type
):
    source = encoder if require is require_encoder else classifier
    folder = configured(source, tmp_path / "c", model_type=model_type, auto_map={"AutoModel": "remote.Model"})
    with pytest.raises(ModelError, match=r"config\.json: auto_map names the model's own code \(remote\.Model\)"):
        require(resolve(str(folder)))


@pytest.mark.parametrize("load", [encoder_of, classifier_of])
def test_code_in_a_checkpoint_is_never_run(encoder, classifier, tmp_path, load):
    source = encoder if load is encoder_of else classifier
    names = {f"Auto{name}": f"remote.{name}" for name in ("Config", "Model", "ModelForSequenceClassification")}
    folder = configured(source, tmp_path / "c", model_type="unheard_of", auto_map=names)
    ran = tmp_path / "ran"
    (folder / "remote.py").write_text(f"open({str(ran)!r}, 'w').close()\n", encoding="utf-8")
    with pytest.raises(ModelError, match="evalkit never"):
        load(resolve(str(folder)))
    assert not ran.exists()


def test_max_length_may_be_as_many_as_there_are_positions_and_no_more(encoder):
    require_positions(resolve(str(encoder)), 64)
    with pytest.raises(
        ModelError, match=r"max_length=65, but the model has 64 positions\. Set max_length to 64 or less"
    ):
        require_positions(resolve(str(encoder)), 65)


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet"])
def test_families_that_count_positions_from_behind_the_padding_have_two_less(encoder, tmp_path, model_type):
    """Their first position id is padding id + 1, in every one of these modelling files of transformers."""
    folder = configured(encoder, tmp_path / "c", model_type=model_type, pad_token_id=1)
    require_positions(resolve(str(folder)), 62)
    with pytest.raises(ModelError, match="max_length=63, but the model has 62 positions"):
        require_positions(resolve(str(folder)), 63)


def test_jina_s_layout_has_no_model_type_and_counts_from_behind_the_padding_too(tmp_path):
    folder = write_jina_reranker(tmp_path / "jina", max_position_embeddings=66)
    require_positions(resolve(str(folder)), 64)
    with pytest.raises(ModelError, match="max_length=65, but the model has 64 positions"):
        require_positions(resolve(str(folder)), 65)


@pytest.mark.parametrize("model_type", ["modernbert", "qwen3", "new", "nomic_bert", "unheard_of"])
def test_rotary_positions_have_no_last_one_and_a_note_names_both_numbers(encoder, tmp_path, model_type, caplog):
    own = {"rope_theta": 1e4} if model_type == "unheard_of" else {}
    folder = configured(encoder, tmp_path / model_type, model_type=model_type, **own)
    require_positions(resolve(str(folder)), 64)
    assert not caplog.records
    for _ in range(2):
        require_positions(resolve(str(folder)), 65)
    (note,) = caplog.messages
    assert "max_length=65, and config.json names 64 positions. They are rotary" in note


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_rotary_positions_that_depend_on_the_longest_text_have_a_last_one(encoder, tmp_path, kind):
    folder = configured(encoder, tmp_path / "c", model_type="llama", rope_scaling={"rope_type": kind, "factor": 2.0})
    with pytest.raises(ModelError, match="max_length=65, but the model has 64 positions"):
        require_positions(resolve(str(folder)), 65)


def test_model_without_a_table_of_positions_has_no_limit(encoder, tmp_path):
    folder = configured(encoder, tmp_path / "c", max_position_embeddings=None)
    require_positions(resolve(str(folder)), 100_000)


def test_cross_encoder_is_refused_as_an_encoder_with_what_to_use_it_as(encoder, classifier):
    require_encoder(resolve(str(encoder)))
    with pytest.raises(ModelError, match=r"BertForSequenceClassification, a cross-encoder.*reranker=cross_encoder"):
        require_encoder(resolve(str(classifier)))


def test_encoder_decoder_is_refused(tmp_path):
    BartConfig(architectures=["BartModel"]).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="bart is an encoder-decoder"):
        load_encoder(resolve(str(tmp_path)), CPU)


def test_number_of_threads_is_the_one_asked_for(encoder):
    before = torch.get_num_threads()
    try:
        load_encoder(resolve(str(encoder)), ComputeConfig(device="cpu", attention="sdpa", threads=before + 1))
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_pooler_and_position_ids_of_a_published_embedder_are_left_out(tmp_path):
    folder = write_bert_embedder(tmp_path / "bge")
    stored = load_file(folder / "model.safetensors")
    model = load_encoder(resolve(str(folder)), CPU)
    left_out = {"pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids"}
    assert set(stored) - left_out == set(model.state_dict())
    assert left_out < set(stored)


# MiniCPM, whose own layout is filled tensor by tensor


def test_minicpm_embedding_is_loaded_with_the_weights_of_its_shards(tmp_path):
    folder = write_minicpm_embedding(tmp_path / "embedding")
    stored = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}
    model = load_encoder(resolve(str(folder)), CPU)
    parameters = dict(model.named_parameters())
    assert (model.training, set(stored)) == (False, set(parameters))
    assert all(torch.equal(stored[name].float(), parameter) for name, parameter in parameters.items())


def test_score_head_of_a_minicpm_that_is_taken_for_an_encoder_is_left_over_and_refused(tmp_path):
    """Its other tensors have `model.` before their names, which alone is no fault."""
    folder = write_minicpm_reranker(tmp_path / "reranker")
    with pytest.raises(ModelError, match=r"has 1 tensor that the model has no place for.*score\.weight"):
        load_encoder(resolve(str(folder)), CPU)


@pytest.mark.parametrize("name", ["norm.weight", "layers.1.mlp.up_proj.weight"])
def test_minicpm_that_lacks_a_tensor_is_refused_by_name(tmp_path, name):
    folder = write_minicpm_embedding(tmp_path / "embedding")
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        tensors.pop(name, None)
        save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"lacks.*{name}"):
        load_encoder(resolve(str(folder)), CPU)


def test_minicpm_whose_config_lacks_a_scale_is_refused_by_name(tmp_path):
    folder = configured(write_minicpm_embedding(tmp_path / "embedding"), tmp_path / "c", scale_emb=None)
    with pytest.raises(ModelError, match=r"no scale_emb|has no model_type"):
        load_encoder(resolve(str(folder)), CPU)


@pytest.mark.parametrize("load", [encoder_of, classifier_of], ids=["encoder", "classifier"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_size", float("nan")),
        ("hidden_size", 0),
        ("hidden_size", "32"),
        ("num_attention_heads", -1),
        ("max_position_embeddings", -1),
        ("num_hidden_layers", 10**9),
        ("num_hidden_layers", True),
        ("num_labels", 10**9),
    ],
)
def test_a_size_that_no_model_has_is_refused_by_name(encoder, classifier, tmp_path, load, key, value):
    source = encoder if load is encoder_of else classifier
    folder = configured(source, tmp_path / "c", **{key: value})
    with pytest.raises(ModelError, match=rf"config\.json: {key}=.*, expected a whole number from 1 to 1"):
        load(resolve(str(folder)))


@pytest.mark.parametrize("load", [encoder_of, classifier_of], ids=["encoder", "classifier"])
@pytest.mark.parametrize(
    "settings",
    [{"hidden_size": 10**6}, {"vocab_size": 10**12}, {"max_position_embeddings": 10**12}, {"num_hidden_layers": 99}],
    ids=str,
)
def test_a_model_far_larger_than_its_weights_is_refused_before_it_takes_memory(
    encoder, classifier, tmp_path, load, settings
):
    folder = configured(encoder if load is encoder_of else classifier, tmp_path / "c", **settings)
    with pytest.raises(ModelError, match=r"config\.json describes a model of [\d,]+ numbers, and \d\d,\d+ are stored"):
        load(resolve(str(folder)))


@pytest.mark.parametrize("settings", [{"intermediate_size": 10**12}, {"vocab_size": 10**12}], ids=str)
def test_a_model_of_a_layout_of_its_own_is_held_to_its_weights_too(tmp_path, settings):
    folder = write_minicpm_embedding(tmp_path / "model")
    folder = configured(folder, tmp_path / "c", **settings)
    with pytest.raises(ModelError, match=r"config\.json describes a model of [\d,]+ numbers"):
        load_encoder(resolve(str(folder)), CPU)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"hidden_act": "gelo"}, r"hidden_act='gelo', which transformers does not take\. Download the file again"),
        ({"layer_norm_eps": "1e-12"}, r"layer_norm_eps='1e-12' \(expected float\), which transformers does not take"),
        ({"model_type": None}, r"has no model_type, so nothing says which architecture it is\. Download the file"),
    ],
    ids=str,
)
def test_a_setting_that_transformers_does_not_take_is_named_with_its_file(classifier, tmp_path, settings, fault):
    folder = configured(classifier, tmp_path / "c", **settings)
    with pytest.raises(ModelError, match=rf"config\.json: {fault}") as caught, refusing(resolve(str(folder))):
        classifier_of(resolve(str(folder)))
    assert "Error" not in str(caught.value)


def test_code_beside_no_model_type_is_no_question_of_a_class_for_none(tmp_path):
    folder = tmp_path / "c"
    write_minicpm_reranker(folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["scale_emb"]
    config |= {"auto_map": {"AutoModel": "remote.Model"}, "model_type": None}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match=r"neither a model_type nor .* scale_emb .*\. Download config\.json again"):
        require_classifier(resolve(str(folder)))


def test_quantised_weights_are_said_by_what_there_is_where_no_method_is_named(encoder, tmp_path):
    folder = configured(encoder, tmp_path / "c", quantization_config={"bits": 4})
    with pytest.raises(ModelError, match=r"quantised \(\{'bits': 4\}\)"):
        require_encoder(resolve(str(folder)))
