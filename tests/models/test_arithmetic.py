"""Device and attention: what was asked for, or an error; never something else in silence."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest
import torch
from stubs import configured

from evalkit.config import ComputeConfig
from evalkit.errors import MissingExtra, ModelError
from evalkit.models.arithmetic import device_name, facts, fused, require_torch, resolved
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
def test_attention_that_was_asked_for_is_kept(checkpoint, attention, softcap):
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


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash_attn is installed")
@pytest.mark.parametrize("softcap", [False, True])
def test_flash_attention_that_is_not_installed_is_refused_with_the_command(checkpoint, softcap):
    with pytest.raises(MissingExtra, match=r"pip install 'evalkit\[flash\]'"):
        resolved(ComputeConfig(device="cpu", attention="flash_attention_2"), checkpoint, softcap=softcap)


@pytest.mark.parametrize("package", ["torch", "transformers"])
def test_package_that_is_not_installed_is_named_with_the_command(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"{package}'\. Run: pip install 'evalkit\[models\]'"):
        require_torch()


@pytest.mark.parametrize(
    ("changes", "attention"),
    [
        ({"is_decoder": True}, "sdpa"),
        ({"model_type": "electra"}, "sdpa"),
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


def test_kernels_of_a_gpu_have_no_float32(checkpoint):
    with pytest.raises(ModelError, match=r"torch_varlen has no float32\. Set compute\.dtype=bfloat16"):
        resolved(
            ComputeConfig(device="cuda" if torch.cuda.is_available() else "auto", attention="torch_varlen"), checkpoint
        )


@pytest.mark.parametrize("way", ["torch", "triton"])
def test_fused_steps_of_a_padded_model_are_refused(checkpoint, encoder, tmp_path, way):
    with pytest.raises(ModelError, match=rf"compute\.fused={way} does not reach\. Set compute\.attention=auto"):
        resolved(ComputeConfig(device="cpu", attention="eager", fused=way), checkpoint)
    unknown = resolve(str(configured(encoder, tmp_path / "c", model_type="electra")))
    with pytest.raises(ModelError, match=r"compute\.fused=torch does not know this model\. Set compute\.fused=auto"):
        resolved(ComputeConfig(device="cpu", fused="torch"), unknown)


def test_triton_on_a_cpu_is_refused_before_a_model_is_loaded(checkpoint):
    with pytest.raises(ModelError, match=r"compute\.fused=triton runs on CUDA only"):
        resolved(ComputeConfig(device="cpu", fused="triton"), checkpoint)


def test_facts_of_a_cpu_are_what_they_were_unless_fused_steps_are_set(checkpoint):
    plain, off, torch_s = (
        resolved(ComputeConfig(device="cpu", fused=asked), checkpoint) for asked in ("auto", "off", "torch")
    )
    assert [set(facts(compute)) for compute in (plain, off)] == [{"torch", "hardware"}] * 2
    assert facts(torch_s)["fused"] == "torch"
    assert fused(resolved(ComputeConfig(device="cpu", attention="eager"), checkpoint)) == ""


def test_facts_of_a_gpu_say_which_steps_were_fused_and_by_which_triton(monkeypatch):
    monkeypatch.setattr("evalkit.models.arithmetic.device_name", lambda _: "cuda")
    monkeypatch.setattr("evalkit.models.arithmetic.hardware", lambda _: "a GPU")
    monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.9.0"))
    compute = ComputeConfig(attention="packed", dtype="bfloat16")
    for fault, expected in (("", {"fused": "triton", "triton": "3.9.0"}), ("no compiler", {"fused": "torch"})):
        monkeypatch.setattr("evalkit.inference.fused.fault_of_triton", lambda *_, fault=fault: fault)
        found = facts(compute)
        assert expected == {name: found[name] for name in ("fused", "triton") if name in found}
