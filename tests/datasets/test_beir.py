"""Collections in BEIR layout: what is read from them, what fixes their digest, and what is refused."""

import gzip
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stubs import DOCUMENTS, QRELS, QUERIES, write_collection

from evalkit.config import BundledDatasetConfig, DatasetConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.datasets.hub_dataset import HubDatasetConfig
from evalkit.errors import ConfigError, DataError
from evalkit.store import Store
from evalkit.types import Dataset

GOOD = '{"_id": "d1", "title": "", "text": "The moon pulls the sea."}'


def read(path: Path, store: Store, **changed: object) -> Dataset:
    return load(FolderDatasetConfig(name="toy", path=str(path), **changed), store)


def refusal(path: Path, store: Store, **changed: object) -> str:
    """The one-line message of a collection that is refused; nothing of it may stay in the store."""
    with pytest.raises(DataError) as caught:
        read(path, store, **changed)
    assert list(store.root.glob("[!l]*/*")) == [], "a failure left something in the store"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(dataset: Dataset) -> list[str]:
    return dataset.documents.texts(range(len(dataset.documents)))


def test_a_collection_is_read_as_it_was_written(collection: Path, store: Store):
    dataset = read(collection, store)
    assert dataset.documents.ids.to_pylist() == list(DOCUMENTS)
    assert texts(dataset) == [f"{title} {text}".strip() for title, text in DOCUMENTS.values()]
    assert dataset.qrels == QRELS
    assert (dataset.name, dataset.split, dataset.language) == ("toy", "test", "en")


def test_only_judged_queries_are_read_in_ascending_order(tmp_path: Path, store: Store):
    queries = {"q10": "ten", "q9": "nine", "q1": "one", "q2": "not judged"}
    qrels = {"q9": {"d1": 1}, "q1": {"d1": 1}, "q10": {"d2": 1}}
    dataset = read(write_collection(tmp_path / "c", queries=queries, qrels=qrels), store)
    assert list(dataset.queries.items()) == [("q1", "one"), ("q10", "ten"), ("q9", "nine")]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"_id": "d", "title": "Tides", "text": "The moon."}', "Tides The moon."),
        ('{"_id": "d", "title": "", "text": "The moon."}', "The moon."),
        ('{"_id": "d", "title": null, "text": "The moon."}', "The moon."),
        ('{"_id": "d", "text": "The moon."}', "The moon."),
        ('{"_id": "d", "title": "Tides", "text": ""}', "Tides"),
        ('{"_id": "d", "title": " Tides ", "text": " The\\nmoon.\\t"}', "Tides   The\nmoon."),
        ('{"_id": "d", "title": " ", "text": "\\n"}', ""),
        ('{"_id": "d", "text": "a\\u2028b\\u0000c", "metadata": {"url": "x"}}', "a\u2028b\x00c"),
        ('{"_id": "d", "text": "\\ud83c\\udf0a"}', "\N{WATER WAVE}"),
    ],
)
def test_the_text_of_a_document_is_title_and_text_joined_and_stripped(
    collection: Path, store: Store, line: str, expected: str
):
    (collection / "corpus.jsonl").write_text(line + "\n", encoding="utf-8")
    assert texts(read(collection, store)) == [expected]


def test_the_title_separator_is_the_configured_one(collection: Path, store: Store):
    assert texts(read(collection, store, title_separator="\n"))[0] == "Tides\nThe moon pulls the sea and makes tides."


