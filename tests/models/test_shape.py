"""Sizes of models from their configuration alone, against the tensors that are there."""

import re

import numpy as np
import pytest
from safetensors import safe_open
from tiny_checkpoints import (
    write_bert_reranker,
    write_gemma2_lightweight,
    write_gemma_reranker,
    write_gte_reranker,
    write_jina_reranker,
    write_minicpm_layerwise,
    write_minicpm_reranker,
    write_minicpm_reranker_light,
    write_qwen3_reranker,
    write_xlm_roberta_reranker,
)

from evalkit.config.resources import config_names, shipped
from evalkit.errors import ConfigError, ModelError
from evalkit.models.checkpoint import resolve
from evalkit.models.shape import Shape, known_shape, shape_of
from evalkit.rerank.passthrough import KeepOrderConfig

IN_LAYER = re.compile(r"(^|\.)(layers?|blocks?|h)\.\d+\.")
CAUSAL = {write_gemma2_lightweight, write_gemma_reranker, write_minicpm_layerwise, write_qwen3_reranker}


def matrices(folder):
    """Numbers in the matrices of the layers, counted in the weights."""
    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(str(file), framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118
                shape = weights.get_slice(name).get_shape()
                if len(shape) > 1 and IN_LAYER.search(name):
                    total += int(np.prod(shape))
    return total


@pytest.mark.parametrize(
    "write",
    [
        write_bert_reranker,
        write_gemma2_lightweight,
        write_gemma_reranker,
        write_gte_reranker,
        write_jina_reranker,
        write_minicpm_layerwise,
        write_minicpm_reranker,
        write_minicpm_reranker_light,
        write_qwen3_reranker,
        write_xlm_roberta_reranker,
    ],
    ids=lambda write: write.__name__,
)
def test_parameters_are_those_of_the_matrices_in_the_layers(tmp_path, write):
    folder = write(tmp_path / "model")
    shape = shape_of(resolve(str(folder)))
    assert shape.parameters == matrices(folder)
    assert shape.causal == (write in CAUSAL)
    assert shape.embeddings > 0


def test_of_a_model_that_is_left_early_only_the_layers_before_are_counted(tmp_path):
    checkpoint = resolve(str(write_minicpm_layerwise(tmp_path / "model")))
    whole, early = shape_of(checkpoint), shape_of(checkpoint, layers=2)
    assert (early.layers, early.parameters * whole.layers) == (2, whole.parameters * 2)


def test_operations_are_two_a_parameter_and_token_and_attention_over_squares():
    shape = Shape(hidden=4, inner=8, layers=2, attention=4, parameters=100, causal=False)
    assert shape.flops(3 + 1, 9 + 1) == 2 * 100 * 4 + 4 * 2 * 4 * 10
    assert shape._replace(causal=True).flops(3 + 1, 9 + 1) == 2 * 100 * 4 + 2 * 2 * 4 * 10


def published_models():
    for group in ("retriever", "reranker"):
        for name in config_names(group):
            text = (shipped("conf") / group / f"{name}.yaml").read_text(encoding="utf-8")
            if found := re.search(r"^model: ([^\s:]+/[^\s:]+)$", text, re.MULTILINE):
                yield found[1]


# No public source gives their sizes; a plan needs the checkpoint on disk.
WITHOUT_SIZE = {f"ContextualAI/ctxl-rerank-v2-instruct-multilingual-{size}" for size in ("1b", "2b", "6b")}


@pytest.mark.parametrize("model", sorted(WITHOUT_SIZE))
def test_a_published_checkpoint_without_a_known_size_has_to_be_on_disk(model):
    assert model in set(published_models())
    with pytest.raises(ModelError, match="is not on disk, and nothing is known of its size"):
        known_shape(model)


@pytest.mark.parametrize("model", sorted(set(published_models()) - WITHOUT_SIZE))
def test_every_published_checkpoint_has_a_known_size(model):
    shape = known_shape(model)
    assert shape.parameters + shape.embeddings > 1e6


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        # Counted for the cards: all parameters without embeddings and heads.
        ("openbmb/MiniCPM-Reranker", 40 * (61_051_392 - 2 * 2304)),
        ("BAAI/bge-reranker-v2-gemma", 1_981_808_640),
        ("BAAI/bge-reranker-v2-m3", 301_989_888),
        ("Qwen/Qwen3-Reranker-0.6B", 440_401_920),
    ],
)
def test_known_sizes_are_those_of_the_published_models(model, parameters):
    assert known_shape(model).parameters == parameters


def test_a_card_with_a_key_that_nothing_reads_is_refused():
    with pytest.raises(ConfigError, match=r"reranker.card.shapes is not a key of a card. Did you mean shape\?"):
        KeepOrderConfig(name="none", card={"shapes": {}})


def test_an_unknown_model_that_is_not_on_disk_is_refused():
    with pytest.raises(ModelError, match="nobody/nothing: is not on disk, and nothing is known of its size"):
        known_shape("nobody/nothing")
