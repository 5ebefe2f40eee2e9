"""Exact search against a sort of everything by (score, id), both descending."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evalkit.retrieval import corpus_blocks, search
from evalkit.retrieval.keys import best, keys_of, ranked, scores_of
from evalkit.retrieval.search import exact_top_k

BLOCKS = [(16_384, 512), (1, 4), (7, 3), (64, 5), (100, 1)]


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


@pytest.mark.parametrize(
    ("documents_per_block", "queries_per_block", "seed"),
    [(*block, seed) for block in BLOCKS for seed in range(1 if block == (1, 4) else 4)],
)
@pytest.mark.parametrize("stored", [np.float16, np.float32])
def test_result_is_the_sort_by_score_and_id(monkeypatch, documents_per_block, queries_per_block, stored, seed):
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", documents_per_block)
    monkeypatch.setattr(search, "_QUERIES_PER_BLOCK", queries_per_block)
    queries, documents, ids, expected = with_ties(seed, stored)
    assert expected == searched(queries, documents, ids, 20)


@cache
def with_ties(seed: int, stored: type) -> tuple[np.ndarray, np.ndarray, list[str], list[list[tuple[str, float]]]]:
    """Queries, documents and ids, and the best 20 of every query."""
    rng = np.random.default_rng(seed)
    queries, documents = whole_numbers((7, 4), rng, np.float32), whole_numbers((203, 4), rng, stored)
    ids = ids_of(len(documents), rng)
    expected = brute_force(queries, documents, ids, 20)
    # The planted ties are real: fewer distinct scores than places.
    assert min(len({score for _, score in best}) for best in expected) < 20
    return queries, documents, ids, expected


@given(st.data())
def test_any_small_collection_and_block_size_gives_the_sort(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    count, k = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 40))
    queries, documents = whole_numbers((3, 2), rng, np.float32), whole_numbers((count, 2), rng, np.float16)
    ids = ids_of(count, rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", data.draw(st.integers(1, 31)))
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
    minus, plus = (keys_of(torch.tensor([[zero]]), torch.tensor([3])).item() for zero in (-0.0, 0.0))
    assert plus == minus


@given(st.lists(st.tuples(st.floats(width=32, allow_nan=False), st.integers(0, 2**32 - 1)), min_size=1, max_size=20))
def test_keys_order_as_score_then_rank_and_give_the_score_back(rows):
    scores = torch.tensor([[score for score, _ in rows]], dtype=torch.float32)
    keys = keys_of(scores, torch.tensor([rank for _, rank in rows]))
    assert sorted(range(len(rows)), key=lambda i: rows[i]) == sorted(
        range(len(rows)), key=lambda i: (keys[0, i].item(), i)
    )
    assert scores.tolist() == scores_of(keys).tolist()


@pytest.mark.parametrize(("documents_per_block", "queries_per_block"), BLOCKS[1:])
def test_scores_of_real_vectors_do_not_depend_on_the_blocks(monkeypatch, documents_per_block, queries_per_block):
    rng = np.random.default_rng(11)
    queries, documents = rng.normal(size=(9, 32)).astype(np.float32), rng.normal(size=(150, 32)).astype(np.float16)
    ranks = rng.permutation(150)
    expected_rows, expected = exact_top_k(queries, documents, id_ranks=ranks, k=30)
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", documents_per_block)
    monkeypatch.setattr(search, "_QUERIES_PER_BLOCK", queries_per_block)
    rows, scores = exact_top_k(queries, documents, id_ranks=ranks, k=30)
    assert expected_rows.tolist() == rows.tolist()
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)
    exact = np.sort(np.einsum("qw,dw->qd", queries.astype(float), documents.astype(float)), axis=1)[:, ::-1][:, :30]
    np.testing.assert_allclose(scores, exact, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("documents_per_block", "queries_per_block"), BLOCKS)
def test_equal_documents_tie_wherever_they_stand_in_a_block(monkeypatch, documents_per_block, queries_per_block):
    """A corpus holds repeated texts; which copy comes first is decided by id, not by the rounding of a kernel."""
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", documents_per_block)
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
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 256)
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
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 4)
    steps = []
    documents = np.ones((10, 2), dtype=np.float32)
    exact_top_k(documents[:1], documents, id_ranks=np.arange(10), k=2, advance=steps.append)
    assert steps == [4, 4, 2]


def test_no_query_gives_no_rows():
    rows, scores = exact_top_k(
        np.empty((0, 2), dtype=np.float32), np.ones((3, 2), dtype=np.float32), id_ranks=np.arange(3), k=2
    )
    assert (rows.shape, scores.shape) == ((0, 2), (0, 2))


def summed(query: np.ndarray, document: np.ndarray) -> np.float32:
    """The score by its definition: one pair alone, summed in float64, rounded to float32."""
    return np.multiply(query[None], document[None], dtype=np.float64).sum(axis=1).astype(np.float32)[0]


def test_definition_is_the_sum_in_float64_to_the_last_bit_but_one():
    rng = np.random.default_rng(6)
    query, document = rng.normal(size=300).astype(np.float32), rng.normal(size=300).astype(np.float16)
    exact = math.fsum((query.astype(float) * document.astype(float)).tolist())
    assert abs(float(summed(query, document)) - exact) <= np.spacing(np.float32(abs(exact)))


def definition(queries: np.ndarray, documents: np.ndarray, ranks: np.ndarray, k: int) -> tuple[list, list]:
    """Rows and bits of the scores of the best k of every query, without blocks, thresholds or coarse products."""
    rows, bits = [], []
    for query in queries:
        scores = np.array([summed(query, document) for document in documents]) + np.float32(0)
        best = np.lexsort((-ranks, -scores))[:k]
        rows.append(best.tolist())
        bits.append(scores[best].view(np.int32).tolist())
    return rows, bits


def assert_is_definition(queries, documents, ranks, k):
    rows, scores = exact_top_k(queries, documents, id_ranks=ranks, k=k)
    assert definition(queries, documents, ranks, k) == (rows.tolist(), scores.view(np.int32).tolist())


def collection(kind: str, rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Documents that are hard on a threshold, on a bound or on memory."""
    random = rng.normal(size=(count, width)).astype(np.float32)
    if kind == "copies":
        return random[rng.integers(0, 9, size=count)]
    if kind == "all equal":
        return np.repeat(random[:1], count, axis=0)
    if kind == "a hair apart":
        return random[:1] * (1 + rng.integers(-3, 4, size=(count, 1)).astype(np.float32) * np.float32(2**-23))
    if kind == "narrow cone":
        return random * np.float32(0.01) + np.ones(width, dtype=np.float32)
    if kind == "zeros":
        return random * (rng.random((count, 1)) < 0.2) * np.float32(1.0)
    if kind == "one long":
        random[count // 2] *= 1e6
    scale = {"tiny": 1e-30, "subnormal": 1e-41, "huge": 1e30, "best last": 1.0}.get(kind, 1.0)
    if kind == "best last":
        random = random * np.linspace(0.1, 5, count, dtype=np.float32)[:, None]
    return (random * np.float64(scale)).astype(np.float32)


KINDS = [
    "random",
    "narrow cone",
    "copies",
    "all equal",
    "a hair apart",
    "zeros",
    "one long",
    "tiny",
    "subnormal",
    "huge",
    "best last",
]


# Every way of scoring and every coarse dtype; the other combinations of them are slow.
WAYS = [(torch.bfloat16, 0.0), (torch.bfloat16, 1 / 16), (torch.float32, 1.0)]
OTHER_WAYS = [(torch.float32, 0.0), (torch.float32, 1 / 16), (torch.bfloat16, 1.0)]


@pytest.mark.parametrize(
    ("coarse", "dense"), [*WAYS, *(pytest.param(*way, marks=pytest.mark.slow) for way in OTHER_WAYS)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_and_bits_are_those_of_the_definition(monkeypatch, kind, coarse, dense):
    """Both ways of scoring, whichever coarse multiplication decides between them."""
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 37)
    monkeypatch.setattr(search, "_QUERIES_PER_BLOCK", 4)
    monkeypatch.setattr(search, "_NUMBERS_PER_SUM", 200)
    monkeypatch.setattr(search, "_DOCUMENTS_PER_PRODUCT", 4)
    monkeypatch.setattr(corpus_blocks, "_NUMBERS_PER_PIECE", 500)
    monkeypatch.setattr(search, "_DENSE", dense)
    for module in (corpus_blocks, search):
        monkeypatch.setattr(module, "coarse_dtype", lambda _: coarse)
    for queries, documents, ranks, k, expected in hard_searches(kind):
        rows, scores = exact_top_k(queries, documents, id_ranks=ranks, k=k)
        assert expected == (rows.tolist(), scores.view(np.int32).tolist())


@cache
def hard_searches(kind: str) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, int, tuple[list, list]]]:
    """Queries, documents, ranks of ids, depth, and what the definition gives."""
    rng = np.random.default_rng(3)
    queries, documents = rng.normal(size=(6, 33)).astype(np.float32), collection(kind, rng, 150, 33)
    asked = [(queries, documents, rng.permutation(150), k) for k in (1, 10, 60, 150)]
    return [(*one, definition(*one)) for one in asked]


