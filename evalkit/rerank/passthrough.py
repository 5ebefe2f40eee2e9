"""Rerankers that read no text: keep the first stage's order, or replay scores from a run file."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from evalkit.config import ReplayConfig
from evalkit.errors import DataError
from evalkit.run import Run
from evalkit.store import file_digest
from evalkit.trec import read_run
from evalkit.types import Identity


class KeepOrder:
    """The first stage as it is: `reranker=none`."""

    identity: ClassVar[Identity] = {"kind": "none"}

    def reorder(self, candidates: Run) -> Run:
        """The candidates unchanged."""
        return candidates


class Replay:
    """Scores that someone else made for the same candidates.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, config: ReplayConfig) -> None:
        self.path = Path(str(config.path)).expanduser()
        self.missing = config.missing
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such run file. Set reranker.path to a TREC run or a JSON run.")

    @cached_property
    def identity(self) -> Identity:
        """The file's content, and what happens to candidates that it lacks."""
        return {"kind": "replay", "file_sha256": file_digest(self.path), "missing": self.missing}

    def reorder(self, candidates: Run) -> Run:
        """The candidates with the file's scores.

        Raises:
            DataError: the file lacks candidates, and the settings do not say to rank them below.
        """
        saved = {
            ranking.query_id: dict(zip(ranking.doc_ids, ranking.scores.tolist(), strict=True))
            for ranking in read_run(self.path)
        }
        scores = np.full(len(candidates), np.nan, dtype=np.float32)
        for index, (query_id, doc_ids, _) in enumerate(candidates):
            known = saved.get(query_id, {})
            start = candidates.offsets[index]
            scores[start : start + len(doc_ids)] = [known.get(doc_id, np.nan) for doc_id in doc_ids]
        absent = np.isnan(scores)
        if absent.any():
            self._require_below(candidates, int(absent.sum()), int(np.flatnonzero(absent)[0]))
            # Below everything that was scored, still in first-stage order among themselves.
            lowest = np.float32(0.0) if absent.all() else np.nanmin(scores)
            scores[absent] = _ladder_below(lowest, int(candidates.positions.max()) + 1)[candidates.positions[absent]]
        return candidates.rescored(scores)

    def _require_below(self, candidates: Run, count: int, row: int) -> None:
        if self.missing == "below":
            return
        query_id = candidates.query_ids[int(candidates.row_queries[row])]
        doc_id = candidates.doc_ids[int(candidates.codes[row])].as_py()
        raise DataError(
            f"{self.path}: has no score for {count} of {len(candidates)} candidates, such as {doc_id!r} for query "
            f"{query_id!r}. Set reranker.missing=below to rank them under the scored ones, or lower depth."
        )


def _ladder_below(top: np.float32, steps: int) -> NDArray[np.float32]:
    """The next `steps` float32 numbers below `top`, descending: distinct whatever the size of the scores."""
    ladder = [np.nextafter(top, np.float32(-np.inf))]
    while len(ladder) < steps:
        ladder.append(np.nextafter(ladder[-1], np.float32(-np.inf)))
    return np.array(ladder, dtype=np.float32)
