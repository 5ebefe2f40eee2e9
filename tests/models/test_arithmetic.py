"""Device and attention: what was asked for, or an error; never something else in silence."""

import os
import sys

import pytest
import torch
from stubs import configured

from evalkit.config import ComputeConfig
from evalkit.errors import MissingExtra, ModelError
from evalkit.inference.flash import Flash
from evalkit.models.arithmetic import arithmetic, capability, device_name, fused, require_torch, resolved
from evalkit.models.checkpoint import Checkpoint, resolve


@pytest.fixture
def checkpoint(encoder) -> Checkpoint:
    return resolve(str(encoder))


def test_device_cpu_is_the_cpu():
    assert device_name(ComputeConfig(device="cpu")) == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_that_is_not_there_is_refused_and_auto_takes_the_cpu(checkpoint):
    assert device_name(ComputeConfig(device="auto")) == "cpu"
    for refuse in (device_name, lambda compute: resolved(compute, checkpoint)):
        with pytest.raises(ModelError, match=r"compute\.device=cpu"):
            refuse(ComputeConfig(device="cuda"))


@pytest.mark.parametrize("softcap", [False, True])
def test_auto_attention_is_packed_where_the_engine_knows_the_model(checkpoint, softcap):
    asked = ComputeConfig(device="cpu", dtype="bfloat16", batch_tokens=7, threads=3)
    actual = resolved(asked, checkpoint, softcap=softcap)
    assert ComputeConfig(device="cpu", dtype="bfloat16", batch_tokens=7, threads=3, attention="packed") == actual
    # The settings themselves are left as they were: two models of one run may differ.
    assert asked.attention == "auto"


@pytest.mark.parametrize(("attention", "softcap"), [("sdpa", False), ("eager", False), ("eager", True)])
def test_attention_that_was_asked_for_is_used(checkpoint, attention, softcap):
    assert (
        attention == resolved(ComputeConfig(device="cpu", attention=attention), checkpoint, softcap=softcap).attention
    )


def test_sdpa_that_would_leave_out_the_cap_is_refused_with_what_to_do(checkpoint):
    with pytest.raises(ModelError, match=r"compute\.attention=eager.*reranker\.attention_softcap=false"):
        resolved(ComputeConfig(device="cpu", attention="sdpa"), checkpoint, softcap=True)


def test_model_without_sdpa_is_run_eagerly_and_sdpa_is_refused(encoder, tmp_path):
    checkpoint = resolve(str(configured(encoder, tmp_path / "c", model_type="mpnet")))
    assert resolved(ComputeConfig(device="cpu"), checkpoint).attention == "eager"
    with pytest.raises(ModelError, match=r"no sdpa attention\. Set compute\.attention=eager"):
        resolved(ComputeConfig(device="cpu", attention="sdpa"), checkpoint)


@pytest.mark.parametrize("softcap", [False, True])
def test_flash_attention_that_is_not_installed_is_refused_with_the_command(checkpoint, softcap, monkeypatch):
    monkeypatch.setattr("evalkit.models.arithmetic.flash", lambda: Flash(None))
    with pytest.raises(MissingExtra, match=r"pip install 'evalkit\[flash\]'"):
        resolved(ComputeConfig(device="cpu", attention="flash_attention_2"), checkpoint, softcap=softcap)


@pytest.mark.parametrize("attention", ["flash_attention_2", "flash_attn"])
def test_flash_attention_that_is_installed_and_does_not_start_is_refused_with_what_is_wrong(
    checkpoint, monkeypatch, attention
):
    monkeypatch.setattr("evalkit.models.arithmetic.flash", lambda: Flash(None, "undefined symbol: _ZN3c10"))
    with pytest.raises(
        ModelError, match=r"cannot be imported \(undefined symbol.*Install a build of it for this torch"
    ):
        resolved(ComputeConfig(device="cpu", dtype="bfloat16", attention=attention), checkpoint)


SEGMENTS = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")


