"""Tensors of published layouts: all that belong there, none made up, no code run; and every buffer computed."""

import gc
import json
import os
import pickle  # noqa: TID251 - to show that one with code is refused
from pathlib import Path

import pytest
import torch
from references.weights import read_weights
from safetensors.torch import load_file, save_file
from tiny_checkpoints import (
    write_bert_embedder,
    write_bert_reranker,
    write_gemma2_lightweight,
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
from torch import nn

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import resolve
from evalkit.models.weights import Stored, Tensors, fill, layers_above, uninitialised
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.flag_llm import FlagLLMConfig, LayerwiseConfig, LightweightConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.families.qwen3 import Qwen3RerankerConfig
from evalkit.types import Pair

PAIR = Pair("Why does the sea have tides?", "The moon pulls the sea.")
INDEX = "model.safetensors.index.json"
ONE = "model.safetensors"
# How each published layout is written and configured, with a head's tensor of each.
LAYOUTS = {
    "minicpm": (write_minicpm_reranker, MiniCPMRerankerConfig, {}, "score.weight"),
    "minicpm_light": (write_minicpm_reranker_light, MiniCPMRerankerConfig, {}, "score.weight"),
    "layerwise": (write_minicpm_layerwise, LayerwiseConfig, {"cutoff_layers": [2]}, "lm_head.1.linear_head.weight"),
    "gemma": (write_gemma_reranker, FlagLLMConfig, {}, "model.embed_tokens.weight"),
    "lightweight": (
        write_gemma2_lightweight,
        LightweightConfig,
        {"cutoff_layers": [3]},
        "lm_head.0.linear_head.weight",
    ),
    "qwen3": (write_qwen3_reranker, Qwen3RerankerConfig, {"max_length": 300}, "model.embed_tokens.weight"),
    "bert": (write_bert_reranker, CrossEncoderConfig, {}, "classifier.weight"),
    "xlm_roberta": (write_xlm_roberta_reranker, CrossEncoderConfig, {}, "classifier.dense.weight"),
    "jina": (write_jina_reranker, CrossEncoderConfig, {}, "classifier.out_proj.bias"),
    "gte": (write_gte_reranker, CrossEncoderConfig, {}, "new.pooler.dense.weight"),
}


def written(layout: str, folder: Path, **sizes) -> Path:
    return LAYOUTS[layout][0](folder, seed=5, **sizes)


def built(layout: str, folder: Path, **settings):
    _, config, own, _ = LAYOUTS[layout]
    return rerank.build(
        config(name="tiny", model=str(folder), **{**own, **settings}), ComputeConfig(device="cpu", attention="eager")
    )


def score(layout: str, folder: Path, **settings) -> list[float]:
    return built(layout, folder, **settings).score([PAIR]).scores.ravel().tolist()


def stored(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(file).items()}


def rewritten(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """The checkpoint with these tensors alone, in one file."""
    for file in [*folder.glob("*.safetensors"), *folder.glob("*.bin"), folder / INDEX]:
        file.unlink(missing_ok=True)
    save_file(tensors, folder / ONE, metadata={"format": "pt"})


def as_bin(folder: Path, shards: int) -> None:
    """The checkpoint as torch pickles, whole or in shards."""
    tensors = stored(folder)
    for file in [*folder.glob("*.safetensors"), folder / INDEX]:
        file.unlink(missing_ok=True)
    if shards == 1:
        torch.save(tensors, folder / "pytorch_model.bin")
        return
    files = [f"pytorch_model-{shard + 1:05}-of-{shards:05}.bin" for shard in range(shards)]
    of_tensor = {name: files[place % shards] for place, name in enumerate(tensors)}
    for file in files:
        torch.save({name: tensor for name, tensor in tensors.items() if of_tensor[name] == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": of_tensor}), encoding="utf-8")


def config_edited(folder: Path, **changed) -> Path:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")
    return folder


# Names that are missing, left over, or misshapen

# Each loads a checkpoint once for each of its tensors; where time matters, a layer of two layouts stands for all.
EACH_TENSOR = [
    pytest.param(one, sizes, marks=[] if sizes else pytest.mark.slow)
    for one in LAYOUTS
    for sizes in ([{"num_hidden_layers": 1}] if one in {"bert", "minicpm"} else []) + [{}]
]


@pytest.mark.parametrize(("layout", "sizes"), EACH_TENSOR)
def test_every_missing_tensor_is_an_error_that_names_it(tmp_path, layout, sizes):
    folder = written(layout, tmp_path / "model", **sizes)
    tensors = stored(folder)
    for name in tensors:
        if name.endswith("position_ids"):
            continue
        rewritten(folder, {other: tensor for other, tensor in tensors.items() if other != name})
        with pytest.raises(ModelError, match=f"lacks 1 of .*{name.replace('.', '[.]')}[.]$"):
            _ = built(layout, folder).model
    # The loop above shows nothing if the whole checkpoint is refused as well.
    rewritten(folder, tensors)
    assert len(score(layout, folder)) == 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["extra.weight", "model.layers.7.mlp.up_proj.weight", "lm_head.bias"])
def test_surplus_tensor_is_an_error_that_names_it(tmp_path, layout, name):
    folder = written(layout, tmp_path / "model")
    rewritten(folder, stored(folder) | {name: torch.zeros(2)})
    with pytest.raises(ModelError, match=f"1 tensor that the model has no place for.*: {name}[.]$"):
        _ = built(layout, folder).model


@pytest.mark.parametrize(("layout", "sizes"), EACH_TENSOR)
def test_every_tensor_of_another_shape_is_an_error_that_names_it(tmp_path, layout, sizes):
    folder = written(layout, tmp_path / "model", **sizes)
    tensors = stored(folder)
    for name, tensor in tensors.items():
        if name.endswith("position_ids"):
            continue
        rewritten(folder, tensors | {name: torch.cat([tensor, tensor[:1]])})
        fault = rf"{name.replace('.', '[.]')} is stored as \[.*\], expected \[.*\]\)[.]$"
        with pytest.raises(ModelError, match=f"has 1 tensor of another shape.*{fault}"):
            _ = built(layout, folder).model


def test_transposed_head_is_an_error_though_it_has_as_many_numbers(tmp_path):
    folder = written("minicpm", tmp_path / "model")
    tensors = stored(folder)
    rewritten(folder, tensors | {"score.weight": tensors["score.weight"].T.contiguous()})
    with pytest.raises(ModelError, match=r"another shape.*score\.weight"):
        score("minicpm", folder)


def test_message_names_three_tensors_and_counts_all(tmp_path):
    folder = written("minicpm", tmp_path / "model")
    rewritten(folder, {name: tensor for name, tensor in stored(folder).items() if ".layers.1." not in name})
    with pytest.raises(ModelError, match=r"lacks 9 of") as caught:
        score("minicpm", folder)
    assert (3, True) == (str(caught.value).count("model.layers.1."), str(caught.value).endswith(", ...."))


@pytest.mark.parametrize("layout", ["layerwise", "lightweight"])
@pytest.mark.parametrize("kept", [1, 2])
def test_layers_and_heads_above_the_cut_off_must_be_complete_too(tmp_path, layout, kept):
    """They are not read. Yet a checkpoint that lacks one is cut short or another model."""
    folder = written(layout, tmp_path / "model", start_layer=1, num_hidden_layers=3)
    tensors = stored(folder)
    above = [name for name in tensors if name.startswith(("model.layers.2.", "lm_head.2"))]
    assert len(above) > 9
    for name in above:
        rewritten(folder, {other: tensor for other, tensor in tensors.items() if other != name})
        with pytest.raises(ModelError, match=f"lacks 1 .*{name}"):
            _ = built(layout, folder, cutoff_layers=[kept]).model
        rewritten(folder, tensors | {name: torch.zeros(3, 3)})
        with pytest.raises(ModelError, match=f"another shape.*{name}"):
            _ = built(layout, folder, cutoff_layers=[kept]).model


def test_buffers_of_older_transformers_versions_may_be_stored_and_are_not_read(tmp_path):
    folder = written("minicpm", tmp_path / "model")
    expected = score("minicpm", folder)
    old = {f"model.layers.{layer}.self_attn.rotary_emb.inv_freq": torch.full((4,), 9.0) for layer in range(3)}
    rewritten(folder, stored(folder) | old)
    assert expected == score("minicpm", folder)


def test_untied_model_without_its_output_layer_is_an_error(tmp_path):
    folder = written("qwen3", tmp_path / "model", tied=False)
    rewritten(folder, {name: tensor for name, tensor in stored(folder).items() if name != "lm_head.weight"})
    with pytest.raises(ModelError, match=r"lacks 1 .*lm_head\.weight"):
        score("qwen3", folder)


def test_output_layer_of_another_shape_is_an_error(tmp_path):
    folder = written("qwen3", tmp_path / "model", tied=False)
    tensors = stored(folder)
    rewritten(folder, tensors | {"lm_head.weight": tensors["lm_head.weight"][:-1].clone()})
    with pytest.raises(ModelError, match=r"another shape.*lm_head\.weight"):
        score("qwen3", folder)


# Files that are missing or damaged


def test_missing_shard_is_an_error_that_names_it(tmp_path):
    folder = written("gemma", tmp_path / "model")
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(ModelError, match=r"index\.json: names model-00002-of-00003\.safetensors, which is not there"):
        score("gemma", folder)


@pytest.mark.parametrize("name", ["../shard.safetensors", "sub/shard.safetensors", "shard.weights"])
def test_shard_outside_the_identity_is_an_error_that_names_it(tmp_path, name):
    folder = written("gemma", tmp_path / "model")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / "model-00002-of-00003.safetensors").rename(folder / name)
    (folder / INDEX).write_text((folder / INDEX).read_text().replace("model-00002-of-00003.safetensors", name))
    with pytest.raises(ModelError, match=rf"names {name}, expected \.safetensors files beside it"):
        score("gemma", folder)


@pytest.mark.parametrize("weight_map", [{}, None])
def test_index_without_files_is_an_error(tmp_path, weight_map):
    folder = written("gemma", tmp_path / "model")
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"index\.json: has no weight_map with files\. Download the checkpoint again"):
        score("gemma", folder)


def test_index_that_leaves_a_shard_out_makes_its_tensors_missing(tmp_path):
    folder = written("gemma", tmp_path / "model")
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    index["weight_map"] = {name: file for name, file in index["weight_map"].items() if "00002" not in file}
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelError, match=r"lacks \d+ of the model's tensors"):
        score("gemma", folder)


