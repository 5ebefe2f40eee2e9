"""What a checkpoint in sentence-transformers layout says of its head: pooling, linear layers, length of vectors."""

import json

import pytest
import torch
from safetensors.torch import save_file

from evalkit.config import DenseConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import declared
from evalkit.models.sentence_transformer import EmbeddingHead, embedding_head
from evalkit.models.stored_layers import load_dense

CLS = {"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MEAN = {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with these modules, this pooling and these settings of the transformer, each only where given."""

    def made(modules=None, pooling=None, settings=None) -> Checkpoint:
        if modules is not None:
            rows = [
                {"idx": i, "path": f"{i}_{name}", "type": f"sentence_transformers.models.{name}"}
                for i, name in enumerate(modules)
            ]
            (tmp_path / "modules.json").write_text(json.dumps(rows), encoding="utf-8")
        if pooling is not None:
            (tmp_path / "1_Pooling").mkdir(exist_ok=True)
            (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
        if settings is not None:
            (tmp_path / "sentence_bert_config.json").write_text(json.dumps(settings), encoding="utf-8")
        return Checkpoint(tmp_path, {})

    return made


def head_of(checkpoint: Checkpoint, config: DenseConfig) -> EmbeddingHead:
    return embedding_head(checkpoint, config, declared(checkpoint))


def config(**settings) -> DenseConfig:
    return DenseConfig(name="dense", model="unused", **settings)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (CLS, "cls"),
        (MEAN, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_length"),
        ({"pooling_mode_weightedmean_tokens": True}, "weighted_mean"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_cls_token": False}, "last"),
        ({**MEAN, "pooling_mode_max_tokens": True, "pooling_mode_cls_token": True}, "cls+max+mean"),
        ({"pooling_mode": ["mean", "cls"]}, "mean+cls"),
        *(
            ({"pooling_mode": stored}, expected)
            for stored, expected in {
                "cls": "cls",
                "mean": "mean",
                "max": "max",
                "mean_sqrt_len_tokens": "mean_sqrt_length",
                "weightedmean": "weighted_mean",
                "lasttoken": "last",
            }.items()
        ),
    ],
    ids=str,
)
def test_pooling_is_read_from_the_checkpoint(checkpoint, stored, expected):
    head = head_of(checkpoint(["Transformer", "Pooling", "Normalize"], stored), config())
    assert EmbeddingHead(expected, normalize=True, ranked_normalized=True) == head


def test_setting_that_agrees_with_the_checkpoint_is_fine(checkpoint):
    assert head_of(checkpoint(pooling=CLS), config(pooling="cls")).pooling == "cls"


@pytest.mark.parametrize(
    ("stored", "asked"), [(CLS, "mean"), (MEAN, "cls"), (MEAN, "weighted_mean"), ({"pooling_mode": "max"}, "mean")]
)
def test_setting_that_contradicts_the_checkpoint_is_refused(checkpoint, stored, asked):
    with pytest.raises(ModelError, match=f"retriever.pooling={asked}, but 1_Pooling/config.json says"):
        head_of(checkpoint(pooling=stored), config(pooling=asked))


@pytest.mark.parametrize("asked", ["cls", "mean", "max", "mean_sqrt_length", "weighted_mean", "last"])
def test_setting_decides_where_the_checkpoint_says_nothing(checkpoint, asked):
    assert asked == head_of(checkpoint(), config(pooling=asked)).pooling


@pytest.mark.parametrize(
    ("model", "poolings"),
    [
        ({}, "cls or mean"),
        ({"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]}, "last or mean"),
        ({"model_type": "qwen3", "architectures": ["Qwen3Model"]}, "last or mean"),
    ],
)
def test_nothing_said_anywhere_is_refused(checkpoint, tmp_path, model, poolings):
    (tmp_path / "config.json").write_text(json.dumps(model), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"says nothing of its pooling.*retriever\.pooling={poolings}\."):
        head_of(checkpoint(), config())


def test_a_language_model_that_no_file_calls_an_embedder_is_noted(checkpoint, tmp_path, caplog):
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]}), encoding="utf-8")
    assert head_of(checkpoint(), config(pooling="last")).pooling == "last"
    assert "names Qwen2ForCausalLM, and there is no modules.json" in caplog.text
    caplog.clear()
    listed = checkpoint(["Transformer", "Pooling"], {"pooling_mode": "lasttoken"})
    assert head_of(listed, config()).pooling == "last"
    assert not caplog.text


