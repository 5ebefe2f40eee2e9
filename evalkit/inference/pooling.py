"""Token vectors to one vector a text, as the pooling modes of sentence-transformers. Always in float32."""

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.packed import Select


def select_for(pooling: str) -> Select:
    """Which states a pooling reads."""
    return "first" if pooling == "cls" else "last" if pooling == "last" else "all"


def pool(states: torch.Tensor, lengths: NDArray[np.int64], pooling: str) -> torch.Tensor:
    """One float32 vector a text, of shape (texts, width).

    Args:
        states: as `select_for` says: shape (tokens, width), texts one behind the other, or (texts, width).
        lengths: shape (texts,), tokens of each text.
        pooling: `cls` (first token), `last`, `mean`, `max`, `mean_sqrt_length` (sum over the root of the number of
            tokens), or `weighted_mean`, where the i-th token counts i times (Muennighoff 2022, arXiv:2202.08904).
    """
    if select_for(pooling) != "all":
        return states.float()
    counts = torch.from_numpy(lengths).to(states.device)
    if pooling == "max":
        return torch.segment_reduce(states.float(), "max", lengths=counts)
    weights = torch.ones(len(states), device=states.device)
    if pooling == "weighted_mean":
        starts = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        weights = torch.arange(1, len(states) + 1, device=states.device, dtype=torch.float32) - starts
    summed = torch.segment_reduce(states.float() * weights[:, None], "sum", lengths=counts)
    total = torch.segment_reduce(weights, "sum", lengths=counts).unsqueeze(1)
    return summed / (total.sqrt() if pooling == "mean_sqrt_length" else total)