@given(
    st.dictionaries(
        st.text("abc\u6d77", min_size=1, max_size=4),
        st.tuples(st.text(max_size=5), st.text(max_size=20)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_documents_come_back_with_their_ids_and_texts_in_order(tmp_path_factory, documents):
    folder = tmp_path_factory.mktemp("any")
    dataset = read(write_collection(folder / "c", documents=documents), Store(folder / "cache"))
    assert dataset.documents.ids.to_pylist() == list(documents)
    assert texts(dataset) == [f"{title} {text}".strip() for title, text in documents.values()]


def test_an_empty_document_stays_and_is_counted(collection: Path, store: Store):
    dataset = read(collection, store)
    assert texts(dataset)[3] == ""
    assert dataset.notes["empty_documents"] == 1
    assert dataset.notes["documents"] == 5


def test_integer_ids_are_read_as_their_digits(tmp_path: Path, store: Store):
    folder = write_collection(tmp_path / "c", qrels={"7": {"42": 1}})
    (folder / "corpus.jsonl").write_text('{"_id": 42, "text": "a"}\n{"_id": "43", "text": "b"}\n', encoding="utf-8")
    (folder / "queries.jsonl").write_text('{"_id": 7, "text": "what"}\n', encoding="utf-8")
    dataset = read(folder, store)
    assert dataset.documents.ids.to_pylist() == ["42", "43"]
    assert dataset.queries == {"7": "what"}
    assert dataset.notes["judged_documents_absent"] == 0


def test_judged_documents_that_the_corpus_lacks_are_counted_and_warned_of(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
):
    qrels = {"q1": {"d1": 1, "gone1": 2, "gone2": 0}, "q2": {"gone1": 1, "gone3": 1}}
    folder = write_collection(tmp_path / "c", qrels=qrels)
    with caplog.at_level(logging.WARNING, logger="evalkit"):
        dataset = read(folder, store)
    assert dataset.notes["judged_documents_absent"] == 3
    assert dataset.notes["relevant_documents_absent"] == 2
    (record,) = caplog.records
    assert record.getMessage().startswith("toy: 3 judged documents (2 of them relevant) are not in the corpus")


def test_thousands_of_absent_documents_are_written_alike(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
):
    folder = write_collection(tmp_path / "c", qrels={"q1": {"d1": 1, **{f"gone{row}": 1 for row in range(1_002)}}})
    read(folder, store)
    assert "toy: 1,002 judged documents (1,002 of them relevant) are not in the corpus" in caplog.text


def test_a_sound_collection_gives_no_warning(collection: Path, store: Store, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        read(collection, store)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("ending", "start"), [("\n", ""), ("\r\n", ""), ("\n\n", ""), ("\n", "\ufeff")], ids=["lf", "crlf", "blanks", "bom"]
)
def test_line_endings_blank_lines_and_a_byte_order_mark_do_not_matter(
    collection: Path, store: Store, ending: str, start: str
):
    expected = read(collection, store)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        lines = (collection / name).read_text(encoding="utf-8").splitlines()
        (collection / name).write_bytes((start + ending.join(lines)).encode())
    dataset = read(collection, store)
    assert texts(dataset) == texts(expected)
    assert dataset.queries == expected.queries
    assert dataset.qrels == expected.qrels


def test_another_split_is_read_where_the_configuration_says_so(collection: Path, store: Store):
    (collection / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq3\td5\t1\n", encoding="utf-8")
    dataset = read(collection, store, split="dev")
    assert (dataset.split, dict(dataset.queries), dataset.qrels) == ("dev", {"q3": "not judged"}, {"q3": {"d5": 1}})


# What fixes the digest


def test_the_digest_is_the_same_in_another_folder_under_another_name_and_in_another_store(
    collection: Path, store: Store, tmp_path: Path
):
    first = read(collection, store)
    again = load(
        FolderDatasetConfig(name="other", path=str(write_collection(tmp_path / "elsewhere"))), Store(tmp_path / "s2")
    )
    assert (first.digest, first.corpus_digest) == (again.digest, again.corpus_digest)


def test_a_query_that_is_not_judged_does_not_change_the_digest(collection: Path, tmp_path: Path, store: Store):
    queries = {**QUERIES, "q3": "still not judged", "q4": "nor this one"}
    assert read(write_collection(tmp_path / "c", queries=queries), store).digest == read(collection, store).digest


@pytest.mark.parametrize(
    "changed",
    [
        {"documents": {**DOCUMENTS, "d5": ("Moon", "The moon has no water.")}},
        {"documents": {**DOCUMENTS, "d6": ("", "one more")}},
        {"documents": dict(reversed(DOCUMENTS.items()))},
        {"queries": {**QUERIES, "q1": "why does the sea have waves"}},
        {"qrels": {**QRELS, "q1": {"d1": 1, "d5": 1}}},
        {"qrels": {**QRELS, "q1": {"d1": 2}}},
        {"qrels": {**QRELS, "q3": {"d1": 1}}},
    ],
    ids=["document", "longer", "order", "query", "grade", "fewer_judgments", "one_more_query"],
)
def test_changed_content_changes_the_digest(collection: Path, tmp_path: Path, store: Store, changed: dict):
    assert read(write_collection(tmp_path / "changed", **changed), store).digest != read(collection, store).digest


@pytest.mark.parametrize("changed", [{"language": "zh"}, {"title_separator": "\n"}, {"drop_identical_ids": True}])
def test_a_changed_policy_changes_the_digest_and_not_the_corpus_digest(collection: Path, store: Store, changed: dict):
    plain, other = read(collection, store), read(collection, store, **changed)
    assert other.digest != plain.digest
    assert other.corpus_digest == plain.corpus_digest


def test_a_corpus_is_converted_once_and_found_again(collection: Path, store: Store):
    read(collection, store)
    (artefact,) = (store.root / "corpora").iterdir()
    made = (artefact / "documents.arrow").stat().st_mtime_ns
    read(collection, store, title_separator="\n", split="test")
    assert [(artefact / "documents.arrow").stat().st_mtime_ns] == [
        (folder / "documents.arrow").stat().st_mtime_ns for folder in (store.root / "corpora").iterdir()
    ]
    assert (artefact / "documents.arrow").stat().st_mtime_ns == made


# What is refused


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
@pytest.mark.parametrize(
    ("line", "part"),
    [
        (b'{"_id": "d2", "text": "cut', "not JSON"),
        (b"moon", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"_id": %s, "text": "a"}' % (b"1" * 5000), "not JSON"),
        (b'["d2", "", "text"]', "a JSON list, expected an object"),
        (b"null", "a JSON NoneType, expected an object"),
        (b'{"title": "", "text": "a"}', "has no id, only ['title', 'text']"),
        (b'{"identifier": "d2", "text": "a"}', "has no id, only ['identifier', 'text']"),
        (b'{"_id": null, "text": "a"}', "_id is None"),
        (b'{"_id": NaN, "text": "a"}', "_id is nan"),
        (b'{"_id": "", "text": "a"}', "_id is ''"),
        (b'{"_id": true, "text": "a"}', "_id is True"),
        (b'{"_id": 1.5, "text": "a"}', "_id is 1.5"),
        (b'{"_id": "d\\t2", "text": "a"}', "holds a tab, a line break, a NUL or outer blanks"),
        (b'{"_id": "d\\n2", "text": "a"}', "holds a tab, a line break, a NUL or outer blanks"),
        (b'{"_id": " d2", "text": "a"}', "holds a tab, a line break, a NUL or outer blanks"),
        (b'{"_id": "d2", "title": "a"}', "has no text, only ['_id', 'title']"),
        (b'{"_id": "d2", "text": true}', "text is True"),
        (b'{"_id": "d2", "text": ["a"]}', "text is ['a']"),
        (b'{"_id": "d2", "title": true, "text": "a"}', "title is True"),
        (b'{"_id": "d2", "title": ["a"], "text": "a"}', "title is ['a']"),
        (b'{"_id": "d2", "title": Infinity, "text": "a"}', "title is inf"),
        (b'{"_id": "d2", "text": "a\\ud83d"}', "text holds half of a surrogate pair"),
        (b'{"_id": "d2", "title": "\\udf0a", "text": "a"}', "title holds half of a surrogate pair"),
        (b'{"_id": "d2\\ud83d", "text": "a"}', "holds half of a surrogate pair"),
        (b'{"_id": "d2", "text": "caf\xe9"}', "not UTF-8"),
        (b'{"_id": "d2", "text": "a", "_id": "d3"}', "'_id' occurs twice in one object"),
        (b'{"_id": "d2", "text": "a", "\\u0074ext": "b"}', "'text' occurs twice in one object"),
    ],
)
def test_a_malformed_record_names_file_and_line(collection: Path, store: Store, name: str, line: bytes, part: str):
    (collection / name).write_bytes(GOOD.encode() + b"\n" + line + b"\n")
    message = refusal(collection, store)
    assert message.startswith(f"{collection / name}:2: ")
    assert part in message
    assert len(message) < 400 + len(str(collection))


def test_a_key_that_occurs_twice_below_the_object_of_a_line_is_not_read_and_does_no_harm(
    collection: Path, store: Store
):
    (collection / "corpus.jsonl").write_text('{"_id": "d1", "text": "moon", "metadata": {"a": 1, "a": 2}}\n')
    assert read(collection, store).documents.texts([0]) == ["moon"]


def test_a_line_number_counts_blank_lines_too(collection: Path, store: Store):
    (collection / "corpus.jsonl").write_text(f"\n{GOOD}\n\n{{}}\n", encoding="utf-8")
    assert refusal(collection, store).startswith(f"{collection / 'corpus.jsonl'}:4: ")


def test_a_malformed_record_in_a_compressed_corpus_names_its_line(collection: Path, store: Store):
    (collection / "corpus.jsonl").unlink()
    (collection / "corpus.jsonl.gz").write_bytes(gzip.compress(f"{GOOD}\nmoon\n".encode()))
    assert refusal(collection, store).startswith(f"{collection / 'corpus.jsonl.gz'}:2: not JSON")


def test_a_record_behind_the_first_batch_leaves_nothing_of_the_first_batch(collection: Path, store: Store):
    rows = "".join(f'{{"_id": "d{number}", "text": ""}}\n' for number in range(10_000))
    (collection / "corpus.jsonl").write_text(rows + "{}\n", encoding="utf-8")
    assert refusal(collection, store).startswith(f"{collection / 'corpus.jsonl'}:10001: ")


def test_a_document_id_that_occurs_twice_names_both_lines(collection: Path, store: Store):
    other = '{"_id": "d1", "text": ""}'
    (collection / "corpus.jsonl").write_text(f"{GOOD}\n\n{GOOD}\n{other}\n", encoding="utf-8")
    message = refusal(collection, store)
    assert message.startswith(f"{collection / 'corpus.jsonl'}:4: document id 'd1'")
    assert "line 1" in message


def test_a_document_id_that_occurs_as_number_and_string_occurs_twice(collection: Path, store: Store):
    (collection / "corpus.jsonl").write_text('{"_id": 1, "text": ""}\n{"_id": "1", "text": "a"}\n', encoding="utf-8")
    assert refusal(collection, store).startswith(f"{collection / 'corpus.jsonl'}:2: document id '1'")


def test_a_query_id_that_occurs_twice_names_its_line(collection: Path, store: Store):
    rows = '{"_id": "q1", "text": "a"}\n{"_id": "q1", "text": "b"}\n'
    (collection / "queries.jsonl").write_text(rows, encoding="utf-8")
    assert refusal(collection, store).startswith(f"{collection / 'queries.jsonl'}:2: query id 'q1' occurs twice")


def test_judged_queries_without_text_are_counted_and_one_is_named(tmp_path: Path, store: Store):
    folder = write_collection(tmp_path / "c", qrels={"q1": {"d1": 1}, "q7": {"d1": 1}, "q8": {"d1": 1}})
    message = refusal(folder, store)
    assert message.startswith(f"{folder / 'queries.jsonl'}: lacks 2 of the 3 queries judged in qrels/test.tsv")
    assert "'q7'" in message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("query-id\tcorpus-id\tscore\nq1\td1\thigh\n", ":2: the relevance is 'high'"),
        ("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td1\n", ":3: 2 fields"),
        ("query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td1\t2\n", ":3: document 'd1' is judged 2"),
        ("query-id\tcorpus-id\tscore\n", ": holds no judgments"),
        ("", ": holds no judgments"),
    ],
)
def test_malformed_judgments_name_file_and_line(collection: Path, store: Store, content: str, part: str):
    (collection / "qrels" / "test.tsv").write_text(content, encoding="utf-8")
    assert refusal(collection, store).startswith(f"{collection / 'qrels' / 'test.tsv'}{part}")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_corpus_is_refused(collection: Path, store: Store, content: str):
    (collection / "corpus.jsonl").write_text(content, encoding="utf-8")
    assert refusal(collection, store) == f"{collection / 'corpus.jsonl'}: holds no documents."


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_the_error_for_a_missing_file_shows_the_layout(collection: Path, store: Store, name: str):
    (collection / name).unlink()
    message = refusal(collection, store)
    assert message.startswith(f"{collection}: recognised as BEIR layout (")
    assert re.search(rf"; no (documents|queries) \({name}\)\. Expected", message)
    assert "corpus.jsonl, queries.jsonl and qrels/<split>.tsv" in message


def test_a_wrong_split_lists_the_ones_there_are(collection: Path, store: Store):
    (collection / "qrels" / "dev.tsv.gz").write_bytes(gzip.compress(b"q1\td1\t1\n"))
    message = refusal(collection, store, split="train")
    assert message.startswith(f"{collection / 'qrels' / 'train.tsv'}: no such file.")
    assert "splits dev, test: set dataset.split" in message


def test_a_folder_without_judgments_says_so(collection: Path, store: Store):
    (collection / "qrels" / "test.tsv").unlink()
    assert "; no judgments (qrels/test.tsv)." in refusal(collection, store)
    (collection / "qrels").rmdir()
    assert "; no judgments (qrels/test.tsv)." in refusal(collection, store)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path, store: Store):
    assert refusal(tmp_path / "nowhere", store).startswith(f"{tmp_path / 'nowhere'}: no such folder or zip.")


@given(
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([GOOD.encode(), b"{}", b"\xef\xbb\xbf"])), max_size=4)
)
@example([b"\xff\xfe\x00\x00\xff\xff\xff\xff"])  # the mark of UTF-32, and no text behind it
def test_any_bytes_as_a_corpus_are_read_or_refused_in_one_line(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("bytes")
    write_collection(folder / "c")
    (folder / "c" / "corpus.jsonl").write_bytes(b"\n".join(lines))
    try:
        dataset = read(folder / "c", Store(folder / "cache"))
    except DataError as error:
        assert str(error).startswith(f"{folder / 'c' / 'corpus.jsonl'}:")  # noqa: PT017 - either outcome is right
    else:
        assert len(dataset.documents) > 0


# Which source a configuration means


@pytest.mark.parametrize(
    "config",
    [
        lambda path: FolderDatasetConfig(path=path),
        lambda path: HubDatasetConfig(name="scifact", hub_id="mteb/scifact", revision="d5" * 20, path=path),
    ],
    ids=["folder", "hub"],
)
def test_a_path_wins_over_the_published_source(collection: Path, store: Store, config: Callable[[str], DatasetConfig]):
    assert load(config(str(collection)), store).documents.ids.to_pylist() == list(DOCUMENTS)


def test_another_collection_is_not_passed_off_as_a_bundled_one(collection: Path):
    with pytest.raises(ConfigError, match="dataset=folder"):
        BundledDatasetConfig(name="mini", path=str(collection))


def test_a_tilde_in_the_path_is_the_home_folder(collection: Path, store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(collection.parent))
    assert len(read(Path("~") / collection.name, store).documents) == 5


def test_a_configuration_without_a_loader_is_a_config_error(store: Store):
    with pytest.raises(ConfigError, match="no loader for DatasetConfig"):
        load(DatasetConfig(name="x"), store)


# Collections as people bring them

BROUGHT = {
    "beir-one-nested": ["Bees Bees make honey in hives.", "Cows Cows give milk on farms.", "Sun The sun is a star."],
    "corpus-array": ["Bees Bees make honey", "Cows give milk"],
    "csv-collection": ["Bees Bees, make honey"],
    "dup-docs-same": ["Bees make honey", "Cows give milk"],
    "msmarco-tsv": ["Bees make honey in hives", "Cows give milk"],
    "pyserini-keys": ["Bees\nBees make honey", "Cows give milk"],
    "qrels-root": ["Bees Bees make honey in hives.", "Cows Cows give milk on farms.", "Sun The sun is a star."],
    "title-nan": ["Bees make honey", "Cows Cows give milk"],
}


@pytest.mark.shared
@pytest.mark.parametrize("case", BROUGHT)
def test_a_collection_as_people_bring_it_is_read(shared: Path, store: Store, case: str):
    dataset = load(FolderDatasetConfig(path=str(shared / "cases" / case)), store)
    assert texts(dataset) == BROUGHT[case]
    assert dataset.notes["judged_documents_absent"] == 0
    assert dataset.name == case


def test_judgments_of_other_documents_alone_are_refused_with_an_id_that_looks_alike(tmp_path: Path, store: Store):
    qrels = {"q1": {"4983.0": 1, "71.0": 1}, "q2": {"4983.0": 1}}
    folder = write_collection(tmp_path / "c", {"4983": ("", "a"), "71": ("", "b")}, qrels=qrels)
    with pytest.raises(DataError) as caught:
        read(folder, store)
    message = str(caught.value)
    assert message.startswith(
        f"{folder / 'qrels' / 'test.tsv'}: none of its 2 documents is in {folder / 'corpus.jsonl'}: "
    )
    assert "'4983.0' stands in the judgments and '4983' in the corpus" in message
