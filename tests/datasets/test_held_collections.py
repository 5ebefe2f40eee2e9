"""Collections as people hold them: the same two documents, queries and judgments in every layout."""

import bz2
import gc
import gzip
import io
import json
import lzma
import tarfile
import warnings
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import DataError

DOCUMENTS = {"d1": "Bees Bees make honey", "d2": "Cows give milk"}
QUERIES = {"q1": "what do bees make", "q2": "who gives milk"}
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 1}}


def lines(*objects) -> str:
    return "".join(json.dumps(item) + "\n" for item in objects)


def documents(id_key="_id", text_key="text", first="d1", second="d2"):
    return [
        {id_key: first, "title": "Bees", text_key: "Bees make honey"},
        {id_key: second, "title": "", text_key: "Cows give milk"},
    ]


def queries(id_key="_id", text_key="text"):
    return [{id_key: query_id, text_key: text} for query_id, text in QUERIES.items()]


CORPUS, QUERY_LINES = lines(*documents()), lines(*queries())
BEIR_QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t1\n"
BEIR = {"corpus.jsonl": CORPUS, "queries.jsonl": QUERY_LINES, "qrels/test.tsv": BEIR_QRELS}
TABLE = "_id,title,text\nd1,Bees,Bees make honey\nd2,,Cows give milk\n"

