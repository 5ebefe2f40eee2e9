"""Assembling a dataset from its parts: digests and the counts of the manifest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.config import DatasetConfig, ExpectedCounts, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.assemble import Judged, assemble
from evalkit.errors import ConfigError, DataError
from evalkit.run import Run
from evalkit.store import Store
from evalkit.types import Dataset


@dataclass
class ListDocuments:
    """Documents in memory."""

    content: dict[str, str]

    @property
    def ids(self) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array(list(self.content), pa.string())])

    def __len__(self) -> int:
        return len(self.content)

    def sizes(self) -> np.ndarray:
        return np.array([len(text.encode()) for text in self.content.values()], np.int32)

    def texts(self, rows) -> list[str]:
        return [list(self.content.values())[row] for row in rows]


CONTENT = {"d1": "moon", "d2": "", "d3": "bread", "d4": ""}
QUERIES = {"q1": "tides", "q2": "yeast", "q3": "nothing"}
QRELS = {"q1": {"d1": 2, "gone": 1}, "q2": {"d3": 1, "d2": 0, "lost": 0}, "q3": {"d1": 0, "d2": -1}}


def built(store: Store, **changed: object) -> Dataset:
    parts = {"documents": ListDocuments(CONTENT), "corpus_digest": "c0"}
    judged = {"queries": QUERIES, "qrels": QRELS, "answers": {}, "unjudged_queries": 5}
    judged |= {"instructions": {}, "candidates": None, "excluded": {}}
    settings_ = {key: value for key, value in changed.items() if key not in {**parts, **judged}}
    chosen = {key: changed.get(key, value) for key, value in parts.items()}
    chosen["judged"] = Judged(**{key: changed.get(key, value) for key, value in judged.items()})
    return assemble(DatasetConfig(**{"name": "toy", **settings_}), store, **chosen)


def test_the_notes_count_what_a_report_needs(store: Store):
    expected = {
        "documents": 4,
        "empty_documents": 2,
        "queries": 3,
        "judgments": 7,
        "relevant_judgments": 3,
        "queries_without_relevant": 1,
        "judged_documents_absent": 2,
        "relevant_documents_absent": 1,
        "unjudged_queries": 5,
    }
    assert expected == built(store).notes


def test_the_digest_does_not_depend_on_the_order_of_queries_and_judgments(store: Store):
    reordered = {query: dict(reversed(grades.items())) for query, grades in reversed(QRELS.items())}
    expected = built(store)
    actual = built(store, qrels=reordered, queries=dict(reversed(QUERIES.items())))
    assert expected.digest == actual.digest
    assert expected.notes == actual.notes


@pytest.mark.parametrize(
    "changed",
    [
        {"corpus_digest": "c1"},
        {"queries": {**QUERIES, "q1": "tide"}},
        {"qrels": {**QRELS, "q1": {"d1": 1, "gone": 1}}},
        {"language": "zh"},
        {"title_separator": "\n"},
        {"drop_identical_ids": True},
        {"maxp": "#"},
        {"queries_without_relevant": "drop"},
        {"answers": {"q1": ("a",), "q2": ("b",), "q3": ("c",)}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_everything_that_decides_a_score_is_in_the_digest(store: Store, changed: dict):
    assert built(store, **changed).digest != built(store).digest


@pytest.mark.parametrize("changed", [{"name": "other"}, {"split": "dev"}, {"path": "elsewhere"}])
def test_what_a_dataset_is_called_is_not_in_the_digest(store: Store, changed: dict):
    assert built(store, **changed).digest == built(store).digest


def test_queries_without_a_relevant_document_are_dropped_when_asked_for_and_counted(store: Store):
    dataset = built(store, queries_without_relevant="drop")
    assert list(dataset.queries) == list(dataset.qrels) == ["q1", "q2"]
    assert dataset.notes["queries"] == 3
    assert dataset.notes["queries_dropped"] == 1


EXPECTED = {"documents": 4, "queries": 3, "judgments": 7, "relevant": 3}


def test_a_dataset_that_is_what_its_card_says_differs_in_nothing(store: Store, caplog):
    assert built(store, expected=ExpectedCounts(**EXPECTED), check="strict").differences == {}
    assert caplog.text == ""


@pytest.mark.parametrize("changed", ["documents", "queries", "judgments", "relevant"])
def test_each_count_that_differs_from_the_card_is_named(store: Store, changed: str, caplog):
    expected = ExpectedCounts(**{**EXPECTED, changed: 1_234})
    with pytest.raises(
        DataError, match=rf"toy is not what its card says: {changed} {EXPECTED[changed]}, expected 1,234"
    ):
        built(store, expected=expected, check="strict")
    differences = {changed: f"{EXPECTED[changed]}, expected 1,234"}
    assert built(store, expected=expected, check="off").differences == differences
    assert caplog.text == ""
    assert built(store, expected=expected).differences == differences
    assert "not comparable with published ones" in caplog.text


def test_the_settings_are_carried_over(store: Store):
    dataset = built(store, name="n", split="dev", language="zh", title_separator="\n", drop_identical_ids=True)
    assert (dataset.name, dataset.split, dataset.language) == ("n", "dev", "zh")
    assert (dataset.title_separator, dataset.drop_identical_ids) == ("\n", True)


def test_the_count_of_empty_documents_belongs_to_the_joined_text_whatever_was_loaded_before(
    collection: Path, tmp_path: Path
):
    """With ` | ` between them, an empty title and an empty text join to `|`, which is not empty."""
    bar = FolderDatasetConfig(path=str(collection), title_separator=" | ")
    blank = FolderDatasetConfig(path=str(collection), title_separator=" ")
    fresh = load(bar, Store(tmp_path / "fresh")).notes["empty_documents"]
    used = Store(tmp_path / "used")
    load(blank, used)
    assert load(bar, used).notes["empty_documents"] == fresh


@given(
    corpus=st.sets(st.integers(0, 30), min_size=1),
    grades=st.dictionaries(st.integers(0, 40), st.integers(-1, 2), min_size=1),
)
@settings(max_examples=60, deadline=None)
def test_absent_judged_documents_are_those_outside_the_corpus(tmp_path_factory, corpus, grades):
    content = {f"d{number}": "text" for number in corpus}
    qrels = {"q1": {f"d{number}": grade for number, grade in grades.items()}}
    store = Store(tmp_path_factory.mktemp("store"))
    dataset = built(store, documents=ListDocuments(content), qrels=qrels, queries={"q1": "a"})
    outside = {number for number in grades if number not in corpus}
    assert dataset.notes["judged_documents_absent"] == len(outside)
    assert dataset.notes["relevant_documents_absent"] == sum(grades[number] > 0 for number in outside)
    rows = dataset.rows(pa.array(list(qrels["q1"]), pa.string()))
    assert np.count_nonzero(rows < 0) == len(outside)


def test_instructions_are_put_after_the_texts_of_queries_where_that_is_set(store: Store):
    """As mteb gives them to models; then no reranker gets them a second time."""
    instructions = {"q1": "only neap tides", "q2": "of rye"}
    dataset = built(store, instructions=instructions, append_instructions=True)
    assert dataset.queries == {"q1": "tides only neap tides", "q2": "yeast of rye", "q3": "nothing"}
    assert dataset.instructions == {}
    plain = built(store, instructions=instructions)
    assert (plain.queries, plain.instructions) == (QUERIES, instructions)
    assert plain.digest == built(store).digest != dataset.digest
    with pytest.raises(
        ConfigError, match=r"dataset\.append_instructions is set, and no query of toy has an instruction"
    ):
        built(store, append_instructions=True)


def test_only_what_is_said_of_judged_queries_is_kept(store: Store):
    candidates = Run.from_dict({"q1": {"d1": 2.0}, "q3": {"d2": 1.0}, "other": {"d1": 1.0}})
    given = {"candidates": candidates, "excluded": {"q3": ["d2"], "other": ["d1"], "q2": []}}
    assert built(store, **given).excluded == {"q3": ["d2"]}
    assert built(store, **given).candidates.query_ids == ("q1", "q3")
    dropping = built(store, **given, queries_without_relevant="drop")
    assert (dropping.candidates.query_ids, dropping.excluded) == (("q1",), {})
    assert built(store, **given, sample=1).candidates.query_ids in {("q1",), ("q3",), ()}


def test_relevant_documents_that_their_query_excludes_are_counted(store: Store):
    dataset = built(store, excluded={"q1": ["d1", "d3"], "q2": ["d2"]})
    assert (dataset.notes["excluded"], dataset.notes["relevant_documents_excluded"]) == (3, 1)
    assert "relevant_documents_excluded" not in built(store, excluded={"q2": ["d2"]}).notes
