"""What is known and said of a processor: a real CPU, and GPUs that are only told of."""

import sys
from types import SimpleNamespace

import pytest
import torch
import transformers
from stubs import configured

from evalkit.config import ComputeConfig
from evalkit.inference import notices
from evalkit.inference.flash import Flash
from evalkit.inference.usage import Usage
from evalkit.models import processor
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.processor import facts, noting


@pytest.fixture
def checkpoint(encoder, tmp_path) -> Checkpoint:
    return resolve(str(configured(encoder, tmp_path / "c", hidden_size=128, num_attention_heads=4)))


@pytest.fixture
def gpu(monkeypatch):
    """Tell of a GPU: an H200 at first, where Triton works."""

    def tell(capability=(9, 0), flash=None, fault=""):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "NVIDIA H200")
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
        monkeypatch.setattr("evalkit.models.kernels.flash", lambda: Flash(flash))
        monkeypatch.setattr("evalkit.inference.fused.fault_of_triton", lambda *_: fault)
        monkeypatch.setitem(sys.modules, "triton", SimpleNamespace(__version__="3.9.0"))
        monkeypatch.setenv("PYTORCH_ALLOC_CONF", "backend:native")
        notices._say.cache_clear()

    tell()
    yield tell
    notices._say.cache_clear()


@pytest.fixture
def versions(monkeypatch):
    """Say which versions are installed."""

    def say(**told: str) -> None:
        known = {"torch": "2.13.0", "transformers": "5.20.1"} | told
        monkeypatch.setattr(processor, "version", known.__getitem__)
        monkeypatch.setattr(processor, "flash_version", lambda: "2.8.1")

    say()
    return say


def packed(dtype="bfloat16", attention="packed") -> ComputeConfig:
    return ComputeConfig(dtype=dtype, attention=attention)


CPU = ComputeConfig(device="cpu", attention="packed")
FUSED = ("off", "torch")


@pytest.mark.parametrize("release", ["5.18.0", "5.20.1", "5.23.0", "5.23.4"])
def test_on_a_cpu_caches_depend_on_torch_alone_where_transformers_gives_the_same_bytes(checkpoint, versions, release):
    versions(transformers=release)
    assert facts(CPU, checkpoint) == {"torch": "2.13.0", "hardware": "cpu"}


@pytest.mark.parametrize("release", ["5.17.0", "5.24.0", "5.25.0.dev0", "6.0.0rc1", "6.20.1"])
def test_on_a_cpu_another_transformers_keeps_its_own_scores(checkpoint, versions, release):
    versions(transformers=release)
    assert facts(CPU, checkpoint) == {"torch": "2.13.0", "hardware": "cpu", "transformers": release}


def test_the_installed_transformers_shares_caches(checkpoint):
    assert set(facts(CPU, checkpoint)) == {"torch", "hardware"}, transformers.__version__


def test_on_a_cpu_fused_steps_are_a_fact_only_where_they_are_computed(checkpoint):
    off, by_torch = (facts(ComputeConfig(device="cpu", attention="packed", fused=way), checkpoint) for way in FUSED)
    assert off == facts(CPU, checkpoint)
    assert by_torch == {**off, "fused": "torch"}


@pytest.mark.usefixtures("versions")
def test_on_a_gpu_caches_depend_on_the_kernel_and_every_version_that_decides_bits(checkpoint, gpu):
    shared = {"torch": "2.13.0", "hardware": "NVIDIA H200", "transformers": "5.20.1"}
    own = {**shared, "fused": "triton", "triton": "3.9.0"}
    assert facts(packed(), checkpoint) == {**own, "kernel": "torch_varlen"}
    assert facts(packed("float32"), checkpoint) == {**own, "kernel": "packed"}
    assert facts(packed(attention="sdpa"), checkpoint) == {**shared, "kernel": "sdpa"}
    padded = facts(packed(attention="flash_attention_2"), checkpoint)
    assert padded == {**shared, "kernel": "flash_attention_2", "flash_attn": "2.8.1"}
    gpu(flash=print)
    assert facts(packed(), checkpoint) == {**own, "kernel": "flash_attn", "flash_attn": "2.8.1"}
    gpu(capability=(7, 5), flash=print)
    assert facts(packed(), checkpoint) == {**own, "kernel": "packed"}
    gpu(fault="no compiler")
    assert facts(packed(), checkpoint) == {**shared, "kernel": "torch_varlen", "fused": "torch"}


@pytest.mark.usefixtures("gpu", "versions")
def test_a_cap_on_scores_is_a_matter_of_the_kernel(checkpoint):
    assert facts(packed(), checkpoint, softcap=True)["kernel"] == "packed"
    assert facts(packed(), checkpoint, softcap=False)["kernel"] == "torch_varlen"


@pytest.mark.usefixtures("gpu", "versions")
def test_a_search_knows_no_kernel():
    assert facts(packed()) == {"torch": "2.13.0", "hardware": "NVIDIA H200"}


def said(caplog) -> list[str]:
    return [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("capability", "way"), [((9, 0), "compute=cuda (bfloat16)"), ((7, 5), "compute.dtype=float16"), ((6, 1), None)]
)
def test_float32_on_a_gpu_is_said_once_with_what_is_faster(checkpoint, gpu, caplog, capability, way):
    gpu(capability)
    noted = [noting(Usage(tokens=3), packed("float32"), checkpoint) for _ in range(2)]
    assert (noted[0].tokens, noted[0].kernel) == (3, "packed")
    assert said(caplog) == ([noted[0].notice] if way else [])
    assert noted[0].notice == noted[1].notice
    if way:
        assert noted[0].notice.startswith("compute.dtype=float32 leaves the tensor cores of this GPU idle. " + way)


def test_a_kernel_that_the_gpu_cannot_have_is_said_once_and_recorded(checkpoint, gpu, caplog):
    gpu((7, 5))
    for _ in range(2):
        noted = noting(Usage(), packed("float16"), checkpoint)
    assert noted.kernel == "packed"
    assert noted.notice.endswith("needs a GPU of compute capability 8.0 or higher, and this one has 7.5.")
    assert said(caplog) == [noted.notice]


@pytest.mark.usefixtures("gpu")
def test_where_a_gpu_does_what_it_can_nothing_is_said_and_the_kernel_recorded(checkpoint, caplog):
    assert noting(Usage(), packed(), checkpoint) == Usage(kernel="torch_varlen", fused="triton")
    assert said(caplog) == []


def test_on_a_cpu_there_is_no_kernel_and_nothing_to_say(checkpoint, caplog):
    assert noting(Usage(), CPU, checkpoint) == Usage()
    assert said(caplog) == []


def test_processors_of_workers_stay_when_usages_are_added():
    one = Usage(tokens=1, kernel="torch_varlen", fused="triton")
    other = Usage(tokens=2, notice="slow", emulated="bfloat16")
    together = Usage(tokens=3, kernel="torch_varlen", fused="triton", notice="slow", emulated="bfloat16")
    assert one + other == other + one == together
    assert Usage() + one + one == Usage(tokens=2, kernel="torch_varlen", fused="triton")
