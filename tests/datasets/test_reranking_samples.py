"""Files of queries with their own candidates: read, reranked, measured, refused."""

import gzip
import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stubs import StubReranker

from evalkit import rerank
from evalkit.config import ComputeConfig, DenseConfig, EvaluateConfig, FolderDatasetConfig, RerankerConfig
from evalkit.datasets import load
from evalkit.datasets.reranking_samples import are_samples
from evalkit.errors import DataError
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.own_candidates import OwnConfig, settled
from evalkit.retrieval.saved import SavedConfig, SavedRetriever

SAMPLES = [
    {"query": "what makes bread", "positive": ["Yeast makes bread."], "negative": ["Bees make honey.", "Moon."]},
    {"query": "bees", "positive": ["Bees make honey."], "negative": ["The moon has no air.", "Yeast makes bread."]},
]


def write(path, rows, packed=False):
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    return path


def read(path, store, **changed):
    return load(FolderDatasetConfig(path=str(path), **changed), store)


def judged_texts(dataset):
    """Query -> text -> grade."""
    text_of = dict(
        zip(dataset.documents.ids.to_pylist(), dataset.documents.texts(range(len(dataset.documents))), strict=True)
    )
    return {
        dataset.queries[query_id]: {text_of[doc_id]: grade for doc_id, grade in grades.items()}
        for query_id, grades in dataset.qrels.items()
    }


def test_samples_give_queries_judgments_and_one_document_for_each_text(tmp_path, store):
    dataset = read(write(tmp_path / "samples.jsonl", SAMPLES), store)
    assert (dataset.name, dict(dataset.queries)) == ("samples", {"1": SAMPLES[0]["query"], "2": "bees"})
    assert len(dataset.documents) == 4
    assert judged_texts(dataset) == {
        row["query"]: {**dict.fromkeys(row["positive"], 1), **dict.fromkeys(row["negative"], 0)} for row in SAMPLES
    }


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("s.jsonl.gz", lambda rows: rows),
        ("s.json", lambda rows: rows),
        ("s.jsonl", lambda rows: [{"query": r["query"], "pos": r["positive"], "neg": r["negative"]} for r in rows]),
        ("s.jsonl", lambda rows: [{**r, "positive": r["positive"][0]} for r in rows]),
    ],
    ids=["gzip", "array", "FlagEmbedding", "single text"],
)
def test_the_same_samples_in_another_form_are_the_same_dataset(tmp_path, store, name, change):
    expected = read(write(tmp_path / "samples.jsonl", SAMPLES), store).digest
    rows = change(SAMPLES)
    if name == "s.json":
        (tmp_path / name).write_text(json.dumps(rows, indent=1))
    else:
        write(tmp_path / name, rows, packed=name.endswith(".gz"))
    assert read(tmp_path / name, store).digest == expected


def test_ids_and_instructions_of_samples_are_read(tmp_path, store):
    rows = [{**row, "qid": 7 + number, "instruction": f"find {number}"} for number, row in enumerate(SAMPLES)]
    dataset = read(write(tmp_path / "s.jsonl", rows), store)
    assert set(dataset.queries) == {"7", "8"}
    assert dataset.instructions == {"7": "find 0", "8": "find 1"}


def test_a_candidate_that_is_repeated_is_left_out_and_counted(tmp_path, store, caplog):
    rows = [{**SAMPLES[0], "negative": ["Moon.", "Moon.", "Sun."]}]
    with caplog.at_level(logging.WARNING):
        dataset = read(write(tmp_path / "s.jsonl", rows), store)
    assert dataset.notes["candidates_repeated"] == 1
    assert "s: 1 candidate is the same as another one of its query" in caplog.text
    assert len(dataset.documents) == 3


def test_neither_ids_nor_their_order_tell_the_relevant_documents(tmp_path, store):
    rows = [{"query": f"q{n}", "positive": [f"good {n}"], "negative": [f"bad {n}"]} for n in range(200)]
    dataset = read(write(tmp_path / "s.jsonl", rows), store)
    first = [max(grades) for grades in dataset.qrels.values()]
    relevant = [grades[doc_id] for grades, doc_id in zip(dataset.qrels.values(), first, strict=True)]
    assert 60 < sum(relevant) < 140


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"_id": "d1", "title": "", "text": "x"}, ":2: ['_id', 'title', 'text'] is not a reranking sample."),
        ({"query": "q", "negative": ["x"]}, ":2: ['query', 'negative'] is not a reranking sample."),
        ({"query": "q", "positive": ["x", "y"], "negative": ["y"]}, ":2: 'y' is both positive and negative."),
        ({"query": "q", "positive": [], "negative": []}, ":2: has neither a positive nor a negative text."),
        ({"query": "q", "positive": {"x": 1}}, ":2: positive is {'x': 1}, expected a list of texts or passages."),
        ({"query": "q", "positive": ["x", None]}, ":2: positive is ['x', None], expected a list"),
        ({"query": ["q"], "positive": ["x"]}, ":2: query is ['q']"),
        ({"query": "q", "id": "1", "positive": ["x"]}, ":2: query id '1' occurs twice."),
        ({"query": "q", "id": " x", "positive": ["x"]}, ":2: the query id ' x' holds a tab"),
    ],
)
def test_a_row_that_is_not_a_sample_is_refused(tmp_path, store, row, part):
    path = write(tmp_path / "s.jsonl", [SAMPLES[0], row])
    with pytest.raises(DataError) as caught:
        read(path, store)
    assert str(caught.value).startswith(f"{path}{part}")


