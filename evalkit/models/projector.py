"""The projector of jina-reranker-v3: two linear layers without biases and a ReLU between them."""

from typing import Any

import torch
from torch import nn

from evalkit.models.checkpoint import Checkpoint
from evalkit.models.weights import Stored, Tensors, fill


def load_projector(checkpoint: Checkpoint, device: Any) -> nn.Sequential:
    """A float64 module from states of shape (tokens, hidden) to vectors; its widths are those that are stored.

    Raises:
        ModelError: a layer is absent, or does not fit the states.
    """
    tensors = Tensors(checkpoint)
    hidden = int(checkpoint.numbers("hidden_size")["hidden_size"])
    inner, width = (tensors.shapes.get(f"projector.{place}.weight", (1,))[0] for place in (0, 2))
    own = {"bias": False, "dtype": torch.float64, "device": device}
    layers = nn.Sequential(nn.Linear(hidden, inner, **own), nn.ReLU(), nn.Linear(inner, width, **own))
    fill(layers, tensors, lambda name: Stored(f"projector.{name}"), unused=r"model\..*|lm_head\.weight")
    return layers.eval()
