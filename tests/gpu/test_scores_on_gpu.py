"""Every kind of reranker on a GPU: scores near those of padded models on the CPU in any arithmetic, twice the same."""

import numpy as np
import pytest
import torch
from families.test_precision import DTYPES
from families.tiny import KINDS, TINY_BOUNDS, built
from families.tiny import PAIRS as OTHERS
from gpu.models import PAIRS, compute, late, projected_bert
from models.test_packing import CLASSIFIERS, pairs_of_ids, scores_of
from rerank.test_late_interaction import reference
from tiny_backbones import classifier
from transformers import AutoModel

from evalkit.config import ComputeConfig
from evalkit.models.packing import contents, packed_reranker

pytestmark = pytest.mark.gpu

HALF = [(attention, fused) for attention in ("packed", "torch_varlen", "flash_attn") for fused in ("torch", "triton")]
WAYS = [("packed", "off"), ("packed", "torch"), ("packed", "triton"), ("eager", "auto")]
FULL = [("float32", attention, fused) for attention, fused in WAYS]
CASES = [*FULL, *((dtype, *way) for dtype in DTYPES for way in HALF)]
CAUSAL = ("gemma", "layerwise", "qwen3")


def bound_of(family, dtype):
    return 1e-4 if dtype == "float32" else TINY_BOUNDS[family][DTYPES.index(dtype)]


@pytest.mark.parametrize("family", KINDS)
def test_every_arithmetic_of_a_family_is_near_the_padded_model_in_float32(tmp_path, family):
    kind = KINDS[family]
    folder = kind.write(tmp_path / "model", seed=8)
    exact = built(kind, folder, attention="eager").score(OTHERS).scores
    for dtype, attention, fused in CASES:
        model = built(kind, folder, device="cuda", dtype=dtype, attention=attention, fused=fused, batch_tokens=60)
        found = [model.score(OTHERS).scores for _ in range(2)]
        assert contents(model.model).device == "cuda:0"
        assert model.usage.batches > 6
        assert np.array_equal(*found), (dtype, attention, fused)
        assert np.abs(found[0] - exact).max() < bound_of(family, dtype), (dtype, attention, fused)


@pytest.mark.parametrize("family", CAUSAL)
def test_starts_that_pairs_share_are_computed_once_a_batch(tmp_path, family):
    kind = KINDS[family]
    folder = kind.write(tmp_path / "model", seed=8)
    exact = built(kind, folder, attention="eager").score(PAIRS).scores
    for dtype, attention in (("float32", "packed"), ("bfloat16", "torch_varlen"), ("bfloat16", "flash_attn")):
        model = built(kind, folder, device="cuda", dtype=dtype, attention=attention, batch_tokens=500)
        assert np.abs(model.score(PAIRS).scores - exact).max() < bound_of(family, dtype), (dtype, attention)
        assert model.usage.computed_tokens < 0.95 * model.usage.tokens


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_packed_classifiers_on_a_gpu_are_near_the_padded_ones_in_float32(kind):
    tokenized = pairs_of_ids()
    exact = scores_of(classifier(kind), tokenized, batch_tokens=1)
    for dtype, bound in (("float32", 1e-5), ("bfloat16", 0.6), ("float16", 0.06)):
        whole = classifier(kind, getattr(torch, dtype), "cuda")
        model = packed_reranker(whole, ComputeConfig(device="cuda", attention="packed", dtype=dtype))
        found = [scores_of(model, tokenized, batch_tokens=200) for _ in range(2)]
        assert contents(model).device == "cuda:0"
        assert np.array_equal(*found), dtype
        assert np.abs(found[0] - exact).max() < bound, (dtype, np.abs(found[0] - exact).max())


def test_gemma_2_without_its_cap_has_its_own_scale_in_every_kernel(tmp_path):
    """With the cap, torch's kernel computes nothing of it."""
    kind = KINDS["lightweight"]
    folder = kind.write(tmp_path / "model", seed=8, query_pre_attn_scalar=2)
    exact = built(kind, folder, attention="eager", attention_softcap=False).score(OTHERS).scores
    for attention in ("torch_varlen", "flash_attn"):
        model = built(kind, folder, device="cuda", dtype="float16", attention=attention, attention_softcap=False)
        assert np.abs(model.score(OTHERS).scores - exact).max() < bound_of("lightweight", "float16"), attention


@pytest.mark.parametrize("settings", [{}, {"projection": "linear.pt", "skip_first_token": True}], ids=str)
def test_late_interaction_is_near_float64_pair_by_pair(tmp_path, settings):
    folder = projected_bert(tmp_path / "bert")
    encoder = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float64).eval()
    exact = np.array([reference(folder, encoder, pair, settings) for pair in PAIRS])
    for dtype, bound in (("float32", 1e-5), ("bfloat16", 0.075), ("float16", 0.01)):
        model = late(folder, compute("cuda", dtype=dtype), max_length=64, **settings)
        found = [model.score(PAIRS).scores for _ in range(2)]
        assert np.array_equal(*found)
        assert np.abs(found[0] - exact).max() < bound, (dtype, np.abs(found[0] - exact).max())
