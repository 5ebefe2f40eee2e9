"""What a dataset says of queries and documents that it lacks."""

import json
import re
from dataclasses import replace

import pytest

from evalkit import datasets
from evalkit.datasets.assemble import Judged
from evalkit.datasets.unknown_ids import of_absent_documents, of_unknown_queries
from evalkit.errors import DataError
from evalkit.load import config_of
from evalkit.store import Store

CORPUS = {"d1": "bees make honey", "d2": "cows give milk", "d3": "rye"}
QUERIES = {"q1": "who makes honey", "q2": "who gives milk", "q3": "is not judged"}
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 1}}


def loaded(store: Store, **parts: object) -> datasets.Dataset:
    config = config_of("dataset", "python", {"name": "own"})
    config.attach({"corpus": CORPUS, "queries": QUERIES, "qrels": QRELS, **parts})
    return datasets.load(config, store)


@pytest.mark.parametrize(
    ("what", "part", "of_each"),
    [
        ("exclusions", "excluded", ["d3"]),
        ("candidates", "candidates", {"d1": 1.0, "d2": 2.0}),
        ("candidates", "candidates", ["d1", "d3"]),
        ("instructions", "instructions", "only honey"),
    ],
)
def test_what_is_said_of_unknown_queries_is_told_with_one_of_them_and_changes_nothing(
    store: Store, caplog, what, part, of_each
):
    plain = loaded(store, **{part: {"q1": of_each, "q3": of_each}})
    assert caplog.text == ""
    assert not [name for name in plain.notes if "unknown" in name]
    dataset = loaded(store, **{part: {"q1": of_each, "q3": of_each, "Q1": of_each, "Q2": of_each}})
    assert f"own: the {what} of 2 queries, such as 'Q1', are not used: it has no such query." in caplog.text
    assert dataset.notes[f"{what}_of_unknown_queries"] == 2
    assert dataset.digest == plain.digest


@pytest.mark.parametrize(
    ("what", "part"),
    [("exclusions", {"excluded": {"Q1": ["d3"]}}), ("instructions", {"instructions": {"Q1": "only honey"}})],
)
def test_what_is_said_of_unknown_queries_alone_is_refused(store: Store, what, part):
    message = f"own: its {what} are of none of its queries: 'Q1' stands in the {what} and 'q1' in the queries."
    with pytest.raises(DataError, match=re.escape(message)):
        loaded(store, **part)


def test_excluded_documents_that_the_corpus_lacks_are_told_and_refused_where_it_has_none(store: Store, caplog):
    dataset = loaded(store, excluded={"q1": ["d3", "gone"], "q2": ["lost", "gone"], "q3": ["other"]})
    assert "own: 2 excluded documents, such as 'gone', are not in the corpus." in caplog.text
    assert dataset.notes["excluded_documents_absent"] == 2
    with pytest.raises(DataError, match="own: its corpus lacks its 1 excluded document: 'D3' stands in the ex"):
        loaded(store, excluded={"q1": ["D3"]})


def test_nothing_is_told_of_queries_and_documents_that_are_all_known(store: Store, caplog):
    dataset = loaded(store, excluded={"q1": ["d3"], "Q9": []}, candidates={"q1": ["d1"], "q2": ["d3"]})
    assert caplog.text == ""
    assert not [name for name in dataset.notes if "unknown" in name or name == "excluded_documents_absent"]


def test_published_exclusions_of_other_queries_and_documents_alone_are_told_and_not_refused(store: Store, caplog):
    """A published corpus or split may be a part of a larger one."""
    published = config_of("dataset", "scifact", {"source": "hub"})
    others = Judged({"q1": "a"}, QRELS, excluded={"Q1": ["d3"]}, other_queries=())
    assert of_unknown_queries(others, published) == {"exclusions_of_unknown_queries": 1}
    assert "scifact: the exclusions of 1 query, such as 'Q1', are not used" in caplog.text
    dataset = replace(loaded(store), excluded={"q1": ["D3"]})
    assert of_absent_documents(dataset, published) == {"excluded_documents_absent": 1}
    assert "1 excluded document, such as 'D3', is not in the corpus" in caplog.text


def test_where_a_source_may_have_more_queries_those_unknown_are_counted_alone(caplog):
    config = config_of("dataset", "python", {"name": "own"})
    judged = Judged({"q1": "a"}, QRELS, excluded={"Q1": ["d3"]}, other_queries=None)
    assert of_unknown_queries(judged, config) == {"exclusions_of_unknown_queries": 1}
    assert caplog.text == ""


def test_in_a_folder_too(store: Store, tmp_path, caplog):
    def write(name: str, rows: list[dict[str, object]]) -> None:
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    write("corpus.jsonl", [{"_id": key, "text": text} for key, text in CORPUS.items()])
    queries = [{"_id": key, "text": text, "excluded_ids": ["d3", "gone"]} for key, text in QUERIES.items()]
    write("queries.jsonl", queries)
    write("candidates.jsonl", [{"query-id": key, "corpus-ids": ["d1", "d2"]} for key in (*QUERIES, "Q1")])
    (tmp_path / "qrels").mkdir()
    rows = [f"{query}\t{doc}\t1\n" for query, docs in QRELS.items() for doc in docs]
    (tmp_path / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    dataset = datasets.load(config_of("dataset", "folder", {"path": str(tmp_path)}), store)
    assert "1 excluded document, such as 'gone', is not in the corpus." in caplog.text
    assert "the candidates of 1 query, such as 'Q1', are not used: it has no such query." in caplog.text
    assert (dataset.notes["excluded_documents_absent"], dataset.notes["candidates_of_unknown_queries"]) == (1, 1)