LAYOUTS = {
    "BEIR": BEIR,
    "judgments without a header": BEIR | {"qrels/test.tsv": "q1\td1\t1\nq2\td2\t1\n"},
    "judgments of TREC": BEIR | {"qrels/test.tsv": "q1 0 d1 1\nq2 0 d2 1\n"},
    "judgments of two columns": BEIR | {"qrels/test.tsv": "query-id\tcorpus-id\nq1\td1\nq2\td2\n"},
    "FlagEmbedding": {
        "corpus.jsonl": lines(*documents("id")),
        "test_queries.jsonl": lines(*queries("id")),
        "test_qrels.jsonl": lines(*({"qid": q, "docid": d, "relevance": 1} for q, (d,) in QRELS.items())),
    },
    "Pyserini": {
        "corpus.jsonl": lines(
            {"id": "d1", "contents": "Bees\nBees make honey"}, {"id": "d2", "contents": "Cows give milk"}
        ),
        "topics.toy.txt": "q1\twhat do bees make\nq2\twho gives milk\n",
        "qrels.toy.txt": "q1 0 d1 1\nq2 0 d2 1\n",
    },
    "Tevatron": BEIR
    | {"corpus.jsonl": lines(*documents("docid")), "queries.jsonl": lines(*queries("query_id", "query"))},
    "ir_datasets in JSON": {
        "docs.jsonl": lines(*documents("doc_id")),
        "queries.jsonl": lines(*queries("query_id")),
        "qrels.jsonl": lines(
            *({"query_id": q, "doc_id": d, "relevance": 1, "iteration": "0"} for q, (d,) in QRELS.items())
        ),
    },
    "ir_datasets in TSV": {
        "docs.tsv": "d1\tBees Bees make honey\nd2\tCows give milk\n",
        "queries.tsv": "q1\twhat do bees make\nq2\twho gives milk\n",
        "qrels.tsv": "q1\td1\t1\t0\nq2\td2\t1\t0\n",
    },
    "MS MARCO passages": {
        "collection.tsv": "d1\tBees Bees make honey\nd2\tCows give milk\n",
        "queries.dev.small.tsv": "q1\twhat do bees make\nq2\twho gives milk\n",
        "qrels.dev.small.tsv": "q1\t0\td1\t1\nq2\t0\td2\t1\n",
    },
    "MS MARCO documents": {
        "msmarco-docs.tsv": "d1\thttps://a.org/\tBees\tBees make honey\nd2\thttp://b.org\t\tCows give milk\n",
        "msmarco-docdev-queries.tsv": "q1\twhat do bees make\nq2\twho gives milk\n",
        "msmarco-docdev-qrels.tsv": "q1 0 d1 1\nq2 0 d2 1\n",
    },
    "TSV in quotes without a header": {
        "corpus.jsonl": CORPUS,
        "queries.tsv": '"q1"\t"what do bees make"\n"q2"\t"who gives milk"\n',
        "qrels.tsv": BEIR_QRELS,
    },
    "CSV with quotes": {
        "corpus.csv": '"docid","title","text"\n"d1","Bees","Bees make honey"\n"d2","","Cows give milk"\n',
        "queries.csv": '"qid","query"\n"q1","what do bees make"\n"q2","who gives milk"\n',
        "qrels/test.csv": '"query_id","doc_id","relevance"\n"q1","d1","1.0"\n"q2","d2","1.0"\n',
    },
    "arrays": {
        "corpus.json": json.dumps(documents()),
        "queries.json": json.dumps(QUERIES),
        "qrels.json": json.dumps(QRELS),
    },
    "columns of JSON, as pandas writes": {
        "corpus.json": json.dumps(
            {name: {str(row): item[name] for row, item in enumerate(documents())} for name in ("_id", "title", "text")}
        ),
        "queries.jsonl": QUERY_LINES,
        "qrels/test.tsv": BEIR_QRELS,
    },
    "relevant documents in JSON": BEIR | {"qrels/test.tsv": '{"q1": ["d1"], "q2": ["d2"]}'},
    "a folder a part": {
        "corpus/corpus.jsonl": CORPUS,
        "queries/test.jsonl": QUERY_LINES,
        "qrels/qrels.test.tsv": BEIR_QRELS,
    },
    "documents in parts, as Pyserini's": {
        "collection_jsonl/docs02.json": lines({"id": "d1", "contents": "Bees\nBees make honey"}),
        "collection_jsonl/docs10.json": lines({"id": "d2", "contents": "Cows give milk"}),
        "queries.tsv": "q1\twhat do bees make\nq2\twho gives milk\n",
        "qrels.txt": "q1 0 d1 1\nq2 0 d2 1\n",
    },
    "segments of MS MARCO v2.1": {
        "msmarco_v2.1_doc_segmented_00.json.gz": gzip.compress(lines(documents("docid", "segment")[0]).encode()),
        "msmarco_v2.1_doc_segmented_01.json.gz": gzip.compress(lines(documents("docid", "segment")[1]).encode()),
        "topics.rag24.test.txt": "q1\twhat do bees make\nq2\twho gives milk\n",
        "qrels.rag24.test.txt": "q1 0 d1 1\nq2 0 d2 1\n",
    },
    "Mr. TyDi": {
        "collection/docs.jsonl": lines(
            {"id": "d1", "contents": "Bees\nBees make honey"}, {"id": "d2", "contents": "Cows give milk"}
        ),
        "topic.tsv": "q1\twhat do bees make\nq2\twho gives milk\n",
        "qrels.txt": "q1 Q0 d1 1\nq2 Q0 d2 1\n",
    },
    "capitals": {
        "Corpus.JSONL": CORPUS,
        "QUERIES.jsonl.GZ": gzip.compress(QUERY_LINES.encode()),
        "Qrels.TSV": BEIR_QRELS,
    },
    "one more folder": {f"toy/{name}": text for name, text in BEIR.items()},
    "CRLF and a byte-order mark": {name: "\ufeff" + text.replace("\n", "\r\n") for name, text in BEIR.items()},
    "UTF-16": {name: text.encode("utf-16") for name, text in BEIR.items()},
    "bzip2": {f"{name}.bz2": bz2.compress(text.encode()) for name, text in BEIR.items()},
    "xz": {f"{name}.xz": lzma.compress(text.encode()) for name, text in BEIR.items()},
    "zstd": {f"{name}.zst": pa.compress(text.encode(), "zstd", asbytes=True) for name, text in BEIR.items()},
    "gzip": {f"{name}.gz": gzip.compress(text.encode(), mtime=0) for name, text in BEIR.items()},
    "leftovers of macOS": BEIR
    | {"__MACOSX/._corpus.jsonl": b"\0\5\x16\7", "._corpus.jsonl": b"\0\5\x16\7", ".DS_Store": b"\0"},
}


def content(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def in_folder(folder: Path, files) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(text))
    return folder


def in_zip(path: Path, files) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, content(text))
    return path


def in_tar(path: Path, files, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content(text))
            archive.addfile(member, io.BytesIO(content(text)))
    return path


def in_zst(path: Path, files) -> Path:
    path.write_bytes(pa.compress(in_tar(path.with_suffix(""), files, "w").read_bytes(), "zstd", asbytes=True))
    return path


