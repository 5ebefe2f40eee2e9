"""Topics, judgments and documents of NeuCLIR: which files are taken, what a query is made of, and what is refused."""

import gzip
import io
import json
import random
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.datasets import load
from evalkit.datasets.neuclir import NeuclirDatasetConfig, find_places
from evalkit.errors import ConfigError, DataError
from evalkit.store import Store
from evalkit.types import Dataset

DOCUMENTS = [
    {"id": "a1", "title": "月亮", "text": "月亮没有空气。", "url": "https://example.org/1", "time": "2020-01-01"},
    {"id": "b2", "title": "", "text": "", "url": "", "time": ""},
    {"id": "c3", "title": "海", "text": "", "url": "", "time": ""},
]
JUDGED = {"10": {"a1": 3, "b2": 0}, "9": {"c3": 1}, "11": {"a1": 0, "gone": 0}}
MEMBER = "qrels.final.gains.zho"


def topic(topic_id: object, word: str) -> dict[str, Any]:
    """A topic in English, and in Chinese by two translators."""
    versions = [("eng", "original"), ("fas", "human translation"), ("zho", "human translation")]
    return {
        "topic_id": topic_id,
        "languages_with_qrels": ["zho"],
        "topics": [
            {
                "lang": language,
                "source": source,
                "topic_title": f" {word} title {language}",
                "topic_description": f"{word} description {source}\n",
                "topic_narrative": f"{word} narrative {language} {source}",
            }
            for language, source in [*versions, ("zho", "google translation")]
        ],
    }


TOPICS = [topic("10", "moon"), topic("9", "sea"), topic("8", "not judged"), topic("11", "air")]


def json_lines(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def qrels_lines(judged: Mapping[str, Mapping[str, int]] = JUDGED, language: str = "0") -> str:
    return "".join(
        f"{query} {language} {doc} {grade}\n" for query, grades in judged.items() for doc, grade in grades.items()
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The three files of a small collection."""
    made = tmp_path / "neuclir"
    made.mkdir()
    (made / "docs.jsonl").write_text(json_lines(DOCUMENTS), encoding="utf-8")
    (made / "topics.0720.utf8.jsonl").write_text(json_lines(TOPICS), encoding="utf-8")
    (made / "2022-qrels.all").write_text(qrels_lines(), encoding="utf-8")
    return made


def settings_of(path: Path | None, **changed: object) -> NeuclirDatasetConfig:
    """The card of a year's Chinese collection."""
    card = {
        "name": "neuclir_zh",
        "language": "zh",
        "query_language": "en",
        "document_language": "zho",
        "year": 2022,
        "hub_id": "nobody/documents",
        "hub_file": "data/zho-00000-of-00001.jsonl.gz",
        "documents_md5": "0" * 32,
        "topics_url": "https://example.org/topics.jsonl",
        "topics_md5": "1" * 32,
        "qrels_url": "https://example.org/qrels",
        "qrels_md5": "2" * 32,
    }
    return NeuclirDatasetConfig(**{**card, "path": path and str(path), **changed})


def read(path: Path | None, store: Store, **changed: object) -> Dataset:
    return load(settings_of(path, **changed), store)


def refusal(path: Path | None, store: Store, **changed: object) -> str:
    """The one-line message of what is refused; nothing of it may stay in the store."""
    with pytest.raises(DataError) as caught:
        load(settings_of(path, **changed), store)
    assert "\n" not in str(caught.value)
    assert [] == list(store.root.glob("[!l]*/*"))
    return str(caught.value)


def texts(dataset: Dataset) -> list[str]:
    return dataset.documents.texts(range(len(dataset.documents)))


def tarred(path: Path, members: Mapping[str, str], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


# What is read


def test_a_collection_is_read_as_it_was_written(folder, store):
    dataset = read(folder, store)
    assert JUDGED == dataset.qrels
    assert ["10", "11", "9"] == list(dataset.queries)
    assert ["a1", "b2", "c3"] == dataset.documents.ids.to_pylist()
    assert ["月亮 月亮没有空气。", "", "海"] == texts(dataset)
    assert ("zh", "en") == (dataset.language, dataset.query_language)


def test_counts_are_of_documents_judgments_and_topics(folder, store):
    expected = {
        "documents": 3,
        "empty_documents": 1,
        "queries": 3,
        "judgments": 5,
        "relevant_judgments": 2,
        "queries_without_relevant": 1,
        "judged_documents_absent": 1,
        "relevant_documents_absent": 0,
    }
    notes = read(folder, store).notes
    assert expected == {name: notes[name] for name in expected}


def test_topics_without_a_relevant_document_are_dropped_where_that_is_asked_for(folder, store):
    dataset = read(folder, store, queries_without_relevant="drop")
    assert ["10", "9"] == list(dataset.queries)
    assert {"10": JUDGED["10"], "9": JUDGED["9"]} == dataset.qrels
    assert 1 == dataset.notes["queries_dropped"]
    assert dataset.digest != read(folder, store).digest


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "moon title eng moon description original"),
        ({"query_field": "title"}, "moon title eng"),
        ({"query_field": "description"}, "moon description original"),
        ({"query_field": "narrative"}, "moon narrative eng original"),
        (
            {"query_field": "title+description+narrative"},
            "moon title eng moon description original moon narrative eng original",
        ),
        (
            {"query_field": "title+description", "topic_language": "zho", "topic_source": "human translation"},
            "moon title zho moon description human translation",
        ),
        (
            {"query_field": "narrative", "topic_language": "zho", "topic_source": "google translation"},
            "moon narrative zho google translation",
        ),
    ],
)
def test_a_query_is_made_of_the_parts_asked_for(folder, store, changed, expected):
    assert expected == read(folder, store, **changed).queries["10"]


