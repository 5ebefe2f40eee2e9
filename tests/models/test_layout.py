"""Layouts are told by config.json alone, as each is published."""

import json

import pytest
import transformers
from tiny_checkpoints import (
    write_bert_reranker,
    write_gemma_reranker,
    write_gte_reranker,
    write_jina_reranker,
    write_minicpm_embedding,
    write_minicpm_layerwise,
    write_minicpm_reranker,
    write_minicpm_reranker_light,
    write_qwen3_reranker,
    write_xlm_roberta_reranker,
)

from evalkit.models import layout
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.layout import has_sdpa, is_gte, is_jina, is_minicpm

LAYOUTS = {
    write_minicpm_reranker: is_minicpm,
    write_minicpm_reranker_light: is_minicpm,
    write_minicpm_embedding: is_minicpm,
    write_minicpm_layerwise: is_minicpm,
    write_gte_reranker: is_gte,
    write_jina_reranker: is_jina,
    write_bert_reranker: None,
    write_xlm_roberta_reranker: None,
    write_gemma_reranker: None,
    write_qwen3_reranker: None,
}


@pytest.mark.parametrize("write", LAYOUTS, ids=lambda write: write.__name__.removeprefix("write_"))
def test_published_layouts_are_distinguished(tmp_path, write):
    checkpoint = resolve(str(write(tmp_path / "model")))
    assert [LAYOUTS[write]] * (LAYOUTS[write] is not None) == [
        told for told in (is_minicpm, is_gte, is_jina) if told(checkpoint)
    ]


@pytest.mark.parametrize("config", [{}, {"auto_map": None}, {"auto_map": {}}, {"scale_emb": 12}])
def test_config_that_says_little_is_of_no_layout(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    checkpoint = Checkpoint(tmp_path, {})
    assert not any(told(checkpoint) for told in (is_minicpm, is_gte, is_jina))


@pytest.mark.parametrize("model_type", sorted(layout._WITHOUT_SDPA))
def test_models_that_are_listed_without_sdpa_have_none_in_transformers(tmp_path, model_type):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    assert not has_sdpa(Checkpoint(tmp_path, {}))
    models = transformers.MODEL_MAPPING[transformers.CONFIG_MAPPING[model_type]]
    assert not any(model._supports_sdpa for model in (models if isinstance(models, tuple) else (models,)))


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "roberta", "modernbert", "electra", "distilbert"])
def test_common_encoders_have_sdpa(tmp_path, model_type):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
    assert has_sdpa(Checkpoint(tmp_path, {}))
    assert transformers.MODEL_MAPPING[transformers.CONFIG_MAPPING[model_type]]._supports_sdpa


def test_deberta_with_relative_positions_alone_has_no_last_one(tmp_path):
    config = {"model_type": "deberta-v2", "max_position_embeddings": 512}
    for biased, expected in ((False, None), (True, 512)):
        (tmp_path / "config.json").write_text(json.dumps(config | {"position_biased_input": biased}), encoding="utf-8")
        assert expected == layout.usable_positions(Checkpoint(tmp_path))
