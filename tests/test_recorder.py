"""What a kept run is measured by, and what is added to one that was found."""

import json
from pathlib import Path

import pytest

from evalkit import results
from evalkit.config import BM25Config, EvaluateConfig, FolderDatasetConfig, RerankerConfig
from evalkit.datasets import load
from evalkit.errors import ConfigError
from evalkit.recorder import STANDARD_MEASURES, Recorder
from evalkit.run import Run
from evalkit.store import Store

RUN = Run.from_dict({"q1": {"d5": 2.0, "d1": 1.0}})


@pytest.fixture
def config(collection: Path) -> EvaluateConfig:
    dataset = FolderDatasetConfig(path=str(collection))
    return EvaluateConfig(dataset=dataset, retriever=BM25Config(name="bm25"), reranker=RerankerConfig(name="none"))


def recorder(config: EvaluateConfig, store: Store) -> Recorder:
    return Recorder(config, load(config.dataset, store), "evalkit evaluate")


def test_the_measures_asked_for_come_first_and_the_standard_set_follows(config, store):
    config.measures = ["RR@5", "R@20"]
    assert recorder(config, store).measures == ["RR@5", "R@20", *(name for name in STANDARD_MEASURES if name != "R@20")]


def test_an_unknown_measure_is_refused(config, store):
    config.measures = ["F@1"]
    with pytest.raises(ConfigError, match="'F@1'"):
        _ = recorder(config, store).measures


def test_a_kept_run_has_its_measures_ceiling_and_missing_queries_in_the_manifest(config, store, tmp_path):
    result = recorder(config, store).keep(tmp_path / "kept", RUN, key="k", tag="t", seconds=1.5)
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
    kept = recorder(config, store).keep(tmp_path / "kept", RUN, key="k", tag="t")
    config.measures = ["P@1"]
    completed = recorder(config, store).complete(kept)

    assert completed.manifest["measures"]["P@1"] == 0.5
    assert completed.manifest["measures"]["nDCG@10"] == kept.manifest["measures"]["nDCG@10"]
    assert results.read(tmp_path / "kept").manifest == completed.manifest


def test_a_found_result_that_has_everything_is_left_alone(config, store, tmp_path):
    kept = recorder(config, store).keep(tmp_path / "kept", RUN, key="k", tag="t")
    assert recorder(config, store).complete(kept) is kept
