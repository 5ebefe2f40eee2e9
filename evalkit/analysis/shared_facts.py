"""What the systems of one dataset have in common, each read, judged and measured once. Prints nothing."""

from collections.abc import Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.analysis.pairwise import Comparison
from evalkit.measures import Evaluators, ceilings, measure, parse_measure, preference
from evalkit.measures.answers import AnswerJudge
from evalkit.results import Result
from evalkit.results.gather import per_query
from evalkit.run import Run
from evalkit.types import Dataset, PerQuery, Qrels


@dataclass(frozen=True, eq=False)
class SharedFacts:
    """Runs, grades and means of a dataset and a measure. Kept as long as the object is.

    Attributes:
        dataset: judgments, and texts where answers decide.
        measure: its name.
        known: values that were read before, by the folder of their result; others are added.
    """

    dataset: Dataset
    measure: str
    known: dict[Path, PerQuery] = field(default_factory=dict)
    _runs: dict[Path, Run] = field(default_factory=dict)
    _reading: dict[Path, Future[Run]] = field(default_factory=dict)
    _grades: dict[Path, NDArray[np.float32]] = field(default_factory=dict)
    _truncated: dict[Path, pa.Table | None] = field(default_factory=dict)
    _evaluators: Evaluators = field(default_factory=dict)
    _means: dict[tuple[Path, int | None], tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, dataset: Dataset, comparison: Comparison, measure: str) -> Self:
        """Of a dataset whose systems were compared: their values are known."""
        columns = zip(comparison.evaluations, comparison.values.T, strict=True)
        known = {
            one.result.folder: PerQuery(
                comparison.query_ids, {measure: values}, tuple(one.result.manifest["queries_without_candidates"])
            )
            for one, values in columns
        }
        return cls(dataset, measure, known)

    @cached_property
    def _judge(self) -> AnswerJudge | None:
        return AnswerJudge(self.dataset) if parse_measure(self.measure).by_answers else None

    @property
    def level(self) -> int:
        """The grade from which the measure takes a document as relevant."""
        return parse_measure(self.measure).level

    def read_ahead(self, results: Iterable[Result], beside: Executor) -> None:
        """Read the runs of these results in other threads, while something else is computed."""
        self._reading.update({result.folder: beside.submit(result.read_run) for result in results})

    def run(self, result: Result) -> Run:
        """The run that was measured."""
        if result.folder not in self._runs:
            ahead = self._reading.pop(result.folder, None)
            self._runs[result.folder] = ahead.result() if ahead else result.read_run()
        return self._runs[result.folder]

    def values(self, result: Result) -> PerQuery:
        """Values of the measure, and perhaps of others that are saved with the result."""
        if result.folder not in self.known:
            self.known[result.folder] = per_query(result, self.measure)
        return self.known[result.folder]

    def truncated(self, result: Result) -> pa.Table | None:
        """Pairs that were cut, as `Result.read_truncated` has them."""
        if result.folder not in self._truncated:
            self._truncated[result.folder] = result.read_truncated()
        return self._truncated[result.folder]

    def qrels(self, run: Run) -> Qrels:
        """Judgments that cover the run, by answers where the measure asks for them."""
        return self._judge.judge(run) if self._judge else self.dataset.qrels

    def grades(self, result: Result, same: tuple[Result, NDArray[np.int64]] | None = None) -> NDArray[np.float32]:
        """Shape (rows of its run,): the grade of each document, 0 if it is negative, -1 without a judgment.

        Args:
            result: the run was read from it.
            same: a result with the same pairs, and the row of each pair there; None to look every pair up.
        """
        if result.folder not in self._grades:
            run = self.run(result)
            self._grades[result.folder] = self.grades(same[0])[same[1]] if same else preference(self.qrels(run), run)
        return self._grades[result.folder]

    def mean(self, run: Run, among: NDArray[np.bool_] | None = None) -> float:
        """Mean of the measure, of these rows alone."""
        if among is not None:
            run = run.select(self._read(run, among))
        qrels, names = self.qrels(run), [self.measure]
        if self._judge:
            return measure({}, run, names, answers=qrels).means[self.measure]
        return measure(qrels, run, names, evaluators=self._evaluators).means[self.measure]

    def _read(self, run: Run, among: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The rows that the measure reads where only these are there: the first of each query, up to its cutoff."""
        kind = parse_measure(self.measure)
        if kind.cutoff is None or kind.judged_only:
            return among
        before = np.concatenate([[0], np.cumsum(among)])
        return np.asarray(among & (before[1:] - before[run.offsets[:-1]][run.row_queries] <= kind.cutoff))

    def of_candidates(self, candidates: Result, depth: int | None = None) -> tuple[float, float]:
        """Means of the first stage and of the best order of its candidates, of the first `depth` a query or of all."""
        key = candidates.folder, depth
        if key not in self._means:
            whole = self.run(candidates)
            rows = np.full(len(whole), fill_value=True) if depth is None else whole.positions < depth
            run, wanted = whole.select(rows), self.grades(candidates)[rows]
            best = ceilings(
                self.qrels(run),
                run,
                [self.measure],
                by_answers=self._judge is not None,
                evaluators=self._evaluators,
                wanted=wanted,
            )
            self._means[key] = self.mean(run), best[self.measure]
        return self._means[key]


def rows_among(candidates: Run, run: Run) -> NDArray[np.int64]:
    """Shape (rows,): the row of `candidates` that holds each pair of the run; -1 for a pair that is not there."""
    is_alike = run.doc_ids.equals(candidates.doc_ids)
    codes = run.codes if is_alike else candidates.code_of(run.doc_ids)[run.codes]
    known = {query_id: place for place, query_id in enumerate(candidates.query_ids)}
    queries = np.array([known.get(query_id, -1) for query_id in run.query_ids], dtype=np.int64)[run.row_queries]
    if not len(candidates):
        return np.full(len(run), -1, dtype=np.int64)
    theirs = candidates.row_queries * len(candidates.doc_ids) + candidates.codes
    ours = np.where((codes < 0) | (queries < 0), -1, queries * len(candidates.doc_ids) + codes)
    order, own = np.argsort(theirs), np.argsort(ours)
    if len(ours) == len(theirs) and (ours[own] == theirs[order]).all():  # the same pairs: nothing to search
        rows = np.empty(len(run), dtype=np.int64)
        rows[own] = order
        return rows
    rows = order[np.minimum(np.searchsorted(theirs, ours, sorter=order), len(theirs) - 1)]
    return np.where(theirs[rows] == ours, rows, -1)


def pairs_among(table: pa.Table, column: str, ids: pa.Array) -> frozenset[tuple[str, str]]:
    """Query and document of the rows that have one of these ids in `query_id` or `doc_id`."""
    some = table.filter(pc.is_in(table[column], value_set=ids))
    return frozenset(zip(some["query_id"].to_pylist(), some["doc_id"].to_pylist(), strict=True))
