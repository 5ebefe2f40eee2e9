"""Forward passes over tokenised texts, batch by batch, longest first. Knows no pooling and no head."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.batching import batches
from evalkit.inference.tokens import Tokenized


class Batch(NamedTuple):
    """What a model gave for some of the texts.

    Attributes:
        rows: shape (texts,), which texts these are.
        output: the model's output.
        mask: shape (texts, tokens), true where there is a token.
    """

    rows: NDArray[np.int64]
    output: Any
    mask: torch.Tensor


def forward(model: Any, tokenized: Tokenized, *, batch_tokens: int) -> Iterator[Batch]:
    """The model's output for every text, in batches of at most `batch_tokens` tokens.

    Args:
        model: a transformers model in evaluation mode.
        tokenized: texts or pairs.
        batch_tokens: padded tokens in a batch.
    """
    pad_id = int(model.config.pad_token_id or 0)
    segmented = getattr(model.config, "type_vocab_size", 0) > 1
    for rows in batches(tokenized.lengths, batch_tokens):
        inputs = {"input_ids": _padded([tokenized.ids[row] for row in rows], pad_id)}
        lengths = torch.tensor([len(tokenized.ids[row]) for row in rows])
        mask = torch.arange(inputs["input_ids"].shape[1])[None, :] < lengths[:, None]
        if segmented:
            inputs["token_type_ids"] = _padded([tokenized.segments[row] for row in rows], 0)
        inputs["attention_mask"] = mask.long()
        with torch.inference_mode():
            output = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()})
        yield Batch(rows, output, mask.to(model.device))


def _padded(sequences: list[NDArray[np.int32]], fill: int) -> torch.Tensor:
    """Shape (sequences, longest), int64, filled up on the right."""
    width = max(len(sequence) for sequence in sequences)
    padded = np.full((len(sequences), width), fill, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    return torch.from_numpy(padded)
