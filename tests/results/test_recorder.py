"""What a kept run is measured by, and what is added to one that was found."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from stubs import write_collection

from evalkit import results
from evalkit.config import EvaluateConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError, DataError
from evalkit.pipeline import evaluate
from evalkit.rerank.passthrough import KeepOrderConfig
from evalkit.results.recorder import STANDARD_ANSWER_MEASURES, STANDARD_MEASURES, Recorder
from evalkit.retrieval.bm25 import BM25Config
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.stages import Stages

RUN = Run.from_dict({"q1": {"d5": 2.0, "d1": 1.0}})
MADE = {
    "key": "a" * 64,
    "tag": "t",
    "seconds": 1.5,
    "run_digest": RUN.digest(),
    "retriever": {"name": "bm25", "kind": "bm25", "depth": 10},
}


@pytest.fixture
def config(collection: Path) -> EvaluateConfig:
    dataset = FolderDatasetConfig(path=str(collection))
    return EvaluateConfig(dataset=dataset, retriever=BM25Config(name="bm25"), reranker=KeepOrderConfig(name="none"))


def recorder(config: EvaluateConfig, store: Store) -> Recorder:
    return Recorder(config, load(config.dataset, store), "evalkit evaluate", store)


def test_the_measures_asked_for_come_first_and_the_standard_set_follows(config, store):
    config.measures = ["RR@5", "R@20"]
    assert recorder(config, store).measures == ["RR@5", "R@20", *(name for name in STANDARD_MEASURES if name != "R@20")]


def test_a_relevance_level_of_the_dataset_is_in_the_names_of_binary_measures(config, store):
    config.dataset.relevance_level = 2
    config.measures = ["MRR@5", "nDCG@10", "R(rel=1)@20"]
    expected = ["RR(rel=2)@5", "nDCG@10", "R(rel=1)@20", "nDCG@20", "R(rel=2)@20", "R(rel=2)@100", "MAP(rel=2)@100"]
    assert [*expected, "RR(rel=2)@10", "P(rel=2)@10"] == recorder(config, store).measures


def test_an_unknown_measure_is_refused(config, store):
    config.measures = ["F@1"]
    with pytest.raises(ConfigError, match="'F@1'"):
        _ = recorder(config, store).measures


def test_manifest_of_a_run_has_its_measures_ceiling_and_missing_queries(config, store, tmp_path):
    result = recorder(config, store).keep(tmp_path / "kept", RUN, stages=Stages(), **MADE)
    manifest = json.loads((tmp_path / "kept" / "manifest.json").read_text())

    assert manifest.pop("manifest_sha256")
    assert manifest == result.manifest
    # q1 has d5 (1) before d1 (2), perfect after swapping; q2 is not in the run.
    assert manifest["measures"]["RR@10"] == 0.5
    assert manifest["measures"]["nDCG@10"] < manifest["ceiling"]["nDCG@10"] == 0.5
    assert manifest["queries_without_candidates"] == ["q2"]
    assert manifest["seconds"] == 1.5
    assert manifest["dataset"]["documents"] == 5


def test_a_found_result_gains_the_measures_it_lacks_and_keeps_its_own(config, store, tmp_path):
    kept = recorder(config, store).keep(tmp_path / "kept", RUN, stages=Stages(), **MADE)
    config.measures = ["P@1"]
    completed = recorder(config, store).complete(kept)

    assert completed.manifest["measures"]["P@1"] == 0.5
    assert completed.manifest["measures"]["nDCG@10"] == kept.manifest["measures"]["nDCG@10"]
    assert results.read(tmp_path / "kept").manifest == completed.manifest


def test_a_found_result_that_has_everything_is_left_alone(config, store, tmp_path):
    kept = recorder(config, store).keep(tmp_path / "kept", RUN, stages=Stages(), **MADE)
    assert recorder(config, store).complete(kept) is kept


# Judged by answers


ANSWERED = [
    {"_id": "q1", "text": "why does the sea have tides", "answers": ["no air", "THE MOON"]},
    {"_id": "q2", "text": "what makes bread rise", "answers": ["Yeast"]},
    {"_id": "q3", "text": "who wrote it", "answers": ["Nobody at all"]},
]


def answered(folder: Path, *, judgments: bool) -> Path:
    """A collection whose queries have answers; q3's is in no document."""
    write_collection(folder, qrels={"q1": {"d2": 1}, "q2": {"d3": 1}, "q3": {"d4": 0}})
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ANSWERED), encoding="utf-8")
    if not judgments:
        shutil.rmtree(folder / "qrels")
    return folder


@pytest.fixture
def both(config, tmp_path) -> EvaluateConfig:
    """A collection with judgments and answers."""
    folder = answered(tmp_path / "both", judgments=True)
    return replace(
        config,
        dataset=FolderDatasetConfig(path=str(folder)),
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )


@pytest.fixture
def only_answers(both, tmp_path) -> EvaluateConfig:
    """A collection with answers alone."""
    folder = answered(tmp_path / "only", judgments=False)
    return replace(both, dataset=FolderDatasetConfig(path=str(folder)), measures=["AnswerRecall@20"])


def test_each_kind_of_judgment_brings_its_standard_measures(both, only_answers, config, store):
    assert [*STANDARD_MEASURES, *STANDARD_ANSWER_MEASURES] == sorted(
        recorder(both, store).measures, key=[*STANDARD_MEASURES, *STANDARD_ANSWER_MEASURES].index
    )
    assert ["AnswerRecall@20", "AnswerRecall@1", "AnswerRecall@5", "AnswerRecall@100"] == recorder(
        only_answers, store
    ).measures
    assert not any("Answer" in name for name in recorder(config, store).measures)


