"""Every pooling against NumPy on one text at a time in float64, and against sentence-transformers' own module."""

import numpy as np
import pytest
import torch
from waiting import forbid_waiting

from evalkit.config.retriever import POOLINGS
from evalkit.inference.pooling import pool, select_for

FORMULAS = {
    "cls": lambda states: states[0],
    "last": lambda states: states[-1],
    "mean": lambda states: states.sum(axis=0) / len(states),
    "max": lambda states: states.max(axis=0),
    "mean_sqrt_length": lambda states: states.sum(axis=0) / np.sqrt(len(states)),
    "weighted_mean": lambda states: np.average(states, axis=0, weights=np.arange(1, len(states) + 1)),
}
# What sentence-transformers calls them.
MODES = {
    "cls": "cls",
    "last": "lasttoken",
    "mean": "mean",
    "max": "max",
    "mean_sqrt_length": "mean_sqrt_len_tokens",
    "weighted_mean": "weightedmean",
}
LENGTHS = [7, 1, 4, 2]


@pytest.fixture(scope="module")
def states() -> torch.Tensor:
    """Also where there is padding, so that what reads it is wrong by much."""
    return torch.randn(len(LENGTHS), max(LENGTHS), 5, generator=torch.Generator().manual_seed(3)) - 2


@pytest.fixture(scope="module")
def mask() -> torch.Tensor:
    return torch.arange(max(LENGTHS))[None] < torch.tensor(LENGTHS)[:, None]


def pooled(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Of padded states: the ones that the pooling asks for, laid end to end."""
    lengths = mask.sum(dim=1)
    chosen = {"all": states[mask], "first": states[:, 0], "last": states[torch.arange(len(states)), lengths - 1]}
    return pool(chosen[select_for(pooling)], lengths.numpy(), pooling)


def test_every_pooling_that_can_be_asked_for_is_compared_here():
    assert {"checkpoint", *FORMULAS} == set(POOLINGS)
    assert set(MODES) == set(FORMULAS)


@pytest.mark.parametrize("pooling", FORMULAS)
def test_vector_is_that_of_numpy_over_the_tokens_alone(states, mask, pooling):
    rows = [row[:length].double().numpy() for row, length in zip(states, LENGTHS, strict=True)]
    expected = [FORMULAS[pooling](row) for row in rows]
    actual = pooled(states, mask, pooling)
    assert (torch.float32, (len(LENGTHS), 5)) == (actual.dtype, tuple(actual.shape))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", FORMULAS)
def test_neighbours_do_not_matter(states, mask, pooling):
    alone = [
        pooled(states[row : row + 1, :length], mask[row : row + 1, :length], pooling)
        for row, length in enumerate(LENGTHS)
    ]
    torch.testing.assert_close(pooled(states, mask, pooling), torch.cat(alone), rtol=0, atol=1e-6)


def test_poolings_differ_on_a_text_of_several_tokens_and_agree_on_one(states, mask):
    vectors = torch.stack([pooled(states, mask, pooling) for pooling in FORMULAS])
    for one in range(len(FORMULAS)):
        for other in range(one):
            assert (vectors[one, 0] - vectors[other, 0]).abs().max() > 1e-2
    torch.testing.assert_close(vectors[:, 1], vectors[:1, 1].expand(len(FORMULAS), -1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", FORMULAS)
def test_sums_over_bfloat16_states_are_made_in_float32(pooling):
    """bfloat16 cannot count to 300 in steps of one: a sum in it stops at 256."""
    states, whole = torch.ones(1, 300, 1, dtype=torch.bfloat16), torch.ones(1, 300, dtype=torch.bool)
    actual = pooled(states, whole, pooling)
    assert torch.float32 == actual.dtype
    assert actual.item() == pytest.approx(300**0.5 if pooling == "mean_sqrt_length" else 1, abs=1e-5)


@pytest.mark.parametrize("pooling", FORMULAS)
# torch and its friends deprecate things that sentence-transformers still imports; nothing here is ours.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_vector_is_that_of_sentence_transformers(states, mask, pooling):
    pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
    from sentence_transformers.models import Pooling

    module = Pooling(5, pooling_mode=MODES[pooling])
    features = {"token_embeddings": states.clone(), "attention_mask": mask.long()}
    expected = module(features)["sentence_embedding"]
    torch.testing.assert_close(pooled(states, mask, pooling), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("pooling", FORMULAS)
def test_nothing_is_fetched_from_the_device_and_nothing_of_the_host_is_mixed_in(monkeypatch, states, mask, pooling):
    """Tensors on torch's meta device have shapes and no numbers: reading one is an error, as is mixing devices."""
    chosen = states[mask] if select_for(pooling) == "all" else states[:, 0]
    with forbid_waiting(monkeypatch):
        actual = pool(torch.empty_like(chosen, device="meta"), np.array(LENGTHS), pooling)
    assert ("meta", (len(LENGTHS), 5), torch.float32) == (actual.device.type, tuple(actual.shape), actual.dtype)


@pytest.mark.parametrize("pooling", ["mean", "max", "mean_sqrt_length", "weighted_mean"])
def test_vector_has_the_bits_of_weighted_sums_over_the_tokens(pooling):
    """By multiplying every state by its weight, 1 where all count alike; 9,000 tokens, whose weights need rounding."""
    lengths = np.array([9000, 1, 3, 700])
    states = torch.randn(int(lengths.sum()), 3, generator=torch.Generator().manual_seed(1))
    counts = torch.from_numpy(lengths)
    starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    weights = torch.arange(1, len(states) + 1, dtype=torch.float32) - starts
    weights = weights if pooling == "weighted_mean" else torch.ones(len(states))
    total = torch.segment_reduce(weights, "sum", lengths=counts).unsqueeze(1)
    total = total.sqrt() if pooling == "mean_sqrt_length" else total
    expected = torch.segment_reduce(states * weights[:, None], "sum", lengths=counts) / total
    if pooling == "max":
        expected = torch.segment_reduce(states, "max", lengths=counts)
    assert expected.numpy().tobytes() == pool(states, lengths, pooling).numpy().tobytes()
