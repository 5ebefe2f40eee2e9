"""Vectors of a GPU are near those of the CPU, and exact search over them gives the very same."""

import json

import numpy as np
import pytest
import torch
from gpu.models import POOLINGS, TEXTS, compute, encoder
from safetensors.torch import save_file
from stubs import tiny_bert

from evalkit.inference.pooling import pool, select_for
from evalkit.retrieval.keys import ranked
from evalkit.retrieval.search import Search, exact_top_k

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_on_a_gpu_is_that_of_the_cpu(pooling):
    generator = torch.Generator().manual_seed(0)
    lengths = np.array([7, 1, 3, 12])
    rows = lengths.sum() if select_for(pooling) == "all" else len(lengths)
    for dtype in (torch.float32, torch.bfloat16):
        states = torch.randn(int(rows), 16, generator=generator).to(dtype)
        found = pool(states.to("cuda"), lengths, pooling)
        assert found.is_cuda
        torch.testing.assert_close(found.cpu(), pool(states, lengths, pooling), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_are_near_those_of_the_cpu(tmp_path, pooling):
    folder = tiny_bert(tmp_path / "bert")
    exact = encoder(folder, compute("cpu"), pooling).encode(TEXTS)
    for dtype, bound in (("float32", 1e-4), ("bfloat16", 0.15), ("float16", 0.02)):
        model = encoder(folder, compute("cuda", dtype=dtype), pooling)
        found = [model.encode(TEXTS) for _ in range(2)]
        assert np.array_equal(*found)
        assert np.abs(found[0] - exact).max() < bound * max(1, np.abs(exact).max()), dtype


def test_layers_behind_the_pooling_are_on_the_gpu_too(tmp_path):
    folder = tiny_bert(tmp_path / "bert")
    dense = {
        "in_features": 32,
        "out_features": 8,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense"}
    named = [
        {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for row, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(named))
    for place, content in (
        ("1_Pooling", {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}),
        ("2_Dense", dense),
    ):
        (folder / place).mkdir()
        (folder / place / "config.json").write_text(json.dumps(content))
    layer = {"linear.weight": torch.randn(8, 32), "linear.bias": torch.randn(8)}
    save_file(layer, folder / "2_Dense" / "model.safetensors")
    exact, found = (encoder(folder, compute(device), "checkpoint").encode(TEXTS) for device in ("cpu", "cuda"))
    assert found.shape == (len(TEXTS), 8)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize("k", [3, 400])
@pytest.mark.parametrize("stored", [np.float32, np.float16])
def test_search_gives_the_bytes_of_the_cpu(stored, k):
    """With few documents a query most are left out by a coarse product; with many, all are multiplied exactly."""
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(20, 24)).astype(np.float32)
    documents = rng.normal(size=(2500, 24)).astype(stored)
    documents[1200:1300] = documents[:100]  # equal ones, whose ids decide
    ranks = rng.permutation(len(documents))
    expected, found = (exact_top_k(queries, documents, id_ranks=ranks, k=k, device=on) for on in ("cpu", "cuda"))
    assert all(np.array_equal(*both) for both in zip(expected, found, strict=True))
    parts = Search(queries, k, device="cuda")
    for rows in np.array_split(np.arange(len(documents)), 4):
        parts.add(documents[rows], ranks[rows])
    assert all(np.array_equal(*both) for both in zip(expected, ranked(parts.keys, ranks), strict=True))
