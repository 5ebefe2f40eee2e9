"""Checkpoints that pass every check, for copies of which each fails another."""

from pathlib import Path

import pytest
import torch
from trained_reranker import write_trained_reranker
from trained_retriever import write_trained_retriever, write_trained_splade

from evalkit.inference import forward


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    return write_trained_reranker(tmp_path_factory.mktemp("trained") / "model")


@pytest.fixture(scope="session")
def dense(tmp_path_factory) -> Path:
    return write_trained_retriever(tmp_path_factory.mktemp("dense") / "model")


@pytest.fixture(scope="session")
def splade(tmp_path_factory) -> Path:
    return write_trained_splade(tmp_path_factory.mktemp("splade") / "model")


def _padded_on_the_left(sequences, fill):
    longest = max(map(len, sequences))
    rows = [[fill] * (longest - len(sequence)) + list(sequence) for sequence in sequences]
    mask = [[0] * (longest - len(sequence)) + [1] * len(sequence) for sequence in sequences]
    return torch.tensor(rows, dtype=torch.int64), torch.tensor(mask, dtype=torch.int64)


@pytest.fixture
def pad_on_the_left(monkeypatch):
    """Called, it plants a fault: positions of a text depend on the longest one of its batch."""
    return lambda: monkeypatch.setattr(forward, "_padded", _padded_on_the_left)
