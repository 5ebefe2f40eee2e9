"""A checkpoint that passes every check, for copies of which each fails another."""

from pathlib import Path

import pytest
from trained_reranker import write_trained_reranker


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    return write_trained_reranker(tmp_path_factory.mktemp("trained") / "model")
