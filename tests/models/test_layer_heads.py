"""Which layers have a score head, and where each is stored."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_checkpoints import write_gemma2_lightweight, write_minicpm_layerwise, write_minicpm_reranker
from torch import nn

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.layer_heads import assemble_with_heads, layers_with_heads
from evalkit.rerank.families.flag_llm import LayerwiseConfig, LightweightConfig
from evalkit.types import Pair


def checkpoint(folder: Path, **config) -> Checkpoint:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return resolve(str(folder))


def test_heads_are_on_every_layer_from_start_layer_to_the_last(tmp_path):
    layerwise = resolve(str(write_minicpm_layerwise(tmp_path / "a", start_layer=2, num_hidden_layers=4)))
    lightweight = resolve(str(write_gemma2_lightweight(tmp_path / "b", start_layer=3, num_hidden_layers=5)))
    assert [2, 3, 4] == list(layers_with_heads(layerwise, "minicpm"))
    assert [3, 4, 5] == list(layers_with_heads(lightweight, "cost_wise_gemma"))


def test_published_sizes_have_the_published_numbers_of_heads(tmp_path):
    """33 and 35, as the tensors of both models on the hub count them."""
    minicpm = checkpoint(tmp_path, model_type="minicpm", start_layer=8, num_hidden_layers=40)
    assert (33, 8, 40) == (len(found := layers_with_heads(minicpm, "minicpm")), found[0], found[-1])
    gemma = checkpoint(tmp_path, model_type="cost_wise_gemma", start_layer=8, num_hidden_layers=42)
    assert (35, 8, 42) == (len(found := layers_with_heads(gemma, "cost_wise_gemma")), found[0], found[-1])


LEGAL = {"model_type": "minicpm", "start_layer": 1, "num_hidden_layers": 3}


@pytest.mark.parametrize(
    "changed",
    [
        {"model_type": "cost_wise_gemma"},
        {"model_type": None},
        {"start_layer": None},
        {"start_layer": "1"},
        {"num_hidden_layers": None},
    ],
)
def test_config_of_another_model_is_refused_and_shown(tmp_path, changed):
    assert [1, 2, 3] == list(layers_with_heads(checkpoint(tmp_path, **LEGAL), "minicpm"))
    with pytest.raises(ModelError, match=r"expected 'minicpm'|start_layer|num_hidden_layers"):
        layers_with_heads(checkpoint(tmp_path, **LEGAL | changed), "minicpm")


@pytest.mark.parametrize(
    ("key", "value", "legal"),
    [("head_type", "raw", "'simple'"), ("head_multi", False, True), ("layer_sep", 2, 1), ("layer_wise", False, True)],
)
def test_heads_of_another_kind_are_refused(tmp_path, key, value, legal):
    with pytest.raises(ModelError, match=rf"{key}={value!r} is not supported, only {legal}\."):
        layers_with_heads(checkpoint(tmp_path, **LEGAL, **{key: value}), "minicpm")


def test_start_layer_above_the_last_is_an_error(tmp_path):
    folder = write_minicpm_layerwise(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"start_layer": 9}), encoding="utf-8")
    with pytest.raises(ModelError, match="start_layer"):
        rerank.build(LayerwiseConfig(name="x", model=str(folder)), ComputeConfig())


class Model(nn.Module):
    """Two numbers a block and two a head, named as those of the rerankers."""

    def __init__(self, layers: int, heads: int) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(2, 1, bias=False) for _ in range(layers))})
        self.heads = nn.ModuleList(nn.Linear(2, 1, bias=False) for _ in range(heads))


def stored(folder: Path) -> dict[str, torch.Tensor]:
    """Four layers, scored after layers 2 to 4; every tensor holds a number of its own."""
    names = [f"model.layers.{layer}.weight" for layer in range(4)]
    names += [f"lm_head.{head}.linear_head.weight" for head in range(3)]
    tensors = {name: torch.full((1, 2), float(place)) for place, name in enumerate(names)}
    checkpoint(folder)
    save_file(tensors, folder / "model.safetensors")
    return tensors


def assembled(folder: Path, *, last: int, heads: list[int]) -> list[float]:
    model = assemble_with_heads(
        lambda: Model(last, len(heads)),
        resolve(str(folder)),
        ComputeConfig(device="cpu"),
        legal=range(2, 5),
        last=last,
        heads=heads,
    )
    assert model.training is False
    return [value for parameter in model.parameters() for value in parameter.unique().tolist()]


@pytest.mark.parametrize(
    ("last", "heads"), [(2, [0]), (3, [1]), (4, [2]), (4, [0]), (4, [1, 2]), (4, [2, 0]), (3, [0, 1])]
)
def test_model_has_the_blocks_below_its_cut_off_and_the_heads_asked_for(tmp_path, last, heads):
    stored(tmp_path)
    assert [*range(last), *(4 + head for head in heads)] == assembled(tmp_path, last=last, heads=heads)


@pytest.mark.parametrize("name", ["model.layers.2.weight", "model.layers.3.weight", "lm_head.0.linear_head.weight"])
def test_blocks_and_heads_that_are_not_read_must_be_there_in_their_shape(tmp_path, name):
    tensors = stored(tmp_path)
    save_file({key: value for key, value in tensors.items() if key != name}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=f"lacks 1 of .*{name}"):
        assembled(tmp_path, last=2, heads=[1])
    save_file(tensors | {name: torch.zeros(3, 3)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=f"another shape.*{name}"):
        assembled(tmp_path, last=2, heads=[1])


def test_head_behind_the_last_is_an_error(tmp_path):
    tensors = stored(tmp_path)
    save_file(tensors | {"lm_head.3.linear_head.weight": torch.zeros(1, 2)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"no place for.*lm_head\.3\.linear_head\.weight"):
        assembled(tmp_path, last=4, heads=[2])


@pytest.mark.parametrize("cutoffs", [[0], [4], [1, 4], [40]])
@pytest.mark.parametrize(
    ("write", "config", "first", "last"),
    [(write_minicpm_layerwise, LayerwiseConfig, 1, 3), (write_gemma2_lightweight, LightweightConfig, 1, 3)],
)
def test_cut_off_without_a_head_is_refused_at_once_with_the_legal_ones(tmp_path, write, config, first, last, cutoffs):
    folder = write(tmp_path / "model", start_layer=1, num_hidden_layers=3)
    with pytest.raises(ConfigError, match=rf"layer \d+ has no head\. Legal are {first} to {last}\."):
        rerank.build(config(name="x", model=str(folder), cutoff_layers=cutoffs), ComputeConfig())


@pytest.mark.parametrize(("layers", "reached"), [([2, 5], [2]), ([2, 40], [2]), ([3, 4], [3]), ([4, 9], [5])])
def test_compression_at_or_behind_the_cut_off_merges_nothing(tmp_path, layers, reached):
    """As in the official code, which does not get there: the card's example merges at 24 and 40 and cuts off at 28."""
    folder = write_gemma2_lightweight(tmp_path / "model")
    pair = Pair("Why does the sea have tides?", "The moon pulls the sea, and the sea answers with tides twice a day.")

    def score(compress_layers: list[int]) -> float:
        own = {"cutoff_layers": [4], "compress_ratio": 3, "compress_layers": compress_layers}
        config = LightweightConfig(name="x", model=str(folder), **own)
        return rerank.build(config, ComputeConfig(device="cpu")).score([pair]).scores[0]

    assert score(reached) == score(layers)
    assert score(layers) != score([1, *layers])


@pytest.mark.parametrize("config", [LayerwiseConfig, LightweightConfig])
def test_other_models_are_refused_at_once(tmp_path, config):
    folder = write_minicpm_reranker(tmp_path / "model")
    with pytest.raises(ModelError, match="model_type is None, expected"):
        rerank.build(config(name="x", model=str(folder)), ComputeConfig())
