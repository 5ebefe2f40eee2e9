"""Encoder-decoders whose score is read at the decoder's first step: the logits of one or two words."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.forward import PairInputs
from evalkit.inference.linear import summed
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.loading import load_native
from evalkit.models.refusals import WHICH_HEAD
from evalkit.models.weights import Stored, Tensors

_HEAD, _SHARED = "lm_head.weight", "shared.weight"


class FirstStepReranker(nn.Module):
    """The logit of the first answer, less that of the second where there are two, after the decoder's start token.

    `factor` is what the decoder's states are multiplied with before the head.
    """

    unscored: int | None = None
    alone = False

    def __init__(self, model: Any, answers: torch.Tensor, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor
        self.answers = nn.Parameter(answers, requires_grad=False)

    def forward(self, inputs: PairInputs) -> torch.Tensor:
        """Shape (pairs, 1), float32."""
        model = self.model
        states = model.get_encoder()(input_ids=inputs.input_ids, attention_mask=inputs.attention_mask).last_hidden_state
        start = inputs.input_ids.new_full((len(inputs.input_ids), 1), int(model.config.decoder_start_token_id))
        written = model.get_decoder()(
            input_ids=start,
            encoder_hidden_states=states,
            encoder_attention_mask=inputs.attention_mask,
            use_cache=False,
        ).last_hidden_state[:, 0]
        logits = summed(written * self.factor, self.answers)
        return logits[:, :1] - logits[:, 1:] if logits.shape[1] > 1 else logits


def load_first_step(checkpoint: Checkpoint, compute: ComputeConfig, answer_ids: Sequence[int]) -> FirstStepReranker:
    """The model of a checkpoint, on its device.

    T5 1.0 has its embeddings for a head, and scales the states before; later ones have a head of their own.
    Versions of transformers differ in how they read that, so both are read here.

    Raises:
        ModelError: the weights are not those of its configuration.
    """
    import transformers

    sizes = checkpoint.numbers("d_model", "d_ff", "d_kv", "num_layers", "num_heads", "vocab_size")
    start = checkpoint.config.get("decoder_start_token_id")
    if not isinstance(start, int):
        raise ModelError(
            f"{checkpoint.path}/config.json: has no decoder_start_token_id, which its decoder begins with. T5 "
            "begins with 0: say so in a copy of the folder."
        )
    tied = checkpoint.config.get("tie_word_embeddings", True) is not False
    scales = checkpoint.config.get("scale_decoder_outputs", tied)
    tensors = Tensors(checkpoint)
    head = _SHARED if tied and _HEAD not in tensors.shapes else _HEAD
    shape = (sizes["vocab_size"], sizes["d_model"])
    if tensors.shapes.get(head) != shape:
        raise ModelError(f"{checkpoint.path}: {head} is {tensors.shapes.get(head)}, and config.json says {shape}.")
    rows = Stored(head, rows=tuple(answer_ids))
    if scales and head == _HEAD and not torch.equal(tensors.read(rows), tensors.read(rows._replace(name=_SHARED))):
        raise ModelError(
            f"{checkpoint.path}: config.json ties {_HEAD} to the embeddings, and the stored one is another matrix. "
            f"{WHICH_HEAD}"
        )
    model = load_native(transformers.AutoModelForSeq2SeqLM, checkpoint, compute, unused="", decodes=True)
    answers = tensors.read(rows).to(model.device, model.dtype)
    return FirstStepReranker(model, answers, sizes["d_model"] ** -0.5 if scales else 1.0).eval()
