"""Half precision on a GPU, with every attention there, against float32 on the CPU: `pytest -m gpu`."""

import numpy as np
import pytest
from families.golden import FAMILIES_AND_SETTINGS, KINDS, OWN_SETTINGS, cases_of, read
from families.test_precision import DTYPES, GOLDEN_BOUNDS
from transformers.utils import is_flash_attn_2_available

from evalkit import rerank
from evalkit.config import ComputeConfig
from evalkit.inference.flash import flash
from evalkit.models.packing import contents

pytestmark = [pytest.mark.gpu, pytest.mark.shared]

LIGHTWEIGHT = "bge_reranker_v2_5_gemma2_lightweight"
ATTENTIONS = ("packed", "torch_varlen", "flash_attn", "sdpa", "eager", "flash_attention_2")


def build(folder, setting, max_length, dtype, attention):
    own = OWN_SETTINGS.get(folder.name, {}) | read(folder).get("settings", {}).get(setting, {})
    config = KINDS[folder.name](name="golden", model=str(folder / "model"), max_length=max_length, **own)
    return rerank.build(config, ComputeConfig(device="cuda", dtype=dtype, attention=attention, batch_tokens=4096))


def skip_what_cannot_be(family, dtype, attention):
    if attention.startswith("flash_att") and flash().function is None:
        pytest.skip("flash-attn is absent, or cannot be imported")
    if attention == "flash_attention_2" and not is_flash_attn_2_available():
        pytest.skip("transformers finds no flash-attn that it can use")
    if attention in {"torch_varlen", "flash_attn", "flash_attention_2"} and dtype == "float32":
        pytest.skip("the kernel has no float32")
    if family == LIGHTWEIGHT and attention == "sdpa":
        pytest.skip("sdpa cannot cap attention scores")


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("dtype", ["float32", *DTYPES])
@pytest.mark.parametrize(("family", "setting"), FAMILIES_AND_SETTINGS)
def test_golden_scores_on_a_gpu_are_within_the_bounds_stated_for_the_cpu(shared, family, setting, dtype, attention):
    skip_what_cannot_be(family, dtype, attention)
    folder = shared / "golden" / family
    # TF32 is off by default, so that float32 on the GPU is float32.
    bound = 1e-3 if dtype == "float32" else GOLDEN_BOUNDS[family][DTYPES.index(dtype)]
    for part in cases_of(folder, setting, lengths=(65, 512)):
        model = build(folder, setting, part.max_length, dtype, attention)
        assert contents(model.model).device.startswith("cuda")
        difference = np.abs(model.score(part.pairs).scores - part.expected()).max()
        assert difference <= bound, (family, setting, dtype, attention, part.max_length)
