"""Candidates from run files."""

import gzip
import json
import logging

import pytest
from stubs import write_collection

from evalkit.config import FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError, DataError
from evalkit.retrieval.saved import SavedConfig, SavedRetriever

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


def retrieved(path, dataset, depth: int = 10, **chosen) -> dict[str, list[tuple[str, float]]]:
    run = SavedRetriever(SavedConfig(name="saved", path=str(path), **chosen)).retrieve(dataset, depth)
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
    assert expected == retrieved(written(tmp_path / "run.trec", TREC), dataset, depth, order="score")


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


def test_run_of_queries_that_look_like_the_datasets_is_refused_with_both(tmp_path, dataset):
    path = written(tmp_path / "run.trec", "q1.0 Q0 d1 1 1.0 tag\nQ2 Q0 d3 1 1.0 tag\n")
    with pytest.raises(DataError, match="'Q2' stands in the run and 'q2' in collection"):
        retrieved(path, dataset)


def test_run_without_any_judged_document_is_refused_with_ids_that_look_alike(tmp_path, dataset):
    path = written(tmp_path / "run.trec", "q1 Q0 D1 1 1.0 tag\nq2 Q0 D3 1 1.0 tag\n")
    with pytest.raises(DataError, match=r"no retrieved document is judged.*'D1' stands in the run and 'd1'"):
        retrieved(path, dataset)


DISTANCES = "q1 Q0 d1 1 0.1 l2\nq1 Q0 d5 2 0.5 l2\nq2 Q0 d3 1 0.2 l2\n"


def test_a_cut_that_depends_on_ranks_or_scores_is_refused_until_somebody_chooses(tmp_path, dataset):
    path = written(tmp_path / "run.trec", DISTANCES)
    with pytest.raises(DataError, match=r"for 1 of 2 queries at depth=1, such as q1\. Set retriever\.order=rank"):
        retrieved(path, dataset, 1)
    assert retrieved(path, dataset, 1, order="rank") == {"q1": [("d1", 0.0)], "q2": [("d3", 0.0)]}
    assert retrieved(path, dataset, 1, order="score") == {"q1": [("d5", 0.5)], "q2": [("d3", 0.2)]}


def test_ties_at_the_cut_that_ranks_would_break_otherwise_are_refused(tmp_path, dataset):
    path = written(tmp_path / "run.trec", "q1 Q0 d1 1 0 t\nq1 Q0 d5 2 0 t\nq2 Q0 d3 1 0 t\n")
    with pytest.raises(DataError, match=r"scores and the rank column give different candidates"):
        retrieved(path, dataset, 1)


def noted(path, dataset, depth=10, **settings):
    stage = SavedRetriever(SavedConfig(name="saved", path=str(path)), **settings)
    stage.retrieve(dataset, depth)
    return {note.kind: note for note in stage.notes}


def test_ranks_against_scores_are_a_note_where_no_cut_depends_on_it(tmp_path, dataset):
    notes = noted(written(tmp_path / "run.trec", DISTANCES), dataset)
    assert ["ranks_disagree"] == list(notes)
    assert notes["ranks_disagree"].facts["queries"] == 1
    assert "retriever.order=rank" in notes["ranks_disagree"].text


def test_ties_are_a_note(tmp_path, dataset):
    assert ["ties"] == list(noted(written(tmp_path / "run.json", '{"q1": {"d1": 1.0, "d5": 1.0}}'), dataset))


def test_ranks_in_the_third_column_are_candidates_in_their_order(tmp_path, dataset):
    path = written(tmp_path / "run.tsv", "q1\td5\t1\nq1\td1\t2\nq2\td3\t1\n")
    assert [doc_id for doc_id, _ in retrieved(path, dataset)["q1"]] == ["d5", "d1"]


def test_candidates_without_an_order_are_cut_only_where_all_are_taken(tmp_path, dataset):
    path = written(tmp_path / "top1000.dev", "q1\td1\tquery\ttext\nq1\td5\tquery\ttext\nq2\td3\tquery\ttext\n")
    assert {"d1", "d5"} == {doc_id for doc_id, _ in retrieved(path, dataset, 2)["q1"]}
    with pytest.raises(DataError, match=r"neither ranks nor scores.*Set depth=2"):
        retrieved(path, dataset, 1)


@pytest.fixture
def twins(tmp_path, store):
    """A collection in which documents have ids of queries, and a run that retrieves them."""
    documents = {name: ("", name) for name in ("q1", "q2", "d1", "d2")}
    folder = write_collection(tmp_path / "c", documents, {"q1": "x", "q2": "y"}, {"q1": {"d1": 1}, "q2": {"q2": 1}})
    run = {"q1": {"q1": 3.0, "d1": 2.0, "d2": 1.0}, "q2": {"q2": 3.0, "d1": 2.0, "d2": 1.0}}
    return load(FolderDatasetConfig(path=str(folder)), store), written(tmp_path / "run.json", json.dumps(run))


def test_own_ids_are_a_note_where_nobody_decided_and_no_cut_depends_on_it(twins):
    dataset, path = twins
    notes = noted(path, dataset, 3, own_ids_decided=False)
    assert notes["own_ids"].facts == {"queries": 1, "of": 2, "example": "q1"}  # that of q2 is judged relevant
    assert {} == noted(path, dataset, 3)


def test_own_ids_that_take_the_place_of_others_are_refused_where_nobody_decided(twins):
    dataset, path = twins
    with pytest.raises(DataError, match=r"1 of 2 queries retrieved their own id, as q1.*drop_identical_ids=true"):
        noted(path, dataset, 2, own_ids_decided=False)
    assert {} == noted(path, dataset, 2)


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


def test_the_order_is_part_of_the_identity_where_it_is_chosen_alone(tmp_path):
    path = str(written(tmp_path / "a.trec", TREC))
    found = [
        SavedRetriever(SavedConfig(name="saved", path=path, order=order)).identity for order in (None, "rank", "score")
    ]
    assert [{"file_sha256", "kind"}, *[{"file_sha256", "kind", "order"}] * 2] == [set(one) for one in found]


def test_an_order_of_another_name_is_refused():
    with pytest.raises(ConfigError, match=r"retriever\.order=ranks"):
        SavedConfig(name="saved", path="run", order="ranks")


@pytest.mark.shared
def test_the_top1000_file_that_people_bring_is_read(shared, store):
    folder = shared / "cases" / "msmarco-tsv"
    dataset = load(FolderDatasetConfig(path=str(folder)), store)
    assert retrieved(folder / "top1000.dev", dataset) == {"10": [("0", 0.0)]}