@pytest.fixture
def allocator(monkeypatch):
    """No setting of the user's."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in SEGMENTS:
        monkeypatch.setenv(name, "")
    return monkeypatch


def test_segments_of_gpu_memory_may_grow_before_torch_takes_any(allocator):
    allocator.setattr(torch.cuda, "is_available", lambda: True)
    assert device_name(ComputeConfig()) == "cuda"
    assert os.environ["PYTORCH_ALLOC_CONF"] == "expandable_segments:True"


@pytest.mark.parametrize("name", SEGMENTS)
def test_what_the_user_says_of_gpu_memory_stays(allocator, name):
    allocator.setattr(torch.cuda, "is_available", lambda: True)
    allocator.setenv(name, "max_split_size_mb:64")
    device_name(ComputeConfig(device="cuda"))
    assert [os.environ[one] for one in SEGMENTS if os.environ[one]] == ["max_split_size_mb:64"]


def test_on_a_cpu_and_on_windows_nothing_is_said_of_gpu_memory(allocator):
    allocator.setattr(torch.cuda, "is_available", lambda: True)
    device_name(ComputeConfig(device="cpu"))
    allocator.setattr(sys, "platform", "win32")
    device_name(ComputeConfig())
    assert not any(os.environ[name] for name in SEGMENTS)


def test_capability_is_that_of_the_gpu_and_a_cpu_has_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    assert (capability("cuda"), capability(torch.device("cpu"))) == ((9, 0), None)


def test_minicpm_in_half_precision_says_that_positions_are_float32_and_nothing_else_moved(
    checkpoint, encoder, tmp_path
):
    minicpm = resolve(str(configured(encoder, tmp_path / "c", scale_emb=12, scale_depth=1.4)))
    for found, dtype, attention, more in (
        (minicpm, "bfloat16", "packed", {"rotary": "float32"}),
        (minicpm, "float16", "torch_varlen", {"rotary": "float32"}),
        (minicpm, "float32", "packed", {}),
        (minicpm, "bfloat16", "sdpa", {}),
        (checkpoint, "bfloat16", "packed", {}),
    ):
        compute = ComputeConfig(dtype=dtype, attention=attention)
        assert {"dtype": dtype, "attention": attention, **more} == arithmetic(compute, found)


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_package_that_is_not_installed_is_named_with_the_command(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"{package}'\. Run: pip install 'evalkit\[models\]'"):
        require_torch()


@pytest.mark.parametrize(
    ("changes", "attention"),
    [
        ({"is_decoder": True}, "sdpa"),
        ({"model_type": "albert"}, "sdpa"),
        ({"model_type": "electra"}, "packed"),
        ({"model_type": "deberta-v2", "relative_attention": True}, "packed"),
        ({"model_type": "deberta-v2", "relative_attention": True, "conv_kernel_size": 3}, "eager"),
        ({"model_type": "deberta-v2"}, "eager"),
        ({"model_type": "gemma2"}, "packed"),
        ({"model_type": "gemma2", "use_bidirectional_attention": True}, "eager"),
        ({"model_type": "mistral"}, "packed"),
        ({"model_type": "mistral", "is_causal": False}, "sdpa"),
        ({"model_type": "mistral", "layer_types": ["full_attention"]}, "sdpa"),
        ({"model_type": "gemma3_text", "rope_parameters": {"full_attention": {"rope_type": "dynamic"}}}, "sdpa"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "sdpa"),
        ({"model_type": "llama", "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "sdpa"),
        ({"model_type": "llama", "rope_scaling": {"rope_type": "llama3"}}, "packed"),
    ],
)
def test_what_the_engine_does_not_compute_is_padded(encoder, tmp_path, changes, attention):
    checkpoint = resolve(str(configured(encoder, tmp_path / "c", **changes)))
    assert resolved(ComputeConfig(device="cpu"), checkpoint).attention == attention
    if attention != "packed":
        with pytest.raises(ModelError, match=r"does not know this model\. Set compute\.attention=auto"):
            resolved(ComputeConfig(device="cpu", attention="packed"), checkpoint)


@pytest.mark.parametrize(("device", "attention"), [("cpu", "packed"), ("cuda", "eager")])
def test_deberta_is_packed_on_a_cpu_alone_unless_it_is_asked_for(encoder, tmp_path, device, attention):
    own = {"model_type": "deberta-v2", "relative_attention": True}
    checkpoint = resolve(str(configured(encoder, tmp_path / "c", **own)))
    where = {"backend": "ray", "device": device}  # workers elsewhere say themselves what they have
    assert resolved(ComputeConfig(**where), checkpoint).attention == attention
    assert resolved(ComputeConfig(**where, attention="packed"), checkpoint).attention == "packed"


def test_kernels_of_a_gpu_have_no_float32(checkpoint):
    with pytest.raises(ModelError, match=r"torch_varlen has no float32\. Set compute\.dtype=bfloat16"):
        resolved(
            ComputeConfig(device="cuda" if torch.cuda.is_available() else "auto", attention="torch_varlen"), checkpoint
        )


@pytest.mark.parametrize("way", ["torch", "triton"])
def test_fused_steps_of_a_padded_model_are_refused(checkpoint, encoder, tmp_path, way):
    with pytest.raises(ModelError, match=rf"compute\.fused={way} does not reach\. Set compute\.attention=auto"):
        resolved(ComputeConfig(device="cpu", attention="eager", fused=way), checkpoint)
    unknown = resolve(str(configured(encoder, tmp_path / "c", model_type="albert")))
    with pytest.raises(ModelError, match=r"compute\.fused=torch does not know this model\. Set compute\.fused=auto"):
        resolved(ComputeConfig(device="cpu", fused="torch"), unknown)


def test_triton_on_a_cpu_is_refused_before_a_model_is_loaded(checkpoint):
    with pytest.raises(ModelError, match=r"compute\.fused=triton runs on CUDA only"):
        resolved(ComputeConfig(device="cpu", fused="triton"), checkpoint)


def test_padded_models_and_a_cpu_by_default_fuse_no_steps(checkpoint):
    found = {
        (asked, attention): fused(resolved(ComputeConfig(device="cpu", fused=asked, attention=attention), checkpoint))
        for asked, attention in (("auto", "auto"), ("off", "auto"), ("torch", "auto"), ("auto", "eager"))
    }
    assert {key for key, way in found.items() if way} == {("torch", "auto")}
    assert found["torch", "auto"] == "torch"


def test_identities_say_which_steps_are_fused_only_where_it_is_set(checkpoint):
    plain = {"dtype": "float32", "attention": "packed"}
    assert arithmetic(ComputeConfig(attention="packed"), checkpoint) == plain
    assert arithmetic(ComputeConfig(attention="packed", fused="off"), checkpoint) == {**plain, "fused": "off"}
