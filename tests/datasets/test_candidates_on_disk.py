"""Candidates in a file of a collection: runs, lists and passages; collections that have nothing else."""

import json
import zipfile

import pyarrow as pa
import pytest
from stubs import DOCUMENTS, QRELS, QUERIES, overlap, write_collection

import evalkit
from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.interchange.conversion import converted, write_files
from evalkit.store import open_store

SCORES = {"q1": {"d5": 2.5, "d1": 1.5}, "q2": {"d2": 3.0, "d3": 1.0}}
FLAT = {query_id: dict.fromkeys(row, 0.0) for query_id, row in SCORES.items()}
ROWS = [(query_id, doc_id, score) for query_id, row in SCORES.items() for doc_id, score in row.items()]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def passages(doc="doc"):
    """As rank_llm writes candidates, with the texts of all."""
    texts = {doc_id: {"title": title, "contents": text} for doc_id, (title, text) in DOCUMENTS.items()}
    return [
        {
            "query": {"qid": query_id, "text": QUERIES[query_id]},
            "candidates": [{"docid": doc_id, "score": score, doc: texts[doc_id]} for doc_id, score in row.items()],
        }
        for query_id, row in SCORES.items()
    ]


LISTS = [{"query-id": query_id, "corpus-ids": list(row)} for query_id, row in SCORES.items()]
FILES = {
    "candidates.trec": ("".join(f"{query} Q0 {doc} 1 {score} t\n" for query, doc, score in ROWS), SCORES),
    "candidates/test.tsv": ("".join(f"{query}\t{doc}\t{score}\n" for query, doc, score in ROWS), None),
    "candidates.json": (json.dumps(SCORES), SCORES),
    "candidates.jsonl": (lines(passages()), SCORES),
    "top_ranked.jsonl": (lines(LISTS), FLAT),
    "top_ranked/test.json": (json.dumps({query: list(row) for query, row in SCORES.items()}), FLAT),
}


def scores(dataset):
    found = dataset.candidates
    return {query_id: dict(zip(ids, values.tolist(), strict=True)) for query_id, ids, values in found}


def folder(tmp_path, name, text):
    place = write_collection(tmp_path / "c", DOCUMENTS, QUERIES, QRELS)
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_text(text)
    return place


@pytest.mark.parametrize(
    "name", ["candidates.trec", "candidates.json", "candidates.jsonl", "top_ranked.jsonl", "top_ranked/test.json"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_candidates_in_any_format_are_those_of_the_dataset(tmp_path, store, name, packed):
    text, expected = FILES[name]
    path = folder(tmp_path, name, text)
    if packed:
        with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
            for file in (file for file in path.rglob("*") if file.is_file()):
                archive.write(file, file.relative_to(path))
        path = tmp_path / "c.zip"
    assert scores(load(FolderDatasetConfig(path=str(path)), store)) == expected


def test_lists_are_a_ranking_where_the_settings_say_so(tmp_path, store):
    path = folder(tmp_path, "top_ranked.jsonl", FILES["top_ranked.jsonl"][0])
    dataset = load(FolderDatasetConfig(path=str(path), candidates_ranked=True), store)
    assert {query_id: ids for query_id, ids, _ in dataset.candidates} == {key: list(row) for key, row in SCORES.items()}


def test_candidates_of_another_split_are_those_of_another_dataset(tmp_path, store):
    path = folder(tmp_path, "candidates/dev.trec", FILES["candidates.trec"][0])
    assert load(FolderDatasetConfig(path=str(path)), store).candidates is None


def test_a_collection_without_candidates_keeps_its_digest(tmp_path, store):
    plain = load(FolderDatasetConfig(path=str(write_collection(tmp_path / "a", DOCUMENTS, QUERIES, QRELS))), store)
    given = load(FolderDatasetConfig(path=str(folder(tmp_path, "candidates.trec", FILES["candidates.trec"][0]))), store)
    assert plain.digest != given.digest
    assert plain.corpus_digest == given.corpus_digest


def test_documents_that_a_query_excludes_stand_next_to_its_text(tmp_path, store):
    path = write_collection(tmp_path / "c", DOCUMENTS, QUERIES, QRELS)
    rows = [{"_id": key, "text": text} for key, text in QUERIES.items()]
    rows[0]["excluded_ids"], rows[1]["excluded_ids"] = ["d5", "d2", "d5"], ["N/A"]
    (path / "queries.jsonl").write_text(lines(rows))
    assert load(FolderDatasetConfig(path=str(path)), store).excluded == {"q1": ("d5", "d2")}
    rows[0]["excluded_ids"] = "d5"
    (path / "queries.jsonl").write_text(lines(rows))
    with pytest.raises(DataError, match=r"queries\.jsonl:1: excluded_ids is 'd5', expected a list of document ids"):
        load(FolderDatasetConfig(path=str(path)), store)


@pytest.mark.parametrize("name", ["candidates.trec", "top_ranked.jsonl"])
def test_a_converted_collection_has_its_candidates_and_exclusions(tmp_path, store, name):
    path = folder(tmp_path, name, FILES[name][0])
    rows = [{"_id": key, "text": text, "excluded_ids": ["d4"]} for key, text in QUERIES.items()]
    (path / "queries.jsonl").write_text(lines(rows))
    write_files(converted(path, store).files, tmp_path / "out", force=False)
    before, after = (load(FolderDatasetConfig(path=str(place)), store) for place in (path, tmp_path / "out"))
    assert (after.excluded, after.digest) == (before.excluded, before.digest)
    assert scores(after) == FILES[name][1]


# Candidates and nothing else


def evaluated(dataset, tmp_path, retriever="own", **changed):
    return evalkit.evaluate(
        dataset=dataset,
        retriever=retriever,
        **{"reranker": overlap, "measures": ["nDCG@10", "R@20", "MAP"], **changed},
        results_dir=tmp_path / "results",
        cache_dir=tmp_path / "cache",
    )


def only(tmp_path, text, judged, name="candidates.jsonl"):
    """A folder of candidates with their texts, and of judgments."""
    place = tmp_path / "only"
    (place / "qrels").mkdir(parents=True)
    (place / name).write_text(text)
    rows = [f"{query_id}\t{doc_id}\t{grade}\n" for query_id, row in judged.items() for doc_id, grade in row.items()]
    (place / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    return place


@pytest.mark.parametrize("doc", ["doc", "text"])
def test_candidates_with_texts_need_neither_documents_nor_queries(tmp_path, doc):
    """Judged documents that no query has for a candidate stay judged, so measures are those of the whole collection."""
    rows = passages()
    if doc == "text":
        rows = [{**row, "candidates": [{**one, **one.pop("doc")} for one in row["candidates"]]} for row in rows]
    whole = evaluated(folder(tmp_path, "candidates.trec", FILES["candidates.trec"][0]), tmp_path)
    found = evaluated(only(tmp_path, lines(rows), QRELS), tmp_path)
    assert found.measures == whole.measures
    assert found.run.digest() == whole.run.digest()
    assert found.result.manifest["dataset"]["documents"] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row["candidates"][0].pop("doc"), r"candidates\.jsonl:1: candidate 'd5' has no text under text"),
        (
            lambda row: row["candidates"].append({"docid": "d5", "score": 0.5, "doc": "other"}),
            "passage id 'd5' occurs twice, with different texts",
        ),
    ],
)
def test_passages_without_or_with_two_texts_are_refused(tmp_path, store, change, message):
    rows = passages()
    change(rows[0])
    with pytest.raises(DataError, match=message):
        load(FolderDatasetConfig(path=str(only(tmp_path, lines(rows), QRELS))), store)