def test_index_whose_map_is_a_list_is_an_error(tmp_path):
    folder = written("gemma", tmp_path / "model")
    (folder / INDEX).write_text(json.dumps({"weight_map": ["model.norm.weight"]}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"index\.json"):
        score("gemma", folder)


def test_checkpoint_without_weights_is_an_error(tmp_path):
    folder = written("minicpm_light", tmp_path / "model")
    (folder / ONE).unlink()
    with pytest.raises(ModelError, match=r"has no model\.safetensors and no pytorch_model\.bin"):
        score("minicpm_light", folder)


@pytest.mark.parametrize("layout", ["minicpm_light", "bert"])
@pytest.mark.parametrize("kept", [0, 5, 8, 200, -1])
def test_truncated_file_is_an_error_that_names_it(tmp_path, layout, kept):
    folder = written(layout, tmp_path / "model")
    os.truncate(folder / ONE, kept % (folder / ONE).stat().st_size)
    with pytest.raises(ModelError, match=rf"{folder}.*cannot be"):
        score(layout, folder)


@pytest.mark.parametrize("layout", ["minicpm_light", "bert"])
@pytest.mark.parametrize("file", [ONE, "pytorch_model.bin"])
@pytest.mark.parametrize("content", [b"\0\xff" * 2000, b"{}", b"PK\x03\x04" + b"\0" * 90, b"<html>404</html>" * 9])
def test_file_of_something_else_is_an_error_that_names_the_checkpoint(tmp_path, layout, file, content):
    folder = written(layout, tmp_path / "model")
    (folder / ONE).unlink()
    (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{folder}.*cannot be"):
        score(layout, folder)


@pytest.mark.parametrize("shards", [1, 2])
def test_truncated_pickle_is_an_error_that_names_the_file(tmp_path, shards):
    folder = written("gemma", tmp_path / "model")
    as_bin(folder, shards)
    file = max(folder.glob("*.bin"))
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ModelError, match=rf"{file}: cannot be read"):
        score("gemma", folder)


def test_tensor_in_two_shards_is_an_error_that_names_it(tmp_path):
    folder = written("gemma", tmp_path / "model")
    files = sorted(folder.glob("*.safetensors"))
    name = min(load_file(files[0]))
    save_file(load_file(files[1]) | {name: load_file(files[0])[name]}, files[1], metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"holds the tensor {name} twice"):
        score("gemma", folder)


# Pickles


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in {"bert", "xlm_roberta"}])
@pytest.mark.parametrize("shards", [1, 3])
def test_pickled_weights_score_as_safetensors(tmp_path, layout, shards):
    folder = written(layout, tmp_path / "model")
    expected = score(layout, folder)
    as_bin(folder, shards)
    assert len(list(folder.glob("*.bin"))) == shards
    assert expected == score(layout, folder)


