"""Rerankers that read query and document as one sequence: tokens, forward passes, raw float32 logits.

What differs from family to family (template, weights, head) is a `Family`, one file each under `families/`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig, CrossEncoderConfig, PairRerankerConfig, Qwen3RerankerConfig
from evalkit.inference.finite import finite
from evalkit.inference.tokens import CachedTokenizer, TokenizedPairs, Tokenizer, without_ends
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import arithmetic, budget_of, require_torch, resolved, workers
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import declared, length, require_whole
from evalkit.models.loading import refusing, require_positions
from evalkit.models.processor import facts, noting, warn_of_emulation
from evalkit.models.tokenizers import load_tokenizer, require_vocabulary
from evalkit.rerank.seam import Reranker
from evalkit.types import Identity, Pair, Scored

_FORMAT = 2  # of templates and heads; a higher number makes old scores be computed anew
_ANY_PAIR = Pair("a", "a")  # the first pass through a model takes longer than the others


class Family(Protocol):
    """**Protocol:** one kind of checkpoint: how it is asked, and where the score is in its answer."""

    @property
    def settings(self) -> Identity:
        """What decides a score beside checkpoint, `max_length`, instruction and arithmetic."""
        ...

    @property
    def softcap(self) -> bool:
        """Whether attention scores are capped."""
        ...

    @property
    def padding_side(self) -> str | None:
        """On which side other code must pad for the score to be read at the right token; None where either will do."""
        ...

    @property
    def answers(self) -> tuple[str, ...]:
        """The words whose logits make the score, of a language model; none where the score has a head of its own."""
        ...

    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse at once what cannot work. Loads no weights."""
        ...

    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """The pairs as the model reads them."""
        ...

    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """A torch module from `PairInputs` to float32 scores of shape (pairs, scores), on its device."""
        ...


class Prepared(NamedTuple):
    """Pairs that are tokenised.

    Attributes:
        tokenized: the distinct ones.
        index_of: shape (pairs,), which distinct pair each is.
    """

    tokenized: TokenizedPairs
    index_of: NDArray[np.int64]


