"""Forward passes over tokenised texts or pairs: packed where the model can be, else padded. Knows no pooling."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.inference.backbone import Backbone
from evalkit.inference.budget import Budget
from evalkit.inference.engine import Rows, Work, run
from evalkit.inference.packed import Packed, Select, pack, pack_attended
from evalkit.inference.prefix import Prefixes, pack_shared, prefixes
from evalkit.inference.sending import copied
from evalkit.inference.tokens import Ids, Tokenized, TokenizedPairs
from evalkit.inference.usage import Usage


class States(NamedTuple):
    """The output of a model for some of the texts.

    Attributes:
        rows: shape (texts,), indices of the texts.
        states: shape (tokens, width), one text after another; or (texts, width) for one state a text; or the result of
            `finish`.
        lengths: shape (texts,), tokens of each.
    """

    rows: Rows
    states: torch.Tensor
    lengths: NDArray[np.int64]


Finish = Callable[[States], torch.Tensor]


class PairInputs(NamedTuple):
    """A batch of pairs for an unpacked model, on its device, padded on the right: tensors of shape (pairs, tokens).

    `documents` has shape (pairs, 2): where each document starts and stops.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor
    documents: torch.Tensor


class PackedScorer(Protocol):
    """**Protocol:** scores packed pairs."""

    device: torch.device

    @property
    def shares_prefixes(self) -> bool:
        """Whether tokens see only the tokens before them, so that a common start can be computed once."""
        ...

    def score(self, batch: Packed, documents: torch.Tensor) -> torch.Tensor:
        """Shape (pairs, scores), float32.

        `documents` of shape (pairs, 2) says where each document starts and stops. It is on the host: most models do not
        read it, and a copy would make the host wait for the device.
        """
        ...


def forward(
    model: Any,
    tokenized: Tokenized,
    *,
    batch_tokens: int | Budget | None,
    select: Select = "all",
    workers: int = 1,
    known: NDArray[np.bool_] | None = None,
    usage: Usage | None = None,
    finish: Finish = lambda batch: batch.states,
) -> Iterator[States]:
    """The states of every text after the last layer, batch by batch.

    Args:
        model: a `Backbone`, or a transformers model in evaluation mode.
        tokenized: the texts.
        batch_tokens: tokens of a batch; probed when None, and remembered by a `Budget`.
        select: the tokens whose states are needed.
        workers: CPU batches at the same time, of a `Backbone`.
        known: shape (texts,), texts to leave out; the batches are the same otherwise.
        usage: the counters to add to.
        finish: states of a batch -> result on the model's device, so that less is fetched: a pooling.
    """
    lengths = tokenized.lengths
    packed = isinstance(model, Backbone)

    def run_batch(inputs: tuple[Rows, Packed | None]) -> torch.Tensor:
        rows, batch = inputs
        states = model(batch, select) if packed else _unpacked(model, tokenized, rows, select)
        return finish(States(rows, states, lengths[rows]))

    work = Work(
        lengths,
        lambda rows: (rows, _packed(tokenized, rows).to(model.device) if packed else None),
        run_batch,
        model.device,
        padded=not packed,
        workers=workers if packed else 1,
        budget=batch_tokens,
        known=known,
        usage=usage or Usage(),
    )
    for rows, states in run(work):
        yield States(rows, states, lengths[rows])


def _packed(tokenized: Tokenized | TokenizedPairs, rows: Rows) -> Packed:
    if isinstance(tokenized, Tokenized) and tokenized.attended is not None:
        counts = tokenized.attended[rows].tolist()
        return pack_attended([tokenized.ids[row] for row in rows], [tokenized.segments[row] for row in rows], counts)
    return pack([tokenized.ids[row] for row in rows], [tokenized.segments[row] for row in rows])


