"""Tiny BERT checkpoints for every test here; not to be changed."""

from pathlib import Path

import pytest
from stubs import tiny_bert


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("made") / "encoder")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("made") / "classifier", classifier=True)
