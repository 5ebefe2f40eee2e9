"""A reranker as a `Worker`: windows of pairs in, scores out as they are made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.budget import Budget
from evalkit.inference.usage import Usage
from evalkit.rerank.seam import Reranker
from evalkit.store.artefact import digest
from evalkit.types import Pair, Scored


class Window(NamedTuple):
    """Pairs that are scored together, without those that are `known`, of shape (pairs,)."""

    pairs: Sequence[Pair]
    known: NDArray[np.bool_]


class ScoringWorker:
    """See `Worker`."""

    IDENTITY: ClassVar = "reranker"  # the fact that is not of the processor

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker

    @property
    def overlaps(self) -> bool:
        """See `Worker`."""
        return self._reranker.overlaps

    @property
    def budget(self) -> Budget | None:
        """See `Worker`."""
        return self._reranker.budget

    def facts(self) -> Mapping[str, object]:
        """See `Worker`."""
        return {**self._reranker.facts(), self.IDENTITY: digest(dict(self._reranker.identity))}

    def load(self) -> None:
        """See `Worker`."""
        self._reranker.load()

    def prepare(self, payload: Window) -> tuple[Any, NDArray[np.bool_]]:
        """See `Worker`."""
        return self._reranker.prepare(payload.pairs), payload.known

    def work(self, prepared: tuple[Any, NDArray[np.bool_]]) -> Iterator[Scored]:
        """See `Worker`."""
        return self._reranker.stream(*prepared)

    def spent(self) -> Usage:
        """See `Worker`."""
        return self._reranker.usage or Usage()
