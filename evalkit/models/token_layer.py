"""A linear layer over token vectors as bge-m3 stores it: weight and bias in a file of their own."""

from pickle import UnpicklingError  # noqa: TID251 - only the error with which torch refuses other objects than tensors
from typing import Any

import torch

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.loading import refusing
from evalkit.system.reporting import reason


def load_token_layer(checkpoint: Checkpoint, name: str, device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias, in float32.

    Raises:
        ModelError: the file is absent, or another thing, or does not fit the token vectors.
    """
    file = checkpoint.inside(name)
    with refusing(checkpoint):
        try:
            state = torch.load(file, map_location=device, weights_only=True)
            weight, bias = state["weight"].float(), state["bias"].float()
        except (OSError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, UnpicklingError) as error:
            raise ModelError(f"{file}: no linear layer with weight and bias ({reason(error)}).") from error
    width = int(checkpoint.numbers("hidden_size")["hidden_size"])
    if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:  # noqa: PLR2004
        raise ModelError(f"{file}: a layer of shape {tuple(weight.shape)} does not fit token vectors of width {width}.")
    return weight, bias
