"""Which file of a collection is which, by its name."""

import logging
from pathlib import Path

import pytest
from stubs import QRELS

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.filenames import corpus_of, is_corpus, judgments_of, queries_of
from evalkit.datasets.hub_dataset import HubDatasetConfig
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError


def files(folder: Path, *names: str) -> FolderSource:
    (folder / "qrels").mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("")
    return FolderSource(folder)


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        (["corpus.csv", "corpus.jsonl.gz", "corpus.jsonl"], "corpus.jsonl"),
        (["corpus.csv", "corpus.jsonl.gz"], "corpus.jsonl.gz"),
        (["collection.tsv", "corpus.parquet"], "corpus.parquet"),
        (["collection.tsv.gz"], "collection.tsv.gz"),
        (["documents.json"], "documents.json"),
    ],
)
def test_the_corpus_is_the_first_of_the_known_names(tmp_path, present, wanted):
    assert corpus_of(files(tmp_path, *present)) == [wanted]


@pytest.mark.parametrize("name", ["corpus-00000-of-00002.parquet", "my_corpus.jsonl", "corpus", "x"])
def test_other_names_are_no_corpus(name):
    assert not is_corpus(name)
    assert is_corpus("a/b/corpus.tsv.gz")


@pytest.mark.parametrize(
    ("split", "present", "wanted"),
    [
        ("test", ["queries.jsonl", "queries.test.tsv"], "queries.jsonl"),
        ("dev.small", ["queries.dev.small.tsv", "queries.dev.tsv"], "queries.dev.small.tsv"),
        ("dev.small", ["queries.dev.tsv", "queries.train.tsv"], "queries.dev.tsv"),
        ("test", ["queries.eval.tsv"], "queries.eval.tsv"),
        ("test", ["topics.csv"], "topics.csv"),
    ],
)
def test_queries_are_those_of_all_splits_or_of_this_one(tmp_path, split, present, wanted):
    assert queries_of(files(tmp_path, *present), split) == wanted


def test_queries_of_other_splits_alone_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"queries.dev.tsv, queries.train.tsv name other splits than test. Set"):
        queries_of(files(tmp_path, "queries.dev.tsv", "queries.train.tsv"), "test")


@pytest.mark.parametrize(
    ("split", "present", "wanted"),
    [
        ("test", ["qrels/test.csv", "qrels/test.tsv"], "qrels/test.tsv"),
        ("test", ["qrels/test.csv", "qrels.tsv"], "qrels/test.csv"),
        ("test", ["qrels/qrels.test.txt"], "qrels/qrels.test.txt"),
        ("test", ["qrels/test"], "qrels/test"),
        ("test", ["qrels.txt"], "qrels.txt"),
        ("dev", ["qrels.dev.tsv", "qrels.train.tsv"], "qrels.dev.tsv"),
        ("dev", ["qrels-dev.trec.gz"], "qrels-dev.trec.gz"),
        ("dev", ["qrels.dev.small.tsv", "qrels.train.tsv"], "qrels.dev.small.tsv"),
    ],
)
def test_judgments_are_found_by_their_split(tmp_path, split, present, wanted):
    assert judgments_of(files(tmp_path, *present), split).name == wanted


@pytest.mark.parametrize(
    ("split", "present", "part"),
    [
        ("test", ["qrels/dev.tsv", "qrels.tsv"], "It has the splits dev: set dataset.split."),
        ("test", ["qrels.dev.tsv", "qrels.train.tsv"], "It has the splits dev, train: set dataset.split."),
        ("train", ["qrels/dev.tsv"], "It has the splits dev: set dataset.split."),
        ("train", ["qrels.dev.small.tsv"], "It has the splits dev.small: set dataset.split."),
        ("test", ["qrels/test.xlsx"], "qrels/test.xlsx cannot be read."),
    ],
)
def test_judgments_of_another_split_are_not_taken(tmp_path, split, present, part):
    with pytest.raises(DataError) as caught:
        judgments_of(files(tmp_path, *present), split, lenient=True)
    assert part in str(caught.value)


def test_a_folder_without_judgments_names_its_files(collection, store):
    (collection / "qrels" / "test.tsv").rename(collection / "relevance.tsv")
    with pytest.raises(
        DataError,
        match=r"\(corpus.jsonl, queries.jsonl\); no judgments \(qrels/test.tsv\). Found also relevance.tsv.",
    ):
        load(FolderDatasetConfig(path=str(collection)), store)


@pytest.mark.parametrize("name", ["qrels.dev.small.tsv", "qrels/dev.small.tsv"])
def test_the_only_judgments_are_taken_with_a_note(collection, store, caplog, name):
    (collection / "qrels" / "test.tsv").rename(collection / name)
    with caplog.at_level(logging.WARNING):
        dataset = load(FolderDatasetConfig(path=str(collection)), store)
    assert (dataset.split, dataset.qrels) == ("dev.small", QRELS)
    assert "their split is dev.small, not test" in caplog.text
    card = HubDatasetConfig(name="scifact", hub_id="mteb/scifact", revision="d5" * 20, path=str(collection))
    with pytest.raises(DataError, match=r"It has the splits dev.small: set dataset.split"):
        load(card, store)


def test_a_name_with_a_line_break_is_shown_in_one_line(collection, store):
    (collection / "queries.jsonl").rename(collection / "q\neries.jsonl")
    with pytest.raises(DataError, match=r"no queries \(queries.jsonl\). Found also q\\neries.jsonl"):
        load(FolderDatasetConfig(path=str(collection)), store)
