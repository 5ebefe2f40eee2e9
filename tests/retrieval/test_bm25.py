"""BM25 against the formula written out in Python."""

import logging
import math
from collections import Counter

import numpy as np
import pytest
from stubs import write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.retrieval.bm25 import BM25_METHODS, BM25Config, BM25Retriever

# Words that are their own stems, so that the reference needs no analyser but a split.
WORDS = ["moon", "sea", "boat", "bread", "salt", "lamp", "wolf", "rain"]
SMALL = {
    "d1": "moon sea sea boat",
    "d2": "moon",
    "d3": "bread salt bread bread lamp wolf",
    "d4": "",
    "d5": "sea salt rain",
    "d6": "rain rain moon lamp",
}


def dataset_of(folder, store, documents: dict[str, str], queries: dict[str, str], **settings):
    rows = {doc_id: ("", text) for doc_id, text in documents.items()}
    write_collection(folder, rows, queries, {query_id: {next(iter(documents)): 1} for query_id in queries})
    return load(FolderDatasetConfig(path=str(folder), **settings), store)


def retrieved(dataset, depth: int = 100, **settings) -> dict[str, list[tuple[str, float]]]:
    run = BM25Retriever(BM25Config(name="bm25", **settings)).retrieve(dataset, depth)
    return {query_id: list(zip(doc_ids, scores.tolist(), strict=True)) for query_id, doc_ids, scores in run}


def lucene(documents: dict[str, str], query: str, k1: float, b: float) -> dict[str, float]:
    """Lucene's BM25 without its constant factor k1 + 1; documents that share no term are left out."""
    counts = {doc_id: Counter(text.split()) for doc_id, text in documents.items()}
    average = sum(sum(count.values()) for count in counts.values()) / len(counts)
    scores: dict[str, float] = {}
    for term in query.split():
        holders = [doc_id for doc_id, count in counts.items() if count[term]]
        weight = math.log1p((len(documents) - len(holders) + 0.5) / (len(holders) + 0.5))
        for doc_id in holders:
            tf, length = counts[doc_id][term], sum(counts[doc_id].values())
            scores[doc_id] = scores.get(doc_id, 0.0) + weight * tf / (tf + k1 * (1 - b + b * length / average))
    return scores


def ranked(scores: dict[str, float], depth: int = 100) -> list[tuple[str, float]]:
    order = sorted(((score, doc_id) for doc_id, score in scores.items()), reverse=True)
    return [(doc_id, score) for score, doc_id in order[:depth]]


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (1.2, 0.0), (2.0, 1.0)])
@pytest.mark.parametrize("query", ["moon", "sea salt", "bread moon lamp rain", "sea sea moon"])
def test_scores_are_lucene_s_formula(tmp_path, store, query, k1, b):
    dataset = dataset_of(tmp_path / "small", store, SMALL, {"q": query})
    expected = ranked(lucene(SMALL, query, k1, b))
    actual = retrieved(dataset, k1=k1, b=b)["q"]
    assert [doc_id for doc_id, _ in expected] == [doc_id for doc_id, _ in actual]
    assert [score for _, score in expected] == pytest.approx([score for _, score in actual], rel=1e-5)


def test_random_collection_is_ranked_by_the_formula(tmp_path, store):
    rng = np.random.default_rng(3)
    documents = {f"d{i}": " ".join(rng.choice(WORDS, size=rng.integers(0, 12))) for i in range(60)}
    queries = {f"q{i}": " ".join(rng.choice(WORDS, size=3, replace=False)) for i in range(10)}
    actual = retrieved(dataset_of(tmp_path / "random", store, documents, queries))
    for query_id, query in queries.items():
        expected = lucene(documents, query, 1.5, 0.75)
        assert expected == pytest.approx(dict(actual[query_id]), rel=1e-5)
        assert sorted(actual[query_id], key=lambda found: (found[1], found[0]), reverse=True) == actual[query_id]


@pytest.mark.parametrize("method", BM25_METHODS)
def test_documents_without_a_term_of_the_query_are_not_candidates(tmp_path, store, method):
    dataset = dataset_of(tmp_path / "small", store, SMALL, {"q": "wolf"})
    assert [doc_id for doc_id, _ in retrieved(dataset, method=method)["q"]] == ["d3"]


@pytest.mark.parametrize("query", ["zebra", "", "the of", "!"])
def test_query_without_a_known_term_has_no_candidates(tmp_path, store, query):
    actual = retrieved(dataset_of(tmp_path / "small", store, SMALL, {"q1": query, "q2": "wolf"}))
    assert list(actual) == ["q2"]


def test_collection_and_queries_that_share_nothing_give_an_empty_run(tmp_path, store):
    assert retrieved(dataset_of(tmp_path / "small", store, SMALL, {"q1": "zebra"})) == {}


def test_corpus_without_a_term_has_no_candidates(tmp_path, store):
    assert retrieved(dataset_of(tmp_path / "empty", store, {"d1": "", "d2": "the"}, {"q1": "moon"})) == {}


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 9])
def test_tie_at_the_cut_is_decided_by_id(tmp_path, store, depth):
    documents = {"d10": "moon", "d9": "moon", "d2": "moon", "best": "moon moon", "d33": "moon", "none": "sea"}
    dataset = dataset_of(tmp_path / "ties", store, documents, {"q": "moon"}, title_separator=" ")
    # b = 0: length does not count, so one moon is a tie whatever the document.
    actual = [doc_id for doc_id, _ in retrieved(dataset, depth, b=0.0)["q"]]
    assert ["best", "d9", "d33", "d2", "d10"][:depth] == actual


