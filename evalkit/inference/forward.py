"""Forward passes over tokenised texts or pairs, batch by batch, longest first. Knows no pooling and no head."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.batching import batches
from evalkit.inference.tokens import Ids, Tokenized, TokenizedPairs


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


class PairInputs(NamedTuple):
    """What a model reads of a batch of pairs; all on the model's device, padded on the right.

    Attributes:
        input_ids: shape (pairs, tokens).
        attention_mask: shape (pairs, tokens), 1 where there is a token.
        token_type_ids: shape (pairs, tokens), the segment of each token.
        documents: shape (pairs, 2), where each document starts and stops.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor
    documents: torch.Tensor


def forward(model: Any, tokenized: Tokenized, *, batch_tokens: int) -> Iterator[Batch]:
    """The model's output for every text, in batches of at most `batch_tokens` tokens.

    Args:
        model: a transformers model in evaluation mode.
        tokenized: the texts.
        batch_tokens: padded tokens in a batch.
    """
    pad_id = int(model.config.pad_token_id or 0)
    segmented = getattr(model.config, "type_vocab_size", 0) > 1
    for rows in batches(tokenized.lengths, batch_tokens):
        ids, mask = _padded([tokenized.ids[row] for row in rows], pad_id)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if segmented:
            inputs["token_type_ids"], _ = _padded([tokenized.segments[row] for row in rows], 0)
        with torch.inference_mode():
            output = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()})
        yield Batch(rows, output, mask.bool().to(model.device))


def score_pairs(
    model: torch.nn.Module, tokenized: TokenizedPairs, *, batch_tokens: int, pad_id: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """(which pairs, their scores of shape (pairs, scores)) in batches of at most `batch_tokens` tokens.

    Args:
        model: reads `PairInputs` and gives float32 scores; in evaluation mode.
        tokenized: the pairs.
        batch_tokens: padded tokens in a batch.
        pad_id: token of the padding.
    """
    device = next(model.parameters()).device
    for rows in batches(tokenized.lengths, batch_tokens):
        ids, mask = _padded([tokenized.ids[row] for row in rows], pad_id)
        segments, _ = _padded([tokenized.segments[row] for row in rows], 0)
        documents = torch.from_numpy(tokenized.documents[rows])
        inputs = PairInputs(*(tensor.to(device) for tensor in (ids, mask, segments, documents)))
        with torch.inference_mode():
            scores = model(inputs)
        yield rows, scores.float().cpu().numpy()


def last_states(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The state of each row's last token, of shape (rows, width), from states of shape (rows, tokens, width)."""
    return states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1]


def _padded(sequences: Sequence[Ids], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences filled up on the right and their mask, both of shape (sequences, longest), int64."""
    lengths = np.array([len(sequence) for sequence in sequences])
    padded = np.full((len(sequences), int(lengths.max())), fill, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    mask = np.arange(padded.shape[1])[None] < lengths[:, None]
    return torch.from_numpy(padded), torch.from_numpy(mask.astype(np.int64))