def read(path: Path, store, **settings):
    dataset = load(FolderDatasetConfig(name="toy", path=str(path), **settings), store)
    texts = dict(
        zip(dataset.documents.ids.to_pylist(), dataset.documents.texts(range(len(dataset.documents))), strict=True)
    )
    return {query_id: " ".join(text.split()) for query_id, text in texts.items()}, dict(dataset.queries), dataset.qrels


def refusal(path: Path, store, **settings) -> str:
    with pytest.raises(DataError) as caught:
        read(path, store, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_collection_is_read_from_every_layout(tmp_path, store, layout):
    assert read(in_folder(tmp_path / "toy", LAYOUTS[layout]), store) == (DOCUMENTS, QUERIES, QRELS)


CONTAINERS = {
    "zip": in_zip,
    "zip of Windows": lambda path, files: in_zip(path, {name.replace("/", "\\"): text for name, text in files.items()}),
    "zip of macOS": lambda path, files: in_zip(path, files | {"__MACOSX/toy/._corpus.jsonl": b"\0\5"}),
    "tar": lambda path, files: in_tar(path, files, "w"),
    "tar.gz": lambda path, files: in_tar(path, files, "w:gz"),
    "tar.bz2": lambda path, files: in_tar(path, files, "w:bz2"),
    "tar.xz": lambda path, files: in_tar(path, files, "w:xz"),
    "tar.zst": in_zst,
}


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("layout", ["BEIR", "one more folder", "MS MARCO documents", "zstd"])
def test_the_same_collection_is_read_from_every_archive(tmp_path, store, kind, layout):
    path = CONTAINERS[kind](tmp_path / f"toy.{kind.split()[0]}", LAYOUTS[layout])
    assert read(path, store) == (DOCUMENTS, QUERIES, QRELS)


@pytest.mark.parametrize(
    ("id_key", "text_key", "ids"),
    [
        ("pid", "passage", ("msmarco_passage_01_123", "msmarco_passage_01_9")),
        ("docid", "segment", ("msmarco_v2.1_doc_00_0#4_81", "D123#4")),
        ("docid", "body", ("msmarco_doc_00_0", "D2")),
    ],
)
def test_ids_of_segments_are_ids(tmp_path, store, id_key, text_key, ids):
    """MS MARCO v2 has the id of the whole document beside that of a passage."""
    rows = documents(id_key, text_key, *ids)
    rows = [{"docid": f"msmarco_doc_{place}", "spans": "(0,5)", **row} for place, row in enumerate(rows)]
    judged = "".join(f"q1\t0\t{doc_id}\t1\n" for doc_id in ids)
    path = in_folder(
        tmp_path,
        {"corpus.jsonl.gz": gzip.compress(lines(*rows).encode()), "queries.jsonl": QUERY_LINES, "qrels.tsv": judged},
    )
    assert (list(read(path, store)[0]), read(path, store)[2]) == (list(ids), {"q1": dict.fromkeys(ids, 1)})


@pytest.mark.parametrize(
    ("of_documents", "of_queries", "of_qrels"),
    [
        (("_id", "text"), ("_id", "text"), ("query-id", "corpus-id", "score")),
        (("docid", "text"), ("query_id", "query"), ("qid", "docid", "relevance")),
        (("id", "contents"), ("qid", "question"), ("query_id", "doc_id", "label")),
    ],
)
def test_parquet_and_save_to_disk_are_read(tmp_path, store, of_documents, of_queries, of_qrels):
    import datasets

    tables = {
        "corpus": pa.Table.from_pylist(documents(*of_documents)),
        "queries": pa.Table.from_pylist(queries(*of_queries)),
        "qrels": pa.table(dict(zip(of_qrels, [["q1", "q2"], ["d1", "d2"], [1.0, 1.0]], strict=True))),
    }
    for name, table in tables.items():
        for place in (tmp_path / "flat" / f"{name}.parquet", tmp_path / "hub" / name / "test-00000-of-00001.parquet"):
            place.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, place)
        datasets.Dataset(table).save_to_disk(str(tmp_path / "saved" / name))
    for kind in ("flat", "hub", "saved"):
        assert read(tmp_path / kind, store, split="qrels" if kind == "saved" else "test") == (DOCUMENTS, QUERIES, QRELS)


