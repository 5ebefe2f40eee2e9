"""Names of saved and replayed runs, which come from their files."""

import pytest

from evalkit.config import BundledDatasetConfig, EvaluateConfig
from evalkit.config.after_file import former_name
from evalkit.errors import ConfigError
from evalkit.rerank.passthrough import ReplayConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.saved import SavedConfig


def settled(dataset: str, path: str, **settings) -> EvaluateConfig:
    return EvaluateConfig(
        dataset=BundledDatasetConfig(name=dataset),
        retriever=SavedConfig(path=path, **settings),
        reranker=ReplayConfig(path=path, **settings),
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/BERT.trec.gz", "BERT"),
        ("BERT", "BERT"),
        ("my run (2).TSV", "my_run__2"),
        ("../.hidden.json", "hidden"),
        ("läufe/größe.trec", "gr__e"),
        ("runs/" + "x" * 300 + ".trec", "x" * 100),
        ("results/dl19/bm25-100/minilm/run.trec.gz", "minilm"),
        ("results/dl19/bm25-100/candidates/run.trec.gz", "bm25-100"),
        ("results/dl19/bm25-100/none/run.trec.gz", "bm25-100"),
        ("/run.trec.gz", "{}"),
        ("runs/---.trec", "{}"),
        ("runs/mini.trec", "{}"),  # nothing is left without the name of the dataset
        ("runs/mini/BM25.trec", "BM25"),
        ("runs/BERT-mini.trec", "BERT"),
        ("runs/Mini_BERT.trec", "BERT"),
        ("runs/BERT.mini.large.trec", "BERT.large"),
        ("runs/minimal.trec", "minimal"),
    ],
)
def test_a_run_is_named_after_its_file_without_the_dataset(path, name):
    config = settled("mini", path)
    assert (config.retriever.name, config.reranker.name) == (name.format("saved"), name.format("replay"))


def test_files_for_each_dataset_have_one_name():
    paths = {"scifact": "runs/BERT.scifact.trec", "cqadupstack/unix": "runs/BERT.unix.trec"}
    assert {settled(dataset, path).reranker.name for dataset, path in paths.items()} == {"BERT"}


def test_a_name_that_is_set_wins():
    config = settled("mini", "runs/BERT-mini.trec", name="mini")
    assert (config.retriever.name, config.reranker.name) == ("mini", "mini")
    assert former_name(config.retriever) == former_name(config.reranker) == ""


def test_only_names_of_files_were_others_before():
    config = settled("mini", "runs/BERT.trec")
    assert (former_name(config.retriever), former_name(config.reranker)) == ("saved", "replay")
    assert former_name(settled("mini", "saved.trec").retriever) == ""
    assert former_name(BM25Config(name="bm25")) == ""


def test_a_name_that_cannot_be_a_folder_is_refused_as_ever():
    with pytest.raises(ConfigError, match=r"retriever\.name='\.\./up' cannot name"):
        settled("mini", "runs/BERT.trec", name="../up")
