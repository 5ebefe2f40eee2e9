"""Rerankers that read no text: keep the first stage's order, or replay scores from a run file."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.config.after_file import NamedAfterFile
from evalkit.config.limits import given, one_of
from evalkit.config.reranker import RerankerConfig
from evalkit.errors import DataError
from evalkit.formats import doubts
from evalkit.formats.notes import Note
from evalkit.formats.runfile import ORDERS, RunFile, read_run_file
from evalkit.formats.similar_ids import compared
from evalkit.run import Run
from evalkit.system.files import expanded, file_digest
from evalkit.types import Identity

MISSING_SCORES = ("error", "below")


@dataclass
class KeepOrderConfig(RerankerConfig):
    """`reranker=none`, which keeps the first stage's order."""

    implementation: ClassVar[str] = "evalkit.rerank.passthrough:KeepOrder"


@dataclass
class ReplayConfig(NamedAfterFile, RerankerConfig):
    """Scores that someone else made, from a run file."""

    implementation: ClassVar[str] = "evalkit.rerank.passthrough:Replay"
    unnamed: ClassVar[str] = "replay"

    name: str = ""
    """Its name in tables and in the folder of results; that of the file when not set."""
    path: str | None = None
    missing: str = "error"
    """A candidate that the file lacks: `error`, or rank it `below` all scored ones, in first-stage order."""
    order: str | None = None
    """Which decides the order if ranks and scores disagree: `score` or `rank`. When not set, scores do, with a note."""

    def __post_init__(self) -> None:
        """Check the path and the choice."""
        given("reranker.path", self.path, "RUN_FILE")
        self.name_after_file()
        super().__post_init__()
        one_of("reranker.missing", self.missing, MISSING_SCORES)
        if self.order is not None:
            one_of("reranker.order", self.order, ORDERS)


class Reordered(NamedTuple):
    """Candidates in another order.

    Attributes:
        run: the same pairs.
        unscored: how many of them have no score and were ranked below all others.
        notes: what was odd about the file.
    """

    run: Run
    unscored: int = 0
    notes: tuple[Note, ...] = ()


class Reordering(ABC):
    """**Seam** of rerankers that read no text: a run in, the same pairs in another order out."""

    @classmethod
    def from_config(cls, config: Any, *_: object, **__: object) -> "Reordering":
        """See `Reranker.from_config`."""
        return cls(config)  # type: ignore[call-arg]

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Everything that decides the order."""

    @abstractmethod
    def reorder(self, candidates: Run) -> Reordered:
        """The candidates in their new order."""


class KeepOrder(Reordering):
    """The first stage as it is: `reranker=none`."""

    identity: ClassVar[Identity] = {"kind": "none"}

    def __init__(self, config: KeepOrderConfig | None = None) -> None:
        del config  # it has no settings

    def reorder(self, candidates: Run) -> Reordered:
        """The candidates unchanged; none of them lacks a score."""
        return Reordered(candidates)


class Replay(Reordering):
    """Scores that someone else made for the same candidates, from a file, or from an object in Python that is `given`.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, config: Any, *, given: RunFile | None = None) -> None:
        self.path: str | Path = config.name if given else expanded(str(config.path))
        self.missing, self.order, self.given = config.missing, config.order, given
        if not given and not Path(self.path).is_file():
            raise DataError(f"{self.path}: no such run file. Set reranker.path to a TREC run or a JSON run.")

    @cached_property
    def identity(self) -> Identity:
        """The file's content, what happens to candidates that it lacks, and the order where one was chosen."""
        chosen = {"order": self.order} if self.order else {}
        source = (
            {"run_sha256": self.given.run.digest()} if self.given else {"file_sha256": file_digest(Path(self.path))}
        )
        return {"kind": "replay", **source, "missing": self.missing, **chosen}

    def reorder(self, candidates: Run) -> Reordered:
        """The candidates with the file's scores.

        Raises:
            DataError: the file lacks candidates, and the settings do not say to rank them below.
        """
        file = self.given or read_run_file(Path(self.path), order=self.order)
        scores, absent = _look_up(file.run, candidates)
        if absent.any():
            self._require_below(file.run, candidates, absent)
            # Below everything that was scored, still in first-stage order among themselves.
            ladder = _ladder_below(scores[~absent].min(), int(candidates.positions.max()) + 1)
            scores[absent] = ladder[candidates.positions[absent]]
        found = candidates.rescored(scores)
        return Reordered(found, int(absent.sum()), self._notes(file, found, int((~absent).sum())))

    def _notes(self, file: RunFile, found: Run, matched: int) -> tuple[Note, ...]:
        """Notes on what is odd about the file; `matched` of its scores belong to candidates."""
        notes = (
            *file.notes,
            _outside(file.run, found, len(file.run) - matched),
            doubts.disagreement(file, set(found.query_ids), remedy="reranker.order=rank"),
            doubts.ties(file, found, remedy="reranker.order=rank"),
        )
        return tuple(note for note in notes if note is not None)

    def _require_below(self, saved: Run, candidates: Run, absent: NDArray[np.bool_]) -> None:
        if self.missing == "below" and not absent.all():
            return
        row = int(np.flatnonzero(absent)[0])
        query_id = candidates.query_ids[int(candidates.row_queries[row])]
        doc_id = candidates.doc_ids[int(candidates.codes[row])].as_py()
        remedy = (
            _of_another(saved, candidates)
            if absent.all()
            else "Set reranker.missing=below to rank them under the scored ones, or lower depth."
        )
        raise DataError(
            f"{self.path}: has no score for {int(absent.sum())} of {len(candidates)} candidates, such as {doc_id!r} "
            f"for query {query_id!r}. {remedy}"
        )


def _of_another(saved: Run, candidates: Run) -> str:
    """Why a file has no score of any candidate."""
    common = set(saved.query_ids).intersection(candidates.query_ids)
    sides = (saved.only_queries(common), candidates.only_queries(common)) if common else (saved, candidates)
    ours, theirs = (side.doc_ids.to_pylist() if common else side.query_ids for side in sides)
    others = set(theirs)
    if not (apart := [one for one in ours if one not in others]):
        return "Is it a run of another dataset?"
    return f"Is it a run of another dataset? {compared(apart, theirs, place='the file', other='the candidates')}"


def _outside(saved: Run, candidates: Run, number: int) -> Note | None:
    """A note on scores of documents that are not among the candidates."""
    if not number:
        return None
    given = {(query_id, doc_id) for query_id, doc_ids, _ in candidates for doc_id in doc_ids}
    query_id, doc_id = next((one, doc) for one, doc_ids, _ in saved for doc in doc_ids if (one, doc) not in given)
    are = (
        "scored document is not a candidate and was" if number == 1 else "scored documents are not candidates and were"
    )
    text = f"{number:,} {are} left out, such as {doc_id} for query {query_id}"
    return Note("not_candidates", text, {"documents": number, "example": [query_id, doc_id]})


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
