import datasets
import numpy as np
import pyarrow as pa
import pytest
from stubs import DOCUMENTS, tiny_bert

from evalkit.config import ComputeConfig, DenseConfig
from evalkit.datasets.documents import ArrowDocuments
from evalkit.inference.room import Room
from evalkit.retrieval import encoding
from evalkit.retrieval.encoder import DenseEncoder
from evalkit.retrieval.encoding import EncodingWorker, encode_corpus, encode_texts
from evalkit.retrieval.vectors import VECTORS
from evalkit.workers.local import LocalPool

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


def encoded(encoder, folder, advance=lambda _: None):
    folder.mkdir(exist_ok=True)
    table = pa.table({"_id": [str(row) for row in range(len(TEXTS))], "text": TEXTS})
    documents = ArrowDocuments(datasets.Dataset(table), title_separator=" ")
    encode_corpus(
        LocalPool(EncodingWorker(encoder)),
        documents,
        folder,
        width=encoder.width,
        dtype="float32",
        instruction="",
        room=Room(None),
        advance=advance,
    )
    return np.load(folder / VECTORS)


def test_a_corpus_in_windows_has_the_vectors_of_its_texts(encoder, tmp_path):
    done = []
    vectors = encoded(encoder, tmp_path / "x", done.append)
    assert np.allclose(vectors, encoder.encode(TEXTS), atol=1e-6)
    assert sum(done) == len(TEXTS)


def test_encoding_goes_on_where_it_was_interrupted_with_the_same_bytes(encoder, tmp_path):
    def stop(count):
        stopped.append(count)
        if sum(stopped) > 9:
            raise StoppedError

    expected, stopped = encoded(encoder, tmp_path / "whole"), []
    with pytest.raises(StoppedError):
        encoded(encoder, tmp_path / "x", stop)
    again = []
    assert encoded(encoder, tmp_path / "x", again.append).tobytes() == expected.tobytes()
    assert again[0] == sum(stopped)  # what was there


def test_texts_in_memory_have_the_same_vectors_in_their_own_order(encoder):
    pool, done = LocalPool(EncodingWorker(encoder)), []
    found = encode_texts(pool, TEXTS, width=encoder.width, instruction="the ", advance=done.append)
    assert np.allclose(found, encoder.encode(TEXTS, instruction="the "), atol=1e-6)
    assert sum(done) == len(TEXTS)


def test_no_texts_have_no_vectors(encoder):
    pool = LocalPool(EncodingWorker(encoder))
    assert encode_texts(pool, [], width=32, instruction="", advance=lambda _: None).shape == (0, 32)