def test_another_part_of_the_topics_is_another_dataset_over_the_same_documents(folder, store):
    both, title = read(folder, store), read(folder, store, query_field="title")
    assert both.digest != title.digest
    assert both.corpus_digest == title.corpus_digest


def test_integer_ids_of_topics_are_read_as_their_digits(folder, store):
    rows = [{**row, "topic_id": int(row["topic_id"])} for row in TOPICS]
    (folder / "topics.0720.utf8.jsonl").write_text(json_lines(rows), encoding="utf-8")
    assert ["10", "11", "9"] == list(read(folder, store).queries)


# Judgments


def test_judgments_of_several_languages_are_those_of_the_documents(folder, store):
    other = {"10": {"f1": 3}, "77": {"f2": 1}}
    mixed = qrels_lines(other, "fas") + qrels_lines(language="zho") + qrels_lines({"10": {"a1": 1}}, "rus")
    (folder / "2022-qrels.all").write_text(mixed, encoding="utf-8")
    assert JUDGED == read(folder, store).qrels


def test_judgments_of_other_languages_alone_are_refused(folder, store):
    (folder / "2022-qrels.all").write_text(qrels_lines(language="fas"), encoding="utf-8")
    assert refusal(folder, store).startswith(f"{folder / '2022-qrels.all'}: holds no judgments.")


@pytest.mark.parametrize("below", ["", "./", "neuclir-2023/qrels/"])
@pytest.mark.parametrize(
    ("name", "mode"),
    [("neuclir-2023-qrels.final.tar.gz", "w:gz"), ("qrels.tar", "w"), ("qrels.tgz", "w:gz"), ("qrels", "w:gz")],
)
def test_judgments_are_the_member_of_a_tar_for_the_language(folder, store, below, name, mode):
    expected = read(folder, store)
    (folder / "2022-qrels.all").unlink()
    members = {
        f"{below}qrels.final.gains": qrels_lines({"1": {"x": 3}}),
        f"{below}qrels.final.gains.fas": qrels_lines({"2": {"x": 3}}),
        f"{below}{MEMBER}": qrels_lines(),
        f"{below}._{MEMBER}": "junk of another system",
        f"{below}qrels.final.gains.rus": qrels_lines({"3": {"x": 3}}),
    }
    tarred(folder / name, members, mode)
    dataset = read(folder, store, year=2023 if "2023" in name else 2022)
    assert (expected.digest, JUDGED) == (dataset.digest, dataset.qrels)


