"""Token vectors to one float32 vector a text, as the pooling modes of sentence-transformers."""

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.packed import Select
from evalkit.inference.sending import sent


def select_for(pooling: str, unpooled: int = 0) -> Select:
    """The states that a pooling reads."""
    return "last" if pooling == "last" else "first" if pooling == "cls" and not unpooled else "all"


def pool(states: torch.Tensor, lengths: NDArray[np.int64], pooling: str, unpooled: int = 0) -> torch.Tensor:
    """One float32 vector a text, of shape (texts, width), on the states' device. The host does not wait for it.

    Args:
        states: of the tokens of `select_for`: shape (tokens, width), one text after another, or (texts, width).
        lengths: shape (texts,), tokens of each text.
        pooling: `cls` (first token), `last`, `mean`, `max`, `mean_sqrt_length` (sum over the root of the number of
            tokens), or `weighted_mean`, where the i-th token counts i times (Muennighoff 2022, arXiv:2202.08904).
            Several with + between them are put behind each other.
        unpooled: tokens at the start of each text that are left out, as those of a prompt are in sentence-transformers
            with `include_prompt` false.
    """
    if pooling == "last":
        return _with_rest(states.float(), lengths, unpooled)
    if select_for(pooling, unpooled) != "all":
        return states.float()
    if len(parts := pooling.split("+")) > 1:
        return torch.cat([_pooled(states, lengths, part, unpooled) for part in parts], dim=1)
    return _pooled(states, lengths, pooling, unpooled)


def _pooled(states: torch.Tensor, lengths: NDArray[np.int64], pooling: str, unpooled: int) -> torch.Tensor:
    """One pooling of the states of all tokens."""
    starts = np.cumsum(lengths) - lengths
    if pooling == "cls":
        return states[sent(starts + np.where(lengths > unpooled, unpooled, 0), states.device)].float()
    if pooling == "last":
        return _with_rest(states[sent(starts + lengths - 1, states.device)].float(), lengths, unpooled)
    places = np.arange(1, len(states) + 1) - np.repeat(starts, lengths)
    if unpooled:
        states, lengths = states[sent(np.flatnonzero(places > unpooled), states.device)], lengths - unpooled
        places, lengths = places[places > unpooled], np.maximum(lengths, 0)
    counts = sent(lengths, states.device)
    if pooling == "max":
        return _reduced(states.float(), "max", counts)
    if pooling == "weighted_mean":
        weights = sent(places.astype(np.float32), states.device)
        summed = _reduced(states.float() * weights[:, None], "sum", counts)
        return summed / _reduced(weights, "sum", counts).clamp(min=1e-9).unsqueeze(1)
    total = counts.float().clamp(min=1).unsqueeze(1)  # a text without tokens is 0
    return _reduced(states.float(), "sum", counts) / (total.sqrt() if pooling == "mean_sqrt_length" else total)


def _with_rest(last: torch.Tensor, lengths: NDArray[np.int64], unpooled: int) -> torch.Tensor:
    """Last states; 0 of a text that has no token behind its prompt, as in sentence-transformers."""
    return last * sent(lengths > unpooled, last.device)[:, None] if unpooled else last


def _reduced(values: torch.Tensor, how: str, counts: torch.Tensor) -> torch.Tensor:
    # Torch's check that the counts add up would fetch them from the device. Ours come from the batch itself.
    return torch.segment_reduce(values, how, lengths=counts, unsafe=True)
