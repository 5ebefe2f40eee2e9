"""Documents in Arrow: order, positions and texts, also over several batches."""

import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stubs import write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import documents, load
from evalkit.datasets.documents import ArrowDocuments
from evalkit.store import Store
from evalkit.types import Dataset

COUNT = 20_003  # two full batches of 10,000 and a part


def table(**columns: list) -> datasets.Dataset:
    return datasets.Dataset(pa.table(columns))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("large")
    write_collection(folder / "c", qrels={"q1": {"d7": 1, "d20002": 1}})
    rows = ({"_id": f"d{number}", "text": "" if number % 5000 == 0 else f"text {number}"} for number in range(COUNT))
    (folder / "c" / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load(FolderDatasetConfig(path=str(folder / "c")), Store(folder / "cache"))


def test_a_corpus_over_several_batches_reads_back_in_order(large: Dataset):
    assert large.documents.ids.num_chunks == 3
    assert len(large.documents) == COUNT
    assert large.documents.ids.to_pylist() == [f"d{number}" for number in range(COUNT)]
    expected = ["" if number % 5000 == 0 else f"text {number}" for number in range(COUNT)]
    assert large.documents.texts(range(COUNT)) == expected
    assert large.documents.texts(range(9_998, 10_003)) == expected[9_998:10_003]


def test_empty_documents_are_counted_over_all_batches(large: Dataset):
    assert large.notes["empty_documents"] == 5


def test_reading_through_has_little_text_in_memory_at_a_time(large: Dataset, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(documents, "_WINDOW_BYTES", 1000)
    monkeypatch.setattr(documents, "_WINDOW", 90)
    read = list(documents.read_through(large.documents, "reading"))
    assert [text for texts in read for text in texts] == large.documents.texts(range(COUNT))
    assert max(map(len, read)) <= 90
    assert max(sum(map(len, texts)) for texts in read) <= 1000


@given(st.lists(st.integers(0, COUNT - 1), max_size=20))
@settings(max_examples=50, deadline=None)
def test_texts_come_in_the_order_asked_for_also_twice(large: Dataset, rows: list[int]):
    expected = ["" if row % 5000 == 0 else f"text {row}" for row in rows]
    assert large.documents.texts(rows) == expected
    assert large.documents.texts(np.array(rows, dtype=np.int32)) == expected


@pytest.mark.parametrize("rows", [[], range(0), range(5, 5), np.array([], dtype=np.int64)])
def test_no_rows_give_no_texts(large: Dataset, rows: object):
    assert large.documents.texts(rows) == []


@given(st.sets(st.integers(-100, COUNT + 100), max_size=30))
@settings(max_examples=50, deadline=None)
def test_rows_are_positions_in_the_corpus_and_minus_one_where_it_has_no_such_document(
    large: Dataset, numbers: set[int]
):
    asked = list(numbers)
    expected = [number if 0 <= number < COUNT else -1 for number in asked]
    assert large.rows(pa.array([f"d{number}" for number in asked], pa.string())).tolist() == expected


def test_rows_of_the_whole_corpus_in_another_order(large: Dataset):
    backwards = list(reversed(large.documents.ids.to_pylist()))
    assert large.rows(pa.array(backwards)).tolist() == list(range(COUNT - 1, -1, -1))


def test_null_titles_and_texts_count_as_empty():
    documents = ArrowDocuments(
        table(_id=["a", "b", "c"], title=[None, "Tides", None], text=["text", None, None]), title_separator=" "
    )
    assert documents.texts(range(3)) == ["text", "Tides", ""]


def test_a_table_without_titles_gives_stripped_texts():
    documents = ArrowDocuments(table(id=["a", "b"], text=["  text\n", None]), title_separator=" | ", id_column="id")
    assert documents.texts([1, 0]) == ["", "text"]
    assert documents.ids.to_pylist() == ["a", "b"]


@pytest.mark.parametrize(
    ("separator", "expected"), [(" ", "Tides The moon"), ("\n", "Tides\nThe moon"), ("", "TidesThe moon")]
)
def test_the_separator_joins_title_and_text(separator: str, expected: str):
    documents = ArrowDocuments(table(_id=["a"], title=["Tides"], text=["The moon"]), title_separator=separator)
    assert documents.texts([0]) == [expected]


def test_a_collection_opened_twice_is_the_same_file(collection: Path, store: Store):
    config = FolderDatasetConfig(path=str(collection))
    first, second = load(config, store), load(config, store)
    assert first.documents.texts(range(5)) == second.documents.texts(range(5))
    assert len(list((store.root / "corpora").iterdir())) == 1


def stored(folder: Path, **columns: list) -> datasets.Dataset:
    """A table of which files are mapped."""
    table(**columns).save_to_disk(str(folder))
    return datasets.load_from_disk(str(folder))


def test_sizes_are_those_of_title_and_body_in_bytes():
    documents = ArrowDocuments(
        table(_id=["a", "b", "c"], title=["moon", "", None], text=["m\u00fcde", "", "bread"]), title_separator=" "
    )
    assert np.abs(documents.sizes() - np.array([10, 1, 6])).max() <= 1


@given(st.permutations(range(12)), st.integers(0, 12))
@settings(max_examples=20, deadline=None)
def test_rows_that_were_selected_or_reordered_keep_their_texts(tmp_path_factory, order, count):
    texts = [f"text {row}" for row in range(12)]
    kept = stored(tmp_path_factory.mktemp("x") / "d", _id=[str(row) for row in range(12)], text=texts)
    documents = ArrowDocuments(kept.select(order[:count]), title_separator=" ")
    assert documents.texts(range(count)) == [texts[row] for row in order[:count]]
    assert len(documents.sizes()) == count


def test_a_row_that_is_not_there_is_refused(tmp_path: Path):
    documents = ArrowDocuments(stored(tmp_path / "d", _id=["a"], text=["moon"]), title_separator=" ")
    for rows in ([0, 1], [-1]):
        with pytest.raises(IndexError):
            documents.texts(rows)


def mapped(folder: Path, key: str) -> int:
    """Bytes of a folder's mapped files: `Size` of all, `Rss` in memory. The process also holds what others left."""
    found, counted = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        name, *rest = line.split()
        if not name.endswith(":"):
            counted = bool(rest) and rest[-1].startswith(str(folder))
        elif counted and name == f"{key}:":
            found += int(rest[0]) * 1024
    return found


@pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="the system does not say which pages are in memory")
def test_texts_are_there_again_after_their_pages_were_let_go(tmp_path: Path):
    texts = [f"{row}, " * 500 + "end" for row in range(3000)]
    documents = ArrowDocuments(
        stored(tmp_path / "d", _id=[str(row) for row in range(3000)], text=texts), title_separator=" "
    )
    for start in range(0, 3000, 100):
        assert documents.texts(range(start, start + 100)) == texts[start : start + 100]
    total = sum(map(len, texts))
    assert (mapped(tmp_path, "Size") > total, mapped(tmp_path, "Rss") < total / 2) == (True, True)
    assert documents.texts([7]) == [texts[7]]


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Bees make honey.", "LATIN"),
        ("蜜蜂酿造蜂蜜。 Bees", "CJK"),
        ("ミツバチは蜂蜜を作ります。", "KANA"),
        ("中国科学院の研究小组在春天发表了新的疫苗", "CJK"),  # a kana among many characters
        ("꿀벌은 꿀을 만든다", "HANGUL"),
        ("ผึ้งทำน้ำผึ้ง", "THAI"),
        ("النحل يصنع العسل", "ARABIC"),
        ("Пчёлы делают мёд", "CYRILLIC"),
        ("मधुमक्खियाँ शहद बनाती हैं", "DEVANAGARI"),
        ("ab пч", ""),
        ("12 + 30 = 42", ""),
        ("", ""),
    ],
)
def test_the_script_of_documents_is_that_of_most_of_their_letters(text: str, script: str):
    found = ArrowDocuments(table(_id=["1", "2"], text=[text, ""]), title_separator=" ")
    assert documents.script_of(found) == script
