"""Rerankers that read query and document as one sequence: tokens, forward passes, raw float32 logits.

What differs from family to family (settings, template, weights, head) is a `Family`, one file each under `families/`.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.config.limits import at_least, given
from evalkit.config.registry import imported
from evalkit.config.reranker import RerankerConfig
from evalkit.errors import ConfigError
from evalkit.inference.finite import finite
from evalkit.inference.tokens import CachedTokenizer, TokenizedPairs, Tokenizer, without_ends
from evalkit.inference.usage import Usage
from evalkit.models.arithmetic import arithmetic, budget_of, require_torch, resolved, workers
from evalkit.models.checkpoint import Checkpoint, resolve
from evalkit.models.declared import Declared, asks_lower_case, declared, length
from evalkit.models.loading import refusing
from evalkit.models.processor import facts, noting, warn_of_emulation
from evalkit.models.requirements import require_positions, require_whole
from evalkit.models.tokenizers import load_tokenizer, require_vocabulary
from evalkit.rerank.seam import Reranker
from evalkit.types import Identity, Pair, Scored

_FORMAT = 2  # of templates and heads; raise it to have old scores recomputed
_ANY_PAIR = Pair("a", "a")  # the first pass through a model takes longer than the others


@dataclass
class PairRerankerConfig(RerankerConfig):
    """Settings of every model that reads query and document as one sequence; its `implementation` names a `Family`.

    Further class attributes:
        prompt_setting: the setting that the checkpoint's default prompt fills in where it is not set; none when empty.
    """

    prompt_setting: ClassVar[str] = ""

    model: str | None = None
    """A hub id, a folder, or `package:NAME/PATH` for weights inside an installed package."""
    revision: str | None = None
    """Commit of the hub id."""
    max_length: int | None = 512
    """Tokens of query and document together, special tokens included."""

    def __post_init__(self) -> None:
        """Check that there is a model, and ranges."""
        super().__post_init__()
        given("reranker.model", self.model, "HUB_ID_OR_FOLDER")
        at_least("reranker.max_length", self.max_length, 8)

    def filled(self, checkpoint: Checkpoint, said: Declared) -> dict[str, Any]:
        """Settings that are left open, as the checkpoint's own files have them."""
        del checkpoint
        setting = self.prompt_setting
        open_prompt = bool(setting) and getattr(self, setting) is None
        return {setting: said.default_prompt or None} if open_prompt else {}

    @property
    def tokens(self) -> int:
        """`max_length`, of settings that were filled in from the checkpoint where they leave it open."""
        assert self.max_length is not None
        return self.max_length


class Family(ABC):
    """One kind of checkpoint: how it is asked, and where the score is in its answer.

    Args:
        config: settings, filled in from the checkpoint.

    Attributes:
        softcap: whether attention scores are capped.
        padding_side: where other code must pad for the score to be read at the right token; None where either will do.
        answers: the words whose logits make the score, of a language model without a head of its own.
        poolings: values of the setting `pooling`, where the checkpoint's authors do not say which is right.
    """

    softcap: bool = False
    padding_side: str | None = None
    answers: tuple[str, ...] = ()
    poolings: tuple[str, ...] = ()

    def __init__(self, config: Any) -> None:
        self.config = config

    @classmethod
    def from_config(cls, config: Any, compute: ComputeConfig, *, instruction: str, weights: bool) -> "PairReranker":
        """See `Reranker`."""
        return PairReranker(config, compute, instruction, weights=weights)

    @property
    @abstractmethod
    def settings(self) -> Identity:
        """Facts that decide a score, apart from checkpoint, `max_length`, instruction and arithmetic."""

    @abstractmethod
    def check(self, checkpoint: Checkpoint) -> None:
        """Refuse at once what cannot work. Loads no weights."""

    @abstractmethod
    def tokenize(self, tokenizer: Tokenizer, pairs: Sequence[Pair]) -> TokenizedPairs:
        """The pairs as the model reads them."""

    @abstractmethod
    def load(self, checkpoint: Checkpoint, tokenizer: Tokenizer, compute: ComputeConfig) -> Any:
        """A torch module from `PairInputs` to float32 scores of shape (pairs, scores), on its device."""


def family_of(config: PairRerankerConfig) -> Family:
    """The family that settings are of.

    Raises:
        ConfigError: the class of the settings names none.
    """
    if not config.implementation:
        raise ConfigError(f"{type(config).__name__} names no implementation, so it is not the settings of a reranker.")
    made: Family = imported(config.implementation)(config)
    return made


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
        instruction: of the pairs that have none of their own.
        weights: whether a hub id's weights are downloaded too; tokens need none.

    Raises:
        ModelError: the checkpoint is absent, or not of this family.
    """

    usage: Usage
    overlaps = True

    def __init__(
        self,
        config: PairRerankerConfig,
        compute: ComputeConfig,
        instruction: str = "",
        *,
        weights: bool = True,
    ) -> None:
        self._asked, self.instruction, self.name = compute, instruction, config.name
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
        return PairReranker, (self.config, self._asked.on_worker(), self.instruction)

    @property
    def identity(self) -> Identity:
        """Checkpoint, template, limits and arithmetic."""
        return {
            **self.family.settings,
            "format": _FORMAT,
            "checkpoint": self.checkpoint.identity,
            "max_length": self.config.tokens,
            "instruction": self.instruction,
            **({"lowercase": False} if self._ignores_case else {}),
            **arithmetic(self.compute, self.checkpoint),
        }

    @property
    def _ignores_case(self) -> bool:
        """Whether lower case is asked for in a file that is not read; scores were once computed with it."""
        return asks_lower_case(self.checkpoint) and not self.checkpoint.modules()

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
    max_length = length(checkpoint, said, config.max_length, group="reranker")
    return replace(config, max_length=max_length, **config.filled(checkpoint, said))
