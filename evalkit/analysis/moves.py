"""The queries on which systems differ most, with their rankings and texts. Prints nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.measures.answers import AnswerJudge
from evalkit.results import Evaluation, Result
from evalkit.results.gather import per_query
from evalkit.run import Run
from evalkit.types import Dataset, MatchedTokens


class Listing(NamedTuple):
    """A query with the first documents of any number of systems.

    Attributes:
        text: None where the collection is not at hand.
        values: the measure, one value a system.
        rankings: document ids, best first, one ranking a system.
        ranks: document id -> rank from 1 in the whole ranking, for the documents of any of `rankings`; one a system.
        grades: judgments of these documents.
        texts: their texts, where the collection is at hand.
        tokens: document id -> what late interaction matched, one a system; empty if nobody asked.
    """

    query_id: str
    text: str | None
    values: tuple[float, ...]
    rankings: tuple[tuple[str, ...], ...]
    ranks: tuple[Mapping[str, int], ...]
    grades: Mapping[str, int]
    texts: Mapping[str, str]
    tokens: tuple[Mapping[str, MatchedTokens], ...] = ()


class Place(NamedTuple):
    """A document in a ranking.

    Attributes:
        rank: from 1.
        before: its rank in the other ranking, from 1; None if it is not there.
        grade: its judgment; None if it has none.
        text: None where the collection is not at hand.
    """

    doc_id: str
    rank: int
    before: int | None
    grade: int | None
    text: str | None


class Move(NamedTuple):
    """A query with the measure and the first places of two systems; without the collection `text` is None."""

    query_id: str
    text: str | None
    first: float
    second: float
    rankings: tuple[tuple[Place, ...], tuple[Place, ...]]


def moves(
    first: Evaluation, second: Evaluation, measure: str, *, count: int, dataset: Dataset | None, cutoff: int = 10
) -> list[Move]:
    """`widest` of two systems over the same queries."""
    measured = [per_query(system.result, measure) for system in (first, second)]
    values = np.column_stack([found.values[measure] for found in measured])
    systems, query_ids = (first, second), measured[0].query_ids
    return [_move(found) for found in widest(systems, query_ids, values, count=count, dataset=dataset, cutoff=cutoff)]


def _move(found: Listing) -> Move:
    ours, theirs = found.ranks
    first, second = (
        tuple(
            Place(doc_id, own[doc_id], other.get(doc_id), found.grades.get(doc_id), found.texts.get(doc_id))
            for doc_id in ranking
        )
        for ranking, own, other in zip(found.rankings, (ours, theirs), (theirs, ours), strict=True)
    )
    return Move(found.query_id, found.text, found.values[0], found.values[1], (first, second))


def widest(
    evaluations: Sequence[Evaluation],
    query_ids: Sequence[str],
    values: NDArray[np.float64],
    *,
    count: int,
    dataset: Dataset | None,
    cutoff: int = 10,
    pair: tuple[int, int] | None = None,
    read: Callable[[Result], Run] = lambda result: result.read_run(),
) -> list[Listing]:
    """The queries with the widest range of values, widest first; those on which all agree are left out.

    With a pair of systems, half of them are the queries on which these two differ most.

    Args:
        evaluations: systems.
        query_ids: the rows of `values`.
        values: a measure, shape (queries, systems).
        count: maximum number of queries.
        dataset: the source of texts and judgments.
        cutoff: documents of each ranking.
        pair: columns of `values`.
        read: gives the run of a result; one that keeps runs saves reading them again.
    """
    order = _rows(values, pair, count)
    chosen = {query_ids[row] for row in order}
    runs = [read(evaluation.result).only_queries(chosen) for evaluation in evaluations]
    ranked = [{ranking.query_id: ranking.doc_ids for ranking in run} for run in runs]
    grades = _grades(dataset, runs)
    texts = _texts(dataset, {doc_id for found in ranked for doc_ids in found.values() for doc_id in doc_ids[:cutoff]})
    return [
        _listing(query_ids[row], values[row], ranked, cutoff, grades.get(query_ids[row], {}), texts, dataset)
        for row in order
    ]


def _rows(values: NDArray[np.float64], pair: tuple[int, int] | None, count: int) -> list[int]:
    """Rows to list, the widest range first: half of them, rounded up, by the pair alone."""
    apart = np.ptp(values, axis=1)
    widest_first = [int(row) for row in np.argsort(-apart, kind="stable") if apart[row] > 0]
    own: list[int] = []
    if pair is not None:
        between = np.abs(values[:, pair[0]] - values[:, pair[1]])
        own = [int(row) for row in np.argsort(-between, kind="stable")[: (count + 1) // 2] if between[row] > 0]
    kept = set(list(dict.fromkeys([*own, *widest_first]))[:count])
    return [row for row in widest_first if row in kept]


def first_pair(evaluations: Sequence[Evaluation]) -> tuple[int, int]:
    """Of systems, best first, those that a reader sees first: the first stage of the best reranker, and this one."""
    second = next((place for place, one in enumerate(evaluations) if not one.is_first_stage), 0)
    stage = evaluations[second].first_stage
    own = (place for place, one in enumerate(evaluations) if one.is_first_stage and one.first_stage == stage)
    first = next((place for place in own if place != second), int(second == 0 and len(evaluations) > 1))
    return first, second


def _listing(
    query_id: str,
    values: NDArray[np.float64],
    ranked: Sequence[Mapping[str, Sequence[str]]],
    cutoff: int,
    grades: Mapping[str, int],
    texts: Mapping[str, str],
    dataset: Dataset | None,
) -> Listing:
    whole = [found.get(query_id, []) for found in ranked]
    rankings = tuple(tuple(doc_ids[:cutoff]) for doc_ids in whole)
    shown = sorted({doc_id for ranking in rankings for doc_id in ranking})
    places = [{doc_id: rank for rank, doc_id in enumerate(doc_ids, start=1)} for doc_ids in whole]
    return Listing(
        query_id,
        dataset.queries.get(query_id) if dataset else None,
        tuple(values.tolist()),
        rankings,
        tuple(_only(shown, ranks) for ranks in places),
        _only(shown, grades),
        _only(shown, texts),
    )


def _only(keys: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}


def _grades(dataset: Dataset | None, runs: Sequence[Run]) -> Mapping[str, Mapping[str, int]]:
    if dataset is None:
        return {}
    if dataset.qrels:
        return dataset.qrels
    judge = AnswerJudge(dataset)
    found: dict[str, dict[str, int]] = {}
    for run in runs:
        for query_id, grades in judge.judge(run).items():
            found.setdefault(query_id, {}).update(grades)
    return found


def _texts(dataset: Dataset | None, doc_ids: set[str]) -> dict[str, str]:
    if dataset is None or not doc_ids:
        return {}
    wanted = sorted(doc_ids)
    rows = dataset.rows_of_judged(pa.array(wanted, pa.string()))  # runs of passages are read as runs of documents
    present = [(doc_id, int(row)) for doc_id, row in zip(wanted, rows, strict=True) if row >= 0]
    texts = dataset.documents.texts([row for _, row in present])
    return {doc_id: text for (doc_id, _), text in zip(present, texts, strict=True)}
