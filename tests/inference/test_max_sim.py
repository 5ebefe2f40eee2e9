"""MaxSim of many pairs at once against one pair at a time, to the bit; and on tensors that hold nothing to wait for."""

import numpy as np
import pytest
import torch
from waiting import forbid_waiting

from evalkit.inference import max_sim as module
from evalkit.inference.max_sim import TokenVectors, max_sim, spans

WIDTH = 24


def texts(generator: np.random.Generator, lengths: list[int], *, skip: int = 0) -> TokenVectors:
    """Of random unit vectors; the first `skip` tokens of each are left out."""
    counts = np.array(lengths, dtype=np.int64)
    vectors = torch.from_numpy(generator.standard_normal((int(counts.sum()), WIDTH)).astype(np.float32))
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    return TokenVectors(unit, np.cumsum(counts) - counts + skip, counts - skip)


def rows_of(side: TokenVectors, text: int) -> torch.Tensor:
    return side.vectors[side.starts[text] : side.starts[text] + side.lengths[text]]


def pair_by_pair(queries: TokenVectors, documents: TokenVectors, query_of, document_of) -> np.ndarray:
    scores = []
    for query, document in zip(query_of, document_of, strict=True):
        cosines = rows_of(queries, query).double() @ rows_of(documents, document).double().T
        scores.append(cosines.amax(dim=1).mean().item())
    return np.array(scores, dtype=np.float32)


def drawn(seed: int, *, skip: int = 0) -> tuple[TokenVectors, TokenVectors, np.ndarray, np.ndarray]:
    """Some queries and documents, and pairs of which one document has none and another nearly all queries."""
    generator = np.random.default_rng(seed)
    queries = texts(generator, generator.integers(1 + skip, 40, 30).tolist(), skip=skip)
    documents = texts(generator, generator.integers(1 + skip, 90, 12).tolist(), skip=skip)
    counts = np.array([0, 29, *generator.integers(1, 6, 10)])
    query_of = np.concatenate([generator.permutation(30)[:count] for count in counts])
    return queries, documents, query_of, np.repeat(np.arange(12), counts)


@pytest.mark.parametrize("skip", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_scores_have_the_bits_of_one_pair_at_a_time(seed, skip):
    drawn_now = drawn(seed, skip=skip)
    actual = max_sim(*drawn_now)
    assert torch.float32 == actual.dtype
    assert pair_by_pair(*drawn_now).tobytes() == actual.numpy().tobytes()


@pytest.mark.parametrize(("rows", "numbers"), [(1, 1), (16, 2000), (4096, 10**9)])
def test_how_pairs_are_multiplied_together_changes_no_bit(monkeypatch, rows, numbers):
    monkeypatch.setattr(module, "_ROWS", rows)
    monkeypatch.setattr(module, "_NUMBERS", numbers)
    drawn_now = drawn(7)
    assert pair_by_pair(*drawn_now).tobytes() == max_sim(*drawn_now).numpy().tobytes()


def test_matrices_stay_within_the_numbers_allowed(monkeypatch):
    sizes, multiply = [], torch.bmm

    def counted(left, right):
        sizes.append(left.numel() + right.numel() + left.shape[0] * left.shape[1] * right.shape[2])
        return multiply(left, right)

    monkeypatch.setattr(torch, "bmm", counted)
    monkeypatch.setattr(module, "_NUMBERS", 20_000)
    monkeypatch.setattr(module, "_ROWS", 40)
    queries, documents, query_of, document_of = drawn(3)
    max_sim(queries, documents, query_of, document_of)
    assert len(sizes) > 3
    assert max(sizes) <= 20_000


def test_no_pairs_get_no_scores():
    queries, documents, _, _ = drawn(1)
    nothing = np.empty(0, dtype=np.int64)
    assert (0,) == max_sim(queries, documents, nothing, nothing).shape


def test_spans_lie_one_behind_the_other():
    assert [5, 6, 7, 2, 0, 1] == spans(np.array([5, 9, 2, 0]), np.array([3, 0, 1, 2])).tolist()


def test_nothing_is_fetched_from_the_device_and_nothing_of_the_host_is_mixed_in(monkeypatch):
    """Tensors on torch's meta device have shapes and no numbers: reading one is an error, as is mixing devices."""
    queries, documents, query_of, document_of = drawn(2)
    there = [side._replace(vectors=side.vectors.to("meta")) for side in (queries, documents)]
    with forbid_waiting(monkeypatch):
        actual = max_sim(*there, query_of, document_of)
    assert ("meta", (len(query_of),), torch.float32) == (actual.device.type, tuple(actual.shape), actual.dtype)