def test_only_a_file_of_json_is_taken_for_samples(collection, tmp_path):
    assert not are_samples(FolderDatasetConfig(path=str(collection)))
    assert not are_samples(FolderDatasetConfig(path=str(tmp_path / "absent")))
    for name, content in {
        "x.7z": b"7z\xbc\xaf\x27\x1c\0",
        "x.zip": b"{}",
        "x.txt": b"d1\tBees\n",
        "empty": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert not are_samples(FolderDatasetConfig(path=str(tmp_path / name)))
    assert are_samples(FolderDatasetConfig(path=str(write(tmp_path / "s.txt", SAMPLES))))


@pytest.mark.parametrize("retriever", [DenseConfig(name="dense", model="/absent"), OwnConfig(name="own")])
def test_each_query_has_its_own_candidates_reranked_and_measured(tmp_path, monkeypatch, caplog, retriever):
    monkeypatch.setattr(rerank, "build", lambda *_, **__: StubReranker())
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(write(tmp_path / "s.jsonl", SAMPLES))),
        retriever=retriever,
        reranker=RerankerConfig(name="stub"),
        compute=ComputeConfig(device="cpu"),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )
    with caplog.at_level(logging.WARNING):
        done = evaluate(config)
    assert ("so retriever=dense is not used" in caplog.text) == isinstance(retriever, DenseConfig)
    manifest = done.result.manifest
    assert list(manifest["measures"])[:3] == ["MAP", "RR@10", "nDCG@10"]
    assert manifest["pairs"] == 6
    assert manifest["retriever"]["kind"] == "judged"
    # "bread" shares words with its positive; "bees" with its own too.
    assert [manifest["measures"][name] for name in ("MAP", "RR@10", "nDCG@10")] == [1.0, 1.0, 1.0]
    assert np.unique(done.candidates.read_run().scores).tolist() == [0.0]


def test_a_corpus_given_as_samples_is_refused_and_nothing_is_said_of_its_candidates(tmp_path, caplog):
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(write(tmp_path / "corpus.jsonl", [{"_id": "d1", "text": "Bees"}]))),
        retriever=BM25Config(name="bm25"),
        reranker=KeepOrderConfig(name="none"),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )
    with caplog.at_level(logging.WARNING), pytest.raises(DataError, match="is not a reranking sample"):
        evaluate(config)
    assert "bring their own candidates" not in caplog.text


@pytest.mark.shared
def test_the_samples_that_people_bring_are_read(shared, store):
    dataset = read(shared / "cases" / "reranking-samples" / "reranking-samples.jsonl", store)
    assert judged_texts(dataset) == {"what do bees make": {"Bees make honey": 1, "Cows give milk": 0}}
    with pytest.raises(DataError, match=r"Found reranking-samples\.jsonl\..* dataset\.path"):
        read(shared / "cases" / "reranking-samples", store)


def test_a_retriever_of_a_collection_stays_what_it_is(collection, tmp_path):
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(collection)),
        retriever=BM25Config(name="bm25"),
        reranker=KeepOrderConfig(name="none"),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )
    assert evaluate(config).result.manifest["retriever"]["kind"] == "bm25"


BEES, COWS = ({"title": title, "text": f"{title} give honey"} for title in ("Bees", "Cows"))
DPR = {"question": "who gives honey", "answers": ["Bees"]}


