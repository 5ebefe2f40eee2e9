"""From a Run of candidates to pairs of texts and back: what every text reranker needs around it.

The pairs of all queries are one list, cut into windows whose texts are in memory together; so those of one query may be
scored by several workers. Scores are stored as they come and put in order here.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.config import ComputeConfig
from evalkit.errors import DataError
from evalkit.formats.notes import counted
from evalkit.inference.batches import windows
from evalkit.inference.budget import KeptBudget
from evalkit.inference.finite import finite
from evalkit.inference.room import Room, room
from evalkit.inference.workers import Shards, open_pool
from evalkit.rerank.known_scores import KeptScores, list_keys, pair_keys
from evalkit.rerank.seam import Reranker, require_scores
from evalkit.rerank.worker import ScoringWorker, Window
from evalkit.results.outcome import Reranked
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.progress import progress
from evalkit.system.stages import FINDING, LOADING, Meter, Stages
from evalkit.types import Dataset, Pair, Scored

# Pairs whose texts are in memory, and which a reranker may sort by length, at a time; on CUDA at the least.
PAIRS_PER_WINDOW = 8192


def score_candidates(
    reranker: Reranker,
    candidates: Run,
    dataset: Dataset,
    store: Store | None = None,
    compute: ComputeConfig | None = None,
) -> Reranked:
    """Score every candidate with its text, in this process when `compute` is None, and keep scores in the store.

    Raises:
        DataError: a candidate is not in the corpus.
        ModelError: a score is not finite, or a pair was given none.
        ResultError: a score cannot be stored.
    """
    worker, stages = ScoringWorker(reranker), Stages()
    compute = None if reranker.is_foreign else compute
    with progress("reranking", len(candidates), "pairs") as meter, ExitStack() as exits:
        with meter.not_working(LOADING):
            pool = exits.enter_context(open_pool(worker, compute))
        scoring = _Scoring(reranker, candidates, dataset, room(compute or ComputeConfig(device="cpu")), meter)
        if store is not None and reranker.has_identity:
            with meter.not_working(LOADING):
                facts = {key: value for key, value in pool.facts().items() if key != worker.IDENTITY}
            with meter.not_working(FINDING):
                scoring.kept = KeptScores.of(
                    reranker.identity, facts, store, name=reranker.name, collection=dataset.name
                )
                scoring.kept.read()
        budget = KeptBudget() if scoring.kept is None else scoring.kept.budget
        pool.run(Shards(len(scoring.windows), scoring.payload, scoring.keep, scoring.done, meter, budget))
        require_scores(reranker, scoring.scored)
        reranked = scoring.result()
    usage = pool.spent()
    stages.take("rerank", meter, model="reranker", **usage.read())
    return reranked._replace(by_query=reranker.by_query, usage=usage, workers=dict(pool.describe()), stages=stages)


class _Scoring:
    """The windows of a run, and the scores that there are.

    Attributes:
        windows: slices of the run's rows.
        kept: scores of earlier runs, and where new ones go.
        scored: shape (rows,), which rows of the run have a score.
    """

    def __init__(self, reranker: Reranker, candidates: Run, dataset: Dataset, room: Room, meter: Meter) -> None:
        self._reranker, self._candidates, self._dataset = reranker, candidates, dataset
        self._room, self._meter = room, meter
        self._rows = dataset.rows(candidates.doc_ids)[candidates.codes]
        _require_texts(candidates, dataset, self._rows)
        sizes = dataset.documents.sizes()[self._rows]
        count = room.count(len(sizes), least=PAIRS_PER_WINDOW)
        self.windows = windows(sizes, count=count, size=room.text)
        if reranker.by_query:
            self.windows = _of_whole_queries(self.windows, candidates.offsets)
        self.kept: KeptScores | None = None
        self._queries = candidates.row_queries
        self._keys: dict[int, NDArray[np.void]] = {}
        self._scores = np.zeros(len(candidates), dtype=np.float32)
        self.scored = np.zeros(len(candidates), dtype=bool)
        self._cut = np.zeros(len(candidates), dtype=bool)

    def payload(self, shard: int) -> Window | None:
        """The pairs of a window, and which of them are known; None where all are."""
        window = self.windows[shard]
        pairs = self._pairs(window)
        if self.kept is not None:
            keys = pair_keys(pairs)
            self._keys[shard] = list_keys(keys, self._queries[window]) if self._reranker.by_query else keys
            self._look_up(window, self._keys[shard], self.kept)
        known = self.scored[window].copy()
        return None if known.all() else Window(pairs, known)

    def _pairs(self, window: slice) -> list[Pair]:
        distinct, positions = np.unique(self._rows[window], return_inverse=True)
        texts = self._dataset.documents.texts(distinct)
        query_ids, queries = self._candidates.query_ids, self._dataset.queries
        instructions = self._dataset.instructions
        pairs = [
            Pair(queries[query_ids[query]], texts[position], instructions.get(query_ids[query]))
            for query, position in zip(self._queries[window].tolist(), positions.tolist(), strict=True)
        ]
        return self._named(pairs, window) if self._reranker.is_foreign or self._reranker.by_query else pairs

    def _named(self, pairs: list[Pair], window: slice) -> list[Pair]:
        """The pairs of a window with their ids; others are sent to workers, which need none.

        Of lists they are needed since two queries may have the same text.
        """
        doc_ids = self._candidates.doc_ids.take(pa.array(self._candidates.codes[window])).to_pylist()
        query_ids = [self._candidates.query_ids[query] for query in self._queries[window].tolist()]
        return [
            pair._replace(query_id=query_id, doc_id=doc_id)
            for pair, query_id, doc_id in zip(pairs, query_ids, doc_ids, strict=True)
        ]

    def _look_up(self, window: slice, keys: NDArray[np.void], kept: KeptScores) -> None:
        known, scores, cut = kept.find(keys)
        new = np.flatnonzero(known & ~self.scored[window])
        self._note(window, Scored(new, scores[new], cut[new]))
        self._meter.found(len(new))

    def keep(self, shard: int, part: Scored) -> None:
        """Take scores of a window, and write them down."""
        if part.scores.shape != part.rows.shape:
            raise ValueError(f"{len(part.rows)} pairs were given, and scores of shape {part.scores.shape} came back")
        part = part._replace(scores=finite(part.scores))
        if self.kept is not None:
            self.kept.keep(self._keys[shard], part)
        self._note(self.windows[shard], part)
        self._meter(len(part.rows))

    def _note(self, window: slice, part: Scored) -> None:
        rows = window.start + part.rows
        self._scores[rows], self.scored[rows], self._cut[rows] = part.scores, True, part.cut

    def done(self, shard: int) -> None:
        """Forget what only this window needed."""
        self._keys.pop(shard, None)
        self._room.tidy()

    def result(self) -> Reranked:
        """The run in its new order."""
        run, kept = self._candidates.rescored(self._scores), int(self._meter.kept)
        if self._reranker.is_foreign:
            return Reranked(run, truncated=None, kept=kept)
        return Reranked(run, int(self._cut.sum()), cut=_table(self._candidates, self._cut), kept=kept)


def _of_whole_queries(windows: Sequence[slice], offsets: NDArray[np.int64]) -> list[slice]:
    """Windows as large as these that end where the candidates of a query do; those of `offsets` do, too."""
    stops = np.unique(offsets[np.searchsorted(offsets, [window.stop for window in windows])])
    return [slice(start, stop) for start, stop in pairwise([0, *stops.tolist()])]


def _table(candidates: Run, chosen: NDArray[np.bool_]) -> pa.Table:
    rows = np.flatnonzero(chosen)
    query_ids = [candidates.query_ids[query] for query in candidates.row_queries[rows]]
    doc_ids = candidates.doc_ids.take(pa.array(candidates.codes[rows]))
    return pa.table({"query_id": pa.array(query_ids, pa.string()), "doc_id": doc_ids})


def _require_texts(candidates: Run, dataset: Dataset, rows: NDArray[np.int64]) -> None:
    absent = np.unique(candidates.codes[rows < 0])
    if len(absent):
        name = candidates.doc_ids.take(pa.array(absent[:1]))[0].as_py()
        found, are = counted(len(absent), "candidate"), "is" if len(absent) == 1 else "are"
        raise DataError(
            f"{found}, such as {name!r}, {are} not in the corpus of {dataset.name}, so there is no text to rerank. "
            "Are the candidates of another version of the corpus? Add the documents to it, or remove the candidates."
        )
