"""A reranker as a `Worker`: windows of pairs in, scores out as they are made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.budget import Budget
from evalkit.inference.usage import Usage
from evalkit.store.artefact import digest
from evalkit.types import LoadingReranker, Pair, PreparingReranker, Reranker, StreamingReranker


class Window(NamedTuple):
    """Pairs that are scored together.

    Attributes:
        pairs: texts.
        known: shape (pairs,), which are left out.
    """

    pairs: Sequence[Pair]
    known: NDArray[np.bool_]


class Part(NamedTuple):
    """Scores of some pairs of a window.

    Attributes:
        rows: shape (pairs,), which ones.
        scores: shape (pairs,), raw float32 logits.
        truncated: how many of them were cut to fit the model's limit.
        cut: shape (pairs,), which; None where the reranker does not tell.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    truncated: int
    cut: NDArray[np.bool_] | None


class ScoringWorker:
    """See `Worker`. A reranker that does not stream gives all scores of a window at once."""

    IDENTITY: ClassVar = "reranker"  # the fact that is not of the processor

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker

    @property
    def overlaps(self) -> bool:
        """See `Worker`."""
        return isinstance(self._reranker, StreamingReranker)

    @property
    def budget(self) -> Budget | None:
        """See `Worker`."""
        found = getattr(self._reranker, "budget", None)
        return found if isinstance(found, Budget) else None

    def facts(self) -> Mapping[str, object]:
        """See `Worker`."""
        own = self._reranker.facts() if isinstance(self._reranker, StreamingReranker) else {}
        return {**own, self.IDENTITY: digest(dict(self._reranker.identity))}

    def load(self) -> None:
        """See `Worker`."""
        if isinstance(self._reranker, LoadingReranker):
            self._reranker.load()

    def prepare(self, payload: Window) -> tuple[Any, NDArray[np.bool_]]:
        """See `Worker`."""
        reranker = self._reranker
        prepared = reranker.prepare(payload.pairs) if isinstance(reranker, PreparingReranker) else payload.pairs
        return prepared, payload.known

    def work(self, prepared: tuple[Any, NDArray[np.bool_]]) -> Iterator[Part]:
        """See `Worker`."""
        pairs, known = prepared
        if isinstance(self._reranker, StreamingReranker):
            for one in self._reranker.stream(pairs, known=known):
                yield Part(one.rows, one.scores, int(one.cut.sum()), one.cut)
            return
        scores, truncated, cut = self._reranker.score(pairs, advance=lambda _: None)
        yield Part(np.arange(len(known)), scores, truncated, cut)

    def spent(self) -> Usage:
        """See `Worker`."""
        found = getattr(self._reranker, "usage", None)
        return found if isinstance(found, Usage) else Usage()
