"""Numbers to which workers add one."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from evalkit.config import ComputeConfig, DenseConfig, EvaluateConfig, FolderDatasetConfig
from evalkit.inference.workers import Shards
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.system.stages import Meter


class Sums:
    """Numbers in shards, and what came back."""

    def __init__(self, sizes):
        self.ends = np.cumsum([0, *sizes])
        self.numbers = np.arange(self.ends[-1]) * 10
        self.found = np.full(len(self.numbers), -1)
        self.kept, self.ended = [], []

    def rows(self, shard):
        return slice(self.ends[shard], self.ends[shard + 1])

    def payload(self, shard):
        known = self.found[self.rows(shard)] >= 0
        return None if known.all() else (shard, self.numbers[self.rows(shard)], known)

    def keep(self, shard, part):
        rows, sums = part
        self.kept += (self.ends[shard] + rows).tolist()
        self.found[self.ends[shard] + rows] = sums

    @property
    def shards(self):
        return Shards(len(self.ends) - 1, self.payload, self.keep, self.ended.append, Meter())

    @property
    def are_right(self):
        return self.found.tolist() == (self.numbers + 1).tolist()


@pytest.fixture
def sums():
    return Sums


@pytest.fixture
def small_shards(monkeypatch):
    """Work in many shards."""
    from evalkit.rerank import texts
    from evalkit.retrieval import encoding, sharded

    monkeypatch.setattr(encoding, "_TEXTS_PER_WINDOW", 13)
    monkeypatch.setattr(sharded, "_DOCUMENTS_PER_SHARD", 17)
    monkeypatch.setattr(texts, "PAIRS_PER_WINDOW", 23)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    from stubs import tiny_bert
    from tiny_checkpoints import write_jina_listwise, write_minicpm_reranker

    folder = tmp_path_factory.mktemp("models")
    return {
        "encoder": tiny_bert(folder / "encoder"),
        "cross_encoder": tiny_bert(folder / "cross", classifier=True, seed=3),
        "listwise": write_jina_listwise(folder / "listwise"),
        "minicpm": write_minicpm_reranker(folder / "minicpm"),
    }


@pytest.fixture
def config(tmp_path, models, small_shards):  # noqa: ARG001 - for what it sets
    """An evaluation with a bi-encoder and a cross-encoder."""
    from stubs import DOCUMENTS, write_collection

    words = [word for title, text in DOCUMENTS.values() for word in text.lower().replace(".", "").split()]
    documents = {f"d{row}": ("", " ".join(words[row % 7 : row % 7 + 2 + row % 9])) for row in range(90)}
    queries = {f"q{row}": " ".join(words[row : row + 3]) for row in range(8)}
    folder = write_collection(tmp_path / "c", documents, queries, {query: {"d3": 1, "d60": 2} for query in queries})
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(folder)),
        retriever=DenseConfig(name="dense", model=str(models["encoder"]), pooling="mean", max_length=16),
        reranker=CrossEncoderConfig(name="cross_encoder", model=str(models["cross_encoder"]), max_length=24),
        compute=ComputeConfig(device="cpu"),
        depth=20,
        results_dir=str(tmp_path / "local" / "results"),
        cache_dir=str(tmp_path / "local" / "cache"),
    )
