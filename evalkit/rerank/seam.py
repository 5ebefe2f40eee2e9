"""The seam of rerankers that read texts: pairs in, raw float32 logits out."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.config.registry import require_defined
from evalkit.errors import ModelError
from evalkit.inference.budget import Budget
from evalkit.inference.usage import Usage
from evalkit.types import Dataset, Identity, Pair, Scored, checked_pair


class Reranker(ABC):
    """Scores query-document pairs. A subclass has `identity` and `stream`; everything else has a default.

    Attributes:
        name: of the reranker, for people.
        usage: what the engine took so far; None without an engine.
        budget: tokens of a batch, of a reranker that finds out how many fit into memory.
        overlaps: whether two threads may `stream` at once, and take turns on a device.
        by_query: whether a score may depend on the other candidates of the query. Then these come together, with
            their ids, in the order of the first stage, and are found again only together.
        is_foreign: whether it is code of the user's own. It runs in this process, whatever `compute` says, is given
            pairs with their ids, and does not say which of them it cuts.
        reads_instructions: whether there is a place for the instruction of a pair; its settings may say no as well.
        has_identity: whether its `identity` tells it from all others, so that its scores may be found again.
    """

    name: str = "reranker"
    usage: Usage | None = None
    budget: Budget | None = None
    overlaps: bool = False
    by_query: bool = False
    is_foreign: bool = False
    reads_instructions: bool = True
    has_identity: bool = True

    @classmethod
    def from_config(cls, config: Any, compute: ComputeConfig, *, instruction: str, weights: bool) -> "Reranker":
        """The reranker of some settings; override it where `cls(config, compute)` is not how to make it.

        Args:
            config: of the class that names this one as its `implementation`.
            compute: where and how models run.
            instruction: of the task, where the settings say that one is read; else empty.
            weights: whether to download the weights of a model; showing a prompt or a plan needs none.
        """
        del instruction, weights
        require_defined(cls)
        return cls(config, compute)  # type: ignore[call-arg]

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Everything that decides a score. Cheap: loads no model."""

    @abstractmethod
    def stream(self, pairs: Any, known: NDArray[np.bool_]) -> Iterator[Scored]:
        """Scores batch by batch, as they are made.

        The batches are the same whatever is known, less the known pairs. So a run that was killed makes the very scores
        that it would have made.

        Args:
            pairs: what `prepare` made of them.
            known: shape (pairs,), which pairs to leave out.
        """

    def prepare(self, pairs: Sequence[Pair]) -> Any:
        """The input of `stream`. Work before the model, such as tokenising, belongs here: it runs ahead in a thread."""
        return pairs

    def begin(self, dataset: Dataset) -> None:  # noqa: B027 - most rerankers need to know no more than the pairs
        """Called with the dataset before its pairs are scored, for prompts that depend on it."""

    def load(self) -> None:  # noqa: B027 - one that loads nothing needs none
        """Load what scoring needs, and run the model once, as its first pass takes longer."""

    def facts(self) -> Mapping[str, object]:
        """Other facts that decide the last bits of a score, such as the processor and the version of torch."""
        return {}

    def score(self, pairs: Sequence[Pair], *, advance: Callable[[int], None] = lambda _: None) -> Scored:
        """The score of every pair, in the order given. With `by_query` all pairs of a query are its list.

        Args:
            pairs: `Pair`s, or tuples of query, document and perhaps an instruction.
            advance: called with the number of pairs that were just scored.

        Raises:
            DataError: something is not a pair of texts.
            ModelError: a pair was given no score.
        """
        checked = [checked_pair(number, pair) for number, pair in enumerate(pairs)]
        scores, cut = np.empty(0, dtype=np.float32), np.zeros(len(checked), dtype=bool)
        scored = np.zeros(len(checked), dtype=bool)
        for part in self.stream(self.prepare(checked), np.zeros(len(checked), dtype=bool)):
            if not len(scores):
                scores = np.empty((len(checked), *part.scores.shape[1:]), dtype=np.float32)
            scores[part.rows], cut[part.rows], scored[part.rows] = part.scores, part.cut, True
            advance(len(part.rows))
        require_scores(self, scored)
        return Scored(np.arange(len(checked)), scores, cut)


def lists_of(pairs: Sequence[Pair]) -> list[NDArray[np.int64]]:
    """Which pairs are of one query, in the order given, for a reranker with `by_query`; they need not be neighbours."""
    found: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for row, pair in enumerate(pairs):
        found[pair.query_id, pair.query, pair.instruction].append(row)
    return [np.array(rows, dtype=np.int64) for rows in found.values()]


def require_scores(reranker: Reranker, scored: NDArray[np.bool_]) -> None:
    """Refuse pairs that a reranker gave no score.

    Raises:
        ModelError: there are some.
    """
    if not scored.all():
        kind = type(reranker)
        raise ModelError(
            f"{kind.__module__}:{kind.__qualname__} gave no score to {int((~scored).sum())} of {len(scored)} pairs. "
            "Have its `stream` yield every row that is not known, or choose another reranker."
        )