def test_compressed_judgments_are_read(folder, store):
    expected = read(folder, store)
    (folder / "2022-qrels.all.gz").write_bytes(gzip.compress((folder / "2022-qrels.all").read_bytes()))
    (folder / "2022-qrels.all").unlink()
    assert expected.digest == read(folder, store).digest


def test_a_tar_without_the_language_is_refused(folder, store):
    archive = tarred(folder / "q.tar.gz", {"qrels.final.gains.fas": qrels_lines()})
    message = refusal(folder, store, qrels_path=str(archive))
    assert message == f"{archive}: holds no {MEMBER}. Set dataset.qrels_path to the judgments."


def tar_of(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(qrels_lines().encode()) if member.isreg() else None)
    return path


def member_of(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = len(qrels_lines().encode()) if member.isreg() else 0
    return member


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([member_of(MEMBER), member_of(MEMBER)], f"member {MEMBER!r} occurs twice"),
        ([member_of(f"a/{MEMBER}"), member_of(f"b/{MEMBER}")], f"holds 2 of {MEMBER}. Set dataset.qrels_path"),
        ([member_of(MEMBER), member_of("x", tarfile.CHRTYPE)], "member 'x' is neither a file nor a folder"),
        ([member_of(MEMBER), member_of("x", tarfile.BLKTYPE)], "member 'x' is neither a file nor a folder"),
        ([member_of(MEMBER), member_of("x", tarfile.FIFOTYPE)], "member 'x' is neither a file nor a folder"),
        ([member_of(MEMBER), member_of("x", tarfile.SYMTYPE, MEMBER)], "member 'x' is a link"),
        ([member_of(MEMBER), member_of("x", tarfile.LNKTYPE, MEMBER)], "member 'x' is a link"),
        ([member_of(MEMBER), member_of("../x")], "member '../x' points outside of the archive"),
        ([member_of(MEMBER), member_of("/x")], "member '/x' points outside of the archive"),
    ],
)
def test_a_tar_with_what_a_collection_has_no_use_for_is_refused(folder, store, members, told):
    archive = tar_of(folder / "q.tar", *members)
    assert refusal(folder, store, qrels_path=str(archive)).startswith(f"{archive}: {told}")


def test_a_tar_whose_member_has_a_size_below_zero_is_refused(folder, store):
    member = member_of("x")
    member.pax_headers = {"size": "-1536"}  # back to where its own header begins
    archive = folder / "q.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(member, io.BytesIO(qrels_lines().encode()))
    assert refusal(folder, store, qrels_path=str(archive)).startswith(f"{archive}: member 'x' is neither a file")


def test_a_malformed_line_of_a_member_names_the_tar_and_the_line_of_the_member(folder, store):
    archive = tarred(folder / "q.tar.gz", {f"x/{MEMBER}": qrels_lines() + "10 0 b9 much\n"})
    assert refusal(folder, store, qrels_path=str(archive)).startswith(f"{archive}:6: the relevance is 'much'")


@pytest.mark.parametrize("damage", ["cut", "changed", "not one"])
def test_a_damaged_tar_is_refused_and_never_read_as_something_else(folder, store, damage):
    judged = {str(query): {f"d{doc}": (query * doc) % 4 for doc in range(60)} for query in range(20)}
    archive = tarred(folder / "q.tar.gz", {"qrels.final.gains.fas": qrels_lines(judged), MEMBER: qrels_lines(judged)})
    whole = archive.read_bytes()
    dice = random.Random(0)
    for _ in range(40):
        content = bytearray(whole)
        match damage:
            case "cut":
                content = content[: dice.randrange(len(content))]
            case "changed":  # not in the header of the gzip, which holds a name and a time that decide nothing
                content[dice.randrange(20, len(content))] ^= dice.randrange(1, 256)
            case _:
                content = bytearray(dice.randbytes(600))
        archive.write_bytes(content)
        assert refusal(folder, store, qrels_path=str(archive)).startswith(f"{archive}")


