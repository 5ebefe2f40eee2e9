"""The queries on which two systems differ most, with both rankings and the texts. Prints nothing."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from evalkit.answers import AnswerJudge
from evalkit.gather import per_query
from evalkit.results import Evaluation
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
    judged = [judge.judge(run) for run in runs]
    return {query_id: {**judged[0].get(query_id, {}), **grades} for query_id, grades in judged[1].items()}


def _texts(dataset: Dataset | None, doc_ids: set[str]) -> dict[str, str]:
    if dataset is None or not doc_ids:
        return {}
    wanted = sorted(doc_ids)
    rows = dataset.rows(pa.array(wanted, pa.string()))
    present = [(doc_id, int(row)) for doc_id, row in zip(wanted, rows, strict=True) if row >= 0]
    texts = dataset.documents.texts([row for _, row in present])
    return {doc_id: text for (doc_id, _), text in zip(present, texts, strict=True)}
