"""Models that do not leave padding out of what they compute, so that a text would depend on the others of its batch."""

from typing import Any

import torch

from evalkit.config import ComputeConfig
from evalkit.config.compute import PACKED
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.loading import refusing

# FNet mixes all positions, ConvBERT's convolutions and Funnel's pooling reach over the end of a text, and XLNet
# summarises the last position, padding or not.
_KNOWN = {"convbert", "fnet", "funnel", "xlnet"}
_TOKENS, _PADDED = 7, 21
_ROUNDING = {torch.float32: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}  # of the largest number


def runs_alone(model: Any, checkpoint: Checkpoint, compute: ComputeConfig) -> bool:
    """Whether each text is run by itself: the model is run padded, and minds.

    Raises:
        ModelError: the model cannot run the short text that it is tried with.
    """
    with refusing(checkpoint):
        return compute.attention not in PACKED and minds_padding(model)


def minds_padding(model: Any) -> bool:
    """Whether a bare model of transformers gives other states for a text when padding follows it.

    Known kinds are named; any other is tried with one short text, alone and padded.
    """
    if model.config.model_type in _KNOWN:
        return True
    pad = max(int(model.config.pad_token_id or 0), 0)
    ids = torch.full((1, _PADDED), pad, device=model.device)
    usable = [token for token in range(min(model.config.vocab_size, 2 * _TOKENS)) if token != pad]
    ids[0, :_TOKENS] = torch.tensor(usable[-_TOKENS:], device=model.device)
    mask = (torch.arange(_PADDED, device=model.device) < _TOKENS).long()[None]
    with torch.inference_mode():
        alone, padded = (
            model(input_ids=ids[:, :count], attention_mask=mask[:, :count]).last_hidden_state[0, :_TOKENS].float()
            for count in (_TOKENS, _PADDED)
        )
    most = _ROUNDING.get(model.dtype, 0.0) * float(alone.abs().max())
    return float((alone - padded).abs().max()) > most
