"""Runs and judgments as evaluations in memory."""

from pathlib import Path

import pytest

from evalkit.datasets.of_judgments import dataset_of_judgments
from evalkit.errors import ConfigError, DataError, ResultError
from evalkit.formats.runfile import RunFile
from evalkit.measures.given_runs import GivenRun, Rules
from evalkit.results.gather import dataset_of, measure_of, per_query
from evalkit.results.judged_runs import judge_runs
from evalkit.results.labels import names
from evalkit.run import Run

QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d3": 1}}
RUNS = {
    "first": {"q1": {"d1": 1.0, "d2": 2.0}, "q2": {"d3": 1.0}},
    "again": {"q1": {"d1": 2.0, "d2": 1.0}, "q2": {"d3": 7.0}},
    "short": {"q1": {"d1": 1.0}, "q9": {"d3": 1.0}},
}


def judged(*labels, **settings):
    runs = {label: GivenRun(RunFile(Run.from_dict(RUNS[label])), Path(label)) for label in labels}
    rules = Rules(common=settings.pop("common", False))
    texts = {name: settings.pop(name, None) for name in ("documents", "queries")}
    dataset = dataset_of_judgments(QRELS, "toy", run=Run.from_dict(RUNS["first"]), **texts)
    return judge_runs(dataset, runs, ["RR@10", "R@20"], rules=rules, **settings)


def test_a_run_is_a_first_stage_of_its_own_name_with_its_values_and_ceiling():
    (first,) = judged("first")
    assert (first.dataset, first.first_stage, first.reranker, first.is_first_stage) == ("toy", "first", "first", True)
    assert first.measures == {"RR@10": 0.75, "R@20": 1.0}
    assert first.result.manifest["ceiling"] == {"RR@10": 1.0, "R@20": 1.0}
    assert first.rate is None
    assert first.per_query["system"].tolist() == ["first", "first"]


def test_a_measure_that_nobody_asked_for_is_measured_when_it_is_needed():
    (first,) = judged("first")
    assert per_query(first.result, "P@1").values["P@1"].tolist() == [0.0, 1.0]


def test_candidates_are_the_same_where_the_documents_are_whatever_their_scores():
    first, again, short = (
        evaluation.candidates.manifest["run_digest"] for evaluation in judged("first", "again", "short")
    )
    assert first == again != short


def test_a_first_stage_is_the_candidates_of_all_other_runs():
    again, short = judged("first", "again", "short", first_stage="first")
    assert again.candidates is short.candidates
    assert (again.first_stage, again.reranker, again.is_first_stage) == ("first", "again", False)
    assert names([again, short]) == ["again", "short"]
    with pytest.raises(ConfigError, match="first is the first stage, and the only run"):
        judged("first", first_stage="first")


def test_a_first_stage_is_cut_to_the_documents_that_were_reranked(monkeypatch):
    monkeypatch.setitem(RUNS, "long", {"q1": {"d2": 3.0, "d1": 2.0, "d9": 1.0}, "q2": {"d3": 1.0}})
    monkeypatch.setitem(RUNS, "other", {"q1": {"d1": 1.0, "d9": 2.0}, "q2": {"d3": 7.0}})
    again, first, other = judged("long", "again", "first", "other", first_stage="long")
    assert (again.first_stage, other.first_stage) == ("long-2", "long")
    assert again.candidates is first.candidates
    assert again.candidates.manifest["measures"] == {"RR@10": 0.75, "R@20": 1.0}
    assert again.candidates.read_run().documents_digest() == again.run.documents_digest()


def test_judgments_have_neither_texts_nor_documents_and_a_digest_of_their_own():
    (all_queries,) = judged("short")
    (common,) = judged("short", common=True)
    dataset = dataset_of(all_queries.result)
    assert (dict(dataset.queries), len(dataset.documents), dataset.qrels) == ({}, 0, QRELS)
    assert dataset.digest != dataset_of(common.result).digest
    assert (all_queries.measures["R@20"], common.measures["R@20"]) == (0.5, 1.0)
    assert [note.kind for note in all_queries.result.measured.notes] == ["queries_missing", "queries_unjudged"]
    assert common.result.measured.notes == []


def test_texts_come_from_files_whose_ids_are_those_of_the_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    corpus, queries = tmp_path / "corpus.tsv", tmp_path / "queries.jsonl"
    corpus.write_text("d1\tone\nd2\ttwo\n")
    queries.write_text('{"_id": "q1", "text": "which?"}\n')
    (first,) = judged("first", documents=corpus, queries=queries)
    dataset = dataset_of(first.result)
    assert dict(dataset.queries) == {"q1": "which?"}
    assert dataset.documents.texts([1, 0]) == ["two", "one"]
    corpus.write_text("D1\tone\n")
    with pytest.raises(DataError, match=r"corpus.tsv: holds no document of the runs: 'd1' stands in the runs and 'D1'"):
        judged("first", documents=corpus)
    queries.write_text('{"_id": "Q1", "text": "which?"}\n')
    with pytest.raises(DataError, match=r"queries.jsonl: holds no judged query: 'q1' stands in the judgments"):
        judged("first", queries=queries)
    queries.write_text('{"_id": "q1", "text": "a"}\n{"_id": "q1", "text": "b"}\n')
    with pytest.raises(DataError, match=r"queries\.jsonl:2: query id 'q1' occurs twice"):
        judged("first", queries=queries)
    queries.write_text("\n")
    with pytest.raises(DataError, match="holds no queries"):
        judged("first", queries=queries)


def test_an_evaluation_in_memory_has_nothing_to_save(tmp_path):
    (first,) = judged("first")
    with pytest.raises(ResultError, match="has nothing to copy"):
        first.save(tmp_path / "copy")


def test_a_relevance_level_is_that_of_measures_that_name_none():
    (first,) = judged("first", level=2)
    assert first.measures == {"RR(rel=2)@10": 0.25, "R(rel=2)@20": 0.5}
    assert measure_of([first], "P@1") == "P(rel=2)@1"
