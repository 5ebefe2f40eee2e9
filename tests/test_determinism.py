"""The same settings give the same bytes; another processor gives others, within bounds."""

import os
import subprocess

import numpy as np
import pytest
from few import evaluation

from evalkit.results.gather import gather

BYTES = ("run.trec.gz", "per_query.parquet", "truncated.parquet", "vectors.npy")
# What a processor without AVX-512 would run.
OLDER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


def evaluate(folder, *settings, **environment):
    """Some queries over some documents of the bundled collection."""
    command = evaluation(folder, *settings)
    subprocess.run(command, env={**os.environ, **environment}, check=True, capture_output=True)
    return folder


def contents(folder):
    return {
        str(path.relative_to(folder)).split("/cache/")[-1]: path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.name in BYTES
    }


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return evaluate(tmp_path_factory.mktemp("usual"), "compute.threads=2")


@pytest.mark.slow
def test_threads_and_batches_change_no_byte(usual, tmp_path):
    expected = contents(usual)
    assert len(expected) == 6
    assert contents(evaluate(tmp_path, "compute.threads=1", "compute.batch_tokens=300")) == expected


@pytest.mark.slow
def test_another_processor_changes_scores_within_bounds_and_says_which_it_was(usual, tmp_path):
    here, there = (gather([folder / "results"])[0] for folder in (usual, evaluate(tmp_path, **OLDER)))
    assert there.result.manifest["environment"]["cpu"]["instructions"] == "AVX2"
    scores = [
        {(one.query_id, doc): score for one in run for doc, score in zip(one.doc_ids, one.scores, strict=True)}
        for run in (here.result.read_run(), there.result.read_run())
    ]
    common = scores[0].keys() & scores[1].keys()
    assert len(common) >= 0.999 * len(scores[0])
    apart = max(abs(float(scores[0][pair]) - float(scores[1][pair])) for pair in common)
    assert apart <= 2e-6, apart
    for name, value in here.result.manifest["measures"].items():
        assert np.isclose(value, there.result.manifest["measures"][name], atol=1e-4)
