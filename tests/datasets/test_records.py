"""What pandas and others write where a text is missing or a number: read, counted, and said."""

import logging

import pytest

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.records import DOCUMENTS, QUERIES, checked
from evalkit.errors import DataError
from evalkit.store import Store


@pytest.mark.parametrize(
    ("fields", "expected", "unusual"),
    [
        ({"_id": "a", "text": "t"}, ("a", "", "t"), ()),
        ({"_id": "a", "title": "", "text": ""}, ("a", "", ""), ()),
        ({"_id": "a", "title": None, "text": "t"}, ("a", "", "t"), ("titles_missing",)),
        ({"_id": "a", "title": float("nan"), "text": "t"}, ("a", "", "t"), ("titles_missing",)),
        ({"_id": "a", "title": 1984.0, "text": "t"}, ("a", "1984", "t"), ("titles_that_are_numbers",)),
        ({"_id": "a", "title": 0, "text": "t"}, ("a", "0", "t"), ("titles_that_are_numbers",)),
        ({"_id": "a", "title": 2.5, "text": "t"}, ("a", "2.5", "t"), ("titles_that_are_numbers",)),
        ({"_id": "a", "text": 7}, ("a", "", "7"), ("texts_that_are_numbers",)),
        ({"_id": "a", "text": float("nan")}, ("a", "", ""), ("texts_missing",)),
        ({"_id": "a", "title": None, "text": None}, ("a", "", ""), ("titles_missing", "texts_missing")),
        ({"_id": 4983, "text": "t"}, ("4983", "", "t"), ()),
        ({"_id": 4983.0, "text": "t"}, ("4983", "", "t"), ("ids_that_are_floats",)),
        ({"_id": "4983.0", "text": "t"}, ("4983.0", "", "t"), ()),
        ({"id": "a", "contents": "T\nt"}, ("a", "", "T\nt"), ()),
        ({"docid": "a", "title": "T", "contents": "t"}, ("a", "T", "t"), ()),
        ({"id": "row 1", "_id": "a", "contents": "x", "text": "t"}, ("a", "", "t"), ()),
    ],
)
def test_what_is_usual_is_read_as_it_is_and_the_rest_is_counted(fields, expected, unusual):
    record = checked(fields, "corpus.jsonl:1")
    assert (record.id, record.title, record.text) == expected
    assert record.unusual == unusual


@pytest.mark.parametrize("text", [None, float("nan")])
def test_a_query_without_a_text_is_counted(text):
    assert checked({"_id": "q", "text": text}, "q:1", QUERIES)[3::2] == ("", ("texts_missing",))
    assert checked({"qid": 3.0, "query": 1984}, "q:1", QUERIES)[1:4] == ("3", "", "1984")


def test_a_row_without_id_or_text_names_its_keys():
    with pytest.raises(DataError, match=r"c:1: has no id, only \['key', 'text'\]. Its key may be _id, id, "):
        checked({"key": "a", "text": "t"}, "c:1", DOCUMENTS)
    with pytest.raises(DataError, match=r"c:1: has no text, only \['_id', 'words'\]. Its key may be text, contents"):
        checked({"_id": "a", "words": "t"}, "c:1", DOCUMENTS)


def test_counts_are_said_and_noted_also_of_a_corpus_that_was_converted_before(collection, tmp_path, caplog):
    (collection / "corpus.jsonl").write_text(
        '{"_id": "d1", "title": NaN, "text": "a"}\n{"_id": "d1", "title": null, "text": "a"}\n'
        '{"_id": "d2", "title": 7, "text": null}\n{"_id": "d3", "text": "a"}\n{"_id": "d1", "text": "a"}\n'
    )
    (collection / "queries.jsonl").write_text(
        '{"_id": "q1", "text": 12}\n{"_id": "q2", "text": "a"}\n{"_id": "q2", "text": "a"}\n'
    )
    store = Store(tmp_path / "cache")
    counts = {
        "titles_missing": 1,
        "titles_that_are_numbers": 1,
        "texts_missing": 1,
        "documents_repeated": 2,
        "query_texts_that_are_numbers": 1,
        "queries_repeated": 1,
    }
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            dataset = load(FolderDatasetConfig(name="toy", path=str(collection)), store)
        assert dataset.documents.ids.to_pylist() == ["d1", "d2", "d3"]
        assert counts.items() <= dataset.notes.items()
        assert sum(message.startswith("toy: ") for message in caplog.messages) == len(counts) + 1  # and absent d5
        assert "toy: 2 documents repeat an earlier one of the same id, title and text, and are left out." in caplog.text


def test_a_usual_collection_has_no_such_counts(collection, store):
    notes = load(FolderDatasetConfig(name="toy", path=str(collection)), store).notes
    assert not {name for name in notes if "missing" in name or "numbers" in name or "repeated" in name}
