"""Passages that are ranked where documents are judged (`dataset.maxp`), against what it should be, step by step."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from stubs import StubReranker, write_collection

import evalkit
from evalkit import rerank
from evalkit.analysis.moves import widest
from evalkit.analysis.one_pass import analyse
from evalkit.cli import main
from evalkit.config import ComputeConfig, EvaluateConfig, FolderDatasetConfig, RerankerConfig
from evalkit.datasets import load
from evalkit.datasets.samples import sample_pairs
from evalkit.errors import ConfigError
from evalkit.measures import ceiling, measure
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig, ReplayConfig
from evalkit.results.gather import dataset_of, per_query
from evalkit.retrieval.bm25 import BM25Config
from evalkit.retrieval.candidates import search_depth
from evalkit.retrieval.saved import SavedConfig
from evalkit.run import Run

TEXTS = {
    "D1#0": "sea sea boat",
    "D1#1": "moon and tides of the sea",
    "D1#2": "lamp",
    "D2#0": "sea salt bread",
    "D2#1": "the moon",
    "D3": "tides",
    "D4#0": "bread rises",
    "D4#1": "bread and salt bread",
}
QUERIES = {"q1": "moon tides sea", "q2": "salt bread", "q3": "wolf"}
QRELS = {"q1": {"D1": 2, "D3": 1}, "q2": {"D4": 1, "D1": 0}, "q3": {"D9": 1}}
MEASURES = ["nDCG@10", "R@2", "RR@10"]


@pytest.fixture
def config(tmp_path: Path) -> EvaluateConfig:
    folder = write_collection(tmp_path / "c", {key: ("", text) for key, text in TEXTS.items()}, QUERIES, QRELS)
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(folder), maxp="#"),
        retriever=BM25Config(name="bm25"),
        reranker=KeepOrderConfig(name="none"),
        compute=ComputeConfig(device="cpu"),
        depth=4,
        measures=MEASURES,
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )


def best_passages(run: Run) -> dict[str, dict[str, float]]:
    """MaxP, written down naively."""
    found: dict[str, dict[str, float]] = {}
    for query_id, passage_ids, scores in run:
        for passage_id, score in zip(passage_ids, scores.tolist(), strict=True):
            documents = found.setdefault(query_id, {})
            doc_id = passage_id.split("#")[0]
            documents[doc_id] = max(documents.get(doc_id, score), score)
    return found


def expected(run: Run) -> tuple[dict[str, float], dict[str, float]]:
    """Measures of the documents of a run of passages, and of their best order."""
    documents = Run.from_dict(best_passages(run))
    return measure(QRELS, documents, MEASURES).means, measure(QRELS, ceiling(QRELS, documents), MEASURES).means


def of(manifest: dict, kind: str) -> dict[str, float]:
    return {name: manifest[kind][name] for name in MEASURES}


def test_passages_are_reranked_and_documents_are_measured(config, monkeypatch):
    monkeypatch.setattr(rerank, "build", lambda *_, **__: StubReranker())
    done = evaluate(replace(config, reranker=RerankerConfig(name="stub")))
    for result in (done.candidates, done.result):
        passages = result.read_pairs()
        assert {doc_id for _, doc_ids, _ in passages for doc_id in doc_ids} <= set(TEXTS)
        assert max(len(doc_ids) for _, doc_ids, _ in passages) == 4  # the depth counts passages
        assert (of(result.manifest, "measures"), of(result.manifest, "ceiling")) == expected(passages)
        documents = {query: dict(zip(ids, scores.tolist(), strict=True)) for query, ids, scores in result.read_run()}
        assert documents == best_passages(passages)
    words = {key: len(set(QUERIES["q1"].split()) & set(text.split())) for key, text in TEXTS.items()}
    scored = {query: dict(zip(ids, scores, strict=True)) for query, ids, scores in done.result.read_pairs()}
    assert scored["q1"] == {key: float(words[key]) for key in scored["q1"]}
    assert done.candidates.manifest["dataset"]["judged_documents_absent"] == 1  # D9: of D1 to D4 there are passages


def test_a_measure_that_is_added_later_is_of_documents_too(config):
    first = evaluate(replace(config, measures=["RR@10"]))
    again = evaluate(replace(config, measures=["P@3"]))
    assert (again.result.folder, again.result.fresh) == (first.result.folder, False)
    documents = Run.from_dict(best_passages(first.result.read_pairs()))
    assert again.result.manifest["measures"]["P@3"] == measure(QRELS, documents, ["P@3"]).means["P@3"]
    assert per_query(again.result, "P@2").means == measure(QRELS, documents, ["P@2"]).means


def test_a_saved_run_and_a_replayed_one_are_of_passages(config, tmp_path):
    saved, replayed = tmp_path / "first.trec", tmp_path / "second.trec"
    saved.write_text("".join(f"q1 Q0 {key} 1 {-row} x\n" for row, key in enumerate(TEXTS)))
    replayed.write_text("".join(f"q1 Q0 {key} 1 {row % 3} x\n" for row, key in enumerate(TEXTS)))
    stages = {"retriever": SavedConfig(path=str(saved)), "reranker": ReplayConfig(path=str(replayed))}
    done = evaluate(replace(config, **stages))
    for result in (done.candidates, done.result):
        assert [len(doc_ids) for _, doc_ids, _ in result.read_pairs()] == [4]
        assert of(result.manifest, "measures") == expected(result.read_pairs())[0]
    assert [doc_ids for _, doc_ids, _ in done.candidates.read_run()] == [["D1", "D2"]]


def test_a_query_s_own_passages_are_left_out_before_the_cut(config, store):
    """D1 has three passages, so three more than the depth are searched for."""
    queries = {"D1": QUERIES["q1"], "q2": QUERIES["q2"]}
    write_collection(Path(config.dataset.path), {}, queries, {"D1": {"D3": 1}, "q2": {"D1": 1}})
    corpus = "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in TEXTS.items())
    (Path(config.dataset.path) / "corpus.jsonl").write_text(corpus)
    dropping = replace(config, depth=2, dataset=replace(config.dataset, drop_identical_ids=True))
    assert search_depth(load(dropping.dataset, store), 2) == 5
    found = {query_id: doc_ids for query_id, doc_ids, _ in evaluate(dropping).candidates.read_pairs()}
    whole = evaluate(replace(config, depth=8)).candidates.read_pairs()
    assert found["D1"] == [key for _, ids, _ in whole.only_queries({"D1"}) for key in ids if key[:2] != "D1"][:2]
    assert len(found["D1"]) == len(found["q2"]) == 2


def test_the_run_of_a_result_is_measured_the_same_by_hand(config, capsys):
    done = evaluate(config)
    files = [str(Path(config.dataset.path) / "qrels" / "test.tsv"), str(done.result.folder / "run.trec.gz")]
    assert main(["measure", *files, *MEASURES, "--maxp", "#", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in MEASURES} == of(done.result.manifest, "measures")


@pytest.mark.parametrize(("doc_id", "kinds"), [("d", ["no_passages"]), ("d#1", [])])
def test_a_delimiter_that_no_id_holds_is_noted(tmp_path, capsys, doc_id, kinds):
    (tmp_path / "qrels").write_text("q 0 d 1\n")
    (tmp_path / "run").write_text(f"q Q0 {doc_id} 1 1.0 tag\n")
    files = [str(tmp_path / "qrels"), str(tmp_path / "run"), "nDCG@10"]
    assert main(["measure", *files, "--maxp", "#", "--json"]) == 0
    told = capsys.readouterr()
    assert [note["kind"] for note in json.loads(told.out).get("notes", [])] == kinds
    assert ("no id holds '#', so each document is taken as it is" in told.err) == bool(kinds)


def test_python_measures_and_compares_the_best_passages(config):
    done = evaluate(config)
    passages = {query: dict(zip(ids, scores, strict=True)) for query, ids, scores in done.result.read_pairs()}
    assert evalkit.measure(QRELS, passages, MEASURES, maxp="#").means == of(done.result.manifest, "measures")
    other = {query: {key: -score for key, score in found.items()} for query, found in passages.items()}
    compared = evalkit.compare({"bm25": passages, "worst": other}, qrels=QRELS, maxp="#")
    (found,) = [system.mean for system in compared.systems if system.name == "bm25"]
    assert found == done.result.manifest["measures"]["nDCG@10"]


def test_an_analysis_is_of_documents_and_has_no_depth_curve(config, monkeypatch):
    monkeypatch.setattr(rerank, "build", lambda *_, **__: StubReranker())
    done = evaluate(replace(config, reranker=RerankerConfig(name="stub")))
    found = analyse(done, dataset_of(done.result), "nDCG@10")
    assert (found.reranked, found.ceiling) == tuple(of(done.result.manifest, kind)["nDCG@10"] for kind in KINDS)
    assert (found.curve, found.truncation) == ((), ())
    assert "passages" in found.no_curve
    assert not [flag for flag in found.flags if flag.level == "error"]


KINDS = ("measures", "ceiling")


def test_a_listing_shows_the_first_passage_of_a_document(config, monkeypatch):
    monkeypatch.setattr(rerank, "build", lambda *_, **__: StubReranker())
    done = evaluate(replace(config, reranker=RerankerConfig(name="stub")))
    values = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    (listing,) = widest([done, done], ["q1", "q2", "q3"], values, count=1, dataset=dataset_of(done.result))
    assert listing.rankings[0] == listing.rankings[1] == ("D1", "D3", "D2")
    assert listing.texts == {"D1": TEXTS["D1#0"], "D2": TEXTS["D2#0"], "D3": TEXTS["D3"]}
    assert listing.grades == QRELS["q1"]


def test_a_delimiter_that_no_document_has_is_warned_of(config, store, caplog):
    with caplog.at_level(logging.WARNING, "evalkit"):
        load(replace(config.dataset, maxp="_"), store)
    assert (
        "no document has _ in its id, so dataset.maxp changes nothing. Passages have ids such as D1_0." in caplog.text
    )


def test_answers_are_refused(config, store):
    rows = [{"_id": key, "text": text, "answers": ["moon"]} for key, text in QUERIES.items()]
    (Path(config.dataset.path) / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (Path(config.dataset.path) / "qrels" / "test.tsv").unlink()
    with pytest.raises(ConfigError, match=r"dataset\.maxp is for judgments of documents, and c has answers"):
        load(config.dataset, store)


def test_a_judged_document_is_shown_by_its_first_passage(config, store):
    dataset = load(config.dataset, store)
    assert dataset.rows_of_judged(pa.array(["D4", "D9", "D1", "D3"])).tolist() == [6, -1, 0, 5]
    assert dataset.lacking(["D4", "D9", "D1"]) == ["D9"]
    assert {sample.doc_id: sample.pair.document for sample in sample_pairs(dataset, 9)} == {
        "D1": TEXTS["D1#0"],
        "D4": TEXTS["D4#0"],
    }


def test_an_empty_delimiter_is_refused(capsys):
    assert main(["measure", "qrels", "run", "--maxp", ""]) == 2
    assert "argument --maxp: is empty; give the delimiter of passage ids, such as '#'." in capsys.readouterr().err


def test_delimiters_are_for_runs_alone(capsys):
    assert main(["compare", "results", "--maxp", "#"]) == 2
    assert "--maxp is for runs and judgments alone. Give --qrels FILE as well." in capsys.readouterr().err