def saved(folder: Path, *, judgments: bool) -> Path:
    import datasets

    datasets.Dataset.from_list(documents()).save_to_disk(str(folder / "corpus"), num_shards=2)
    datasets.Dataset.from_list(queries()).save_to_disk(str(folder / "queries"))
    if judgments:
        rows = {"query-id": ["q1", "q2"], "corpus-id": ["d1", "d2"], "score": [1, 1]}
        datasets.Dataset.from_dict(rows).save_to_disk(str(folder / "qrels"))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_saved_documents_and_queries_go_with_judgments_in_text(tmp_path, store):
    folder = in_folder(saved(tmp_path / "held", judgments=False), {"qrels/test.tsv": BEIR_QRELS})
    assert read(folder, store) == (DOCUMENTS, QUERIES, QRELS)
    (folder / "corpus" / "data-00001-of-00002.arrow").unlink()
    assert "holds 1 of 2 files of documents (corpus/data-00000-of-00002.arrow)" in refusal(folder, store)


@pytest.mark.parametrize("part", ["corpus", "queries", "qrels"])
def test_a_saved_table_with_a_changed_byte_is_refused_and_never_a_crash(tmp_path, store, part):
    folder = saved(tmp_path / "held", judgments=True)
    (path, *_) = sorted((folder / part).glob("*.arrow"))
    content = bytearray(path.read_bytes())
    first = {"corpus": b"d1", "queries": b"q1q2", "qrels": b"q1q2"}[part]
    content[content.index(first) - 5] = 0xFF  # the offset at which a text ends, now below zero
    path.write_bytes(bytes(content))
    assert f"{part}: cannot be read as what save_to_disk wrote" in refusal(folder, store)


@pytest.mark.parametrize("files", [{"notes.md": "x"}, {"../corpus.jsonl": CORPUS}])
def test_a_refused_archive_is_closed(tmp_path, store, files):
    refusal(in_zst(tmp_path / "toy.tar.zst", files), store)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [warning.category for warning in caught if warning.category is ResourceWarning] == []


@pytest.mark.parametrize("kind", CONTAINERS)
def test_what_save_to_disk_wrote_is_read_from_every_archive(tmp_path, store, kind):
    files = files_of(saved(tmp_path / "held", judgments=True))
    path = CONTAINERS[kind](tmp_path / "toy", {f"toy/{name}": content for name, content in files.items()})
    assert read(path, store) == (DOCUMENTS, QUERIES, QRELS)


def test_what_the_hub_has_is_read_from_an_archive(tmp_path, store):
    tables = {
        "corpus/corpus-00000-of-00001": documents(),
        "queries/queries-00000-of-00001": queries(),
        "data/test-00000-of-00001": [{"query-id": "q1", "corpus-id": "d1", "score": 1}],
        "data/train-00000-of-00001": [{"query-id": "q2", "corpus-id": "d2", "score": 1}],
    }
    for name, rows in tables.items():
        (tmp_path / "hub" / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "hub" / f"{name}.parquet")
    path = in_tar(tmp_path / "hub.tar.gz", files_of(tmp_path / "hub"), "w:gz")
    assert read(path, store) == (DOCUMENTS, {"q1": QUERIES["q1"]}, {"q1": {"d1": 1}})
    assert read(path, store, split="train")[2] == {"q2": {"d2": 1}}


@pytest.mark.parametrize("form", ["jsonl", "jsonl.gz"])
def test_documents_in_parts_are_refused_where_a_part_is_missing(tmp_path, store, form):
    name = f"corpus-00000-of-00003.{form}"
    text = gzip.compress(CORPUS.encode()) if form.endswith("gz") else CORPUS
    folder = in_folder(tmp_path, {name: text, "queries.jsonl": QUERY_LINES, "qrels/test.tsv": BEIR_QRELS})
    assert f"holds 1 of 3 files of documents ({name})" in refusal(folder, store)


def test_queries_that_are_written_differently_are_named_with_those_of_the_judgments(tmp_path, store):
    folder = in_folder(
        tmp_path, BEIR | {"queries.jsonl": lines({"_id": "1", "text": "a"}), "qrels/test.tsv": "1.0\td1\t1\n"}
    )
    assert "'1.0' stands in the judgments and '1' in the queries. pandas reads ids as numbers" in refusal(folder, store)


