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
from evalkit.run import Run
from evalkit.types import Dataset, Pair, PairScores, PreparingReranker, Reranker

# Pairs whose texts are in memory, and which a reranker may sort by length, at a time.
_PAIRS_PER_WINDOW = 32_768


class Reranked(NamedTuple):
    """Candidates in a reranker's order.

    Attributes:
        run: the same pairs with new scores.
        truncated: how many pairs were cut to fit the model; None where no text was read.
        unscored: how many candidates have no score of the reranker's and were ranked below all others.
        cut: columns `query_id` and `doc_id` of the pairs that were cut; None where the reranker does not tell which.
    """

    run: Run
    truncated: int | None
    unscored: int = 0
    cut: pa.Table | None = None


def score_candidates(reranker: Reranker, candidates: Run, dataset: Dataset) -> Reranked:
    """Score every candidate with its text.

    Raises:
        DataError: a candidate is not in the corpus.
        ModelError: a score is no finite number.
    """
    rows = dataset.rows(candidates.doc_ids)[candidates.codes]
    _require_texts(candidates, dataset, rows)
    scores = np.empty(len(candidates), dtype=np.float32)
    truncated = 0
    cut: NDArray[np.bool_] | None = np.zeros(len(candidates), dtype=bool)
    queries = candidates.row_queries
    windows = [slice(start, start + _PAIRS_PER_WINDOW) for start in range(0, len(candidates), _PAIRS_PER_WINDOW)]

    def prepare(window: slice) -> Any:
        distinct, positions = np.unique(rows[window], return_inverse=True)
        texts = dataset.documents.texts(distinct)
        pairs = [
            Pair(dataset.queries[candidates.query_ids[query]], texts[position])
            for query, position in zip(queries[window], positions, strict=True)
        ]
        # A reranker that can do so tokenises here, while the window before is scored.
        return reranker.prepare(pairs) if isinstance(reranker, PreparingReranker) else pairs

    with progress("reranking", len(candidates), "pairs") as advance:
        for window, pairs in _ahead(windows, prepare):
            result = reranker.score(pairs, advance=advance)
            if result.scores.shape != scores[window].shape:
                count = len(scores[window])
                raise ValueError(f"{count} pairs were given, and scores of shape {result.scores.shape} came back")
            scores[window] = finite(result.scores)
            truncated += result.truncated
            cut = _noted(cut, window, result)
    return Reranked(candidates.rescored(scores), truncated, cut=None if cut is None else _pairs(candidates, cut))


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


def _ahead(windows: Sequence[slice], prepare: Callable[[slice], Any]) -> Iterator[tuple[slice, Any]]:
    """Each window with what `prepare` makes of it, made by a thread while the window before is in use."""
    with ThreadPoolExecutor(1) as pool:
        upcoming = pool.submit(prepare, windows[0]) if windows else None
        for index, window in enumerate(windows):
            assert upcoming is not None
            ready = upcoming.result()
            if index + 1 < len(windows):
                upcoming = pool.submit(prepare, windows[index + 1])
            yield window, ready


def _require_texts(candidates: Run, dataset: Dataset, rows: NDArray[np.int64]) -> None:
    absent = np.unique(candidates.codes[rows < 0])
    if len(absent):
        name = candidates.doc_ids.take(pa.array(absent[:1]))[0].as_py()
        raise DataError(
            f"{len(absent)} candidates, such as {name!r}, are not in the corpus of {dataset.name}, so there is no text "
            "to rerank. Are the candidates of another version of the corpus?"
        )
