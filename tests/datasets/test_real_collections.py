"""Real queries and judgments, and small real collections, through the loaders and the whole pipeline."""

import json
import logging
from pathlib import Path

import pytest
from miniatures import cards, configured, settings

from evalkit.config import ComputeConfig, EvaluateConfig, ExpectedCounts, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.store import Store

pytestmark = pytest.mark.shared

BEIR = ["arguana", "fiqa", "msmarco", "quora", "trec-covid", "webis-touche2020"]
# Card -> where its queries and judgments are, below the real collections.
PUBLISHED = {
    **{name: f"beir_queries_qrels/{name}" for name in BEIR},
    **{name: f"beir_queries_qrels/{name.replace('/', '-')}" for name in cards() if name.startswith("cqadupstack/")},
    **{f"{name.title()}Retrieval": f"multi_cpr_queries_qrels/{name}" for name in ("ecom", "medical", "video")},
}
# The copies at hand lack these judgments, none of which is above 0.
LACKING = {
    "trec-covid": {"judgments": "66,334, expected 66,336"},
    "webis-touche2020": {"judgments": "932, expected 2,214"},
}
DOCUMENTS = 3


def made_up_corpus(folder: Path, real: Path) -> Path:
    """A collection of the real queries and judgments, and documents that nobody judged."""
    folder.mkdir()
    for name in ("queries.jsonl", "qrels"):
        (folder / name).symlink_to(real / name)
    rows = [{"_id": f"made-up-{number}", "title": "", "text": "Nothing."} for number in range(DOCUMENTS)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_every_folder_of_real_queries_is_checked_here(shared: Path):
    found = {
        path.relative_to(shared / "data").as_posix()
        for kind in ("beir_queries_qrels", "multi_cpr_queries_qrels")
        for path in (shared / "data" / kind).iterdir()
        if path.is_dir()
    }
    assert found == set(PUBLISHED.values())


@pytest.mark.parametrize("name", PUBLISHED)
def test_real_queries_and_judgments_are_as_many_as_the_card_says(
    shared: Path, tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture, name: str
):
    path = made_up_corpus(tmp_path / "real", shared / "data" / PUBLISHED[name])
    counts = settings(name)["expected"]
    config = configured(name, path=str(path), expected={**counts, "documents": DOCUMENTS})
    with caplog.at_level(logging.ERROR):  # that no judged document is there is told, and is no news here
        dataset = load(config, store)

    assert dataset.differences == LACKING.get(name, {})
    assert (dataset.notes["queries"], dataset.notes["relevant_judgments"]) == (counts["queries"], counts["relevant"])
    assert dataset.notes["queries_without_relevant"] == 0
    assert [query_id for query_id, judged in dataset.qrels.items() if query_id in judged] == []
    assert all(text.strip() for text in dataset.queries.values())


# Whole collections

SMALL = {  # documents and questions as published; each question has one relevant document
    "cmrc2018_dev": (848, 3219),
    "xquad_r_en-zh_sentence": (1196, 1190),
    "xquad_r_zh-en_paragraph": (240, 1190),
}


def measured(shared: Path, folder: Path, name: str, **languages: str) -> dict[str, float]:
    """Means of BM25 alone over a whole collection, which must hold what was published."""
    documents, questions = SMALL[name]
    counts = ExpectedCounts(documents=documents, queries=questions, judgments=questions, relevant=questions)
    path = str(shared / "data" / name)
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(path=path, expected=counts, check="strict", **languages),
        retriever=BM25Config(name="bm25"),
        reranker=KeepOrderConfig(name="none"),
        compute=ComputeConfig(device="cpu"),
        results_dir=str(folder / "results"),
        cache_dir=str(folder / "cache"),
    )
    manifest = evaluate(config).result.manifest
    assert manifest["queries"] == questions
    return manifest["measures"]


@pytest.mark.slow
def test_chinese_questions_find_their_paragraphs_if_words_are_segmented(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Measured: .984. Words between blanks, as language=en reads them, give .164, and the program warns of it."""
    with caplog.at_level(logging.WARNING, "evalkit"):
        segmented = measured(shared, tmp_path, "cmrc2018_dev", language="zh")
        assert "Chinese" not in caplog.text
        blanks = measured(shared, tmp_path, "cmrc2018_dev", language="en")
    assert segmented["nDCG@10"] > 0.97
    assert blanks["nDCG@10"] < 0.2
    assert "the documents look Chinese, and dataset.language is en. Set dataset.language=zh." in caplog.text


@pytest.mark.parametrize(
    ("name", "language", "query_language"),
    [("xquad_r_en-zh_sentence", "zh", "en"), ("xquad_r_zh-en_paragraph", "en", "zh")],
)
def test_questions_in_another_language_are_evaluated_and_share_few_words_with_the_documents(
    shared: Path, tmp_path: Path, name: str, language: str, query_language: str
):
    """Measured: .096 and .035, from names and numbers; the questions that find nothing are in the mean as 0."""
    measures = measured(shared, tmp_path, name, language=language, query_language=query_language)
    assert 0.02 < measures["nDCG@10"] < 0.12
