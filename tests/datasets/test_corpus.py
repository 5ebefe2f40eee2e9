"""Conversion to Arrow: what is kept under a key is what the key says, in batches of bounded size."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stubs import DOCUMENTS

from evalkit.datasets import corpus
from evalkit.datasets.data_rows import rows_per_batch
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError
from evalkit.store import Store


def lines(documents: dict[str, str]) -> bytes:
    return b"".join(json.dumps({"_id": key, "text": text}).encode() + b"\n" for key, text in documents.items())


def converted(folder: Path, name: str, store: Store) -> tuple[pa.Table, str]:
    found = corpus.from_file(FolderSource(folder), name, store)
    return found.table.data.table, found.digest


def write(path: Path, documents: dict[str, str]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"_id": list(documents), "text": list(documents.values())}), path)
    else:
        content = lines(documents)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


BEFORE = {key: title for key, (title, _) in DOCUMENTS.items()}
AFTER = {key: text for key, (_, text) in DOCUMENTS.items()}


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz", "docs.parquet"])
def test_a_corpus_that_changes_between_its_digest_and_its_reading_is_refused(tmp_path, store, monkeypatch, name):
    path = tmp_path / name
    taken = {}
    genuine = corpus._content_digest

    def swapped(*given):
        found = genuine(*given)
        if not taken:
            taken["digest"] = found
            write(path, AFTER)
        return found

    monkeypatch.setattr(corpus, "_content_digest", swapped)
    write(path, BEFORE)
    with pytest.raises(DataError, match=rf"{name}: changed while it was read\. Run again\."):
        converted(tmp_path, name, store)
    assert list(store.root.glob("corpora/*")) == []
    table, sha256 = converted(tmp_path, name, store)
    assert list(AFTER.values()) == table.column("text").to_pylist()
    assert sha256 != taken["digest"]


@pytest.mark.parametrize("name", ["corpus.jsonl", "corpus.jsonl.gz", "docs.parquet"])
def test_batches_are_bounded_in_characters_and_hold_every_document_once(tmp_path, store, monkeypatch, name):
    monkeypatch.setattr(corpus, "_CHARACTERS_PER_BATCH", 40)
    documents = {f"d{number}": "é" * number for number in range(45)}
    write(tmp_path / name, documents)
    table, _ = converted(tmp_path, name, store)
    assert list(documents.items()) == list(
        zip(table.column("_id").to_pylist(), table.column("text").to_pylist(), strict=True)
    )
    sizes = [[len(text) for text in chunk.to_pylist()] for chunk in table.column("text").chunks]
    assert all(sum(batch) <= 40 or len(batch) == 1 for batch in sizes)
    assert len(sizes[0]) == 9  # 0 to 8; the next is one too many


def test_batches_of_short_documents_are_bounded_in_number(tmp_path, store, monkeypatch):
    monkeypatch.setattr(corpus, "_DOCUMENTS_PER_BATCH", 10)
    write(tmp_path / "corpus.jsonl", {f"d{number}": "" for number in range(25)})
    table, _ = converted(tmp_path, "corpus.jsonl", store)
    assert [10, 10, 5] == [len(chunk) for chunk in table.column("_id").chunks]


def test_a_document_longer_than_any_batch_is_refused_by_its_line(tmp_path, store, monkeypatch):
    monkeypatch.setattr(corpus, "_CHARACTERS_PER_BATCH", 10)
    monkeypatch.setattr(corpus, "_LONGEST", 20)
    write(tmp_path / "corpus.jsonl", {"d1": "x" * 20, "d2": "x" * 21})
    with pytest.raises(DataError, match=r"corpus\.jsonl:2: a document of 21 characters, expected up to 20\."):
        converted(tmp_path, "corpus.jsonl", store)


@pytest.mark.parametrize(
    ("groups", "rows"), [([], 10_000), ([(1, 10)], 10_000), ([(5, 10), (5, 640_000_000)], 1), ([(100, 10**8)], 64)]
)
def test_rows_that_are_read_of_parquet_at_a_time_are_fewer_the_longer_they_are(groups, rows):
    described = [SimpleNamespace(num_rows=count, total_byte_size=size) for count, size in groups]
    metadata = SimpleNamespace(num_row_groups=len(groups), row_group=described.__getitem__)
    assert rows == rows_per_batch(metadata)
