"""What a checkpoint in sentence-transformers layout says of its pooling."""

import json

import pytest

from evalkit.config import DenseConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.sentence_transformer import EmbeddingHead, embedding_head, lowercases

CLS = {"word_embedding_dimension": 8, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MEAN = {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with these modules, this pooling and these settings of the transformer, each only where given."""

    def made(modules=None, pooling=None, settings=None) -> Checkpoint:
        if modules is not None:
            rows = [{"idx": i, "type": f"sentence_transformers.models.{name}"} for i, name in enumerate(modules)]
            (tmp_path / "modules.json").write_text(json.dumps(rows), encoding="utf-8")
        if pooling is not None:
            (tmp_path / "1_Pooling").mkdir(exist_ok=True)
            (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
        if settings is not None:
            (tmp_path / "sentence_bert_config.json").write_text(json.dumps(settings), encoding="utf-8")
        return Checkpoint(tmp_path, {})

    return made


def config(**settings) -> DenseConfig:
    return DenseConfig(name="dense", model="unused", **settings)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [(CLS, "cls"), (MEAN, "mean"), ({"pooling_mode": "cls"}, "cls"), ({"pooling_mode": "mean"}, "mean")],
)
def test_pooling_is_read_from_the_checkpoint(checkpoint, stored, expected):
    head = embedding_head(checkpoint(["Transformer", "Pooling", "Normalize"], stored), config())
    assert EmbeddingHead(expected, normalize=True) == head


def test_setting_that_agrees_with_the_checkpoint_is_fine(checkpoint):
    assert embedding_head(checkpoint(pooling=CLS), config(pooling="cls")).pooling == "cls"


@pytest.mark.parametrize(("stored", "asked"), [(CLS, "mean"), (MEAN, "cls")])
def test_setting_that_contradicts_the_checkpoint_is_refused(checkpoint, stored, asked):
    with pytest.raises(ModelError, match=f"retriever.pooling={asked}, but 1_Pooling/config.json says"):
        embedding_head(checkpoint(pooling=stored), config(pooling=asked))


@pytest.mark.parametrize("asked", ["cls", "mean"])
def test_setting_decides_where_the_checkpoint_says_nothing(checkpoint, asked):
    assert asked == embedding_head(checkpoint(), config(pooling=asked)).pooling


def test_nothing_said_anywhere_is_refused(checkpoint):
    with pytest.raises(ModelError, match=r"says nothing of its pooling.*retriever\.pooling=cls or mean"):
        embedding_head(checkpoint(), config())


@pytest.mark.parametrize("module", ["Dense", "LayerNorm", "WordEmbeddings", "CLIPModel"])
def test_module_that_is_not_supported_is_refused_by_name(checkpoint, module):
    with pytest.raises(ModelError, match=f"modules.json has {module}"):
        embedding_head(checkpoint(["Transformer", "Pooling", module], MEAN), config())


@pytest.mark.parametrize(
    "stored",
    [
        {**CLS, "pooling_mode_mean_tokens": True},
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_lasttoken": True},
        {"pooling_mode": "max"},
        {"word_embedding_dimension": 8},
    ],
    ids=str,
)
def test_pooling_other_than_one_of_cls_and_mean_is_refused(checkpoint, stored):
    with pytest.raises(ModelError, match="Supported are cls and mean"):
        embedding_head(checkpoint(pooling=stored), config())


@pytest.mark.parametrize("asked", ["checkpoint", "mean"])
def test_pooling_that_is_not_supported_is_refused_whatever_the_setting(checkpoint, asked):
    with pytest.raises(ModelError, match="Supported are cls and mean"):
        embedding_head(checkpoint(pooling={"pooling_mode_max_tokens": True}), config(pooling=asked))


def test_switching_off_a_stored_normalisation_is_refused(checkpoint):
    with pytest.raises(ModelError, match=r"retriever\.normalize=false.*Normalize module"):
        embedding_head(checkpoint(["Transformer", "Pooling", "Normalize"], CLS), config(normalize=False))


@pytest.mark.parametrize("normalize", [True, False])
def test_normalisation_is_free_where_the_checkpoint_has_none(checkpoint, normalize):
    head = embedding_head(checkpoint(["Transformer", "Pooling"], CLS), config(normalize=normalize))
    assert normalize is head.normalize


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"do_lower_case": True}, True), ({"do_lower_case": False}, False), ({"max_seq_length": 9}, False), (None, False)],
)
def test_lower_case_is_read_from_the_checkpoint(checkpoint, settings, expected):
    assert expected is lowercases(checkpoint(pooling=CLS, settings=settings))


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "sentence_bert_config.json"])
def test_file_that_is_not_json_is_refused_by_name(checkpoint, tmp_path, name):
    made = checkpoint(["Transformer", "Pooling"], CLS, {})
    (tmp_path / name).write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=f"{name}: not "):
        (lowercases(made), embedding_head(made, config()))


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
        (lowercases(made), embedding_head(made, config()))


def test_a_checkpoint_made_for_dot_products_is_not_normalised_in_silence(checkpoint, tmp_path):
    made = checkpoint(["Transformer", "Pooling"], CLS, {})
    (tmp_path / "config_sentence_transformers.json").write_text('{"similarity_fn_name": "dot"}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"retriever\.normalize=false"):
        embedding_head(made, config())
    assert embedding_head(made, config(normalize=False)).normalize is False
