"""The dataset's doctor counts what is there, and names it."""

import json
from pathlib import Path

import pytest

from evalkit.config import BundledDatasetConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.inspection import Finding, Inspection, inspect
from evalkit.store import Store

DOCUMENTS = [
    {"_id": "d1", "title": "", "text": "the same"},
    {"_id": "d2", "title": "the", "text": "same"},
    {"_id": "d3", "title": "", "text": "  "},
    {"_id": "q1", "title": "", "text": "a document whose id a query has"},
    {"_id": "d4", "title": "", "text": ""},
    {"_id": "d5", "title": "", "text": "the same"},
]
QUERIES = [
    {"_id": "q1", "text": "same"},
    {"_id": "q2", "text": "same"},
    {"_id": "q3", "text": " "},
    {"_id": "q4", "text": "unjudged"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\tq1\t1\nq1\td1\t2\nq2\tgone\t1\nq2\tlost\t0\nq3\td3\t0\n"


@pytest.fixture
def inspection(tmp_path: Path, store: Store) -> Inspection:
    folder = tmp_path / "ill"
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(QRELS, encoding="utf-8")
    return inspect(load(FolderDatasetConfig(path=str(folder)), store))


def test_everything_that_may_surprise_is_counted_and_named(inspection: Inspection):
    assert inspection.findings == (
        Finding("empty documents", 2, ("d3", "d4")),
        Finding("documents that repeat an earlier one's text", 2, ("d2", "d5")),
        Finding("empty queries", 1, ("q3",)),
        Finding("queries that repeat an earlier one's text", 1, ("q2",)),
        Finding("judged queries without a relevant document", 1, ("q3",)),
        Finding("queries without judgments in this split", 1),
        Finding("ids that a query and a document share", 1, ("q1",)),
        Finding("queries whose relevant document has their own id", 1, ("q1",)),
        Finding("judged documents that the corpus lacks", 2, ("gone", "lost")),
        Finding("relevant documents that the corpus lacks", 1, ("gone",)),
    )


def test_candidates_of_a_dataset_are_looked_through(tmp_path: Path, store: Store):
    folder = tmp_path / "own"
    (folder / "qrels").mkdir(parents=True)
    for name, rows in (("corpus", DOCUMENTS), ("queries", QUERIES)):
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    (folder / "qrels" / "test.tsv").write_text(QRELS, encoding="utf-8")
    (folder / "candidates.tsv").write_text("q1\tq1\t2.5\nq1\td1\t1.5\nq2\tabsent\t1.5\n", encoding="utf-8")
    found = inspect(load(FolderDatasetConfig(path=str(folder)), store)).findings[-3:]
    assert found == (
        Finding("queries without candidates", 1, ("q3",)),
        Finding("candidates that the corpus lacks", 1, ("absent",)),
        Finding("queries whose candidates have every relevant document", 1, ("q1",)),
    )


def test_sizes_grades_and_lengths_are_those_of_the_collection(inspection: Inspection):
    assert (inspection.documents, inspection.queries) == (6, 3)
    assert inspection.grades == {0: 2, 1: 2, 2: 1}
    lengths = inspection.document_characters
    assert (lengths.least, lengths.most, lengths.mean) == (0, 31, pytest.approx((3 * 8 + 31) / 6))
    assert (inspection.query_characters.least, inspection.query_characters.most) == (1, 4)
    assert (inspection.relevant_per_query.least, inspection.relevant_per_query.most) == (0, 2)


def test_a_bundled_collection_has_nothing_that_surprises(store: Store):
    inspection = inspect(load(BundledDatasetConfig(name="mini"), store))
    assert [finding for finding in inspection.findings if finding.count] == []


@pytest.mark.shared
def test_the_lengths_of_scifact_are_the_published_ones(shared: Path, store: Store):
    inspection = inspect(load(FolderDatasetConfig(path=str(shared / "data" / "scifact")), store))
    lengths = inspection.document_characters
    assert (lengths.least, lengths.most, round(lengths.mean, 1)) == (221, 10127, 1499.4)
    assert lengths.mean * 5183 == pytest.approx(7771451, abs=0.5)
    assert round(inspection.query_characters.mean, 1) == 90.3
    assert {finding.what: finding.count for finding in inspection.findings if finding.count} == {
        "queries without judgments in this split": 809
    }
