"""Every kind of reranker on a GPU: scores near those of the CPU in float32, in every arithmetic, and twice the same."""

import numpy as np
import pytest
from families.test_precision import DTYPES
from families.tiny import KINDS, TINY_BOUNDS, built
from families.tiny import PAIRS as OTHERS
from gpu.models import PAIRS, compute, late, projected_bert

from evalkit.models.packing import contents

pytestmark = pytest.mark.gpu

HALF = [(attention, fused) for attention in ("packed", "torch_varlen", "flash_attn") for fused in ("torch", "triton")]
WAYS = [("packed", "off"), ("packed", "torch"), ("packed", "triton"), ("eager", "auto")]
FULL = [("float32", attention, fused) for attention, fused in WAYS]
CASES = [*FULL, *((dtype, *way) for dtype in DTYPES for way in HALF)]
CAUSAL = ("gemma", "layerwise", "qwen3")


def bound_of(family, dtype):
    return 1e-4 if dtype == "float32" else TINY_BOUNDS[family][DTYPES.index(dtype)]


@pytest.mark.parametrize("family", KINDS)
def test_every_arithmetic_of_a_family_is_near_float32_on_the_cpu(tmp_path, family):
    kind = KINDS[family]
    folder = kind.write(tmp_path / "model", seed=8)
    exact = built(kind, folder).score(OTHERS).scores
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
    exact = built(kind, folder).score(PAIRS).scores
    for dtype, attention in (("float32", "packed"), ("bfloat16", "torch_varlen"), ("bfloat16", "flash_attn")):
        model = built(kind, folder, device="cuda", dtype=dtype, attention=attention, batch_tokens=500)
        assert np.abs(model.score(PAIRS).scores - exact).max() < bound_of(family, dtype), (dtype, attention)
        assert model.usage.computed_tokens < 0.95 * model.usage.tokens


@pytest.mark.parametrize("settings", [{}, {"projection": "linear.pt", "skip_first_token": True}], ids=str)
def test_late_interaction_is_near_that_of_the_cpu(tmp_path, settings):
    folder = projected_bert(tmp_path / "bert")
    exact = late(folder, compute("cpu"), **settings).score(PAIRS).scores
    for dtype, bound in (("float32", 1e-5), ("bfloat16", 0.075), ("float16", 0.01)):
        model = late(folder, compute("cuda", dtype=dtype), **settings)
        found = [model.score(PAIRS).scores for _ in range(2)]
        assert np.array_equal(*found)
        assert np.abs(found[0] - exact).max() < bound, dtype
