"""A reranker with a checkpoint that reads all candidates of a query together: jina-reranker-v3.

Its template and scores are in `families/jina_listwise.py`. As `by_query` says, a list comes whole and in the order of
the first stage, and is found again only whole; here it is also scored and yielded whole. Where it does not fit into the
model's window it is read in several prompts.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.inference.tokens import Tokenized
from evalkit.models.arithmetic import arithmetic
from evalkit.models.declared import Declared, Reading, declared
from evalkit.models.loading import refusing
from evalkit.models.processor import noting
from evalkit.models.text_encoder import TextEncoder
from evalkit.models.tokenizers import require_vocabulary
from evalkit.rerank.families import jina_listwise
from evalkit.rerank.families.jina_listwise import JinaListwiseConfig
from evalkit.rerank.seam import Reranker, lists_of
from evalkit.types import Identity, Pair, Scored

if TYPE_CHECKING:
    from evalkit.inference.budget import Budget
    from evalkit.inference.forward import States
    from evalkit.inference.usage import Usage

_FORMAT = 1  # of scores; raise it to have old ones recomputed
_ANY_PAIR = Pair("a", "a")  # the first pass through a model takes longer than the others


class Lists(NamedTuple):
    """The prompts of some lists.

    Attributes:
        rows: the pairs of each list.
        tokenized: the prompts, those of a list one after another.
        owners: shape (prompts,), the list of each.
        counts: shape (prompts,), documents of each.
        truncated: shape (pairs,), whether document or query was cut.
    """

    rows: list[NDArray[np.int64]]
    tokenized: Tokenized
    owners: NDArray[np.int64]
    counts: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    @property
    def ids(self) -> list[list[int]]:
        """The tokens of each pair's prompt."""
        prompts = [
            ids.tolist() for ids, count in zip(self.tokenized.ids, self.counts, strict=True) for _ in range(count)
        ]
        order = [row for rows in self.rows for row in rows.tolist()]
        return [ids for _, ids in sorted(zip(order, prompts, strict=True), key=lambda found: found[0])]


