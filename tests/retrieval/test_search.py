"""Exact search against a sort of everything by (score, id), both descending."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.retrieval import search
from evalkit.retrieval.search import exact_top_k

BLOCKS = [(16_384, 512), (1, 1), (7, 3), (64, 5), (100, 2)]


def ids_of(count: int, rng: np.random.Generator) -> list[str]:
    """Distinct ids whose order is not the order of the rows; `d10` comes before `d9`."""
    return [f"d{number}" for number in rng.permutation(count * 3)[:count]]


def ranks_of(ids: list[str]) -> np.ndarray:
    place = {doc_id: rank for rank, doc_id in enumerate(sorted(ids))}
    return np.array([place[doc_id] for doc_id in ids], dtype=np.int64)


def brute_force(queries: np.ndarray, documents: np.ndarray, ids: list[str], k: int) -> list[list[tuple[str, float]]]:
    """(id, score) of the best k of every query, by Python's sort of exact dot products."""
    best = []
    for query in queries.astype(np.float64):
        scored = [(float(sum(query * document)), doc_id) for document, doc_id in zip(documents, ids, strict=True)]
        best.append([(doc_id, score) for score, doc_id in sorted(scored, reverse=True)[:k]])
    return best


def searched(queries: np.ndarray, documents: np.ndarray, ids: list[str], k: int) -> list[list[tuple[str, float]]]:
    rows, scores = exact_top_k(queries, documents, id_ranks=ranks_of(ids), k=k)
    return [
        [(ids[row], float(score)) for row, score in zip(row_list, score_list, strict=True)]
        for row_list, score_list in zip(rows.tolist(), scores.tolist(), strict=True)
    ]


def whole_numbers(shape: tuple[int, int], rng: np.random.Generator, dtype: type) -> np.ndarray:
    """Small whole numbers: every sum is exact in float32, and a few values make many ties and negative scores."""
    return rng.integers(-2, 3, size=shape).astype(dtype)


@pytest.mark.parametrize(("documents_per_block", "queries_per_block"), BLOCKS)
@pytest.mark.parametrize("stored", [np.float16, np.float32])
@pytest.mark.parametrize("seed", range(4))
def test_result_is_the_sort_by_score_and_id(monkeypatch, documents_per_block, queries_per_block, stored, seed):
    monkeypatch.setattr(search, "_DOCUMENTS_PER_BLOCK", documents_per_block)
    monkeypatch.setattr(search, "_QUERIES_PER_BLOCK", queries_per_block)
    rng = np.random.default_rng(seed)
    queries, documents = whole_numbers((7, 4), rng, np.float32), whole_numbers((203, 4), rng, stored)
    ids = ids_of(len(documents), rng)
    expected = brute_force(queries, documents, ids, 20)
    # The planted ties are real: fewer distinct scores than places.
    assert min(len({score for _, score in best}) for best in expected) < 20
    assert expected == searched(queries, documents, ids, 20)


@given(st.data())
def test_any_small_collection_and_block_size_gives_the_sort(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count, k = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 40))
    queries, documents = whole_numbers((3, 2), rng, np.float32), whole_numbers((count, 2), rng, np.float16)
    ids = ids_of(count, rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "_DOCUMENTS_PER_BLOCK", data.draw(st.integers(1, 31)))
        patch.setattr(search, "_QUERIES_PER_BLOCK", data.draw(st.integers(1, 4)))
        assert brute_force(queries, documents, ids, k) == searched(queries, documents, ids, k)


def test_all_scores_negative_are_still_best_first():
    documents = np.array([[3.0], [1.0], [2.0], [1.0]], dtype=np.float32)
    actual = searched(np.array([[-1.0]], dtype=np.float32), documents, ["a", "b", "c", "d"], 3)
    assert actual == [[("d", -1.0), ("b", -1.0), ("c", -2.0)]]


def test_more_documents_asked_for_than_there_are_gives_all():
    rng = np.random.default_rng(5)
    queries, documents = whole_numbers((2, 3), rng, np.float32), whole_numbers((6, 3), rng, np.float32)
    ids = ids_of(6, rng)
    assert brute_force(queries, documents, ids, 6) == searched(queries, documents, ids, 1000)


def test_documents_without_direction_all_tie_and_come_by_id():
    ids = [f"d{number}" for number in range(12)]
    actual = searched(np.ones((1, 8), dtype=np.float32), np.zeros((12, 8), dtype=np.float16), ids, 5)
    assert actual == [[("d9", 0.0), ("d8", 0.0), ("d7", 0.0), ("d6", 0.0), ("d5", 0.0)]]


