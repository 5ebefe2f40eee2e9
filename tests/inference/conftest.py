"""A tiny tokenizer for every test here."""

import json
from pathlib import Path

import pytest
from stubs import tiny_bert
from tokenizers import Tokenizer


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("tokenizer")) / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer(file) -> Tokenizer:
    return Tokenizer.from_file(str(file))


@pytest.fixture(scope="module")
def code(file) -> dict[str, int]:
    """Token -> id, read from the file."""
    return json.loads(file.read_text(encoding="utf-8"))["model"]["vocab"]
