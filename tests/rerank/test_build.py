"""Which reranker a configuration makes, and the instruction that it is given."""

import json

import pytest
from stubs import tiny_bert
from tiny_checkpoints import write_minicpm_reranker, write_qwen3_reranker

from evalkit import rerank
from evalkit.config import ComputeConfig, FolderDatasetConfig, RerankerConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.rerank.families.minicpm import MiniCPMRerankerConfig
from evalkit.rerank.families.qwen3 import Qwen3RerankerConfig
from evalkit.rerank.pair_reranker import PairRerankerConfig

CPU = ComputeConfig(device="cpu")


@pytest.fixture(scope="module")
def minicpm(tmp_path_factory) -> MiniCPMRerankerConfig:
    folder = write_minicpm_reranker(tmp_path_factory.mktemp("build") / "minicpm")
    return MiniCPMRerankerConfig(name="minicpm", model=str(folder), max_length=64, instructions="dataset")


def dataset(name: str, key: str | None = None) -> FolderDatasetConfig:
    return FolderDatasetConfig(path="unused", name=name, instruction_key=key)


def test_dataset_gives_its_instruction(minicpm):
    reranker = rerank.build(minicpm, CPU, dataset=dataset("scifact"))
    assert reranker.instruction.startswith("Given a scientific claim, ")


def test_key_of_the_dataset_goes_before_its_name(minicpm):
    reranker = rerank.build(minicpm, CPU, dataset=dataset("scifact", "nfcorpus"))
    assert reranker.instruction == "Given a question, retrieve relevant documents that best answer the question."


def test_dataset_whose_entry_is_empty_gives_none(minicpm):
    assert rerank.build(minicpm, CPU, dataset=dataset("mini")).instruction == ""


def test_no_dataset_gives_none(minicpm):
    assert rerank.build(minicpm, CPU).instruction == ""


def test_dataset_without_an_entry_is_an_error_that_names_the_setting_and_the_dataset(minicpm):
    with pytest.raises(ConfigError, match=r"reranker\.instructions=dataset.*no entry 'my_set'"):
        rerank.build(minicpm, CPU, dataset=dataset("my_set"))


def test_qwen3_is_given_an_instruction_too(tmp_path):
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"my_set": "Find it."}), encoding="utf-8")
    folder = write_qwen3_reranker(tmp_path / "qwen3")
    config = Qwen3RerankerConfig(name="qwen3", model=str(folder), instructions=str(file))
    assert rerank.build(config, CPU, dataset=dataset("my_set")).instruction == "Find it."


@pytest.mark.parametrize("schema", [RerankerConfig, PairRerankerConfig])
def test_configuration_of_no_kind_is_an_error(tmp_path, schema):
    """Such as the base classes under a name of their own."""
    model = {} if schema is RerankerConfig else {"model": str(tiny_bert(tmp_path / "model"))}
    with pytest.raises(ConfigError, match=f"for {schema.__name__}"):
        rerank.build(schema(name="mine", **model), CPU)


def test_checkpoint_of_another_family_is_refused_at_once(minicpm, tmp_path):
    with pytest.raises(ModelError, match="no scale_emb and scale_depth, so it is not a MiniCPM-Reranker"):
        rerank.build(MiniCPMRerankerConfig(name="x", model=str(tiny_bert(tmp_path / "bert")), max_length=32), CPU)
    with pytest.raises(ModelError, match="Qwen3ForCausalLM"):
        rerank.build(Qwen3RerankerConfig(name="x", model=minicpm.model), CPU)


def test_checkpoint_that_is_absent_is_refused_at_once():
    with pytest.raises(ModelError, match="no such folder"):
        rerank.build(CrossEncoderConfig(name="x", model="/no/such/folder"), CPU)
