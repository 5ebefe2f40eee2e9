"""Candidates from run files."""

import gzip
import json
import logging

import pytest
from stubs import write_collection

from evalkit.config import FolderDatasetConfig, SavedConfig
from evalkit.datasets import load
from evalkit.errors import DataError
from evalkit.retrieval.saved import SavedRetriever

TREC = """\
q1 Q0 d5 1 0.5 tag
q1 Q0 d1 2 0.9 tag
q1 Q0 d2 3 0.5 tag
q2 Q0 d3 1 -1.5 tag
"""
EXPECTED = {"q1": [("d1", 0.9), ("d5", 0.5), ("d2", 0.5)], "q2": [("d3", -1.5)]}
BY_QUERY = {"q1": {"d5": 0.5, "d1": 0.9, "d2": 0.5}, "q2": {"d3": -1.5}}
JSON_LAYOUTS = {
    "beir": BY_QUERY,
    "flagembedding": {"model_name": "m", "search_results": BY_QUERY},
    "mteb": {"mteb_model_meta": {"name": "m"}, "default": {"test": BY_QUERY}},
    "rank_llm": [
        {"query": {"qid": query_id}, "candidates": [{"docid": doc_id, "score": score} for doc_id, score in found]}
        for query_id, found in EXPECTED.items()
    ],
}


@pytest.fixture
def dataset(collection, store):
    return load(FolderDatasetConfig(path=str(collection)), store)


def retrieved(path, dataset, depth: int = 10) -> dict[str, list[tuple[str, float]]]:
    run = SavedRetriever(SavedConfig(name="saved", path=str(path))).retrieve(dataset, depth)
    return {
        query_id: [
            (doc_id, pytest.approx(score, rel=1e-6)) for doc_id, score in zip(doc_ids, scores.tolist(), strict=True)
        ]
        for query_id, doc_ids, scores in run
    }


def written(path, content: str):
    path.write_text(content, encoding="utf-8")
    return path


def test_trec_run_is_ranked_by_score_and_id_not_by_its_rank_column(tmp_path, dataset):
    assert retrieved(written(tmp_path / "run.trec", TREC), dataset) == EXPECTED


def test_gzip_run_is_read(tmp_path, dataset):
    (tmp_path / "run.trec.gz").write_bytes(gzip.compress(TREC.encode()))
    assert retrieved(tmp_path / "run.trec.gz", dataset) == EXPECTED


@pytest.mark.parametrize("layout", JSON_LAYOUTS)
def test_json_run_of_every_layout_gives_the_same_candidates(tmp_path, dataset, layout):
    assert retrieved(written(tmp_path / "run.json", json.dumps(JSON_LAYOUTS[layout])), dataset) == EXPECTED


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_run_is_cut_at_the_depth_for_each_query(tmp_path, dataset, depth):
    expected = {query_id: found[:depth] for query_id, found in EXPECTED.items()}
    assert expected == retrieved(written(tmp_path / "run.trec", TREC), dataset, depth)


def test_unknown_queries_are_left_out_with_a_warning(tmp_path, dataset, caplog):
    path = written(tmp_path / "run.trec", TREC + "q3 Q0 d1 1 1.0 tag\nq9 Q0 d1 1 1.0 tag\n")
    with caplog.at_level(logging.WARNING):
        actual = retrieved(path, dataset)
    assert actual == EXPECTED
    (record,) = caplog.records
    assert f"{path}: 2 queries are not judged in {dataset.name} and are left out." == record.getMessage()


def test_run_of_known_queries_warns_of_nothing(tmp_path, dataset, caplog):
    retrieved(written(tmp_path / "run.trec", TREC), dataset)
    assert caplog.records == []


def test_run_without_any_known_query_is_refused(tmp_path, dataset):
    path = written(tmp_path / "run.trec", "x7 Q0 d1 1 1.0 tag\n")
    with pytest.raises(DataError, match=r"has none of the 2 queries.*'x7'"):
        retrieved(path, dataset)


@pytest.mark.parametrize(
    ("drop", "expected"), [(True, {"q1": ["d1"], "q2": ["q1"]}), (False, {"q1": ["q1"], "q2": ["q1"]})]
)
def test_identical_ids_are_dropped_where_the_dataset_says_so(tmp_path, store, drop, expected):
    folder = write_collection(
        tmp_path / "c", {"d1": ("", "x"), "q1": ("", "y")}, {"q1": "x", "q2": "y"}, {"q1": {"d1": 1}, "q2": {"d1": 1}}
    )
    dataset = load(FolderDatasetConfig(path=str(folder), drop_identical_ids=drop), store)
    path = written(tmp_path / "run.json", json.dumps({query: {"q1": 2.0, "d1": 1.0} for query in ("q1", "q2")}))
    actual = retrieved(path, dataset, 1)
    assert expected == {query_id: [doc_id for doc_id, _ in found] for query_id, found in actual.items()}


def test_absent_file_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(DataError, match="no such run file"):
        SavedRetriever(SavedConfig(name="saved", path=str(tmp_path / "absent.trec")))


def test_identity_is_the_content_not_the_name(tmp_path):
    one, same, other = (
        SavedRetriever(SavedConfig(name="saved", path=str(written(tmp_path / name, content)))).identity
        for name, content in (("a.trec", TREC), ("b.trec", TREC), ("c.trec", TREC.replace("0.9", "0.8")))
    )
    assert one == same
    assert one != other
