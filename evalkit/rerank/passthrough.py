"""Rerankers that read no text: keep the first stage's order, or replay scores from a run file."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ReplayConfig
from evalkit.errors import DataError
from evalkit.folders import expanded, file_digest
from evalkit.run import Run
from evalkit.trec import read_run
from evalkit.types import Identity


class KeepOrder:
    """The first stage as it is: `reranker=none`."""

    identity: ClassVar[Identity] = {"kind": "none"}

    def reorder(self, candidates: Run) -> tuple[Run, int]:
        """The candidates unchanged; none of them lacks a score."""
        return candidates, 0


class Replay:
    """Scores that someone else made for the same candidates.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self.path = expanded(str(config.path))
        self.missing = config.missing
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such run file. Set reranker.path to a TREC run or a JSON run.")

    @cached_property
    def identity(self) -> Identity:
        """The file's content, and what happens to candidates that it lacks."""
        return {"kind": "replay", "file_sha256": file_digest(self.path), "missing": self.missing}

    def reorder(self, candidates: Run) -> tuple[Run, int]:
        """The candidates with the file's scores, and how many the file has no score for.

        Raises:
            DataError: the file lacks candidates, and the settings do not say to rank them below.
        """
        scores, absent = _look_up(read_run(self.path), candidates)
        if absent.any():
            self._require_below(candidates, absent)
            # Below everything that was scored, still in first-stage order among themselves.
            ladder = _ladder_below(scores[~absent].min(), int(candidates.positions.max()) + 1)
            scores[absent] = ladder[candidates.positions[absent]]
        return candidates.rescored(scores), int(absent.sum())

    def _require_below(self, candidates: Run, absent: NDArray[np.bool_]) -> None:
        if self.missing == "below" and not absent.all():
            return
        row = int(np.flatnonzero(absent)[0])
        query_id = candidates.query_ids[int(candidates.row_queries[row])]
        doc_id = candidates.doc_ids[int(candidates.codes[row])].as_py()
        remedy = (
            "Is it a run of another dataset?"
            if absent.all()
            else "Set reranker.missing=below to rank them under the scored ones, or lower depth."
        )
        raise DataError(
            f"{self.path}: has no score for {int(absent.sum())} of {len(candidates)} candidates, such as {doc_id!r} "
            f"for query {query_id!r}. {remedy}"
        )


def _look_up(saved: Run, candidates: Run) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The saved score of every candidate, and which candidates have none; both of shape (candidates,)."""
    query_of = {query_id: index for index, query_id in enumerate(saved.query_ids)}
    queries = np.array([query_of.get(query_id, -1) for query_id in candidates.query_ids], dtype=np.int64)
    rows, documents = queries[candidates.row_queries], saved.code_of(candidates.doc_ids)[candidates.codes]
    wanted = np.where((rows < 0) | (documents < 0), -1, rows * len(saved.doc_ids) + documents)
    pairs = saved.row_queries * len(saved.doc_ids) + saved.codes
    order = np.argsort(pairs)
    places = np.minimum(np.searchsorted(pairs, wanted, sorter=order), len(pairs) - 1)
    absent = pairs[order[places]] != wanted
    return saved.scores[order[places]], absent


def _ladder_below(top: np.float32, steps: int) -> NDArray[np.float32]:
    """The next `steps` float32 numbers below `top`, descending: distinct whatever the size of the scores."""
    ladder = [np.nextafter(top, np.float32(-np.inf))]
    while len(ladder) < steps:
        ladder.append(np.nextafter(ladder[-1], np.float32(-np.inf)))
    return np.array(ladder, dtype=np.float32)
