"""An evaluation on a collection of forty documents, with tiny models."""

import pytest
from stubs import DOCUMENTS, tiny_bert, write_collection

from evalkit import datasets
from evalkit.config import ComputeConfig, DenseConfig, EvaluateConfig, FolderDatasetConfig, MachineConfig
from evalkit.rerank.families.cross_encoder import CrossEncoderConfig
from evalkit.store import open_store

WORDS = [word for title, text in DOCUMENTS.values() for word in text.lower().replace(".", "").split()]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Matrices are multiplied once."""
    monkeypatch.setattr("evalkit.plan.matmul._SECONDS", 0.0)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("cross"), classifier=True)


@pytest.fixture
def config(tmp_path, encoder, cross_encoder):
    documents = {f"d{row}": ("", " ".join(WORDS[row % 7 : row % 7 + 2 + row % 9])) for row in range(40)}
    queries = {f"q{row}": " ".join(WORDS[row : row + 3]) for row in range(4)}
    folder = write_collection(tmp_path / "c", documents, queries, {query: {"d3": 1} for query in queries})
    return EvaluateConfig(
        dataset=FolderDatasetConfig(path=str(folder)),
        retriever=DenseConfig(name="dense", model=str(encoder), pooling="mean", max_length=16),
        reranker=CrossEncoderConfig(name="cross_encoder", model=str(cross_encoder), max_length=24),
        compute=ComputeConfig(device="cpu"),
        depth=10,
        results_dir=str(tmp_path / "results"),
        cache_dir=str(tmp_path / "cache"),
    )


@pytest.fixture
def store(config):
    return open_store(config.cache_dir)


@pytest.fixture
def dataset(config, store):
    return datasets.load(config.dataset, store)


@pytest.fixture
def described():
    """A machine whose rates are round."""
    machine = MachineConfig(
        name="GPU", devices=2, tflops={"float32": 10.0}, utilisation=0.5, watts=500, memory_gib=80, cores=8
    )
    return ComputeConfig(device="cpu", machine=machine)