def test_dropping_identical_ids_still_fills_the_depth(tmp_path, store):
    queries = {"d1": "moon sea", "q": "moon sea"}
    whole = ranked(lucene(SMALL, "moon sea", 1.5, 0.75))
    actual = retrieved(dataset_of(tmp_path / "same", store, SMALL, queries, drop_identical_ids=True), depth=2)
    assert [doc_id for doc_id, _ in whole][:2] == [doc_id for doc_id, _ in actual["q"]]
    assert [doc_id for doc_id, _ in whole if doc_id != "d1"][:2] == [doc_id for doc_id, _ in actual["d1"]]


def test_inflected_english_words_find_their_stem(tmp_path, store):
    documents = {"d1": "Sailing boats", "d2": "a loaf"}
    actual = retrieved(dataset_of(tmp_path / "stems", store, documents, {"q": "BOAT sailed"}))
    assert [doc_id for doc_id, _ in actual["q"]] == ["d1"]


def test_chinese_query_word_is_found_inside_a_sentence_without_spaces(tmp_path, store):
    documents = {
        "d1": "研究小组在春天发表了新的疫苗，医生支持这个观点。",  # noqa: RUF001
        "d2": "夜班火车在暴风雨期间经过山路。",
    }
    actual = retrieved(dataset_of(tmp_path / "zh", store, documents, {"q1": "疫苗", "q2": "火车"}, language="zh"))
    assert {query: [doc_id for doc_id, _ in found] for query, found in actual.items()} == {"q1": ["d1"], "q2": ["d2"]}


@pytest.mark.parametrize(
    ("language", "documents", "query"),
    [
        ("ja", {"d1": "ミツバチは蜂蜜を作ります。", "d2": "夜行列車が山を走る。"}, "蜂蜜は誰が作る"),
        ("th", {"d1": "ผึ้งทำน้ำผึ้ง", "d2": "รถไฟกลางคืน"}, "น้ำผึ้ง"),
        ("ru", {"d1": "Пчёлы делают мёд", "d2": "Ночные поезда"}, "пчела"),
        ("sw", {"d1": "Nyuki hutengeneza asali", "d2": "treni za usiku"}, "ASALI"),
    ],
)
def test_words_are_those_of_the_language_of_the_documents(tmp_path, store, language, documents, query):
    actual = retrieved(dataset_of(tmp_path / "own", store, documents, {"q": query}, language=language))
    assert [doc_id for doc_id, _ in actual["q"]] == ["d1"]


@pytest.mark.parametrize(
    ("settings", "noted"),
    [
        ({}, []),
        ({"language": "de", "query_language": "de"}, []),
        ({"language": "sw"}, ["no_stemmer"]),
        ({"query_language": "zh"}, ["languages_differ"]),
        ({"language": "sw", "query_language": "en"}, ["no_stemmer", "languages_differ"]),
    ],
)
def test_languages_that_bm25_cannot_do_justice_to_are_noted(tmp_path, store, settings, noted):
    stage = BM25Retriever(BM25Config(name="bm25"))
    stage.retrieve(dataset_of(tmp_path / "own", store, SMALL, {"q": "moon"}, **settings), 10)
    assert [note.kind for note in stage.notes] == noted


def test_full_width_query_finds_half_width_document_and_the_other_way_round(tmp_path, store):
    documents = {"d1": "型号 abc123 的价格", "d2": "编号ＸＹＺ９"}
    queries = {"q1": "ＡＢＣ１２３", "q2": "xyz9"}  # noqa: RUF001
    actual = retrieved(dataset_of(tmp_path / "width", store, documents, queries, language="zh"))
    assert {query: [doc_id for doc_id, _ in found] for query, found in actual.items()} == {"q1": ["d1"], "q2": ["d2"]}


def test_result_does_not_depend_on_documents_per_window(tmp_path, store, monkeypatch):
    dataset = dataset_of(tmp_path / "small", store, SMALL, {"q1": "moon sea", "q2": "bread"})
    expected = retrieved(dataset)
    monkeypatch.setattr("evalkit.retrieval.bm25._DOCUMENTS_PER_WINDOW", 2)
    assert expected == retrieved(dataset)


def test_identity_tells_parameters_apart():
    identities = [
        dict(BM25Retriever(BM25Config(name="bm25", **settings)).identity)
        for settings in ({}, {"k1": 0.9}, {"b": 0.4}, {"method": "atire"})
    ]
    assert [identities.count(identity) for identity in identities] == [1] * 4


def test_the_steps_of_bm25s_are_not_logged(tmp_path, store, caplog):
    logging.getLogger("bm25s").setLevel(logging.DEBUG)
    retrieved(dataset_of(tmp_path / "quiet", store, SMALL, {"q": "moon"}))
    assert [] == [record for record in caplog.records if record.name.startswith("bm25s")]
