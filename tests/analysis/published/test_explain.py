"""Why a number is off: other ways of counting kept runs, each computed here in another way."""

import json
import shlex

import numpy as np
import pytest
from made import grade, made, write_collection
from stubs import tiny_bert

from evalkit.analysis.published.explain import explain
from evalkit.analysis.published.tables import PublishedColumn, load_published
from evalkit.cli import main
from evalkit.config.suites import Suite
from evalkit.measures import measure
from evalkit.results.gather import dataset_of, gather

BGE = load_published("bge-rerankers")
(BEIR,) = [table for table in BGE.tables if table.name == "beir"]
ROW = next(row for row in BEIR.rows if row.name == "bge-reranker-v2-m3")
FORUMS = ("android", "english", "gaming", "gis", "mathematica", "physics")
COLUMNS = {column.name: column for column in BEIR.columns}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ties in every ranking, and a query whose id is that of a relevant document."""
    folder = tmp_path_factory.mktemp("explain")
    ties = {
        f"q{query}": {f"d{query}_{place}": float(grade(query, place) > 1) for place in range(12)} for query in range(8)
    }
    made(folder, {"bge_reranker_v2_m3": ties}, dataset="scifact", stage="bge_large_en_v1_5", queries=8)
    return folder


@pytest.fixture(scope="module")
def toggles(folder):
    found = explain(ROW, COLUMNS["scifact"], gather([folder / "results"]), [])
    return {one.what: one for one in found}


def test_orders_of_ties_enclose_ours_and_ascending_ids_are_one_of_them(folder, toggles):
    (one,) = gather([folder / "results"])
    ours = 100 * one.result.manifest["measures"]["nDCG@10"]
    best, worst = toggles["ties in their best order"], toggles["ties in their worst order"]
    ascending = toggles["ties by ascending document id"]
    assert worst.value < ours < best.value
    assert worst.value <= ascending.value <= best.value
    qrels = dataset_of(one.result).qrels
    ranked = {
        query_id: {
            doc_id: -place
            for place, (_, doc_id) in enumerate(sorted((-s, d) for d, s in zip(docs, scores, strict=True)))
        }
        for query_id, docs, scores in one.result.read_run()
    }
    from evalkit.run import Run

    expected = 100 * measure(qrels, Run.from_dict(ranked), ["nDCG@10"]).means["nDCG@10"]
    assert ascending.value == pytest.approx(expected)
    assert ascending.moved == pytest.approx(expected - ours)


def test_toggles_without_effect_here_moved_nothing(toggles):
    for what in ("documents with the query's own id dropped", "queries without any candidate left out"):
        assert toggles[what].moved == pytest.approx(0)
    assert "every query counts once" not in toggles


def test_most_moving_come_first(folder):
    found = explain(ROW, COLUMNS["scifact"], gather([folder / "results"]), [])
    moved = [abs(one.moved) for one in found if one.moved is not None]
    assert moved == sorted(moved, reverse=True)
    assert all(one.moved is not None for one in found[: len(moved)])


def test_own_ids_and_missing_queries_are_left_out_of_the_number(tmp_path):
    runs = {f"q{query}": {f"d{query}_{place}": float(place) for place in range(12)} for query in range(4)}
    root = made(tmp_path, {"bge_reranker_v2_m3": runs}, dataset="fiqa", stage="bge_large_en_v1_5", queries=4)
    (one,) = gather([root])
    found = explain(ROW, COLUMNS["fiqa"], [one], [])
    (depths,) = [toggle for toggle in found if "depth" in toggle.what]
    assert depths.what.startswith("smaller depths: unknown, because the scores are replayed")
    assert (depths.value, depths.moved) == (None, None)
    one.result.manifest["reranker"]["kind"] = "cross_encoder"
    found = explain(ROW, COLUMNS["fiqa"], [one], [])
    assert {toggle.what for toggle in found} >= {"depth 10", "depth 20", "depth 50"}
    by = {toggle.what: toggle for toggle in found}
    assert by["depth 50"].moved == pytest.approx(0)


def test_averages_of_forums(tmp_path):
    names = ("cqadupstack/android", "cqadupstack/english", "scifact")
    for number, name in enumerate(names):
        root = made(
            tmp_path, {"bge_reranker_v2_m3": 1.0}, dataset=name, stage="bge_large_en_v1_5", queries=4 + 3 * number
        )
    evaluations = gather([root])
    means = {one.dataset: 100 * one.result.manifest["measures"]["nDCG@10"] for one in evaluations}
    column = PublishedColumn("three", "nDCG@10", Suite("three", names), ("bge_large_en_v1_5",))
    found = {one.what: one for one in explain(ROW, column, evaluations, [])}
    android, english, scifact = (means[name] for name in names)
    ours = ((android + english) / 2 + scifact) / 2
    forums = found["every forum of CQADupStack counts once"]
    assert forums.value == pytest.approx(np.mean([android, english, scifact]))
    assert forums.moved == pytest.approx(forums.value - ours)
    assert found["every query counts once"].value == pytest.approx((4 * android + 7 * english + 10 * scifact) / 21)


def test_a_mean_over_first_stages_is_explained_as_one_number(tmp_path):
    for stage in ("bge_large_en_v1_5", "bm25"):
        made(tmp_path, {"bge_reranker_v2_m3": 1.0 + len(stage) / 10}, dataset="scifact", stage=stage, queries=4)
    evaluations = gather([tmp_path / "results"])
    ours = np.mean([100 * one.result.manifest["measures"]["nDCG@10"] for one in evaluations])
    column = PublishedColumn("mean", "nDCG@10", Suite("scifact", ("scifact",)), ("bge_large_en_v1_5", "bm25"))
    found = {one.what: one for one in explain(ROW, column, evaluations, [])}
    best = found["ties in their best order"]
    assert best.value - best.moved == pytest.approx(ours)
    assert "every forum of CQADupStack counts once" not in found


def test_expensive_toggles_are_commands_whose_effect_is_measured_once_they_were_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_collection(tmp_path / "collection", queries=8)
    tiny_bert(tmp_path / "model", classifier=True)
    stage = ["retriever=bm25", "retriever.name=bge_large_en_v1_5", "cache_dir=cache", "compute=cpu"]
    own = [
        "reranker=cross_encoder",
        "reranker.name=bge_reranker_v2_m3",
        "reranker.model=model",
        "reranker.max_length=24",
    ]
    assert main(["evaluate", "dataset=folder", "dataset.name=scifact", "dataset.path=collection", *stage, *own]) == 0
    asked = ["reproduce", "bge-rerankers", "--explain", "bge-reranker-v2-m3/scifact", "--format", "json"]
    capsys.readouterr()
    assert main(asked) == 0
    (table,) = json.loads(capsys.readouterr().out)
    row = next(row for row in table["rows"] if row["under"].startswith("bfloat16"))
    assert row["value"] is None
    command = shlex.split(row["command"])
    assert "dataset.sample=50" in command
    assert main(["evaluate", *[part.replace("sample=50", "sample=5") for part in command[2:]]]) == 0
    assert "left out 3 queries" in capsys.readouterr().out
    assert main(asked) == 0
    (table,) = json.loads(capsys.readouterr().out)
    row = next(row for row in table["rows"] if row["under"].startswith("bfloat16"))
    (sampled,) = gather(["explain"])
    assert row["value"] == pytest.approx(100 * sampled.result.manifest["measures"]["nDCG@10"])
    (base,) = gather(["results"])
    values = dict(
        zip(base.result.read_per_query().query_ids, base.result.read_per_query().values["nDCG@10"], strict=True)
    )
    common = [values[query_id] for query_id in sampled.result.read_per_query().query_ids]
    assert len(common) == 5
    assert row["moved"] == pytest.approx(row["value"] - 100 * np.mean(common))


def test_samples_are_not_taken_for_published_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_collection(tmp_path / "collection", queries=8)
    arguments = ["retriever=bm25", "retriever.name=bge_large_en_v1_5", "reranker=none", "cache_dir=cache"]
    named = ["dataset=folder", "dataset.name=scifact", "dataset.path=collection", "dataset.sample=3"]
    assert main(["evaluate", *named, *arguments]) == 0
    assert main(["reproduce", "bge-rerankers", "--format", "csv"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "bge-large-en-v1.5,scifact," in line)
    assert "not run" in line