def test_a_run_is_measured_by_judgments_and_by_answers_each_with_its_own_ceiling(both, store, tmp_path):
    # q1: d2 is judged relevant, d1 and d5 contain the answer. q2: d3 is both. q3: nothing is.
    run = Run.from_dict(
        {"q1": {"d2": 3.0, "d4": 2.0, "d5": 1.0}, "q2": {"d1": 2.0, "d3": 1.0}, "q3": {"d1": 2.0, "gone": 1.0}}
    )
    both.measures = ["P@1", "Success@2", "AnswerRecall@1", "AnswerRecall@2", "AnswerRecall@3"]
    manifest = recorder(both, store).keep(tmp_path / "kept", run, stages=Stages(), **MADE).manifest
    expected = {
        "P@1": 1 / 3,
        "Success@2": 2 / 3,
        "AnswerRecall@1": 0.0,
        "AnswerRecall@2": 1 / 3,
        "AnswerRecall@3": 2 / 3,
    }
    best = {"P@1": 2 / 3, "Success@2": 2 / 3, "AnswerRecall@1": 2 / 3, "AnswerRecall@2": 2 / 3, "AnswerRecall@3": 2 / 3}
    assert expected == {name: pytest.approx(manifest["measures"][name], abs=1e-15) for name in expected}
    assert best == {name: pytest.approx(manifest["ceiling"][name], abs=1e-15) for name in best}
    assert list(manifest["measures"]) == list(manifest["ceiling"])
    assert 3 == manifest["queries"]


def test_a_found_result_gains_a_measure_by_answers(both, store, tmp_path):
    kept = recorder(both, store).keep(tmp_path / "kept", RUN, stages=Stages(), **MADE)
    assert "AnswerRecall@3" not in kept.manifest["measures"]
    both.measures = ["AnswerRecall@3"]
    completed = recorder(both, store).complete(kept)
    # q1 has d5, which contains an answer; q2 and q3 are not in the run.
    assert completed.manifest["measures"]["AnswerRecall@3"] == pytest.approx(1 / 3, abs=1e-15)
    assert completed.manifest["measures"]["nDCG@10"] == kept.manifest["measures"]["nDCG@10"]


def test_the_result_on_disk_holds_answer_recall_and_ndcg_of_every_query(both):
    both.measures = ["nDCG@10", "AnswerRecall@1"]
    done = evaluate(both)
    table = pq.read_table(done.result.folder / "per_query.parquet").to_pydict()
    assert ["q1", "q2", "q3"] == table["query_id"]
    assert {"nDCG@10", "AnswerRecall@1", "AnswerRecall@5", "AnswerRecall@20", "AnswerRecall@100"} <= set(table)
    # BM25 finds d1 (the moon ... the sea) for q1 and d3 for q2.
    assert [1.0, 1.0, 0.0] == table["AnswerRecall@1"]
    assert [0.0, 1.0, 0.0] == table["nDCG@10"]
    assert done.result.manifest["measures"]["AnswerRecall@1"] == pytest.approx(2 / 3, abs=1e-15)


def test_a_collection_with_answers_alone_is_evaluated_and_its_result_found_again(only_answers):
    done = evaluate(only_answers)
    table = pq.read_table(done.result.folder / "per_query.parquet").to_pydict()
    assert ["query_id", "AnswerRecall@20", "AnswerRecall@1", "AnswerRecall@5", "AnswerRecall@100"] == list(table)
    assert [1.0, 1.0, 0.0] == table["AnswerRecall@20"]
    assert ["AnswerRecall@20", "AnswerRecall@1", "AnswerRecall@5", "AnswerRecall@100"] == list(
        done.result.manifest["measures"]
    )
    assert not evaluate(only_answers).result.fresh


@pytest.mark.parametrize("measures", [["nDCG@10"], ["AnswerRecall@20", "R@20"]])
def test_a_measure_by_judgments_of_a_collection_with_answers_alone_is_refused_before_anything_is_made(
    only_answers, measures
):
    only_answers.measures = measures
    with pytest.raises(DataError) as caught:
        evaluate(only_answers)
    assert str(caught.value).startswith(f"{measures[-1]} needs judgments, and this dataset has only answers.")
    assert "\n" not in str(caught.value)
    assert not Path(only_answers.results_dir).exists()


def test_a_measure_by_answers_of_a_collection_without_answers_is_refused_before_anything_is_made(both, collection):
    both.dataset = FolderDatasetConfig(path=str(collection))
    both.measures = ["nDCG@10", "AnswerRecall@20"]
    with pytest.raises(DataError, match=r"^AnswerRecall@20 needs answers, and this dataset has only judgments\."):
        evaluate(both)
    assert not Path(both.results_dir).exists()


def test_processes_that_add_measures_at_once_lose_none(config, store, tmp_path):
    """Each of them found the result before any of the others had written."""
    kept = recorder(config, store).keep(tmp_path / "kept", RUN, stages=Stages(), **MADE)
    names = [f"nDCG@{cutoff}" for cutoff in range(2, 8)]
    dataset = load(config.dataset, store)
    recorders = [Recorder(replace(config, measures=[name]), dataset, "evalkit evaluate", store) for name in names]
    with ThreadPoolExecutor(len(names)) as pool:
        completed = list(pool.map(lambda one: one.complete(kept), recorders))
    found = results.read(tmp_path / "kept")
    assert {*names, *kept.manifest["measures"]} == {*found.manifest["measures"]} == {*found.manifest["ceiling"]}
    assert {*names, *kept.manifest["measures"]} == {*found.read_per_query().values}
    assert all(name in one.manifest["measures"] for name, one in zip(names, completed, strict=True))