@pytest.mark.parametrize("module", ["WordEmbeddings", "CLIPModel", "LSTM"])
def test_module_that_is_not_supported_is_refused_by_name(checkpoint, module):
    with pytest.raises(ModelError, match=f"modules.json has {module}"):
        head_of(checkpoint(["Transformer", "Pooling", module], MEAN), config())


@pytest.mark.parametrize(
    "stored",
    [
        {"pooling_mode_unheard_of": True},
        {"pooling_mode_unheard_of": True, "pooling_mode_mean_tokens": True},
        {"pooling_mode": "unheard_of"},
        {"pooling_mode": ["cls", "unheard_of"]},
        {"word_embedding_dimension": 8},
    ],
    ids=str,
)
def test_pooling_that_is_not_known_is_refused(checkpoint, stored):
    with pytest.raises(ModelError, match="Supported are cls, max, mean, mean_sqrt_length, weighted_mean, last"):
        head_of(checkpoint(pooling=stored), config())


@pytest.mark.parametrize("asked", ["checkpoint", "mean"])
def test_pooling_that_is_not_supported_is_refused_whatever_the_setting(checkpoint, asked):
    with pytest.raises(ModelError, match="Supported are cls, max, mean, mean_sqrt_length, weighted_mean, last"):
        head_of(checkpoint(pooling={"pooling_mode": "unheard_of"}), config(pooling=asked))


def test_switching_off_a_stored_normalisation_is_refused(checkpoint):
    with pytest.raises(ModelError, match=r"retriever\.normalize=false.*Normalize module"):
        head_of(checkpoint(["Transformer", "Pooling", "Normalize"], CLS), config(normalize=False))


@pytest.mark.parametrize("normalize", [True, False])
def test_normalisation_is_free_where_the_checkpoint_has_none(checkpoint, normalize):
    head = head_of(checkpoint(["Transformer", "Pooling"], CLS), config(normalize=normalize))
    assert normalize is head.normalize


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"do_lower_case": True}, True), ({"do_lower_case": False}, False), ({"max_seq_length": 9}, False), (None, False)],
)
def test_lower_case_is_read_from_the_checkpoint(checkpoint, settings, expected):
    assert expected is declared(checkpoint(pooling=CLS, settings=settings)).lowercase


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_file_that_is_not_json_is_refused_by_name(checkpoint, tmp_path, name):
    made = checkpoint(["Transformer", "Pooling"], CLS, {})
    (tmp_path / name).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=f"{name}: not "):
        (declared(made), head_of(made, config()))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("modules.json", '["x"]'),
        ("modules.json", "3"),
        ("1_Pooling/config.json", "[]"),
        ("sentence_bert_config.json", "[1]"),
    ],
)
def test_json_of_another_shape_is_refused_by_name(checkpoint, tmp_path, name, content):
    made = checkpoint(["Transformer", "Pooling"], CLS, {})
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=name):
        (declared(made), head_of(made, config()))


def lengths(head: EmbeddingHead) -> tuple[bool, bool]:
    """Whether vectors have length 1: as they are given, and for a search."""
    return head.normalize, head.ranked_normalized


def similarity(folder, name) -> None:
    (folder / "config_sentence_transformers.json").write_text(
        json.dumps({"similarity_fn_name": name}), encoding="utf-8"
    )


def test_vectors_are_as_the_modules_give_them_and_of_length_one_only_for_a_search_by_cosine(checkpoint):
    made = checkpoint(["Transformer", "Pooling"], CLS, {})
    assert (False, True) == lengths(head_of(made, config()))
    assert (True, True) == lengths(head_of(made, config(normalize=True)))
    assert (False, False) == lengths(head_of(made, config(normalize=False)))