class PairReranker(Reranker):
    """A reranker with a checkpoint. Resolves it at once, and loads it for the first pair.

    Args:
        config: checkpoint and limits.
        compute: where and how.
        family_of: gives the family of the settings, once they are filled in from the checkpoint.
        instruction: of the pairs that have none of their own.
        weights: whether a hub id's weights are downloaded too; tokens need none.

    Raises:
        ModelError: the checkpoint is absent, or not of this family.
    """

    checkpoint: Checkpoint
    usage: Usage
    overlaps = True

    def __init__(
        self,
        config: PairRerankerConfig,
        compute: ComputeConfig,
        family_of: Callable[[Any], Family],
        instruction: str = "",
        *,
        weights: bool = True,
    ) -> None:
        self._asked, self._family_of = compute, family_of
        self.instruction, self.name = instruction, config.name
        self.usage, self.budget = Usage(), budget_of(compute)
        self.checkpoint = resolve(str(config.model), config.revision, weights=weights)
        require_whole(self.checkpoint)
        family_of(config).check(self.checkpoint)
        self.config = filled_in(config, self.checkpoint)
        self.family = family_of(self.config)
        self.compute = resolved(compute, self.checkpoint, softcap=self.family.softcap)
        require_positions(self.checkpoint, self.config.tokens)
        if weights:
            warn_of_emulation(compute)

    def __reduce__(self) -> tuple[Any, ...]:
        """The same in another process, which finds the checkpoint for itself."""
        return PairReranker, (self.config, self._asked.on_worker(), self._family_of, self.instruction)

    @property
    def identity(self) -> Identity:
        """Checkpoint, template, limits and arithmetic."""
        return {
            **self.family.settings,
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "max_length": self.config.tokens,
            "instruction": self.instruction,
            **arithmetic(self.compute, self.checkpoint),
        }

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's."""
        return CachedTokenizer(load_tokenizer(self.checkpoint))

    @cached_property
    def model(self) -> Any:
        """The weights; loaded when first asked for."""
        require_torch()
        with refusing(self.checkpoint):
            from evalkit.models.packing import packed_reranker

            loaded = packed_reranker(self.family.load(self.checkpoint, self.tokenizer, self.compute), self.compute)
            _ = loaded.alone  # tried here, where a model that fails is refused
            return loaded

    def load(self) -> None:
        """See `Reranker`."""
        before = replace(self.usage)
        self.score([_ANY_PAIR])
        self.usage = noting(before, self.compute, self.checkpoint, softcap=self.family.softcap)

    def unload(self) -> None:
        """Give the memory of the weights back; they are loaded again when next asked for."""
        self.__dict__.pop("model", None)

    def tokenize(self, pairs: Sequence[Pair]) -> TokenizedPairs:
        """Token ids of every pair, as `score` has them read."""
        asked = [
            pair if pair.instruction is not None else pair._replace(instruction=self.instruction) for pair in pairs
        ]
        tokenized = self.family.tokenize(self.tokenizer, asked)
        require_vocabulary(self.checkpoint, tokenized.ids)
        return tokenized

    def prepare(self, pairs: Sequence[Pair]) -> Prepared:
        """See `Reranker`. Equal pairs become one."""
        start = time.perf_counter()
        distinct = {pair: index for index, pair in enumerate(dict.fromkeys(pairs))}
        index_of = np.array([distinct[pair] for pair in pairs], dtype=np.int64)
        tokenized = self.tokenize(list(distinct))
        self.usage.add(tokenizing_seconds=time.perf_counter() - start)
        return Prepared(tokenized, index_of)

    def facts(self) -> Mapping[str, object]:
        """See `Reranker`."""
        return facts(self.compute, self.checkpoint, softcap=self.family.softcap)

    def stream(self, pairs: Prepared, known: NDArray[np.bool_]) -> Iterator[Scored]:
        """See `Reranker`. Equal pairs are scored once, and come together."""
        require_torch()
        from evalkit.inference.forward import score_pairs

        tokenized, index_of = pairs
        if not len(index_of):
            return
        read = without_ends(tokenized, self.model.unscored)
        repeats = np.bincount(index_of, minlength=len(tokenized.ids))
        order, ends = np.argsort(index_of, kind="stable"), np.cumsum(repeats)
        of_distinct = np.ones(len(tokenized.ids), dtype=bool)
        of_distinct[index_of[~known]] = False
        for distinct, scores in score_pairs(
            self.model,
            read,
            batch_tokens=1 if self.model.alone else self.budget,
            pad_id=max(self.checkpoint.config.get("pad_token_id", 0), 0),
            workers=workers(self.compute),
            known=of_distinct,
            usage=self.usage,
        ):
            rows = np.concatenate([order[ends[one] - repeats[one] : ends[one]] for one in distinct])
            found = np.repeat(finite(scores), repeats[distinct], axis=0)
            cut = tokenized.truncated[index_of[rows]]
            yield Scored(rows, found[:, 0] if found.shape[1] == 1 else found, cut)


def filled_in(config: PairRerankerConfig, checkpoint: Checkpoint) -> PairRerankerConfig:
    """The settings, with what they leave open as the checkpoint's own files say.

    Raises:
        ModelError: these say something that evalkit does not know, or neither says how long a pair may be.
    """
    said = declared(checkpoint, pairs=True)
    filled = replace(config, max_length=length(checkpoint, said, config.max_length, group="reranker"))
    if isinstance(filled, CrossEncoderConfig) and filled.query_instruction is None:
        return replace(filled, query_instruction=said.default_prompt)
    if isinstance(filled, Qwen3RerankerConfig) and filled.default_instruction is None:
        return replace(filled, default_instruction=said.default_prompt or None)
    return filled
