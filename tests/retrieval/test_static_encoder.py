"""Static embeddings: the mean of a text's rows of a table, against NumPy and sentence-transformers."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stubs import write_collection
from tokenizers import Tokenizer

from evalkit import load_retriever
from evalkit.config import ComputeConfig, FolderDatasetConfig
from evalkit.datasets import load
from evalkit.errors import ModelError
from evalkit.load import config_of
from evalkit.retrieval import build

TEXTS = ["The moon pulls the sea.", "", "Bees make honey from nectar", "moon", "[CLS] Yeast makes bread rise " * 9]
ROWS, WIDTH = 64, 12


def write(folder, tokenizer_file, tensors=None, *, inner="", normalize=False, **declared):
    """A static embedding in the layout of sentence-transformers; returns folder and table."""
    table = torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(2))
    kinds = [("StaticEmbedding", inner), *([("Normalize", "1_Normalize")] if normalize else [])]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (kind, path) in enumerate(kinds)
    ]
    (folder / inner).mkdir(parents=True)
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "config_sentence_transformers.json").write_text(json.dumps(declared), encoding="utf-8")
    (folder / inner / "tokenizer.json").write_bytes(tokenizer_file.read_bytes())
    save_file(tensors or {"embedding.weight": table}, folder / inner / "model.safetensors")
    return folder, table.numpy()


def dense(folder, **settings):
    return load_retriever("dense", model=folder, compute={"device": "cpu"}, **settings)


def reference(folder, table, text, most=None):
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids[:most]
    return table[ids].astype(np.float64).mean(axis=0) if ids else np.zeros(WIDTH)


@pytest.mark.parametrize("inner", ["", "0_StaticEmbedding"])
def test_vectors_are_means_of_rows_and_that_of_an_empty_text_is_nothing(tmp_path, tokenizer_file, inner):
    folder, table = write(tmp_path / "m", tokenizer_file, inner=inner)
    model = dense(folder)
    expected = [reference(folder / inner, table, text) for text in TEXTS]
    np.testing.assert_allclose(model.encode(TEXTS), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(model.encode(TEXTS), np.concatenate([model.encode([text]) for text in TEXTS]))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("truncate_dim", [None, 5])
def test_vectors_are_those_of_sentence_transformers(tmp_path, tokenizer_file, normalize, truncate_dim):
    pytest.importorskip("sentence_transformers")
    from sentence_transformers import SentenceTransformer

    more = {"prompts": {"query": "the "}, **({"truncate_dim": truncate_dim} if truncate_dim else {})}
    folder, _ = write(tmp_path / "m", tokenizer_file, normalize=normalize, **more)
    own, theirs = dense(folder), SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(own.encode_queries(TEXTS), theirs.encode_query(TEXTS), rtol=0, atol=1e-6)
    np.testing.assert_allclose(own.encode_documents(TEXTS), theirs.encode_document(TEXTS), rtol=0, atol=1e-6)


def test_tensors_of_model2vec_are_mapped_and_weighted(tmp_path, tokenizer_file):
    draw = torch.Generator().manual_seed(4)
    tensors = {
        "embeddings": torch.randn(20, WIDTH, generator=draw).half(),
        "mapping": torch.randint(0, 20, (ROWS,), generator=draw),
        "weights": torch.rand(ROWS, generator=draw),
    }
    folder, _ = write(tmp_path / "m", tokenizer_file, tensors)
    rows = tensors["embeddings"].float().numpy()[tensors["mapping"].numpy()] * tensors["weights"].numpy()[:, None]
    expected = [reference(folder, rows, text) for text in TEXTS]
    np.testing.assert_allclose(dense(folder).encode(TEXTS), expected, rtol=0, atol=1e-6)


def test_only_a_setting_or_the_tokenizer_cuts_a_text(tmp_path, tokenizer_file):
    folder, table = write(tmp_path / "m", tokenizer_file)
    expected = [reference(folder, table, text, 9) for text in TEXTS]
    assert np.abs(np.subtract(expected, dense(folder).encode(TEXTS))).max() > 0.01
    np.testing.assert_allclose(dense(folder, max_length=9).encode(TEXTS), expected, rtol=0, atol=1e-6)
    stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
    stored.enable_truncation(9)
    stored.save(str(folder / "tokenizer.json"))
    np.testing.assert_allclose(dense(folder).encode(TEXTS), expected, rtol=0, atol=1e-6)


def test_a_corpus_is_searched_by_the_cosine(tmp_path, tokenizer_file, store):
    dataset = load(FolderDatasetConfig(path=str(write_collection(tmp_path / "collection"))), store)
    folder, _ = write(tmp_path / "m", tokenizer_file)
    retriever = build(
        config_of("retriever", "dense", {"model": str(folder), "embedding_dtype": "float32"}),
        ComputeConfig(device="cpu"),
        store,
    )
    texts = list(dataset.documents.texts(range(len(dataset.documents))))
    queries, documents = (
        vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        for vectors in (retriever.encode(list(dataset.queries.values())), retriever.encode(texts))
    )
    scores, ids = queries @ documents.T, dataset.documents.ids.to_pylist()
    for query_id, doc_ids, found in retriever.retrieve(dataset, len(ids)):
        own = scores[list(dataset.queries).index(query_id)]
        np.testing.assert_allclose(found, [own[ids.index(doc_id)] for doc_id in doc_ids], rtol=0, atol=1e-6)


def test_other_tensors_and_ids_beyond_the_table_are_refused(tmp_path, tokenizer_file):
    folder, _ = write(tmp_path / "a", tokenizer_file, {"weight": torch.zeros(2, 2)})
    with pytest.raises(ModelError, match=r"holds weight\. A table of vectors is embedding\.weight"):
        dense(folder).encode(["moon"])
    folder, _ = write(tmp_path / "b", tokenizer_file, {"embedding.weight": torch.zeros(3, 2)})
    with pytest.raises(ModelError, match=r"the tokenizer gives token \d+, and the table has 3 rows"):
        dense(folder).encode(["moon"])
    folder, _ = write(tmp_path / "c", tokenizer_file)
    with pytest.raises(ModelError, match=r"retriever\.pooling=cls, but"):
        dense(folder, pooling="cls")