# Where files are


def below(base: Path, name: str, content: str | bytes) -> Path:
    path = base / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files of all languages and years as ir_datasets keeps them, with its indices."""
    base = tmp_path / "ir" / "neuclir"
    below(base, "1/zho/docs.jsonl.gz", gzip.compress(json_lines(DOCUMENTS).encode()))
    below(base, "1/zho/docs.jsonl.gz.pklz4/bin", b"\0")
    below(base, "1/fas/docs.jsonl.gz", gzip.compress(b"not this one"))
    below(base, "trec-2022/topics.jsonl", json_lines(TOPICS))
    below(base, "trec-2022/qrels", qrels_lines(language="zho") + qrels_lines({"2": {"x": 3}}, "fas"))
    below(base, "trec-2023/topics.jsonl", json_lines([topic("200", "late")]))
    tarred(base / "trec-2023" / "qrels.tar.gz", {MEMBER: qrels_lines({"200": {"c3": 2}})})
    return base


def test_the_files_of_ir_datasets_are_found_by_language_and_year(folder, tree, store):
    expected = read(folder, store)
    assert expected.digest == read(tree, store).digest
    late = read(tree, store, year=2023)
    assert ({"200": {"c3": 2}}, {"200": "late title eng late description original"}) == (late.qrels, late.queries)
    assert late.corpus_digest == expected.corpus_digest


@pytest.mark.parametrize("name", ["data/zho-00000-of-00001.jsonl.gz", "zho-00000-of-00001.jsonl.gz", "zho.jsonl"])
def test_the_files_of_the_hub_are_found(folder, store, name):
    expected = read(folder, store)
    content = (folder / "docs.jsonl").read_bytes()
    below(folder, name, gzip.compress(content) if name.endswith(".gz") else content)
    below(folder, "data/fas-00000-of-00001.jsonl.gz", gzip.compress(b"not this one"))
    (folder / "docs.jsonl").unlink()
    assert expected.digest == read(folder, store).digest


@pytest.mark.parametrize("kind", ["topics", "qrels", "documents"])
def test_the_one_of_the_language_is_taken_among_several(folder, store, kind):
    expected = read(folder, store)
    mine, other = {
        "topics": ("topics.neuclir22-zh.jsonl", "topics.neuclir22-fa.jsonl"),
        "qrels": ("qrels.neuclir22-zh.txt", "qrels.neuclir22-fa.txt"),
        "documents": ("docs-zho.jsonl", "docs-fas.jsonl"),
    }[kind]
    name = {"topics": "topics.0720.utf8.jsonl", "qrels": "2022-qrels.all", "documents": "docs.jsonl"}[kind]
    (folder / name).rename(folder / mine)
    (folder / other).write_text("not this one", encoding="utf-8")
    assert expected.digest == read(folder, store).digest


@pytest.mark.parametrize(
    ("kind", "second"),
    [
        ("documents", "docs.old.jsonl"),
        ("documents", "all.parquet"),
        ("topics", "topics.0605.jsonl"),
        ("qrels", "neuclir-2022-qrels.final.tar.gz"),
        ("qrels", "trec-2022/qrels"),
    ],
)
def test_several_files_that_may_be_meant_are_refused_with_what_to_set(folder, store, kind, second):
    first = {"topics": "topics.0720.utf8.jsonl", "qrels": "2022-qrels.all", "documents": "docs.jsonl"}[kind]
    below(folder, second, "x")
    message = refusal(folder, store)
    assert message.startswith(f"{folder}: ")
    assert first in message
    assert Path(second).name in message
    assert message.endswith(f" may be the {kind}. Set dataset.{kind}_path to one.")
    assert 3 == len(read(folder, store, **{f"{kind}_path": str(folder / first)}).queries)


def test_a_file_whose_name_speaks_of_another_year_is_not_taken(folder, store):
    expected = read(folder, store)
    for name in ("neuclir-2023-topics.0605.jsonl", "neuclir-2023-qrels.final.tar.gz", "qrels.neuclir23-zh.txt"):
        below(folder, name, "x")
    assert read(folder, store).digest == expected.digest


def test_files_that_are_set_are_taken_whatever_lies_in_the_folder(folder, store, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = read(folder, store)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    places = {"documents": "passages", "topics": "questions.txt", "qrels": "judgments"}
    for kind, name in {
        "documents": "docs.jsonl",
        "topics": "topics.0720.utf8.jsonl",
        "qrels": "2022-qrels.all",
    }.items():
        (elsewhere / places[kind]).write_bytes((folder / name).read_bytes())
        (folder / name).write_text("not this one", encoding="utf-8")
    chosen = {f"{kind}_path": f"~/elsewhere/{name}" for kind, name in places.items()}
    assert expected.digest == read(folder, store, **chosen).digest
    assert expected.digest == read(None, store, **chosen).digest


@pytest.mark.parametrize("kind", ["documents", "topics", "qrels"])
def test_a_file_that_is_set_and_not_there_is_refused(folder, store, tmp_path, kind):
    for wrong in (tmp_path / "nowhere", folder):
        message = refusal(folder, store, **{f"{kind}_path": str(wrong)})
        assert message == f"{wrong}: no such file. Check dataset.{kind}_path."


def test_a_path_that_is_not_a_folder_is_refused(folder, store, tmp_path):
    for wrong in (tmp_path / "nowhere", folder / "docs.jsonl"):
        assert refusal(wrong, store).startswith(f"{wrong}: no such folder. dataset.path of a NeuCLIR collection is")


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("docs.jsonl", "nobody/documents"),
        ("topics.0720.utf8.jsonl", "https://example.org/topics.jsonl"),
        ("2022-qrels.all", "https://example.org/qrels"),
    ],
)
def test_a_file_that_the_folder_lacks_is_the_published_one(folder, store, name, published):
    """The network is forbidden here, so that is what the message says."""
    (folder / name).unlink()
    assert 1 == list(find_places(settings_of(folder))).count(None)
    assert refusal(folder, store).startswith(published)


# Documents


def test_documents_may_name_their_id_as_ir_datasets_does(folder, store):
    expected = read(folder, store)
    rows = [{"doc_id": row["id"], **{key: row[key] for key in ("title", "text", "url")}} for row in DOCUMENTS]
    (folder / "docs.jsonl").write_text(json_lines(rows), encoding="utf-8")
    dataset = read(folder, store)
    assert texts(expected) == texts(dataset)
    assert ["a1", "b2", "c3"] == dataset.documents.ids.to_pylist()


@pytest.mark.parametrize("id_column", ["id", "_id", "doc_id"])
@pytest.mark.parametrize("titled", [True, False])
def test_documents_in_parquet_are_those_in_json_lines(folder, store, id_column, titled):
    columns = {id_column: [row["id"] for row in DOCUMENTS], "text": [row["text"] for row in DOCUMENTS]}
    columns |= {"title": [row["title"] for row in DOCUMENTS]} if titled else {}
    (folder / "docs.jsonl").unlink()
    pq.write_table(pa.table(columns), folder / "train-00000-of-00001.parquet", row_group_size=2)
    dataset = read(folder, store)
    assert ["a1", "b2", "c3"] == dataset.documents.ids.to_pylist()
    assert (["月亮 月亮没有空气。", "", "海"] if titled else ["月亮没有空气。", "", ""]) == texts(dataset)
    assert dataset.digest == read(folder, Store(store.root.parent / "again")).digest


def test_an_id_that_occurs_twice_in_parquet_names_both_rows(folder, store):
    path = folder / "docs.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "a"], "text": ["x", "y", "z"]}), path)
    message = refusal(folder, store, documents_path=str(path))
    assert message.startswith(f"{path} row:3: document id 'a' is already on row 1, with another title or text.")


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ({"identifier": ["a"], "text": ["x"]}, "has no id, only ['identifier', 'text']"),
        ({"id": ["a"], "words": ["x"]}, "has no text, only ['id', 'words']"),
        ({"id": ["a", ""], "text": ["x", "y"]}, "id is ''"),
        ({"id": ["a"], "text": [b"x"]}, "text is b'x'"),
        ({"id": pa.array([], pa.string()), "text": pa.array([], pa.string())}, "holds no documents"),
    ],
)
def test_parquet_without_ids_or_texts_is_refused(folder, store, columns, part):
    path = folder / "docs.parquet"
    pq.write_table(pa.table(columns), path)
    message = refusal(folder, store, documents_path=str(path))
    assert message.startswith(str(path))
    assert part in message


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("damage", ["cut", "changed", "not one"])
def test_damaged_parquet_is_refused_in_one_line_or_read(folder, store, compression, damage):
    """Parquet has no checksum by default, so that a changed letter shows only where it is no letter any more."""
    path = folder / "docs.parquet"
    rows = 200
    table = pa.table({"id": [f"d{row}" for row in range(rows)], "text": [f"海水 {row}" for row in range(rows)]})
    pq.write_table(table, path, compression=compression)
    whole = path.read_bytes()
    dice = random.Random(1)
    refused = 0
    for _ in range(30):
        content = bytearray(whole)
        match damage:
            case "cut":
                content = content[: dice.randrange(len(content))]
            case "changed":
                content[dice.randrange(len(content))] ^= dice.randrange(1, 256)
            case _:
                content = bytearray(b"PAR1" + dice.randbytes(200) + b"PAR1")
        path.write_bytes(content)
        try:
            read(folder, Store(store.root / content.hex()[-8:]), documents_path=str(path))
        except DataError as error:
            refused += 1
            assert str(error).startswith(str(path))  # noqa: PT017 - either outcome is right for a changed byte
            assert "\n" not in str(error)  # noqa: PT017
    assert 30 == refused if damage != "changed" else 0 < refused <= 30


def test_a_text_in_parquet_that_is_not_utf8_is_refused(folder, store):
    path = folder / "docs.parquet"
    texts_column = pa.Array.from_buffers(pa.string(), 1, pa.array([b"caf\xe9"], pa.binary()).buffers())
    pq.write_table(pa.table({"id": ["a"], "text": texts_column}), path)
    assert refusal(folder, store, documents_path=str(path)).startswith(f"{path}: is not parquet, or is damaged (")


def test_a_malformed_document_names_file_and_line(folder, store):
    (folder / "docs.jsonl").write_text(json_lines([*DOCUMENTS, {"id": "d4", "title": "x"}]), encoding="utf-8")
    assert refusal(folder, store).startswith(f"{folder / 'docs.jsonl'}:4: has no text, only")


# Topics that are refused


def changed_version(**changed: object) -> dict[str, Any]:
    """Topic 10 with its English version changed."""
    broken = topic("10", "moon")
    broken["topics"][0] |= changed
    return broken


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("moon", "not JSON"),
        ('["10", []]', "a JSON list, expected an object"),
        ('{"topics": []}', "topic_id is None"),
        ('{"topic_id": "", "topics": []}', "topic_id is ''"),
        ('{"topic_id": "a\\tb", "topics": []}', "holds a tab"),
        ('{"topic_id": "10"}', "topics is not a list of objects with lang, source and topic_title"),
        ('{"topic_id": "10", "topics": {"eng": {}}}', "topics is not a list of objects"),
        ('{"topic_id": "10", "topics": ["moon"]}', "topics is not a list of objects"),
        ('{"topic_id": "10", "topics": []}', "has no topic with dataset.topic_language=eng"),
        (json.dumps(topic("9", "again")), "topic '9' occurs twice"),
        (json.dumps(topic(9, "again")), "topic '9' occurs twice"),
        (json.dumps(changed_version(topic_title=None)), "topic_title is None"),
        (json.dumps(changed_version(topic_description=["a"])), "topic_description is ['a']"),
        (json.dumps(changed_version(topic_title="half \ud83d")), "topic_title holds half of a surrogate pair"),
        (json.dumps(changed_version(lang="deu")), "It has: deu 'original', fas 'human translation', zho 'google"),
    ],
)
def test_a_malformed_topic_names_file_and_line(folder, store, line, part):
    path = folder / "topics.0720.utf8.jsonl"
    path.write_text(f"{json_lines([topic('9', 'sea')])}\n{line}\n", encoding="utf-8")
    message = refusal(folder, store)
    assert message.startswith(f"{path}:3: ")
    assert part in message


def test_a_translation_that_a_topic_lacks_is_refused_with_those_it_has(folder, store):
    message = refusal(folder, store, topic_language="zho", topic_source="original")
    assert message.startswith(f"{folder / 'topics.0720.utf8.jsonl'}:1: has no topic with dataset.topic_language=zho ")
    assert "dataset.topic_source='original'" in message
    assert "zho 'human translation'" in message


def test_a_part_that_is_not_used_may_be_absent(folder, store):
    rows = [changed_version(topic_narrative=None, topic_description=None), *TOPICS[1:]]
    (folder / "topics.0720.utf8.jsonl").write_text(json_lines(rows), encoding="utf-8")
    assert "moon title eng" == read(folder, store, query_field="title").queries["10"]


def test_topics_of_another_year_are_refused(folder, store):
    path = folder / "topics.0720.utf8.jsonl"
    path.write_text(json_lines(TOPICS[:1]), encoding="utf-8")
    assert refusal(folder, store) == (
        f"{path}: lacks 2 of the 3 judged topics, such as '11'. Are topics and judgments of the same year?"
    )


def test_a_part_that_topics_do_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"dataset\.query_field"):
        settings_of(None, query_field="description+title")


# The real topics and judgments of 2022

BETELGEUSE = "whether the star Betelgeuse going supernova will present a threat to the Earth."


@pytest.fixture
def real(shared: Path, tmp_path: Path) -> dict[str, Any]:
    """Settings of the real topics and judgments, over documents that are made up but for one id."""
    documents = tmp_path / "docs.jsonl"
    documents.write_text(json_lines(DOCUMENTS), encoding="utf-8")
    return {"path": shared / "data" / "neuclir22", "documents_path": str(documents)}


@pytest.mark.shared
def test_the_real_judgments_have_the_published_counts(real, store):
    dataset = read(store=store, **real)
    grades = [grade for judged in dataset.qrels.values() for grade in judged.values()]
    assert (49, 36_575) == (len(dataset.queries), len(grades))
    assert {0: 34_442, 1: 1_413, 3: 720} == {grade: grades.count(grade) for grade in set(grades)}
    assert (2, 2_133) == (dataset.notes["queries_without_relevant"], dataset.notes["relevant_judgments"])
    assert 47 == len(read(store=store, **real, queries_without_relevant="drop").queries)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"query_field": "title"}, "Danger of Betelgeuse going supernova"),
        (
            {"query_field": "description"},
            f"I am looking for reports on {BETELGEUSE}",
        ),
        (
            {},
            f"Danger of Betelgeuse going supernova I am looking for reports on {BETELGEUSE}",
        ),
        (
            {"query_field": "title", "topic_language": "zho", "topic_source": "human translation"},
            "参宿四超新星的危险",
        ),
    ],
)
def test_the_real_topics_give_the_parts_asked_for(real, store, changed, expected):
    assert expected == read(store=store, **real, **changed).queries["5"]


@pytest.mark.shared
def test_the_real_descriptions_in_chinese_have_the_length_that_mteb_states(real, store):
    chosen = {"topic_language": "zho", "topic_source": "human translation", "query_field": "description"}
    lengths = [len(text) for text in read(store=store, **real, **chosen).queries.values()]
    assert (49, 1187, 12, 43) == (len(lengths), sum(lengths), min(lengths), max(lengths))
