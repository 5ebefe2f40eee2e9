"""Layers behind a transformer as sentence-transformers and PyLate store them, each in a folder of its own.

Float64 modules: their sums must not depend on the size of a batch, see `linear.summed`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import require_known
from evalkit.models.weights import Stored, Tensors, fill, require_stored

VECTOR = "sentence_embedding"  # what a layer behind the pooling reads and writes
TOKENS = "token_embeddings"  # and one before it
SCORES = "scores"  # what the last layer of a reranker writes
# Of torch, as they are without arguments: sentence-transformers stores no others.
_ACTIVATIONS = {
    kind.__name__: kind
    for kind in (
        *(nn.Identity, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.LeakyReLU, nn.ELU, nn.SELU),
        *(nn.Mish, nn.ReLU6, nn.Softplus, nn.Softsign, nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.LogSigmoid),
    )
}
_KNOWN_OF_DENSE = {
    *("in_features", "out_features", "bias", "activation_function", "use_residual"),
    *("module_input_name", "module_output_name"),
}


class Dense(nn.Module):
    """A linear layer and its activation, perhaps with its input added."""

    def __init__(self, width: int, out: int, activation: nn.Module, *, bias: bool, residual: bool) -> None:
        super().__init__()
        self.linear, self.activation = nn.Linear(width, out, bias=bias), activation
        # An input of another width goes through a layer of its own.
        self.residual = nn.Linear(width, out, bias=False) if residual and width != out else None
        self.adds = residual

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Shape (rows, out)."""
        result: torch.Tensor = self.activation(self.linear(states))
        if self.adds:
            result = result + (states if self.residual is None else self.residual(states))
        return result


def load_dense(folder: Path, device: Any, *, reads: str = VECTOR, writes: str = VECTOR) -> nn.Module:
    """A linear layer with its activation, as a float64 module.

    Args:
        folder: with its files.
        device: to put it on.
        reads: what it must read, as sentence-transformers calls it.
        writes: what it must write.

    Raises:
        ModelError: its files are absent, or it is of a kind that is not supported.
    """
    stage = Checkpoint(folder, {})
    settings = stage.config
    widths = stage.numbers("in_features", "out_features")
    require_known(f"{folder}/config.json", settings, _KNOWN_OF_DENSE)
    source = settings.get("module_input_name", reads)
    if source != reads:
        raise ModelError(f"{folder}/config.json: a layer over {source}, which evalkit does not run there.")
    if settings.get("module_output_name", source) != writes:
        raise ModelError(
            f"{folder}/config.json: module_output_name={settings.get('module_output_name', source)!r}, expected "
            f"{writes!r}, so it is not read."
        )
    name = str(settings.get("activation_function", "torch.nn.modules.activation.Tanh")).rsplit(".", 1)[-1]
    if name not in _ACTIVATIONS:
        raise ModelError(
            f"{folder}/config.json: activation_function={name!r}. evalkit knows {', '.join(_ACTIVATIONS)}."
        )
    sizes, bias = (widths["in_features"], widths["out_features"]), bool(settings.get("bias", True))
    residual = bool(settings.get("use_residual", False))
    found: nn.Module = _loaded(stage, lambda: Dense(*sizes, _ACTIVATIONS[name](), bias=bias, residual=residual), device)
    return found


def load_layer_norm(folder: Path, device: Any) -> nn.Module:
    """A LayerNorm over vectors, as a float64 module.

    Raises:
        ModelError: its files are absent.
    """
    stage = Checkpoint(folder, {})
    width = stage.numbers("dimension")["dimension"]
    require_known(f"{folder}/config.json", stage.config, {"dimension"})
    found: nn.Module = _loaded(stage, lambda: nn.ModuleDict({"norm": nn.LayerNorm(width)}), device)["norm"]
    return found


class _Unit(nn.Module):
    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors scaled to length 1."""
        return nn.functional.normalize(vectors, dim=-1)


def load_stage(kind: str, folder: Path, device: Any, *, writes: str = VECTOR) -> nn.Module:
    """A module behind the pooling, as a float64 module.

    Args:
        kind: `Dense`, `LayerNorm`, `Normalize`, or `Dropout`, which does nothing outside of training.
        folder: with its files.
        device: to put it on.
        writes: what a linear layer must write.

    Raises:
        ModelError: its files are absent, or it reads something else.
    """
    if kind == "Dense":
        return load_dense(folder, device, writes=writes)
    if kind == "LayerNorm":
        return load_layer_norm(folder, device)
    if kind == "Normalize":
        require_over_vectors(folder)
        return _Unit()
    return nn.Identity()


def require_over_vectors(folder: Path) -> None:
    """Refuse a Normalize that scales something else than the pooled vector.

    Raises:
        ModelError: it does.
    """
    for key, value in Checkpoint(folder, {}).config.items():
        if not (key in {"module_input_name", "module_output_name"} and value == VECTOR):
            raise ModelError(f"{folder}/config.json: {key}={value!r}, which evalkit does not run there.")


def _loaded(stage: Checkpoint, make: Callable[[], Any], device: Any) -> Any:
    tensors = Tensors(stage)
    require_stored(make, tensors)
    fill(module := make(), tensors, Stored)
    return module.double().eval().to(device)
