"""Token vectors to one vector a text, as the pooling modes of sentence-transformers. Always in float32."""

import torch

from evalkit.inference.forward import last_states


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One float32 vector a text, of shape (texts, width).

    Args:
        states: shape (texts, tokens, width); padding is on the right.
        mask: shape (texts, tokens), true where there is a token.
        pooling: `cls` (first token), `last`, `mean`, `max`, `mean_sqrt_length` (sum over the root of the number of
            tokens), or `weighted_mean`, where the i-th token counts i times (Muennighoff 2022, arXiv:2202.08904).
    """
    if pooling == "cls":
        return states[:, 0].float()
    if pooling == "last":
        return last_states(states, mask).float()
    if pooling == "max":
        return states.float().masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(dim=1)
    weights = mask.float()
    if pooling == "weighted_mean":
        weights = weights * torch.arange(1, mask.shape[1] + 1, device=mask.device)
    summed = (states.float() * weights.unsqueeze(-1)).sum(dim=1)
    total = weights.sum(dim=1, keepdim=True)
    return summed / (total.sqrt() if pooling == "mean_sqrt_length" else total)