MISSING = {
    "NaN in JSON": ("corpus.jsonl", '{"_id": "d1", "title": NaN, "text": "a"}\n{"_id": "d2", "text": NaN}\n'),
    "null in JSON": ("corpus.jsonl", lines({"_id": "d1", "title": None, "text": "a"}, {"_id": "d2", "text": None})),
    "an array": ("corpus.json", '[{"_id": "d1", "title": NaN, "text": "a"}, {"_id": "d2", "text": null}]'),
    "parquet": ("corpus.parquet", pa.table({"_id": ["d1", "d2"], "title": [None, ""], "text": ["a", None]})),
    "NaN in parquet": (
        "corpus.parquet",
        pa.table({"_id": ["d1", "d2"], "title": [float("nan"), 1.0], "text": ["a", None]}),
    ),
}


def write(path: Path, text) -> None:
    if isinstance(text, pa.Table):
        pq.write_table(text, path)
    else:
        path.write_bytes(content(text))


@pytest.mark.parametrize("kind", MISSING)
def test_titles_and_texts_that_are_missing_are_empty_with_a_note_or_an_error(tmp_path, store, caplog, kind):
    name, text = MISSING[kind]
    folder = in_folder(tmp_path, {key: value for key, value in BEIR.items() if key != "corpus.jsonl"})
    write(folder / name, text)
    with caplog.at_level("WARNING"):
        documents, *_ = read(folder, store)
    assert documents == {"d1": "a", "d2": "1" if kind == "NaN in parquet" else ""}
    assert "1 document has a title that is NaN or null" in caplog.text
    assert "1 document has a text that is NaN or null" in caplog.text
    such = "" if kind == "NaN in parquet" else ", such as 'd2'"  # that one has a title
    assert refusal(folder, store, empty="error") == (
        f"toy: 1 document without a text{such}. Correct them, or set dataset.empty=note to read them as empty."
    )


@pytest.mark.parametrize("text", ['{"_id": "q1", "text": null}\n', '{"_id": "q1", "text": NaN}\n', "parquet"])
def test_queries_without_a_text_are_empty_with_a_note_or_an_error(tmp_path, store, caplog, text):
    rest = '{"_id": "q2", "text": "who gives milk"}\n'
    if text == "parquet":
        table = {
            "corpus": documents(),
            "queries": [{"_id": "q1", "text": None}, {"_id": "q2", "text": "who gives milk"}],
        }
        table["qrels"] = [{"query-id": q, "corpus-id": d, "score": 1} for q, (d,) in QRELS.items()]
        for name, rows in table.items():
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    else:
        in_folder(tmp_path, BEIR | {"queries.jsonl": text + rest})
    with caplog.at_level("WARNING"):
        assert read(tmp_path, store)[1] == {"q1": "", "q2": "who gives milk"}
    assert "1 query has a text that is NaN or null, which is read as no text" in caplog.text
    assert refusal(tmp_path, store, empty="error").startswith("toy: 1 query has no text, such as 'q1'.")


def test_the_word_that_pandas_makes_of_nan_stays_with_a_note(tmp_path, store, caplog):
    in_folder(tmp_path, BEIR | {"corpus.jsonl": lines({"_id": "d1", "title": "nan", "text": "Bees"}, documents()[1])})
    with caplog.at_level("WARNING"):
        assert read(tmp_path, store, empty="error")[0]["d1"] == "nan Bees"
    assert '1 document has "nan" for a title or text' in caplog.text


@pytest.mark.parametrize("suffix", [".bz2", ".xz", ".zst", ""])
def test_thousands_of_lines_are_read_whole_however_they_are_packed(tmp_path, store, suffix):
    """More than a block of a decompressor, and than the lines between two steps of the progress bar."""
    text = lines(*({"_id": str(n), "text": f"text {n} " + "x" * 200} for n in range(6_000)))
    pack = {".bz2": bz2.compress, ".xz": lzma.compress, ".zst": lambda raw: pa.compress(raw, "zstd", asbytes=True)}
    raw = pack[suffix](text.encode()) if suffix else text.encode("utf-16")
    files = {key: value for key, value in BEIR.items() if key != "corpus.jsonl"} | {f"corpus.jsonl{suffix}": raw}
    dataset = load(FolderDatasetConfig(name="toy", path=str(in_folder(tmp_path, files))), store)
    assert dataset.documents.ids.to_pylist() == [str(n) for n in range(6_000)]
    assert dataset.documents.texts([5_999]) == ["text 5999 " + "x" * 200]


