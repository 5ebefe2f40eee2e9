"""A model whose pairs share their starts is killed in the middle of scoring, and ends in the bytes of a whole run."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dying import DYING
from few import evaluation
from tiny_checkpoints import write_minicpm_layerwise, write_qwen3_reranker

from evalkit.cli import main
from evalkit.inference import prefix
from evalkit.results.watching import Watch
from evalkit.system.running import FOLDER

pytestmark = pytest.mark.slow

BYTES = ("run.trec.gz", "per_query.parquet", "truncated.parquet")
EVALUATE = f"{DYING}from evalkit.cli import main; main(sys.argv[1:])"
FAMILIES = {
    "qwen3_reranker_0_6b": (write_qwen3_reranker, ["reranker.max_length=220"]),
    "bge_reranker_v2_minicpm_layerwise": (write_minicpm_layerwise, ["reranker.cutoff_layers=[2]"]),
}


def command(folder, name, checkpoint):
    own = [f"reranker={name}", f"reranker.model={checkpoint}", "reranker.revision=null", *FAMILIES[name][1]]
    return evaluation(folder, "retriever=bm25", "depth=12", "compute.batch_tokens=700", "compute.threads=2", *own)


def manifest_of(folder):
    (path,) = [path for path in folder.rglob("manifest.json") if "reranker" in path.parent.name]
    return json.loads(path.read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, bytes]:
    results = folder / "results"
    return {str(path.relative_to(results)): path.read_bytes() for path in results.rglob("*") if path.name in BYTES}


@pytest.mark.parametrize("name", FAMILIES)
def test_pairs_with_shared_starts_that_were_killed_end_in_the_same_bytes(tmp_path, monkeypatch, name):
    checkpoint, levels, found = FAMILIES[name][0](tmp_path / "model", seed=8), [], prefix.prefixes

    def noted(tokenized):
        levels.append(found(tokenized))
        return levels[-1]

    monkeypatch.setattr("evalkit.inference.forward.prefixes", noted)
    main(command(tmp_path / "whole", name, checkpoint)[3:])
    shared = levels[-1]
    assert shared.lengths.min() > 0
    assert len(np.unique(shared.groups)) > 5
    if name.startswith("qwen3"):  # the template and its instruction before all queries
        assert shared.above.lengths.min() >= 32
        assert len(np.unique(shared.above.groups)) == 1
    whole = manifest_of(tmp_path / "whole")
    assert whole["engine"]["computed_tokens"] < whole["engine"]["tokens"]
    for records in (1, 4):
        folder = tmp_path / str(records)
        again = command(folder, name, checkpoint)
        killed = subprocess.run(
            [sys.executable, "-c", EVALUATE, str(records), *again[3:]], capture_output=True, check=False
        )
        assert killed.returncode == -9, killed.stderr
        assert not contents(folder).keys() & {place for place in contents(tmp_path / "whole") if name in place}
        (seen,) = Watch(folder / "results").look().broken
        assert (seen.state, seen.facts["reranker"], seen.stage) == ("killed", name, "reranking")
        main(again[3:])
        assert not (folder / "results" / FOLDER).exists()
        resumed = manifest_of(folder)
        assert 0 < resumed["kept_pairs"] < resumed["pairs"]
        assert len(contents(folder)) == 5
        assert contents(folder) == contents(tmp_path / "whole")