class ListwiseReranker(TextEncoder, Reranker):
    """Every prompt is run by itself, as the authors of the model do, so no score depends on another list."""

    config: JinaListwiseConfig
    usage: "Usage"
    budget: "Budget"
    overlaps = True
    by_query = True

    def __init__(
        self, config: JinaListwiseConfig, compute: ComputeConfig, instruction: str = "", *, weights: bool = True
    ) -> None:
        super().__init__(config, compute, group="reranker", weights=weights)
        self.name, self.instruction = config.name, instruction

    @classmethod
    def from_config(
        cls, config: JinaListwiseConfig, compute: ComputeConfig, *, instruction: str, weights: bool
    ) -> "ListwiseReranker":
        """See `Reranker`."""
        return cls(config, compute, instruction, weights=weights)

    def __reduce__(self) -> tuple[Any, ...]:
        """See `TextEncoder`."""
        return type(self), (self.config, self._asked.on_worker(), self.instruction)

    def _declared(self, group: str) -> tuple[Declared, Reading]:
        """See `TextEncoder`. The length is that of documents."""
        del group
        jina_listwise.check(self.checkpoint)
        self.window = jina_listwise.window_of(self.config, self.checkpoint)
        return declared(self.checkpoint, pairs=True), Reading("", "", self.config.max_length)

    @property
    def identity(self) -> Identity:
        """Checkpoint, limits, window, order and arithmetic."""
        return {
            "kind": "jina_listwise",
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "max_length": self.config.max_length,
            "query_length": self.config.query_length,
            "window": self.window,
            "block": jina_listwise.BLOCK,
            "order": "first_stage",
            "instruction": self.instruction,
            **arithmetic(self.compute, self.checkpoint),
        }

    @property
    def _alone(self) -> bool:
        """See `TextEncoder`."""
        return True

    @cached_property
    def _marks(self) -> list[int]:
        """The tokens that close documents and query."""
        marks = (jina_listwise.DOCUMENT_MARK, jina_listwise.QUERY_MARK)
        found = [self.tokenizer.token_id(mark) for mark in marks]
        if None in found or self.tokenizer.frame(1).tokens:
            raise ModelError(
                f"{self.checkpoint.path}: its tokenizer lacks {' or '.join(marks)}, or adds tokens of its own, so "
                "it is not that of jina-reranker-v3."
            )
        return [int(token) for token in found if token is not None]

    @cached_property
    def _projector(self) -> Any:
        from evalkit.models.projector import load_projector

        with refusing(self.checkpoint):
            return load_projector(self.checkpoint, self.model.device)

    def load(self) -> None:
        """See `Reranker`."""
        before = replace(self.usage)
        self.score([_ANY_PAIR])
        self.usage = noting(before, self.compute, self.checkpoint)

    def prepare(self, pairs: Sequence[Pair]) -> Lists:
        """See `Reranker`.

        Raises:
            ModelError: the tokenizer is another model's.
        """
        start, limits, _ = time.perf_counter(), self.config, self._marks
        queries = jina_listwise.read(self.tokenizer, [pair.query for pair in pairs], limits.query_length)
        documents = jina_listwise.read(self.tokenizer, [pair.document for pair in pairs], limits.max_length)
        rows, prompts, owners, counts = lists_of(pairs), [], [], []
        for number, own in enumerate(rows):
            query, instruction = queries[pairs[own[0]].query], pairs[own[0]].instruction
            texts = [documents[pairs[row].document] for row in own]
            lengths = [text.tokens for text in texts]
            for block in jina_listwise.blocks(lengths, query.tokens, window=self.window, max_length=limits.max_length):
                task = self.instruction if instruction is None else instruction
                prompts.append(jina_listwise.written(query.text, [text.text for text in texts[block]], task))
                owners.append(number)
                counts.append(len(texts[block]))
        ids = self.tokenizer.token_ids(prompts)
        require_vocabulary(self.checkpoint, ids)
        self.usage.add(tokenizing_seconds=time.perf_counter() - start)
        tokenized = Tokenized(ids, [np.zeros_like(own) for own in ids], np.zeros(len(ids), dtype=bool))
        truncated = [queries[pair.query].cut or documents[pair.document].cut for pair in pairs]
        return Lists(rows, tokenized, np.array(owners, np.int64), np.array(counts, np.int64), np.array(truncated, bool))

    def stream(self, pairs: Lists, known: NDArray[np.bool_]) -> Iterator[Scored]:
        """See `Reranker`. A list comes as a whole, also where a part of it is known."""
        left = np.array([not known[rows].all() for rows in pairs.rows], dtype=bool)
        if not left.any():
            return
        waiting = np.bincount(pairs.owners, minlength=len(left))
        vectors: dict[int, NDArray[np.float32]] = {}
        _ = self._projector  # loaded, or refused, before the threads of the batches ask for it
        for batch in self.forward(
            pairs.tokenized, lambda states: self._vectors(states, pairs), known=~left[pairs.owners]
        ):
            (prompt,) = batch.rows.tolist()
            owner = int(pairs.owners[prompt])
            vectors[prompt], waiting[owner] = batch.states.numpy(), waiting[owner] - 1
            if not waiting[owner]:
                scores = jina_listwise.scores_of(
                    [vectors.pop(own) for own in np.flatnonzero(pairs.owners == owner).tolist()]
                )
                yield Scored(pairs.rows[owner], scores, pairs.truncated[pairs.rows[owner]])

    def _vectors(self, batch: "States", pairs: Lists) -> Any:
        """The vectors of a prompt's documents and, behind them, of its query: shape (documents + 1, width)."""
        from evalkit.inference.sending import sent

        (prompt,) = batch.rows.tolist()
        document, query = self._marks
        ids = pairs.tokenized.ids[prompt]
        places = np.concatenate([np.flatnonzero(ids == document), np.flatnonzero(ids == query)])
        assert len(places) == pairs.counts[prompt] + 1
        return self._projector(batch.states.index_select(0, sent(places, batch.states.device)).double()).float()
