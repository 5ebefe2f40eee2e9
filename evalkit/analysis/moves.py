"""The queries on which systems differ most, with their rankings and the texts. Prints nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.measures.answers import AnswerJudge
from evalkit.results import Evaluation
from evalkit.results.gather import per_query
from evalkit.run import Run
from evalkit.types import Dataset


class Place(NamedTuple):
    """A document in a ranking.

    Attributes:
        doc_id: its id.
        rank: from 1.
        before: its rank in the other ranking, from 1; None where it is not there.
        grade: its judgment; None where there is none.
        text: None where the collection is not at hand.
    """

    doc_id: str
    rank: int
    before: int | None
    grade: int | None
    text: str | None


class Move(NamedTuple):
    """A query.

    Attributes:
        query_id: its id.
        text: None where the collection is not at hand.
        first: value of the measure by the first system.
        second: by the second.
        rankings: first places of both systems.
    """

    query_id: str
    text: str | None
    first: float
    second: float
    rankings: tuple[tuple[Place, ...], tuple[Place, ...]]


def moves(
    first: Evaluation, second: Evaluation, measure: str, *, count: int, dataset: Dataset | None, cutoff: int = 10
) -> list[Move]:
    """The queries with the largest difference either way, largest first; those without any are left out.

    Args:
        first: a system.
        second: another, over the same queries.
        measure: what is compared.
        count: queries at most.
        dataset: for texts and judgments.
        cutoff: documents of each ranking.
    """
    ours, theirs = per_query(first.result, measure), per_query(second.result, measure)
    values = ours.values[measure], theirs.values[measure]
    apart = np.abs(values[1] - values[0])
    order = [int(row) for row in np.argsort(-apart, kind="stable")[:count] if apart[row] > 0]
    chosen = {ours.query_ids[row] for row in order}
    runs = [one.result.read_run().only_queries(chosen) for one in (first, second)]
    ranked = [{ranking.query_id: ranking.doc_ids for ranking in run} for run in runs]
    grades = _grades(dataset, runs)
    texts = _texts(dataset, {doc_id for one in ranked for found in one.values() for doc_id in found[:cutoff]})
    return [
        _move(
            ours.query_ids[row],
            (float(values[0][row]), float(values[1][row])),
            [one.get(ours.query_ids[row], []) for one in ranked],
            dataset,
            grades.get(ours.query_ids[row], {}),
            texts,
            cutoff,
        )
        for row in order
    ]


class Listing(NamedTuple):
    """A query with the first places of any number of systems.

    Attributes:
        query_id: its id.
        text: None where the collection is not at hand.
        values: of the measure, a system each.
        rankings: documents, best first, a ranking each.
        grades: of the documents that are judged.
        texts: of the documents, where the collection is at hand.
    """

    query_id: str
    text: str | None
    values: tuple[float, ...]
    rankings: tuple[tuple[str, ...], ...]
    grades: Mapping[str, int]
    texts: Mapping[str, str]


def widest(
    evaluations: Sequence[Evaluation],
    query_ids: Sequence[str],
    values: NDArray[np.float64],
    *,
    count: int,
    dataset: Dataset | None,
    cutoff: int = 10,
) -> list[Listing]:
    """The queries with the widest range of values, widest first; those on which all agree are left out.

    Args:
        evaluations: systems.
        query_ids: of the rows of `values`.
        values: of a measure, shape (queries, systems).
        count: queries at most.
        dataset: for texts and judgments.
        cutoff: documents of each ranking.
    """
    apart = np.ptp(values, axis=1)
    order = [int(row) for row in np.argsort(-apart, kind="stable")[:count] if apart[row] > 0]
    chosen = {query_ids[row] for row in order}
    runs = [one.result.read_run().only_queries(chosen) for one in evaluations]
    ranked = [{ranking.query_id: tuple(ranking.doc_ids[:cutoff]) for ranking in run} for run in runs]
    grades = _grades(dataset, runs)
    texts = _texts(dataset, {doc_id for one in ranked for found in one.values() for doc_id in found})
    found = []
    for row in order:
        query_id = query_ids[row]
        rankings = tuple(one.get(query_id, ()) for one in ranked)
        shown = sorted({doc_id for ranking in rankings for doc_id in ranking})
        judged = grades.get(query_id, {})
        found.append(
            Listing(
                query_id,
                dataset.queries.get(query_id) if dataset else None,
                tuple(values[row].tolist()),
                rankings,
                {doc_id: judged[doc_id] for doc_id in shown if doc_id in judged},
                {doc_id: texts[doc_id] for doc_id in shown if doc_id in texts},
            )
        )
    return found


def _move(
    query_id: str,
    values: tuple[float, float],
    ranked: Sequence[Sequence[str]],
    dataset: Dataset | None,
    grades: Mapping[str, int],
    texts: Mapping[str, str],
    cutoff: int,
) -> Move:
    ranks = [{doc_id: rank for rank, doc_id in enumerate(found, start=1)} for found in ranked]
    first, second = (
        tuple(
            Place(doc_id, rank, other.get(doc_id), grades.get(doc_id), texts.get(doc_id))
            for rank, doc_id in enumerate(found[:cutoff], start=1)
        )
        for found, other in zip(ranked, reversed(ranks), strict=True)
    )
    return Move(query_id, dataset.queries.get(query_id) if dataset else None, *values, (first, second))


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
    rows = dataset.rows(pa.array(wanted, pa.string()))
    present = [(doc_id, int(row)) for doc_id, row in zip(wanted, rows, strict=True) if row >= 0]
    texts = dataset.documents.texts([row for _, row in present])
    return {doc_id: text for (doc_id, _), text in zip(present, texts, strict=True)}
