import numpy as np
import pytest
import torch

from evalkit.retrieval import corpus_blocks as module
from evalkit.retrieval.corpus_blocks import blocks, coarse_dtype


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(module, "DOCUMENTS_PER_BLOCK", 7)


@pytest.fixture
def documents():
    return np.random.default_rng(0).normal(size=(30, 8)).astype(np.float16)


def copied(documents, ranks):
    """What blocks hold; they share memory, so each is copied as it comes."""
    return [
        block._replace(vectors=block.vectors.copy(), coarse=block.coarse.clone())
        for block in blocks(documents, ranks, "cpu")
    ]


def test_blocks_hold_all_documents_once_with_the_ranks_of_their_ids(documents):
    ranks = np.random.default_rng(1).permutation(30).astype(np.int32)
    found = copied(documents, ranks)
    assert [len(block.vectors) for block in found] == [7, 7, 7, 7, 2]
    assert np.array_equal(np.concatenate([block.vectors for block in found]), documents)
    assert np.concatenate([block.ranks for block in found]).tolist() == ranks.tolist()


def test_coarse_vectors_are_near_and_no_longer_than_said(documents):
    for block in copied(documents, np.arange(30)):
        exact = torch.from_numpy(block.vectors).float() - block.center
        assert (block.coarse.float() - exact).abs().max() <= 2.0**-8 * exact.abs().max()
        assert torch.linalg.vector_norm(exact, dim=1).max() <= block.longest


def test_of_tiny_vectors_the_bound_is_above_the_norm_too():
    tiny = np.full((3, 8), 1e-30, dtype=np.float32)
    (block,) = copied(tiny - np.arange(3, dtype=np.float32)[:, None] * np.float32(1e-31), np.arange(3))
    exact = torch.from_numpy(block.vectors).double() - block.center.double()
    assert torch.linalg.vector_norm(exact, dim=1).max() <= block.longest


def test_numbers_that_are_not_finite_do_not_reach_the_center(documents):
    documents[3, 2] = np.inf
    first, *_ = copied(documents, np.arange(30))
    assert first.center.tolist() == [0.0] * 8
    assert first.longest == np.inf


def test_a_file_is_read_as_memory_is(documents, tmp_path):
    np.save(tmp_path / "x.npy", documents)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    found, expected = copied(mapped, np.arange(30)), copied(documents, np.arange(30))
    assert all(torch.equal(one.coarse, other.coarse) for one, other in zip(found, expected, strict=True))


def test_what_was_written_to_a_private_mapping_is_not_lost(documents, tmp_path):
    np.save(tmp_path / "x.npy", documents)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="c")
    mapped[4] = 0
    copied(mapped, np.arange(30))
    assert not mapped[4].any()


def test_a_processor_without_bfloat16_searches_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": False})
    assert coarse_dtype("cpu") is torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert coarse_dtype("cpu") is torch.bfloat16