@pytest.mark.parametrize(
    ("row", "ids"),
    [
        ({**DPR, "positive_ctxs": [BEES], "negative_ctxs": [], "hard_negative_ctxs": [COWS]}, None),
        ({**DPR, "positive_ctxs": [{**BEES, "psg_id": 7}], "hard_negative_ctxs": [{**COWS, "psg_id": 8}]}, ["7", "8"]),
        (
            {**DPR, "ctxs": [{**BEES, "id": "7", "has_answer": True}, {**COWS, "id": "8", "has_answer": False}]},
            ["7", "8"],
        ),
        ({**DPR, "ctxs": [{**COWS, "id": "8", "score": "2"}, {**BEES, "id": "7", "score": "1"}]}, ["8", "7"]),
        (
            {
                "query_id": "1",
                "query": DPR["question"],
                "answers": ["Bees"],
                "positive_passages": [{**BEES, "docid": "7"}],
                "negative_passages": [{**COWS, "docid": "8"}],
            },
            ["7", "8"],
        ),
    ],
    ids=["DPR", "DPR with ids", "DPR results", "DPR results to judge", "Tevatron"],
)
@pytest.mark.parametrize("name", ["s.json", "s.jsonl"])
def test_passages_of_dpr_and_tevatron_are_candidates(tmp_path, store, name, row, ids):
    (tmp_path / name).write_text(json.dumps([row] if name == "s.json" else row))
    dataset = read(tmp_path / name, store)
    assert judged_texts(dataset) == {DPR["question"]: {"Bees Bees give honey": 1, "Cows Cows give honey": 0}}
    assert (dict(dataset.queries), dict(dataset.answers)) == ({"1": DPR["question"]}, {"1": ("Bees",)})
    assert ids in (None, dataset.documents.ids.to_pylist())


def test_results_of_dpr_as_pyserini_writes_them_are_candidates(tmp_path, store):
    contexts = [{"docid": "7", "score": 1.5, "text": "Bees give honey", "has_answer": True}]
    (tmp_path / "s.json").write_text(json.dumps({"q7": {**DPR, "contexts": contexts}}))
    dataset = read(tmp_path / "s.json", store)
    assert (dict(dataset.queries), dataset.qrels) == ({"q7": DPR["question"]}, {"q7": {"7": 1}})


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_texts_of_passages_and_queries_are_empty_with_a_note(tmp_path, store, caplog, missing):
    rows = [
        {"qid": "1", "query": missing, "positive_passages": [{"docid": "a", "title": missing, "text": missing}]},
        {
            "qid": "2",
            "question": "b",
            "answers": ["x"],
            "ctxs": [{"id": "a", "text": missing}, {"id": "c", "text": "x"}],
        },
    ]
    path = tmp_path / "held.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = load(FolderDatasetConfig(path=str(path)), store)
    assert dict(dataset.queries) == {"1": "", "2": "b"}
    assert (dataset.documents.texts([0, 1]), dataset.qrels["2"]) == (["", "x"], {"a": 0, "c": 1})
    assert "1 document has a text that is NaN or null, which is read as no text" in caplog.text
    assert "1 query has a text that is NaN or null, which is read as no text" in caplog.text
    with pytest.raises(DataError, match=r"1 query has no text, such as '1'\. Correct them"):
        load(FolderDatasetConfig(path=str(path), empty="error"), store)


def test_passages_that_contradict_each_other_are_refused(tmp_path, store):
    ctxs = [{**BEES, "id": "7"}, {**COWS, "id": "7"}]
    for row, part in (
        ({**DPR, "ctxs": ctxs}, "passage id '7' is already in"),
        ({"question": "q", "ctxs": ctxs}, "no `has_answer`, and the question has no answers"),
    ):
        with pytest.raises(DataError, match=part):
            read(write(tmp_path / "s.jsonl", [row]), store)


def test_a_saved_run_orders_the_passages_that_a_retriever_wrote(tmp_path, store):
    """DPR's results are the candidates, the judgments and, with `retriever=saved`, the order of the first stage."""
    ctxs = [{**BEES, "id": "7", "score": "2.5"}, {**COWS, "id": "8", "score": "1.5"}]
    path = write(tmp_path / "s.jsonl", [{**DPR, "ctxs": ctxs}])
    config = EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(path)),
        retriever=SavedConfig(name="saved", path=str(path)),
        reranker=KeepOrderConfig(name="none"),
        compute=ComputeConfig(),
        measures=["nDCG@10"],
    )
    used = settled(config)
    assert (used.retriever, used.measures[:2]) == (config.retriever, ["MAP", "RR@10"])
    candidates = SavedRetriever(config.retriever).retrieve(read(path, store), 10)
    assert [doc_ids for _, doc_ids, _ in candidates] == [["7", "8"]]


def test_samples_may_be_parquet(tmp_path, store):
    rows = [{"query": "bees", "positive": ["honey"], "negative": ["milk", "wool"]}]
    (tmp_path / "s.jsonl").write_text(json.dumps(rows[0]) + "\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "s.parquet")
    lines, parquet = (
        load(FolderDatasetConfig(path=str(tmp_path / f"s.{form}")), store) for form in ("jsonl", "parquet")
    )
    assert (parquet.qrels, parquet.digest) == (lines.qrels, lines.digest)
