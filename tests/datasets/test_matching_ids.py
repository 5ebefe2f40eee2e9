"""Judgments of which the corpus has no document."""

import logging
from pathlib import Path

import pytest

import evalkit
from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.matching_ids import require_judged_documents
from evalkit.errors import DataError
from evalkit.store import Store
from tests.datasets.test_beir import write_collection

SEGMENTS = {"msmarco_v2.1_doc_00_0#0_1": ("", "bees"), "msmarco_v2.1_doc_00_0#1_2": ("", "cows")}


def evaluated(dataset, place: Path):
    evalkit.evaluate(dataset, retriever="bm25", results_dir=place / "results", cache_dir=place / "cache")


def test_maxp_is_refused_where_passages_are_judged(tmp_path: Path, store: Store):
    first = next(iter(SEGMENTS))
    folder = write_collection(tmp_path / "seg", SEGMENTS, qrels={"q1": {first: 1}, "q2": {first: 0}})
    with pytest.raises(
        DataError, match=r"judges passages, such as 'msmarco_v2.1_doc_00_0#0_1'.*Leave dataset.maxp out"
    ):
        load(FolderDatasetConfig(path=str(folder), maxp="#"), store)
    assert load(FolderDatasetConfig(path=str(folder)), store).notes["judged_documents_absent"] == 0


def test_judgments_of_documents_over_passages_are_refused_with_a_hint_at_maxp(tmp_path: Path, store: Store):
    judged = {"q1": {"msmarco_v2.1_doc_00_0": 1}, "q2": {"msmarco_v2.1_doc_00_0": 1}}
    folder = write_collection(tmp_path / "seg", SEGMENTS, qrels=judged)
    with pytest.raises(DataError, match=r"its only document is not in .*corpus.jsonl: .*dataset.maxp='#'"):
        load(FolderDatasetConfig(path=str(folder)), store)
    assert load(FolderDatasetConfig(path=str(folder), maxp="#"), store).notes["judged_documents_absent"] == 0


def test_judgments_of_another_collection_cannot_be_evaluated(tmp_path: Path):
    folder = write_collection(tmp_path / "c", qrels={"q1": {"alpha": 1}, "q2": {"beta": 1}})
    with pytest.raises(DataError, match=r"c: qrels: none of its 2 documents is in .*Are both of the same collection"):
        evaluated(folder, tmp_path)


def test_objects_are_checked_as_files_are(tmp_path: Path):
    with pytest.raises(DataError, match=r"dataset: qrels: its only document is not in the corpus: .*dataset.maxp='#'"):
        evaluated(({"D1#0": "bees", "D2#0": "cows"}, {"q1": "bees"}, {"q1": {"D1": 1}}), tmp_path)


def test_some_judged_documents_in_the_corpus_are_enough(tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture):
    folder = write_collection(tmp_path / "c", qrels={"q1": {"d1": 1, "gone": 1}, "q2": {"gone": 1}})
    with caplog.at_level(logging.WARNING, logger="evalkit"):
        load(FolderDatasetConfig(path=str(folder)), store)
    assert "1 judged document" in caplog.text


def test_documents_that_other_queries_than_the_sampled_ones_lack_do_not_count(tmp_path: Path, store: Store):
    judged = {query_id: {"d1": 1} for query_id in ("q1", "q2")}
    folder = write_collection(tmp_path / "c", qrels=judged)
    (kept,) = load(FolderDatasetConfig(path=str(folder), sample=1), store).queries
    judged["q2" if kept == "q1" else "q1"] = {"gone": 1, "lost": 1}
    dataset = load(FolderDatasetConfig(path=str(write_collection(tmp_path / "d", qrels=judged)), sample=1), store)
    assert (dict(dataset.qrels), dataset.notes["judged_documents_absent"]) == ({kept: {"d1": 1}}, 2)
    require_judged_documents(dataset, "qrels", "corpus")


def test_maxp_that_cuts_more_than_the_judgments_says_where_it_cuts(tmp_path: Path):
    documents = {"a#1#0": ("", "bees"), "a#1#1": ("", "cows")}
    folder = write_collection(tmp_path / "c", documents, qrels={"q1": {"a#1": 1}, "q2": {"a#1": 1}})
    with pytest.raises(
        DataError, match=r"maxp takes what is before the first # of an id: judge documents of these ids"
    ):
        evalkit.evaluate(
            folder, retriever="bm25", results_dir=tmp_path / "r", cache_dir=tmp_path / "k", **{"dataset.maxp": "#"}
        )
