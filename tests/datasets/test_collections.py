"""The bundled collections: large and graded enough to tell a good ranking from a bad one."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from evalkit.config import BundledDatasetConfig
from evalkit.config.resources import shipped
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.store import Store
from evalkit.types import Dataset

LANGUAGES = {"mini": "en", "mini_zh": "zh", "mini_en_zh": "zh"}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    store = Store(tmp_path_factory.mktemp("bundled"))
    return {name: load(BundledDatasetConfig(name=name, language=code), store) for name, code in LANGUAGES.items()}


@pytest.fixture(params=LANGUAGES)
def bundled(loaded: dict[str, Dataset], request: pytest.FixtureRequest) -> Dataset:
    return loaded[request.param]


def han_share(texts: list[str]) -> float:
    letters = [character for text in texts for character in text if character.isalpha()]
    return sum("\u4e00" <= character <= "\u9fff" for character in letters) / len(letters)


def test_every_shipped_collection_is_checked_here():
    assert sorted(LANGUAGES) == sorted(folder.name for folder in shipped("collections").iterdir() if folder.is_dir())


def test_a_bundled_collection_has_at_least_300_documents_and_60_queries(bundled: Dataset):
    assert len(bundled.documents) >= 300
    assert len(bundled.queries) >= 60
    assert set(bundled.queries) == set(bundled.qrels)


def test_every_query_of_a_bundled_collection_has_a_document_of_grade_two(bundled: Dataset):
    assert [query for query, grades in bundled.qrels.items() if 2 not in grades.values()] == []


def test_every_query_of_a_bundled_collection_has_at_least_three_judged_zeros(bundled: Dataset):
    assert [query for query, grades in bundled.qrels.items() if list(grades.values()).count(0) < 3] == []


def test_the_grades_of_a_bundled_collection_are_zero_one_and_two(bundled: Dataset):
    assert {grade for grades in bundled.qrels.values() for grade in grades.values()} == {0, 1, 2}


def test_every_judged_document_of_a_bundled_collection_exists(bundled: Dataset):
    assert bundled.notes["judged_documents_absent"] == 0
    judged = {document for grades in bundled.qrels.values() for document in grades}
    assert judged <= set(bundled.documents.ids.to_pylist())


def test_the_texts_of_a_bundled_collection_are_distinct_and_not_empty(bundled: Dataset):
    texts = bundled.documents.texts(range(len(bundled.documents)))
    assert [text for text, count in Counter(texts).items() if count > 1] == []
    assert [query for query, count in Counter(bundled.queries.values()).items() if count > 1] == []
    assert bundled.notes["empty_documents"] == 0


def test_the_languages_of_the_bundled_collections_are_what_they_say(loaded: dict[str, Dataset]):
    documents = {name: han_share(d.documents.texts(range(len(d.documents)))) for name, d in loaded.items()}
    queries = {name: han_share(list(dataset.queries.values())) for name, dataset in loaded.items()}
    assert {name: share > 0.8 for name, share in documents.items()} == {
        "mini": False,
        "mini_zh": True,
        "mini_en_zh": True,
    }
    assert {name: share > 0.8 for name, share in queries.items()} == {
        "mini": False,
        "mini_zh": True,
        "mini_en_zh": False,
    }


def test_no_two_bundled_collections_share_an_id(loaded: dict[str, Dataset]):
    """A run of one measured against another then scores nothing, instead of something plausible."""
    ids = {name: {*dataset.documents.ids.to_pylist(), *dataset.queries} for name, dataset in loaded.items()}
    assert [pair for pair in itertools.combinations(ids, 2) if ids[pair[0]] & ids[pair[1]]] == []


def test_the_bundled_collections_are_different_tasks(loaded: dict[str, Dataset]):
    assert len({dataset.digest for dataset in loaded.values()}) == len(LANGUAGES)


def test_a_bundled_collection_that_does_not_exist_is_a_data_error(tmp_path: Path):
    with pytest.raises(DataError, match="nowhere: no such folder or zip"):
        load(BundledDatasetConfig(name="nowhere"), Store(tmp_path))
