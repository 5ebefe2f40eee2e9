"""The tensors and settings of a checkpoint folder, in float64, read without any model library."""

import json
from pathlib import Path

import numpy as np

_STORED = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


def read_config(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor by its stored name; bfloat16 and float16 convert exactly."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        files = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return {name: array for file in files for name, array in _read_safetensors(folder / file).items()}
    if (folder / "model.safetensors").is_file():
        return _read_safetensors(folder / "model.safetensors")
    return _read_torch(folder / "pytorch_model.bin")


def below(weights: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The tensors whose names begin with the prefix, named by the rest."""
    return {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The format: eight bytes of header size, a JSON header, then the tensors' bytes at the offsets it names."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            numbers = _as_float64(content[start + first : start + last], entry["dtype"])
            arrays[name] = numbers.reshape(entry["shape"])
    return arrays


def _as_float64(stored: bytes, dtype: str) -> np.ndarray:
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(stored, "<u2").astype("<u4") << 16).view("<f4").astype(np.float64)
    return np.frombuffer(stored, _STORED[dtype]).astype(np.float64)


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    import torch

    tensors = torch.load(path, weights_only=True, map_location="cpu")
    return {name: tensor.to(torch.float64).numpy() for name, tensor in tensors.items()}