@pytest.mark.parametrize(
    ("files", "part"),
    [
        (
            {"collection.tsv": "1\ta\n", "queries.dev.tsv": "1\tb\n"},
            "recognised as MS MARCO TSV (collection.tsv, queries.dev.tsv); no judgments (qrels.test.tsv).",
        ),
        (
            {"corpus.jsonl": CORPUS, "test_qrels.jsonl": '{"q1": {"d1": 1}}'},
            "recognised as FlagEmbedding's layout (corpus.jsonl, test_qrels.jsonl); no queries (test_queries.jsonl).",
        ),
        (
            {"corpus.csv": TABLE, "topics.csv": "id,text\nq1,b\n"},
            "recognised as parts by their names (corpus.csv, topics.csv); no judgments (qrels/test.tsv).",
        ),
        (
            {"queries.jsonl": QUERY_LINES, "qrels/test.tsv": BEIR_QRELS, "readme.md": ""},
            "recognised as BEIR layout (qrels/test.tsv, queries.jsonl); no documents (corpus.jsonl). Found also",
        ),
        ({"corpus-a.jsonl": CORPUS, "corpus-b.jsonl": CORPUS}, "corpus-a.jsonl, corpus-b.jsonl may all be documents."),
        ({"docs.tsv": "d1\tBees\tmake honey\n", **BEIR}, None),
        ({}, "no documents (corpus.jsonl). It holds no files."),
    ],
)
def test_a_wrong_folder_is_refused_with_what_was_recognised_and_what_is_missing(tmp_path, store, files, part):
    folder = in_folder(tmp_path / "toy", files)
    folder.mkdir(exist_ok=True)
    if part is None:  # BEIR's own name comes before others
        assert read(folder, store)[0] == DOCUMENTS
    else:
        assert refusal(folder, store).startswith(f"{folder}: {part}")


def test_a_text_in_another_encoding_names_file_and_line(tmp_path, store):
    in_folder(tmp_path, BEIR | {"corpus.jsonl": CORPUS.encode() + '{"_id": "d3", "text": "café"}\n'.encode("latin-1")})
    assert refusal(tmp_path, store).startswith(f"{tmp_path / 'corpus.jsonl'}:3: byte 27 is not UTF-8. Convert")


@pytest.mark.parametrize(
    ("name", "text", "part"),
    [
        (
            "run.trec",
            "q1 Q0 d1 1 2.0 t\n",
            ": recognised as a run, for retriever=saved retriever.path=FILE (query_id Q0",
        ),
        ("qrels.txt", "q1 0 d1 1\n", ": recognised as judgments, which go with documents and queries in one folder ("),
        (
            "notes.txt",
            "Some words about bees.\n",
            ": is a single file of text. dataset.path is a folder, zip or tar with",
        ),
        (
            "rank.jsonl",
            '{"query": {"qid": "q1"}, "candidates": []}',
            ":1: ['query', 'candidates'] is not a reranking sample.",
        ),
    ],
)
def test_a_file_in_the_place_of_a_collection_is_recognised(tmp_path, store, name, text, part):
    (tmp_path / name).write_text(text)
    assert refusal(tmp_path / name, store).startswith(f"{tmp_path / name}{part}")


@pytest.mark.parametrize("kind", ["parquet", "saved", "jsonl"])
def test_identical_documents_and_queries_are_kept_once_with_a_note(tmp_path, store, caplog, kind):
    import datasets

    rows = {"corpus": [*documents(), documents()[0]], "queries": [*queries(), queries()[1]]}
    if kind == "jsonl":
        in_folder(tmp_path, BEIR | {f"{name}.jsonl": lines(*found) for name, found in rows.items()})
    else:
        rows["qrels"] = [{"query-id": q, "corpus-id": d, "score": 1} for q, (d,) in QRELS.items()]
        for name, found in rows.items():
            if kind == "saved":
                datasets.Dataset.from_list(found).save_to_disk(str(tmp_path / name))
            else:
                pq.write_table(pa.Table.from_pylist(found), tmp_path / f"{name}.parquet")
    with caplog.at_level("WARNING"):
        assert read(tmp_path, store, split="qrels" if kind == "saved" else "test") == (DOCUMENTS, QUERIES, QRELS)
    assert "1 document repeats an earlier one of the same id, title and text, and is left out" in caplog.text
    assert "1 query repeats an earlier one of the same id and text, and is left out" in caplog.text