def test_a_checkpoint_made_for_dot_products_is_never_normalised(checkpoint, tmp_path):
    made = checkpoint(["Transformer", "Pooling"], CLS, {})
    similarity(tmp_path, "dot")
    assert (False, False) == lengths(head_of(made, config()))
    assert (False, False) == lengths(head_of(made, config(normalize=False)))
    with pytest.raises(ModelError, match=r"retriever\.normalize=false"):
        head_of(made, config(normalize=True))


def test_another_similarity_than_cosine_and_dot_is_refused_by_name(checkpoint, tmp_path):
    made = checkpoint(["Transformer", "Pooling"], CLS, {})
    similarity(tmp_path, "euclidean")
    with pytest.raises(ModelError, match=r"similarity_fn_name='euclidean'\. evalkit knows cosine and dot"):
        declared(made)


# MiniCPM-Embedding, whose own code weights the states before a stored plain mean


@pytest.fixture
def minicpm(checkpoint, tmp_path) -> Checkpoint:
    (tmp_path / "config.json").write_text('{"scale_emb": 12, "scale_depth": 1.4}', encoding="utf-8")
    return checkpoint(["Transformer", "Pooling", "Normalize"], MEAN)


def test_stored_mean_of_a_minicpm_may_be_called_the_weighted_mean_that_it_is(minicpm):
    assert head_of(minicpm, config(pooling="weighted_mean")).pooling == "weighted_mean"


@pytest.mark.parametrize("asked", ["cls", "last"])
def test_stored_mean_of_a_minicpm_is_its_weighted_mean(minicpm, asked):
    with pytest.raises(ModelError, match=f"retriever.pooling={asked}, but 1_Pooling/config.json says mean"):
        head_of(minicpm, config(pooling=asked))


def test_stored_cls_of_a_minicpm_is_not_a_weighted_mean(minicpm):
    (minicpm.path / "1_Pooling" / "config.json").write_text(json.dumps(CLS), encoding="utf-8")
    with pytest.raises(ModelError, match=r"retriever\.pooling=weighted_mean"):
        head_of(minicpm, config(pooling="weighted_mean"))


# Instructions that the pooling leaves out


@pytest.mark.parametrize("mode", ["mean", "cls", "lasttoken"])
def test_an_instruction_is_left_out_of_the_pooling_where_the_checkpoint_says_so(checkpoint, mode):
    made = checkpoint(["Transformer", "Pooling"], {"pooling_mode": mode, "include_prompt": False})
    assert head_of(made, config(query_instruction="query: ")).skips_prompt is True
    included = checkpoint(["Transformer", "Pooling"], {"pooling_mode": mode, "include_prompt": True})
    assert head_of(included, config(query_instruction="query: ")).skips_prompt is False


# Linear layers behind the pooling


def test_linear_layers_are_found_in_their_order(checkpoint, tmp_path):
    head = head_of(checkpoint(["Transformer", "Pooling", "Dense", "Dense", "Normalize"], MEAN), config())
    assert (("Dense", tmp_path / "2_Dense"), ("Dense", tmp_path / "3_Dense")) == head.layers


def test_checkpoint_without_linear_layers_has_none(checkpoint):
    assert head_of(checkpoint(["Transformer", "Pooling"], MEAN), config()).layers == ()


WEIGHT = torch.arange(12.0).reshape(3, 4) / 10 - 0.5
BIAS = torch.tensor([1.0, 0.0, -1.0])
VECTOR = torch.tensor([[1.0, -2.0, 0.5, 3.0]])
LINEAR = {"in_features": 4, "out_features": 3, "bias": True, "activation_function": "torch.nn.modules.linear.Identity"}


@pytest.fixture
def dense(tmp_path):
    """A folder with a linear layer of width 4 to 3; these settings, and these tensors in place of its own."""

    def made(settings=None, tensors=None):
        (tmp_path / "config.json").write_text(json.dumps(LINEAR if settings is None else settings), encoding="utf-8")
        save_file(tensors or {"linear.weight": WEIGHT, "linear.bias": BIAS}, tmp_path / "model.safetensors")
        return tmp_path

    return made


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("torch.nn.modules.linear.Identity", lambda x: x),
        ("torch.nn.modules.activation.Tanh", torch.tanh),
        ("torch.nn.modules.activation.ReLU", torch.relu),
        ("torch.nn.modules.activation.GELU", lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2),
    ],
)
def test_linear_layer_multiplies_adds_and_activates(dense, activation, function):
    layer = load_dense(dense(LINEAR | {"activation_function": activation}), "cpu")
    with torch.no_grad():
        actual = layer(VECTOR.double())
    torch.testing.assert_close(actual.float(), function(VECTOR @ WEIGHT.T + BIAS), rtol=0, atol=1e-6)