@pytest.mark.parametrize(
    "doc", [{"contents": None}, {"text": float("nan"), "title": None}, {"text": None, "contents": "x"}]
)
def test_a_missing_text_of_a_passage_is_empty_with_a_note_unless_another_key_has_it(tmp_path, store, doc):
    rows = passages()
    rows[0]["candidates"].append({"docid": "new", "score": 0.25, "doc": doc})
    dataset = load(FolderDatasetConfig(path=str(only(tmp_path, lines(rows), QRELS))), store)
    text = doc.get("contents") or ""
    assert text == dataset.documents.texts([dataset.documents.ids.to_pylist().index("new")])[0]
    assert (0 if text else 1) == dataset.notes.get("texts_missing", 0)


@pytest.mark.shared
def test_real_candidates_alone_have_the_numbers_of_their_collection(shared, tmp_path):
    """The first stage of rank_llm on TREC DL 2019, with and without the passages of the collection."""
    data = shared / "data" / "msmarco_dl19"
    file = data / "candidates" / "BM25.dl19.json"
    whole = evaluated(data, tmp_path, file, **{"dataset.name": "whole"})
    qrels = load(FolderDatasetConfig(path=str(data)), open_store(str(tmp_path / "cache"))).qrels
    alone = evaluated(only(tmp_path, file.read_text(), qrels, "candidates.json"), tmp_path)
    assert alone.measures == whole.measures
    assert alone.run.digest() == whole.run.digest()
    assert alone.candidates.manifest["measures"] == whole.candidates.manifest["measures"]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "language"), [("scifact", "en"), ("cmrc2018_dev", "zh"), ("xquad_r_en-zh_sentence", "zh")]
)
def test_candidates_of_real_collections_alone_have_the_numbers_of_the_whole(shared, tmp_path, name, language):
    """Five documents a query of BM25, written with their texts; queries without any count as 0 in both."""
    data, cache = shared / "data" / name, tmp_path / "cache"
    settings = {"depth": 5, "dataset.language": language, "dataset.check": "off"}
    whole = evaluated(data, tmp_path, "bm25", **settings, **{"dataset.name": "whole"})
    dataset = load(FolderDatasetConfig(path=str(data), language=language), open_store(str(cache)))
    rows = []
    for query_id, doc_ids, values in whole.candidates.read_run():
        texts = dataset.documents.texts([int(row) for row in dataset.rows(pa.array(doc_ids))])
        passages = zip(doc_ids, values.tolist(), texts, strict=True)
        found = [{"docid": doc_id, "score": score, "doc": {"contents": text}} for doc_id, score, text in passages]
        rows.append({"query": {"qid": query_id, "text": dataset.queries[query_id]}, "candidates": found})
    missing = sorted(dataset.queries.keys() - set(whole.candidates.read_run().query_ids))
    rows += [{"query": {"qid": key, "text": dataset.queries[key]}, "candidates": []} for key in missing]
    alone = evaluated(only(tmp_path, lines(rows), dataset.qrels), tmp_path, **settings)
    assert alone.measures == whole.measures
    assert alone.run.digest() == whole.run.digest()
    assert 0.01 < alone.measures["nDCG@10"] < 1