def _unpacked(model: Any, tokenized: Tokenized, rows: Rows, select: Select) -> torch.Tensor:
    """States of a model that reads padded batches, without those of the padding."""
    ids, mask = _padded([tokenized.ids[row] for row in rows], max(int(model.config.pad_token_id or 0), 0))
    seen = mask
    if tokenized.attended is not None:
        seen = (torch.arange(ids.shape[1])[None] < torch.from_numpy(tokenized.attended[rows])[:, None]).to(mask.dtype)
    inputs = {"input_ids": ids, "attention_mask": seen}
    if getattr(model.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"], _ = _padded([tokenized.segments[row] for row in rows], 0)
    states: torch.Tensor = model(**{name: tensor.to(model.device) for name, tensor in inputs.items()}).last_hidden_state
    if select == "all":
        return states[mask.bool().to(states.device)]
    return states[:, 0] if select == "first" else last_states(states, mask.to(states.device))


def score_pairs(
    model: Any,
    tokenized: TokenizedPairs,
    *,
    batch_tokens: int | Budget | None,
    pad_id: int,
    workers: int = 1,
    known: NDArray[np.bool_] | None = None,
    usage: Usage | None = None,
) -> Iterator[tuple[Rows, NDArray[np.float32]]]:
    """(which pairs, their scores of shape (pairs, scores)), batch by batch.

    Args:
        model: a `PackedScorer`, or a module from `PairInputs` to float32 scores, in evaluation mode.
        tokenized: the pairs.
        batch_tokens: tokens of a batch; probed when None, and remembered by a `Budget`.
        pad_id: token of the padding.
        workers: CPU batches at the same time, of a `PackedScorer`.
        known: shape (pairs,), pairs to leave out; the batches are the same otherwise.
        usage: the counters to add to.
    """
    packed = not isinstance(model, torch.nn.Module)
    device = model.device if packed else next(model.parameters()).device
    work = Work(
        tokenized.lengths,
        lambda rows: _unpacked_pairs(tokenized, rows, pad_id, device),
        model,
        device,
        padded=not packed,
        budget=batch_tokens,
        known=known,
        usage=usage or Usage(),
    )
    if packed:
        work.shared = prefixes(tokenized) if model.shares_prefixes else None
        work.assemble = lambda rows: _packed_pairs(tokenized, rows, work.shared, device)
        work.model, work.workers = (lambda inputs: model.score(*inputs)), workers
    for rows, scores in run(work):
        yield rows, scores.float().cpu().numpy()


def _packed_pairs(
    tokenized: TokenizedPairs, rows: Rows, shared: Prefixes | None, device: torch.device
) -> tuple[Packed, torch.Tensor]:
    documents = torch.from_numpy(tokenized.documents[rows])
    if shared is None:
        return _packed(tokenized, rows).to(device), documents
    return pack_shared([tokenized.ids[row] for row in rows], shared.of(rows)).to(device), documents


def _unpacked_pairs(tokenized: TokenizedPairs, rows: Rows, pad_id: int, device: torch.device) -> PairInputs:
    ids, mask = _padded([tokenized.ids[row] for row in rows], pad_id)
    segments, _ = _padded([tokenized.segments[row] for row in rows], 0)
    inputs = PairInputs(ids, mask, segments, torch.from_numpy(tokenized.documents[rows]))
    return PairInputs(*(copied(tensor, device) for tensor in inputs))


def last_states(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The state of each row's last token, of shape (rows, width), from states of shape (rows, tokens, width)."""
    return states[torch.arange(len(states), device=states.device), mask.sum(dim=1) - 1]


def _padded(sequences: Sequence[Ids], fill: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences padded on the right and their mask, both of shape (sequences, longest), int64."""
    lengths = np.array([len(sequence) for sequence in sequences])
    padded = np.full((len(sequences), int(lengths.max())), fill, dtype=np.int64)
    for row, sequence in enumerate(sequences):
        padded[row, : len(sequence)] = sequence
    mask = np.arange(padded.shape[1])[None] < lengths[:, None]
    return torch.from_numpy(padded), torch.from_numpy(mask.astype(np.int64))
