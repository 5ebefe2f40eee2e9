"""From a Run of candidates to pairs of texts and back: what every text reranker needs around it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.inference.finite import finite
from evalkit.progress import progress
from evalkit.rerank.kept import KeptScores, pair_keys
from evalkit.rerank.streaming import gathered
from evalkit.run import Run
from evalkit.store import Store
from evalkit.types import Dataset, Pair, PairScores, PreparingReranker, Reranker, Scored, StreamingReranker

# Pairs whose texts are in memory, and which a reranker may sort by length, at a time.
_PAIRS_PER_WINDOW = 32_768


class Reranked(NamedTuple):
    """Candidates in a reranker's order.

    Attributes:
        run: the same pairs with new scores.
        truncated: how many pairs were cut to fit the model; None where no text was read.
        unscored: how many candidates have no score of the reranker's and were ranked below all others.
        cut: columns `query_id` and `doc_id` of the pairs that were cut; None where the reranker does not tell which.
        kept: how many scores were made by an earlier run and only read.
    """

    run: Run
    truncated: int | None
    unscored: int = 0
    cut: pa.Table | None = None
    kept: int = 0


def score_candidates(reranker: Reranker, candidates: Run, dataset: Dataset, store: Store | None = None) -> Reranked:
    """Score every candidate with its text.

    Args:
        reranker: that is asked.
        candidates: of the dataset's queries.
        dataset: with the texts.
        store: where scores are kept as they are made, of a reranker that gives them so; they are not when None.

    Raises:
        DataError: a candidate is not in the corpus.
        ModelError: a score is no finite number.
        ResultError: a score cannot be kept.
    """
    rows = dataset.rows(candidates.doc_ids)[candidates.codes]
    _require_texts(candidates, dataset, rows)
    scores = np.empty(len(candidates), dtype=np.float32)
    truncated = kept = 0
    cut: NDArray[np.bool_] | None = np.zeros(len(candidates), dtype=bool)
    scorer = _Scorer(reranker, store, dataset.name)
    queries = candidates.row_queries
    windows = [slice(start, start + _PAIRS_PER_WINDOW) for start in range(0, len(candidates), _PAIRS_PER_WINDOW)]

    def prepare(window: slice) -> _Window:
        distinct, positions = np.unique(rows[window], return_inverse=True)
        texts = dataset.documents.texts(distinct)
        return scorer.prepare(
            [
                Pair(dataset.queries[candidates.query_ids[query]], texts[position])
                for query, position in zip(queries[window], positions, strict=True)
            ]
        )

    with progress("reranking", len(candidates), "pairs") as advance:
        for window, pairs in _ahead(windows, prepare):
            result, found = scorer.score(pairs, advance)
            if result.scores.shape != scores[window].shape:
                count = len(scores[window])
                raise ValueError(f"{count} pairs were given, and scores of shape {result.scores.shape} came back")
            scores[window] = finite(result.scores)
            truncated, kept = truncated + result.truncated, kept + found
            cut = _noted(cut, window, result)
    table = None if cut is None else _pairs(candidates, cut)
    return Reranked(candidates.rescored(scores), truncated, cut=table, kept=kept)


class _Window(NamedTuple):
    """Pairs that are scored together.

    Attributes:
        pairs: as the reranker takes them; None where all of them are known.
        keys: of each pair, where scores are kept.
    """

    pairs: Any
    keys: NDArray[np.void] | None


class _Scorer:
    """A reranker, and what it said before."""

    def __init__(self, reranker: Reranker, store: Store | None, collection: str) -> None:
        self._reranker = reranker
        self._kept = (
            KeptScores.of(reranker, store, collection)
            if store is not None and isinstance(reranker, StreamingReranker)
            else None
        )

    def prepare(self, pairs: Sequence[Pair]) -> _Window:
        """What can be done while the window before is scored, such as tokenising."""
        keys = None if self._kept is None else pair_keys(pairs)
        if keys is not None and self._kept is not None and self._kept.find(keys).known.all():
            return _Window(None, keys)
        reranker = self._reranker
        return _Window(reranker.prepare(pairs) if isinstance(reranker, PreparingReranker) else pairs, keys)

    def score(self, window: _Window, advance: Callable[[int], None]) -> tuple[PairScores, int]:
        """Scores of a window, and how many of them were known."""
        if window.keys is None or self._kept is None:
            return self._reranker.score(window.pairs, advance=advance), 0
        known, scores, cut = self._kept.find(window.keys)
        advance(int(known.sum()))
        parts = [Scored(np.flatnonzero(known), scores[known], cut[known])]
        if window.pairs is not None:
            assert isinstance(self._reranker, StreamingReranker)
            for part in self._reranker.stream(window.pairs, known=known):
                if part.scores.ndim == 1:  # several scores of a pair make no ranking; `score_candidates` says so
                    self._kept.keep(window.keys, part)
                parts.append(part)
                advance(len(part.rows))
        return gathered([part for part in parts if len(part.rows)], len(known)), int(known.sum())


def _noted(cut: NDArray[np.bool_] | None, window: slice, result: PairScores) -> NDArray[np.bool_] | None:
    if cut is None or result.cut is None:
        return None
    cut[window] = result.cut
    return cut


def _pairs(candidates: Run, chosen: NDArray[np.bool_]) -> pa.Table:
    rows = np.flatnonzero(chosen)
    query_ids = [candidates.query_ids[query] for query in candidates.row_queries[rows]]
    doc_ids = candidates.doc_ids.take(pa.array(candidates.codes[rows]))
    return pa.table({"query_id": pa.array(query_ids, pa.string()), "doc_id": doc_ids})


def _ahead(windows: Sequence[slice], prepare: Callable[[slice], _Window]) -> Iterator[tuple[slice, _Window]]:
    """Each window with what `prepare` makes of it, made by a thread while the window before is in use."""
    pool = ThreadPoolExecutor(1)
    try:
        upcoming = pool.submit(prepare, windows[0]) if windows else None
        for index, window in enumerate(windows):
            assert upcoming is not None
            ready = upcoming.result()
            if index + 1 < len(windows):
                upcoming = pool.submit(prepare, windows[index + 1])
            yield window, ready
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who was interrupted need not wait for what nobody reads


def _require_texts(candidates: Run, dataset: Dataset, rows: NDArray[np.int64]) -> None:
    absent = np.unique(candidates.codes[rows < 0])
    if len(absent):
        name = candidates.doc_ids.take(pa.array(absent[:1]))[0].as_py()
        raise DataError(
            f"{len(absent)} candidates, such as {name!r}, are not in the corpus of {dataset.name}, so there is no text "
            "to rerank. Are the candidates of another version of the corpus?"
        )
