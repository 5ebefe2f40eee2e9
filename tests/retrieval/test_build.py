"""Which first stage a configuration makes, and what is put before the queries of a dataset."""

import json

import pytest
from stubs import tiny_bert

from evalkit import retrieval
from evalkit.config import ComputeConfig, DenseConfig, FolderDatasetConfig, RetrieverConfig
from evalkit.errors import ConfigError, ModelError
from evalkit.retrieval.bm25 import BM25Config, BM25Retriever
from evalkit.retrieval.saved import SavedConfig, SavedRetriever

CPU = ComputeConfig(device="cpu")
SCIFACT = "Given a scientific claim, retrieve documents that support or refute the claim."
TASK = "Instruction: {instruction} Query: "


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("build") / "bert"))


@pytest.fixture
def built(model, store):
    """A dense retriever for the dataset of this name and key."""

    def made(name: str | None = "scifact", key: str | None = None, **settings):
        dataset = FolderDatasetConfig(path="unused", name=name, instruction_key=key) if name else None
        config = DenseConfig(name="dense", model=model, pooling="mean", max_length=32, **settings)
        return retrieval.build(config, CPU, store, dataset=dataset)

    return made


def test_query_instruction_is_that_of_the_settings(built):
    assert built(query_instruction="Query: ").query_instruction == "Query: "
    assert built().query_instruction == ""


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("scifact", None, "Query: "),
        ("arguana", None, ""),
        ("quora", None, ""),
        ("my_copy", "quora", ""),
        ("quora", "scifact", "Query: "),
        (None, None, "Query: "),
    ],
)
def test_datasets_that_are_excepted_by_their_key_get_no_query_instruction(built, name, key, expected):
    made = built(name, key, query_instruction="Query: ", instruction_except=["arguana", "quora"])
    assert expected == made.query_instruction == made.identity["query_instruction"]


def test_task_instruction_of_the_dataset_takes_the_place_of_the_query_instruction(built):
    made = built(query_instruction="Query: ", instructions="dataset", instructed_query=TASK)
    assert f"Instruction: {SCIFACT} Query: " == made.query_instruction == made.identity["query_instruction"]


@pytest.mark.parametrize("name", ["mini", None])
def test_without_a_task_instruction_the_query_instruction_is_what_it_was(built, name):
    """The entry of `mini` is empty, and without a dataset there is none."""
    made = built(name, query_instruction="Query: ", instructions="dataset", instructed_query=TASK)
    assert made.query_instruction == "Query: "


def test_task_instruction_may_be_a_text_or_in_a_file(built, tmp_path):
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"my_set": "Find them."}), encoding="utf-8")
    assert built("my_set", instructions="Find it.", instructed_query=TASK).query_instruction == (
        "Instruction: Find it. Query: "
    )
    assert built("my_set", instructions=str(file), instructed_query=TASK).query_instruction == (
        "Instruction: Find them. Query: "
    )


def test_braces_in_an_instruction_are_left_as_they_are(built):
    made = built(instructions="Find {this} {0}.", instructed_query="{instruction} {query} ")
    assert made.query_instruction == "Find {this} {0}. {query} "


def test_dataset_without_an_entry_is_an_error_that_names_the_setting_and_the_dataset(built):
    with pytest.raises(ConfigError, match=r"retriever\.instructions=dataset.*no entry 'my_set'"):
        built("my_set", instructions="dataset", instructed_query=TASK)


def test_other_first_stages_are_built_by_their_kind(store, tmp_path):
    run = tmp_path / "run.trec"
    run.write_text("q1 Q0 d1 1 1 x\n", encoding="utf-8")
    assert isinstance(retrieval.build(BM25Config(name="bm25"), CPU, store), BM25Retriever)
    assert isinstance(retrieval.build(SavedConfig(name="saved", path=str(run)), CPU, store), SavedRetriever)


def test_configuration_of_no_kind_is_an_error(store):
    with pytest.raises(ConfigError, match="no first stage for RetrieverConfig"):
        retrieval.build(RetrieverConfig(name="mine"), CPU, store)


def test_checkpoint_that_is_absent_is_refused_at_once(store):
    with pytest.raises(ModelError, match="no such folder"):
        retrieval.build(DenseConfig(name="x", model="/no/such/folder"), CPU, store)