@pytest.mark.parametrize("kind", ["random", "copies", "zeros", "subnormal"])
@pytest.mark.parametrize("stored", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 2, 7, 129])
def test_rows_and_bits_in_every_stored_type_and_width(monkeypatch, kind, stored, width):
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 50)
    rng = np.random.default_rng(4)
    documents = collection("random" if kind == "subnormal" else kind, rng, 120, width)
    documents = (documents * (1e-7 if kind == "subnormal" else 1)).astype(stored)
    assert_is_definition(rng.normal(size=(5, width)).astype(np.float32), documents, rng.permutation(120), 12)


def test_products_that_overflow_in_float32_are_still_compared(monkeypatch):
    """The first two products of 1e38 * 1e38 cancel in float64; in float32 they are infinity less infinity."""
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 4)
    documents = np.tile(np.array([[1e38, -1e38, 0.0]], dtype=np.float32), (12, 1))
    documents[:, 2] = np.arange(12)
    assert_is_definition(np.array([[1e38, 1e38, 1.0]], dtype=np.float32), documents, np.arange(12), 3)


@pytest.mark.parametrize("width", [1, 5, 129, 1000])
def test_sum_of_a_pair_does_not_depend_on_its_neighbours(width):
    rng = np.random.default_rng(9)
    products = rng.normal(size=(300, width))
    alone = [products[row : row + 1].copy().sum(axis=1)[0] for row in range(300)]
    for count in (2, 3, 257, 300):
        assert alone[:count] == products[:count].sum(axis=1).tolist()


