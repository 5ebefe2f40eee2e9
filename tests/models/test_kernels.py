"""Which attention kernel is taken, on GPUs that are only told of."""

import pytest

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference import flash as flash_module
from evalkit.models.kernels import head_width, kernel

H200, T4 = (9, 0), (7, 5)


def chosen(compute, capability, *, width=64, softcap=False):
    return kernel(compute, capability, {"head_dim": width}, softcap=softcap)


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Say which flash-attn there is: none at first."""

    def say(function=None, fault=""):
        monkeypatch.setattr("evalkit.models.kernels.flash", lambda: flash_module.Flash(function, fault))

    say()
    return say


def half(attention="packed", dtype="bfloat16") -> ComputeConfig:
    return ComputeConfig(attention=attention, dtype=dtype)


@pytest.mark.parametrize("there", [True, False])
def test_on_a_gpu_flash_attn_is_taken_where_it_is_installed_and_torch_s_own_kernel_where_not(installed, there):
    installed(print if there else None)
    assert chosen(half(), H200) == ("flash_attn" if there else "torch_varlen", "")


@pytest.mark.parametrize("attention", ["torch_varlen", "flash_attn"])
def test_a_kernel_that_is_asked_for_is_taken_on_a_gpu_and_refused_on_a_cpu(attention):
    assert chosen(half(attention), H200).name == attention
    with pytest.raises(ModelError, match=rf"{attention} runs on CUDA only\. Set compute\.attention=packed"):
        chosen(half(attention), None)


def test_float32_on_a_gpu_has_no_kernel_of_its_own_and_half_precision_on_a_cpu_neither(installed):
    installed(print)
    assert chosen(half(dtype="float32"), H200) == ("packed", "")
    assert chosen(half(), None) == ("packed", "")


@pytest.mark.parametrize(
    ("capability", "width", "said"),
    [
        (T4, 64, "compute capability 8.0 or higher, and this one has 7.5"),
        ((7, 0), 64, "and this one has 7.0"),
        (H200, 26, "a multiple of 8 up to 256, and this model has 26"),
        (H200, 264, "and this model has 264"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_what_no_kernel_can_do_is_computed_by_lengths_and_said(installed, capability, width, said, there):
    installed(print if there else None)
    found = chosen(half(), capability, width=width)
    assert found.name == "packed"
    assert found.notice.startswith("attention runs by lengths, which is slow: variable-length attention needs")
    assert said in found.notice
    for attention in ("torch_varlen", "flash_attn"):
        with pytest.raises(ModelError, match=rf"{attention} needs .*{said}\. Set compute\.attention=packed"):
            chosen(half(attention), capability, width=width)


@pytest.mark.parametrize(("capability", "width"), [((8, 0), 8), ((8, 9), 256), ((12, 0), 128), (H200, None)])
def test_what_a_kernel_can_do_is_left_to_it(capability, width):
    assert chosen(half(), capability, width=width) == ("torch_varlen", "")


def test_a_cap_on_scores_needs_flash_attn(installed):
    found = chosen(half(), H200, softcap=True)
    assert (found.name, "evalkit[flash]" in found.notice) == ("packed", True)
    assert chosen(half("torch_varlen"), H200, softcap=True).name == "packed"
    installed(print)
    assert chosen(half(), H200, softcap=True) == ("flash_attn", "")


def test_a_flash_attn_that_does_not_start_is_said_and_torch_s_kernel_taken(installed):
    installed(None, "undefined symbol: _ZN3c10")
    found = chosen(half(), H200)
    assert found.name == "torch_varlen"
    assert found.notice.startswith("flash_attn is installed and cannot be imported (undefined symbol: _ZN3c10)")


@pytest.mark.parametrize(
    ("config", "width"),
    [
        ({"hidden_size": 1024, "num_attention_heads": 16}, 64),
        ({"hidden_size": 1024, "num_attention_heads": 16, "head_dim": None}, 64),
        ({"hidden_size": 1024, "num_attention_heads": 16, "head_dim": 128}, 128),
        ({"hidden_size": 1024}, None),
        ({"hidden_size": 312, "num_attention_heads": 0}, None),
    ],
)
def test_width_of_a_head_is_as_config_json_says_it(config, width):
    assert head_width(config) == width


def test_deberta_is_computed_by_lengths_on_a_gpu_and_has_no_kernel_by_name():
    config = {"model_type": "deberta-v2", "hidden_size": 384, "num_attention_heads": 6}
    assert kernel(half(), H200, config, softcap=False) == ("packed", "")
    with pytest.raises(ModelError, match=r"torch_varlen cannot attend to positions as this model does"):
        kernel(half("torch_varlen"), H200, config, softcap=False)


def test_width_of_a_head_of_distilbert_is_found_under_its_own_names():
    assert head_width({"dim": 768, "n_heads": 12}) == 64