def test_minus_zero_ties_with_zero():
    documents = np.array([[-0.0], [0.0], [-0.0], [0.0]], dtype=np.float32)
    actual = searched(np.array([[1.0], [-1.0]], dtype=np.float32), documents, ["d", "c", "b", "a"], 4)
    assert [[doc_id for doc_id, _ in best] for best in actual] == [["d", "c", "b", "a"]] * 2


def test_key_of_minus_zero_is_the_key_of_zero():
    minus, plus = (search._keys(torch.tensor([[zero]]), torch.tensor([3])).item() for zero in (-0.0, 0.0))
    assert plus == minus


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False), st.integers(0, 2**32 - 1)), min_size=1, max_size=20))
def test_keys_order_as_score_then_rank_and_give_the_score_back(rows):
    scores = torch.tensor([[score for score, _ in rows]], dtype=torch.float32)
    keys = search._keys(scores, torch.tensor([rank for _, rank in rows]))
    assert sorted(range(len(rows)), key=lambda i: rows[i]) == sorted(
        range(len(rows)), key=lambda i: (keys[0, i].item(), i)
    )
    assert scores.tolist() == search._scores(keys).tolist()


@pytest.mark.parametrize(("documents_per_block", "queries_per_block"), BLOCKS[1:])
def test_scores_of_real_vectors_do_not_depend_on_the_blocks(monkeypatch, documents_per_block, queries_per_block):
    rng = np.random.default_rng(11)
    queries, documents = rng.normal(size=(9, 32)).astype(np.float32), rng.normal(size=(150, 32)).astype(np.float16)
    ranks = rng.permutation(150)
    expected_rows, expected = exact_top_k(queries, documents, id_ranks=ranks, k=30)
    monkeypatch.setattr(search, "_DOCUMENTS_PER_BLOCK", documents_per_block)
    monkeypatch.setattr(search, "_QUERIES_PER_BLOCK", queries_per_block)
    rows, scores = exact_top_k(queries, documents, id_ranks=ranks, k=30)
    assert expected_rows.tolist() == rows.tolist()
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    exact = np.sort(np.einsum("qw,dw->qd", queries.astype(float), documents.astype(float)), axis=1)[:, ::-1][:, :30]
    np.testing.assert_allclose(scores, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("documents_per_block", "queries_per_block"), BLOCKS)
def test_equal_documents_tie_wherever_they_stand_in_a_block(monkeypatch, documents_per_block, queries_per_block):
    """A corpus holds repeated texts; which copy comes first is decided by id, not by the rounding of a kernel."""
    monkeypatch.setattr(search, "_DOCUMENTS_PER_BLOCK", documents_per_block)
    monkeypatch.setattr(search, "_QUERIES_PER_BLOCK", queries_per_block)
    rng = np.random.default_rng(2)
    distinct = rng.normal(size=(101, 100)).astype(np.float32)
    copies = rng.permutation(np.repeat(np.arange(101), 3))
    rows, _ = exact_top_k(
        rng.normal(size=(5, 100)).astype(np.float32), distinct[copies], id_ranks=np.arange(303), k=303
    )
    for ranking in rows.tolist():
        for document in range(101):
            expected = sorted((row for row in ranking if copies[row] == document), reverse=True)
            assert expected == [row for row in ranking if copies[row] == document]


def test_copy_in_the_last_and_smallest_block_ties_with_its_original(monkeypatch):
    monkeypatch.setattr(search, "_DOCUMENTS_PER_BLOCK", 256)
    documents = np.random.default_rng(8).normal(size=(257, 384)).astype(np.float32)
    documents[256] = documents[0]
    rows, scores = exact_top_k(documents[:64], documents, id_ranks=np.arange(257), k=257)
    original, copy = (np.take_along_axis(scores, np.argsort(rows, axis=1), axis=1)[:, row] for row in (0, 256))
    assert original.tolist() == copy.tolist()


def test_memory_mapped_documents_are_searched(tmp_path):
    rng = np.random.default_rng(1)
    queries, documents = whole_numbers((2, 4), rng, np.float32), whole_numbers((40, 4), rng, np.float16)
    np.save(tmp_path / "vectors.npy", documents)
    ids = ids_of(40, rng)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert brute_force(queries, documents, ids, 9) == searched(queries, mapped, ids, 9)


def test_progress_counts_every_document_once(monkeypatch):
    monkeypatch.setattr(search, "_DOCUMENTS_PER_BLOCK", 4)
    steps = []
    documents = np.ones((10, 2), dtype=np.float32)
    exact_top_k(documents[:1], documents, id_ranks=np.arange(10), k=2, advance=steps.append)
    assert steps == [4, 4, 2]


def test_no_query_gives_no_rows():
    rows, scores = exact_top_k(
        np.empty((0, 2), dtype=np.float32), np.ones((3, 2), dtype=np.float32), id_ranks=np.arange(3), k=2
    )
    assert (rows.shape, scores.shape) == ((0, 2), (0, 2))
