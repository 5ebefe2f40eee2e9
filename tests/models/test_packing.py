"""Packed models against the same models padded, for every family and every batch composition."""

import importlib.util

import numpy as np
import pytest
import torch
from families.tiny import KINDS, PAIRS, built

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.forward import score_pairs
from evalkit.inference.packed import pack
from evalkit.models.gemma2_lightweight import PackedLightweight, merge_documents, merge_packed
from evalkit.models.packing import PackedReranker, contents, kernel
from evalkit.types import Pair

EXACT = 2e-5
QUERY = "Why does the sea have tides?"
# Candidates of one query, so that causal models share it; pairs of other queries; and a pair twice.
ALL = (*PAIRS, *(Pair(QUERY, "The moon pulls the sea. " * times) for times in (0, 1, 1, 2, 5)), PAIRS[0])
PADDED = {"lightweight": "eager"}  # sdpa cannot cap


@pytest.fixture(scope="module", params=KINDS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    return KINDS[name].write(tmp_path_factory.mktemp(f"packing-{name}"))


@pytest.fixture(scope="module")
def padded(name, folder):
    """Scores of every pair alone, padded path."""
    model = built(KINDS[name], folder, attention=PADDED.get(name, "sdpa"))
    assert isinstance(model.model, torch.nn.Module)
    return np.concatenate([np.atleast_1d(model.score([pair]).scores) for pair in ALL])


@pytest.fixture(scope="module")
def packed(name, folder):
    model = built(KINDS[name], folder)
    assert isinstance(model.model, PackedReranker | PackedLightweight)
    return model


@pytest.mark.parametrize("budget", [1, 60, 100, 10_000])
def test_scores_are_those_of_the_padded_model_in_any_batch(name, folder, padded, budget):
    model = built(KINDS[name], folder, batch_tokens=budget)
    assert padded.std(axis=0).min() > 100 * EXACT
    np.testing.assert_allclose(model.score(ALL).scores, padded, rtol=0, atol=EXACT)


@pytest.mark.parametrize("order", [[3, 1], [0], [11, 10, 9, 8, 7, 0], [4, 4, 4], [6, 12, 2]], ids=str)
def test_score_of_a_pair_does_not_depend_on_its_neighbours(packed, padded, order):
    found = packed.score([ALL[index] for index in order]).scores
    np.testing.assert_allclose(found, padded[order], rtol=0, atol=EXACT)


def test_causal_models_share_the_query_and_no_other_does(name, packed):
    packed.usage.tokens = packed.usage.computed_tokens = 0
    packed.score(ALL)
    saved = packed.usage.tokens - packed.usage.computed_tokens
    assert (saved > 0) is (name in {"layerwise", "gemma", "qwen3"})


@pytest.mark.parametrize(("name", "template"), [("qwen3", 96), ("gemma", 0), ("layerwise", 0)], indirect=["name"])
def test_template_and_query_are_computed_once_for_all_candidates(name, template, folder):
    """Gemma's and layerwise's pairs begin with three tokens: too few to be shared by all queries."""
    documents = ("The moon pulls the sea twice a day.", "Yeast eats the sugar.", "Bees make honey from nectar.")
    queries = (QUERY, "How do bees make honey?", "What makes bread rise?")
    model = built(KINDS[name], folder, max_length=400)
    tokenized = model.tokenize([Pair(query, document) for query in queries for document in documents])
    before = tokenized.documents[:, 0]
    usage = model.usage
    list(score_pairs(model.model, tokenized, batch_tokens=4096, pad_id=0, usage=usage))
    own = (tokenized.lengths - before).sum()
    assert usage.computed_tokens == own + (before[::3] - template).sum() + template
    assert usage.tokens == own + before.sum()


def test_what_the_checkpoint_holds_is_told_of_the_packed_model_as_of_the_padded_one(name, folder, packed):
    whole = built(KINDS[name], folder, attention=PADDED.get(name, "sdpa")).model
    assert contents(packed.model) == contents(whole)


def test_kernel_of_a_gpu_needs_one():
    for attention in ("torch_varlen", "flash_attn"):
        with pytest.raises(ModelError, match=rf"{attention} runs on CUDA only\. Set compute\.attention=packed"):
            kernel(ComputeConfig(attention=attention), torch.device("cpu"))


@pytest.mark.parametrize("installed", [True, False])
def test_on_a_gpu_flash_attn_is_taken_where_it_is_installed_and_torch_s_own_kernel_where_not(monkeypatch, installed):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object() if installed else None)
    found = kernel(ComputeConfig(attention="packed", dtype="bfloat16"), torch.device("cuda"))
    assert found == ("flash_attn" if installed else "torch_varlen")


def test_float32_on_a_gpu_has_no_kernel_of_its_own_and_half_precision_on_a_cpu_neither():
    assert kernel(ComputeConfig(attention="packed", dtype="float32"), torch.device("cuda")) == "packed"
    assert kernel(ComputeConfig(attention="packed", dtype="bfloat16"), torch.device("cpu")) == "packed"


@pytest.mark.parametrize("ratio", [1, 2, 3, 8])
def test_merging_packed_documents_is_merging_padded_ones(ratio):
    torch.manual_seed(0)
    lengths, documents = (9, 4, 7, 2), torch.tensor([[2, 8], [1, 4], [3, 3], [0, 2]])
    states = torch.randn(4, 9, 5)
    mask = (torch.arange(9)[None] < torch.tensor(lengths)[:, None]).long()
    expected, new_mask, new_documents = merge_documents(states, mask, documents, ratio)
    sequences = [np.zeros(length, dtype=np.int32) for length in lengths]
    merged, batch, moved = merge_packed(states[mask.bool()], pack(sequences, sequences), documents, ratio)
    torch.testing.assert_close(merged, expected[new_mask.bool()])
    assert (batch.lengths, moved.tolist()) == (tuple(new_mask.sum(dim=1).tolist()), new_documents.tolist())
    assert batch.offsets.tolist() == [0, *np.cumsum(batch.lengths).tolist()]
    assert batch.positions.tolist() == [place for length in batch.lengths for place in range(length)]