def unit_vectors(count: int, width: int, rng: np.random.Generator) -> np.ndarray:
    vectors = rng.normal(size=(count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_few_pairs_of_random_vectors_are_summed_in_float64(monkeypatch):
    """What makes the search quick; an error bound of a wrong size would show here and in no result."""
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 512)
    pairs = []
    original = search._Best._summed
    monkeypatch.setattr(
        search._Best,
        "_summed",
        lambda self, vectors, queries, rows, pool: (
            pairs.append(len(rows)) or original(self, vectors, queries, rows, pool)
        ),
    )
    rng = np.random.default_rng(10)
    queries, documents = unit_vectors(20, 64, rng), unit_vectors(8192, 64, rng).astype(np.float16)
    exact_top_k(queries, documents, id_ranks=np.arange(8192), k=5)
    assert 20 * 5 <= sum(pairs) < 20 * 8192 / 50


def test_vectors_in_a_narrow_cone_are_ranked_exactly_too(monkeypatch):
    """Models give vectors that are nearly parallel; only what sets them apart costs precision."""
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 512)
    summed = []
    original = search._Best._summed
    monkeypatch.setattr(search._Best, "_summed", lambda *given: summed.append(len(given[3])) or original(*given))
    rng = np.random.default_rng(10)
    queries, documents = unit_vectors(20, 64, rng), unit_vectors(8192, 64, rng)
    exact_top_k(queries, documents + 3, id_ranks=np.arange(8192), k=5)
    assert 20 * 5 <= sum(summed) < 20 * 8192 / 50


def test_parts_with_a_floor_find_what_all_at_once_finds():
    """What is below a known k-th best is left out, and nothing else."""
    rng = np.random.default_rng(13)
    queries, documents = rng.normal(size=(700, 8)).astype(np.float32), rng.normal(size=(900, 8)).astype(np.float16)
    ranks = rng.permutation(900)
    expected = exact_top_k(queries, documents, id_ranks=ranks, k=9)
    some, found = search.Search(queries, 9), None
    for start in range(0, 900, 300):
        if found is not None:
            some.restart(found.amin(dim=1))
        some.add(documents[start : start + 300], ranks[start : start + 300])
        found = some.keys if found is None else best(found, some.keys)
    rows, scores = ranked(found, ranks)
    assert expected[0].tolist() == rows.tolist()
    assert expected[1].tolist() == scores.tolist()


@pytest.mark.parametrize("kind", ["all equal", "random"])
def test_at_most_k_documents_a_query_are_held_and_sums_are_limited(monkeypatch, kind):
    """Where all documents are equal, all of them stay possible: memory must not grow with the corpus."""
    monkeypatch.setattr(corpus_blocks, "DOCUMENTS_PER_BLOCK", 64)
    monkeypatch.setattr(corpus_blocks, "_NUMBERS_PER_BLOCK", 16 * 40)
    kept, copies = [], []
    merge, read = search._Best._merge, corpus_blocks._read
    monkeypatch.setattr(
        search._Best, "_merge", lambda self, keys: (merge(self, keys), kept.append((keys, self.keys)))[0]
    )
    monkeypatch.setattr(corpus_blocks, "_read", lambda *given: copies.append(read(*given)) or copies[-1])
    rng = np.random.default_rng(12)
    documents = collection(kind, rng, 1000, 16)
    rows, _ = exact_top_k(rng.normal(size=(3, 16)).astype(np.float32), documents, id_ranks=np.arange(1000), k=7)
    assert max(len(copy) for copy in copies) == 40
    assert max(after.shape[1] for _, after in kept) == 7
    assert max(keys.shape[1] for keys, _ in kept) <= 64
    if kind == "all equal":
        assert [list(range(999, 992, -1))] * 3 == rows.tolist()


def test_pages_of_a_mapped_file_are_let_go_and_changes_to_a_private_mapping_stay(tmp_path):
    documents = np.arange(4096 * 8, dtype=np.float32).reshape(4096, 8)
    np.save(tmp_path / "vectors.npy", documents)
    private = np.load(tmp_path / "vectors.npy", mmap_mode="c")
    private[7] = -1.0
    assert corpus_blocks._read(private, 0, 16)[7].tolist() == [-1.0] * 8
    assert private[7].tolist() == [-1.0] * 8
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert documents[100:110].tolist() == corpus_blocks._read(mapped[50:], 50, 10).tolist()
    assert documents.tolist() == mapped.tolist()