def test_weights_pickled_before_torch_wrote_zip_files_are_read(tmp_path):
    folder = written("gte", tmp_path / "model")
    expected = score("gte", folder)
    torch.save(stored(folder), folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    (folder / ONE).unlink()
    assert expected == score("gte", folder)


class Trap:
    """Unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("layout", ["minicpm", "gte", "bert"])
@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_with_code_is_refused_and_not_run(tmp_path, layout, zipped):
    folder, trace = written(layout, tmp_path / "model"), tmp_path / "trace"
    tensors = stored(folder)
    rewritten(folder, tensors)
    (folder / ONE).unlink()
    state = tensors | {"extra": Trap(trace)}
    torch.save(state, folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=rf"{folder}.*cannot be"):
        score(layout, folder)
    assert not trace.exists()
    # The same file does make the folder where someone unpickles it with code.
    torch.load(folder / "pytorch_model.bin", weights_only=False)
    assert trace.is_dir()


def test_plain_pickle_with_code_is_refused_and_not_run(tmp_path):
    folder, trace = written("minicpm_light", tmp_path / "model"), tmp_path / "trace"
    (folder / ONE).unlink()
    content = pickle.dumps(Trap(trace), protocol=2)
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelError, match=r"pytorch_model\.bin: cannot be read"):
        score("minicpm_light", folder)
    assert not trace.exists()
    pickle.loads(content)
    assert trace.is_dir()


@pytest.mark.parametrize("state", [[1, 2], {"epoch": 3}, {"state_dict": {"w": torch.zeros(1)}}, torch.zeros(2)])
def test_pickle_of_anything_but_named_tensors_is_an_error(tmp_path, state):
    folder = written("minicpm_light", tmp_path / "model")
    (folder / ONE).unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        score("minicpm_light", folder)


@pytest.mark.parametrize("layout", ["minicpm", "minicpm_light"])
def test_safetensors_are_preferred_to_pickles(tmp_path, layout):
    folder = written(layout, tmp_path / "model")
    expected = score(layout, folder)
    torch.save({name: tensor * 3 for name, tensor in stored(folder).items()}, folder / "pytorch_model.bin")
    assert expected == score(layout, folder)
    for file in [*folder.glob("*.safetensors"), folder / INDEX]:
        file.unlink(missing_ok=True)
    assert expected != score(layout, folder)


# What ends up in memory


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_parameter_is_read_from_the_file(tmp_path, layout):
    """Twice, with other values in between: what was allocated and not filled would show the first ones."""
    folder = written(layout, tmp_path / "model")
    tensors = stored(folder)
    rewritten(folder, {name: torch.full_like(tensor, 0.25) for name, tensor in tensors.items()})
    first = dict(built(layout, folder).model.named_parameters(remove_duplicate=False))
    assert {0.25} == {value for parameter in first.values() for value in parameter.unique().tolist()}
    count = len(first)
    del first
    gc.collect()
    rewritten(folder, {name: torch.full_like(tensor, 0.5) for name, tensor in tensors.items()})
    second = dict(built(layout, folder).model.named_parameters(remove_duplicate=False))
    assert {0.5} == {value for parameter in second.values() for value in parameter.unique().tolist()}
    assert count == len(second)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_parameters_are_as_many_numbers_as_are_stored(tmp_path, layout):
    """Layers and heads above a cut-off are not loaded; of an output layer, only the rows of the answers are."""
    folder = written(layout, tmp_path / "model")
    sizes = {name: array.size for name, array in read_weights(folder).items() if not name.endswith("position_ids")}
    unread = {"layerwise": ("model.layers.2.", "lm_head.0", "lm_head.2"), "lightweight": ("model.layers.3.",)}
    if layout == "lightweight":
        unread[layout] += ("model.layers.4.", "lm_head.1", "lm_head.2", "lm_head.3")
    width = json.loads((folder / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    answers = {"gemma": width, "qwen3": 2 * width}.get(layout, 0)
    expected = sum(size for name, size in sizes.items() if not name.startswith(unread.get(layout, ("-",)))) + answers
    model = built(layout, folder).model
    assert expected == sum(parameter.numel() for parameter in model.parameters())
    assert not any(module.training for module in model.modules() if isinstance(module, nn.Dropout))
    assert model.model.training is False
    assert not any(parameter.is_meta for parameter in [*model.parameters(), *model.buffers()])


def test_default_dtype_and_device_are_as_before(tmp_path):
    before = torch.get_default_dtype()
    folder = written("minicpm", tmp_path / "model")
    config = MiniCPMRerankerConfig(name="tiny", model=str(folder))
    assert rerank.build(config, ComputeConfig(dtype="bfloat16")).model is not None
    with uninitialised(torch.float16, "meta"):
        assert (torch.float16, "meta") == (torch.zeros(1).dtype, torch.zeros(1).device.type)
    with pytest.raises(RuntimeError, match="negative dimension"), uninitialised(torch.float16, "meta"):
        torch.zeros(-1)
    assert (before, "cpu") == (torch.get_default_dtype(), torch.zeros(1).device.type)


# The parts


def tensors_of(folder: Path, tensors: dict[str, torch.Tensor]) -> Tensors:
    folder.mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    save_file(tensors, folder / ONE)
    return Tensors(resolve(str(folder)))


def test_rows_are_read_in_the_order_asked_for(tmp_path):
    table = torch.arange(12.0).reshape(6, 2)
    tensors = tensors_of(tmp_path / "model", {"table": table})
    assert {"table": (6, 2)} == tensors.shapes
    assert table.tolist() == tensors.read(Stored("table")).tolist()
    assert [[8, 9], [0, 1], [8, 9]] == tensors.read(Stored("table", rows=[4, 0, 4])).tolist()
    assert [[2, 3], [4, 5]] == tensors.read(Stored("table", rows=slice(1, 3))).tolist()


def test_shared_parameter_is_filled_under_both_names(tmp_path):
    model = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    model["b"].weight = model["a"].weight
    tensors = tensors_of(tmp_path / "model", {"w": torch.eye(2)})
    fill(model, tensors, lambda _: Stored("w"))
    assert torch.eye(2).tolist() == model["b"].weight.tolist()


@pytest.mark.parametrize("name", ["old", "old.weight"])
def test_names_that_may_be_there_match_as_a_whole(tmp_path, name):
    model = nn.Linear(2, 2, bias=False)
    tensors = tensors_of(tmp_path / "model", {"weight": torch.eye(2), name: torch.zeros(1)})
    if name == "old":
        fill(model, tensors, Stored, unused="old")
        assert torch.eye(2).tolist() == model.weight.tolist()
    else:
        with pytest.raises(ModelError, match=r"no place for.*old\.weight"):
            fill(model, tensors, Stored, unused="old")


def test_stored_dtype_becomes_that_of_the_model(tmp_path):
    stored_half = torch.tensor([[0.1, 1 / 3], [3.0, -7.0]], dtype=torch.bfloat16)
    model = nn.Linear(2, 2, bias=False)
    fill(model, tensors_of(tmp_path / "model", {"weight": stored_half}), Stored)
    assert (torch.float32, stored_half.float().tolist()) == (model.weight.dtype, model.weight.tolist())


def test_names_of_layers_above_a_cut_off_are_those_of_the_first_block():
    model = nn.ModuleDict({"model": nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(3, 2)])})})
    expected = {
        f"model.layers.{layer}.{part}": shape
        for layer in (1, 2)
        for part, shape in (("weight", (2, 3)), ("bias", (2,)))
    }
    assert expected == layers_above(model, first=1, stop=3)
    assert {} == layers_above(model, first=3, stop=3)


# Another kind of checkpoint than the configuration says


def test_embedder_as_a_cross_encoder_is_refused(tmp_path):
    folder = write_bert_embedder(tmp_path / "model")
    with pytest.raises(ModelError, match="is a bi-encoder"):
        rerank.build(CrossEncoderConfig(name="tiny", model=str(folder)), ComputeConfig())


def test_embedder_that_calls_itself_a_classifier_is_refused_by_its_tensors(tmp_path):
    folder = config_edited(write_bert_embedder(tmp_path / "model"), architectures=["BertForSequenceClassification"])
    (folder / "modules.json").unlink()
    with pytest.raises(ModelError, match=r"lacks \d+ of .*classifier\.bias, classifier\.weight"):
        score("bert", folder)


def test_minicpm_embedding_as_a_reranker_is_refused_by_its_tensors(tmp_path):
    folder = write_minicpm_embedding(tmp_path / "model")
    with pytest.raises(ModelError, match=r"lacks 30 of .*model\.embed_tokens\.weight, model\.layers\.0\."):
        score("minicpm", folder, max_length=64)


def test_layerwise_as_a_minicpm_reranker_is_refused_by_its_tensors(tmp_path):
    with pytest.raises(ModelError, match=r"lacks 1 of .*: score\.weight"):
        score("minicpm", written("layerwise", tmp_path / "model"))


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if not name.startswith("minicpm")])
def test_another_model_as_minicpm_reranker_is_refused_at_once(tmp_path, layout):
    folder = written(layout, tmp_path / "model")
    if layout == "layerwise":
        config_edited(folder, scale_emb=None)
        with pytest.raises(ModelError, match="has no scale_emb"):
            score("minicpm", folder)
    else:
        with pytest.raises(ModelError, match=r"not a MiniCPM-Reranker"):
            built("minicpm", folder)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "gemma"])
def test_another_model_as_gemma_is_refused_at_once(tmp_path, layout):
    with pytest.raises(ModelError, match=r"model_type is .*, expected 'gemma'"):
        built("gemma", written(layout, tmp_path / "model"))


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "qwen3"])
def test_another_model_as_qwen3_is_refused_at_once(tmp_path, layout):
    with pytest.raises(ModelError, match=r"expected Qwen3ForCausalLM"):
        built("qwen3", written(layout, tmp_path / "model"))


def test_classifier_made_of_qwen3_is_refused_at_once_and_named(tmp_path):
    folder = config_edited(
        written("qwen3", tmp_path / "model"), architectures=["Qwen3ForSequenceClassification"], num_labels=1
    )
    with pytest.raises(ModelError, match="Qwen3ForSequenceClassification"):
        built("qwen3", folder)


def test_classifier_with_a_chat_template_for_pairs_is_refused_as_a_cross_encoder(tmp_path):
    """Without the template's prompt its scores would mean nothing."""
    folder = written("qwen3", tmp_path / "model")
    (folder / "chat_template.jinja").write_text(
        "{% for one in messages %}{{ one.content }}{% endfor %}", encoding="utf-8"
    )
    tensors = stored(folder)
    rewritten(folder, tensors | {"score.weight": torch.zeros(1, tensors["model.norm.weight"].shape[0])})
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    config_edited(folder, architectures=["Qwen3ForSequenceClassification"], **labels)
    with pytest.raises(ModelError, match="its chat template writes query and document into a prompt"):
        rerank.build(CrossEncoderConfig(name="tiny", model=str(folder)), ComputeConfig()).score([PAIR])


def without_answer(folder: Path, answer: str) -> None:
    """The tokenizer with every merge into this word taken out."""
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    merges = raw["model"]["merges"]
    raw["model"]["merges"] = [pair for pair in merges if "".join(pair) != answer]
    assert len(raw["model"]["merges"]) < len(merges)
    (folder / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")


@pytest.mark.parametrize(("layout", "answer"), [("gemma", "Yes"), ("qwen3", "yes"), ("qwen3", "no")])
def test_of_an_answer_of_several_tokens_the_first_is_read_as_flagembedding_does(tmp_path, layout, answer):
    folder = written(layout, tmp_path / "model")
    without_answer(folder, answer)
    model = built(layout, folder)
    tokens = model.tokenizer.token_ids([answer])[0]
    assert len(tokens) > 1
    assert tokens[0] in model.model.answer_ids


def test_answers_that_are_one_token_are_an_error(tmp_path):
    """Of a tokenizer that changes one into the other; one that knows neither gives `<unk>` twice."""
    folder = written("qwen3", tmp_path / "model")
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    raw["normalizer"] = {"type": "Replace", "pattern": {"String": "no"}, "content": "yes"}
    (folder / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(ModelError, match="the answers yes, no begin with the same token"):
        score("qwen3", folder)


def test_tokenizer_of_another_model_is_an_error(tmp_path):
    """A vocabulary larger than the embedding table is read beyond its end."""
    folder = written("minicpm", tmp_path / "model", vocab_size=300)
    with pytest.raises(ModelError, match="300"):
        score("minicpm", folder)


# Configurations that contradict themselves


@pytest.mark.parametrize(
    ("layout", "changed"),
    [
        ("minicpm", {"hidden_size": "32"}),
        ("layerwise", {"hidden_size": "32"}),
        ("gemma", {"hidden_size": "24"}),
        ("lightweight", {"hidden_size": "24"}),
        ("qwen3", {"hidden_size": "32"}),
        ("bert", {"hidden_size": "32"}),
        ("xlm_roberta", {"hidden_size": "32"}),
        ("jina", {"hidden_size": "32"}),
        ("gte", {"hidden_size": "32"}),
        ("gte", {"hidden_size": None}),
        ("lightweight", {"num_attention_heads": 5}),
        ("qwen3", {"architectures": None}),
        ("minicpm", {"pad_token_id": 99_999}),
        ("minicpm", {"num_hidden_layers": 0}),
        ("minicpm", {"num_attention_heads": 5}),
        ("gemma", {"num_attention_heads": 5}),
        ("gte", {"num_attention_heads": 5}),
        ("minicpm", {"rope_scaling": {"type": "linear", "factor": 8}}),
        ("gte", {"rope_scaling": {"type": "dynamic", "factor": 8}}),
        ("gte", {"position_embedding_type": "absolute"}),
        ("jina", {"position_embedding_type": "rotary"}),
        ("qwen3", {"hidden_act": "nope"}),
        ("bert", {"hidden_act": "nope"}),
    ],
)
def test_config_that_cannot_be_that_of_the_weights_is_an_error(tmp_path, layout, changed):
    folder = written(layout, tmp_path / "model")
    assert score(layout, folder)
    config_edited(folder, **changed)
    with pytest.raises(ModelError, match=str(folder)):
        score(layout, folder)


@pytest.mark.parametrize(
    "layout",
    ["bert", "xlm_roberta", "jina", "gte"],
)
def test_number_of_labels_may_be_written_without_their_names(tmp_path, layout):
    """As transformers reads `num_labels`; published configs have either."""
    folder = written(layout, tmp_path / "model")
    expected = score(layout, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["id2label"], config["label2id"]
    (folder / "config.json").write_text(json.dumps(config | {"num_labels": 1}), encoding="utf-8")
    assert expected == score(layout, folder)


def test_tensor_that_is_stored_by_two_names_is_an_error(tmp_path):
    """transformers takes either, and says nothing."""
    folder = written("xlm_roberta", tmp_path / "model")
    tensors = stored(folder)
    doubled = {name.removeprefix("roberta."): tensor * 2 for name, tensor in tensors.items() if "encoder" in name}
    rewritten(folder, tensors | doubled)
    with pytest.raises(ModelError, match=rf"holds {len(doubled)} tensors twice"):
        score("xlm_roberta", folder)


def test_quantised_tensor_is_an_error_that_names_it(tmp_path):
    folder = written("minicpm", tmp_path / "model")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors = stored(folder)
    rewritten(folder, tensors | {name: (tensors[name] * 9).to(torch.int8)})
    with pytest.raises(ModelError, match=rf"{name} is torch\.int8"):
        score("minicpm", folder)


@pytest.mark.parametrize("layout", ["jina", "xlm_roberta"])
def test_one_whole_file_is_read_instead_of_shards_next_to_it(tmp_path, layout):
    folder = written(layout, tmp_path / "model")
    expected = score(layout, folder)
    tensors = stored(folder)
    save_file({name: tensor * 3 for name, tensor in tensors.items()}, folder / "model-00001-of-00001.safetensors")
    index = dict.fromkeys(tensors, "model-00001-of-00001.safetensors")
    (folder / INDEX).write_text(json.dumps({"weight_map": index}), encoding="utf-8")
    assert expected == score(layout, folder)


@pytest.mark.parametrize("key", ["num_attention_heads", "layer_norm_eps", "intermediate_size"])
@pytest.mark.parametrize("layout", ["jina", "gte"])
def test_setting_that_is_absent_is_an_error_and_not_a_default(tmp_path, layout, key):
    folder = config_edited(written(layout, tmp_path / "model"), **{key: None})
    with pytest.raises(ModelError, match=f"no {key}"):
        score(layout, folder)