def test_linear_layer_without_bias_only_multiplies(dense):
    layer = load_dense(dense(LINEAR | {"bias": False}, {"linear.weight": WEIGHT}), "cpu")
    with torch.no_grad():
        torch.testing.assert_close(layer(VECTOR.double()).float(), VECTOR @ WEIGHT.T, rtol=0, atol=1e-6)


def test_linear_layer_that_names_no_activation_has_that_of_sentence_transformers(dense):
    unnamed = {key: value for key, value in LINEAR.items() if key != "activation_function"}
    with torch.no_grad():
        actual = load_dense(dense(unnamed), "cpu")(VECTOR.double()).float()
    torch.testing.assert_close(actual, torch.tanh(VECTOR @ WEIGHT.T + BIAS), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        LINEAR | {"activation_function": "torch.nn.modules.activation.Softmax"},
        LINEAR | {"module_input_name": "token_embeddings"},
        {"in_features": 4},
        {},
    ],
    ids=["activation", "over tokens", "no width", "nothing"],
)
def test_layer_that_is_not_known_is_refused_by_its_file(dense, settings):
    with pytest.raises(
        ModelError,
        match=r"config\.json: (activation_function=.Softmax.\. evalkit knows|a layer over token|has .*no out_features)",
    ):
        load_dense(dense(settings), "cpu")


@pytest.mark.parametrize(
    ("tensors", "part"),
    [
        ({"linear.weight": WEIGHT}, r"lacks.*linear\.bias"),
        ({"linear.weight": WEIGHT.T.contiguous(), "linear.bias": BIAS}, r"another shape.*linear\.weight"),
        (
            {"linear.weight": WEIGHT, "linear.bias": BIAS, "residual.weight": WEIGHT.clone()},
            r"no place for.*residual\.weight",
        ),
    ],
    ids=["missing", "misshapen", "surplus"],
)
def test_linear_layer_with_other_tensors_is_refused_by_name(dense, tensors, part):
    with pytest.raises(ModelError, match=part):
        load_dense(dense(LINEAR, tensors), "cpu")


def test_linear_layer_far_larger_than_its_weights_is_refused_before_it_takes_memory(dense):
    with pytest.raises(ModelError, match=r"config\.json describes a model of 4,000,000,000,000 numbers"):
        load_dense(dense(LINEAR | {"out_features": 10**12, "bias": False}), "cpu")


def test_linear_layer_whose_files_are_absent_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no in_features"):
        load_dense(tmp_path / "2_Dense", "cpu")
    (tmp_path / "config.json").write_text(json.dumps(LINEAR), encoding="utf-8")
    with pytest.raises(ModelError, match=r"has no model\.safetensors"):
        load_dense(tmp_path, "cpu")


# torch and its friends deprecate things that sentence-transformers still imports; nothing here is ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("activation", [torch.nn.Tanh(), torch.nn.Identity(), torch.nn.ReLU(), torch.nn.GELU(), None])
@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
def test_linear_layer_that_sentence_transformers_wrote_gives_what_it_gives_there(tmp_path, activation, safe):
    library = pytest.importorskip("sentence_transformers.models", reason="sentence-transformers is not installed")
    torch.manual_seed(0)
    module = library.Dense(4, 6, activation_function=activation)
    module.save(str(tmp_path), safe_serialization=safe)
    with torch.no_grad():
        expected = module({"sentence_embedding": VECTOR})["sentence_embedding"]
        torch.testing.assert_close(load_dense(tmp_path, "cpu")(VECTOR.double()).float(), expected, rtol=0, atol=1e-6)
