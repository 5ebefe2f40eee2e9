"""What counts as flash-attn: a package whose kernel can be imported."""

import sys

import pytest

from evalkit.inference import flash as module
from evalkit.inference.flash import flash, flash_version


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a package `flash_attn` with these files, in front of any other."""

    def write(**files: str) -> None:
        folder = tmp_path / "flash_attn"
        for name, text in files.items():
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        for name in [name for name in sys.modules if name.split(".")[0] == "flash_attn"]:
            monkeypatch.delitem(sys.modules, name)
        flash.cache_clear()

    yield write
    flash.cache_clear()
    sys.modules.pop("flash_attn", None)


def test_the_kernel_of_flash_attn_is_taken(package):
    package(__init__="def flash_attn_varlen_func(): return 'called'\n")
    found = flash()
    assert (found.function(), found.fault) == ("called", "")
    assert flash() is found  # decided once


def test_flash_attn_4_namespace_does_not_count_as_flash_attn(package):
    package(cute="kernels = ()\n")
    assert flash() == (None, "")


@pytest.mark.parametrize(
    "text",
    [
        "raise ImportError('flash_attn_2_cuda.so: undefined symbol: _ZN3c105ErrorC2E')",
        "raise OSError('libcudart.so.12: cannot open shared object file')",
        "raise RuntimeError('compiled with another CUDA')",
    ],
)
def test_build_for_another_torch_is_unusable_with_a_reason(package, text):
    package(__init__=text)
    assert flash() == (None, text.split("'")[1])


def test_package_without_the_kernel_is_unusable_with_a_reason(package):
    package(__init__="")
    found = flash()
    assert found.function is None
    assert "flash_attn_varlen_func" in found.fault


def test_absent_flash_attn_is_not_a_fault(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    flash.cache_clear()
    assert flash() == (None, "")
    flash.cache_clear()


def test_version_is_that_of_the_installed_package(monkeypatch):
    monkeypatch.setattr(module, "version", lambda name: {"flash-attn": "2.8.1"}[name])
    assert flash_version() == "2.8.1"


def test_version_of_a_package_that_does_not_say_it_is_empty(monkeypatch):
    def absent(name):
        raise module.PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", absent)
    assert flash_version() == ""
