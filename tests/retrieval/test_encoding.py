from dataclasses import replace
from functools import partial

import datasets
import numpy as np
import pyarrow as pa
import pytest
from stubs import DOCUMENTS, tiny_bert

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.datasets.documents import ArrowDocuments
from evalkit.inference.room import Room
from evalkit.inference.workers.local import LocalPool
from evalkit.retrieval import encoding
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.retrieval.encoding import EncodingWorker, encode_corpus, encode_texts
from evalkit.retrieval.vectors import VECTORS, open_vectors
from evalkit.system.stages import Meter

TEXTS = [f"{title} {text}".strip() for title, text in DOCUMENTS.values()] * 5


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tiny_bert(tmp_path_factory.mktemp("models") / "encoder")
    config = DenseConfig(normalize=True, name="dense", model=str(folder), pooling="mean", max_length=16)
    return DenseEncoder(config, ComputeConfig(device="cpu", batch_tokens=40))


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch):
    monkeypatch.setattr(encoding, "_TEXTS_PER_WINDOW", 6)


def encoded(encoder, folder, meter=None):
    folder.mkdir(exist_ok=True)
    table = pa.table({"_id": [str(row) for row in range(len(TEXTS))], "text": TEXTS})
    documents = ArrowDocuments(datasets.Dataset(table), title_separator=" ")
    encode_corpus(
        LocalPool(EncodingWorker(encoder)),
        documents,
        partial(open_vectors, folder, (len(documents), encoder.width), "float32"),
        instruction="",
        room=Room(None),
        meter=meter or Meter("documents"),
    )
    return np.load(folder / VECTORS)


def test_a_corpus_in_windows_has_the_vectors_of_its_texts(encoder, tmp_path):
    meter = Meter("documents")
    vectors = encoded(encoder, tmp_path / "x", meter)
    assert np.allclose(vectors, encoder.encode(TEXTS), atol=1e-6)
    assert (meter.done, meter.kept) == (len(TEXTS), 0)


def test_interrupted_encoding_resumes_with_the_same_bytes(encoder, tmp_path):
    def stop():
        if stopped.done > 9:
            raise StoppedError

    expected, stopped = encoded(encoder, tmp_path / "whole"), Meter("documents", stop)
    with pytest.raises(StoppedError):
        encoded(encoder, tmp_path / "x", stopped)
    again = Meter("documents")
    assert encoded(encoder, tmp_path / "x", again).tobytes() == expected.tobytes()
    assert (again.kept, again.done) == (stopped.done, len(TEXTS) - stopped.done)


def test_loading_an_encoder_leaves_no_trace_in_what_it_read(encoder):
    before = replace(encoder.usage)
    encoder.load()
    assert encoder.usage == before


def test_texts_in_memory_have_the_same_vectors_in_their_own_order(encoder):
    pool, meter = LocalPool(EncodingWorker(encoder)), Meter("queries")
    found = encode_texts(pool, TEXTS, width=encoder.width, instruction="the ", meter=meter)
    assert np.allclose(found, encoder.encode(TEXTS, instruction="the "), atol=1e-6)
    assert meter.done == len(TEXTS)


def test_no_texts_have_no_vectors(encoder):
    pool = LocalPool(EncodingWorker(encoder))
    assert encode_texts(pool, [], width=32, instruction="", meter=Meter("queries")).shape == (0, 32)
