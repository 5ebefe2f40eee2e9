"""Builds `guard.cpp` with g++, once for all processes of a torch version."""

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from filelock import FileLock

SOURCE = Path(__file__).with_name("guard.cpp")


def missing() -> str:
    """Why the pretended device cannot be had here; empty where it can."""
    if shutil.which("g++") is None:
        return "the pretended CUDA device needs g++"
    # The plugin itself makes torch say that there is CUDA, but knows no version of it.
    return "there is a real CUDA device: run `pytest -m gpu`" if _has_cuda() else ""


def _has_cuda() -> bool:
    return bool(torch.version.cuda) and torch._C._cuda_getDeviceCount() > 0


def install_guard() -> None:
    """Have torch accept tensors of a CUDA device in this process."""
    ctypes.CDLL(str(_built())).install()


def _built() -> Path:
    key = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"evalkit-pretend-{key}" / "guard.so"
    library.parent.mkdir(mode=0o700, exist_ok=True)
    with FileLock(library.with_suffix(".lock")):
        if not library.exists():
            _build(library)
    return library


def _build(library: Path) -> None:
    home, half = Path(torch.__file__).parent, library.with_suffix(".half")
    options = ["-shared", "-fPIC", "-std=c++20", f"-I{home / 'include'}", f"-L{home / 'lib'}", "-lc10"]
    subprocess.run(["g++", str(SOURCE), *options, "-o", str(half)], check=True)
    half.rename(library)
