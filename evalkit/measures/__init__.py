"""Measures of a run against judgments, per query and mean, through pytrec_eval.

Every judged query counts: one that the run lacks scores 0 and is named. Measures are written as in papers:
`nDCG@10`, `R@20`, `P@10`, `MAP@100`, `RR@10`, `Success@5`; without a cutoff `nDCG`, `MAP` and `RR` read the whole run.
nDCG has linear gains (the grade itself), as in trec_eval, BEIR and MTEB. The other measures ask whether a document is
relevant, which is from grade 1 on; `R(rel=2)@20` asks from grade 2 on, as in ir_measures and `trec_eval -l 2`.
Other names of the same measures are read too: `MRR@10` is RR@10, `Recall@10` is R@10, `Hit@10` is Success@10.
`AnswerRecall@20` judges by answers instead of judgments: it is Success@20 where a document with an answer is relevant.
"""

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.measures.measure_names import MEASURES, Measure, canonical, families, parse_measure
from evalkit.run import Run
from evalkit.system.versions import require_version
from evalkit.types import PerQuery, Qrels

__all__ = ["MEASURES", "Measure", "canonical", "ceiling", "families", "measure", "parse_measure", "require_judged"]

# pytrec_eval wants nested dicts; converting this many queries at a time keeps them from filling memory.
_QUERIES_PER_CALL = 500


def measure(
    qrels: Qrels,
    run: Run | Mapping[str, Mapping[str, float]],
    measures: Sequence[str],
    *,
    answers: Qrels | None = None,
) -> PerQuery:
    """Values of every measure for every judged query; 0 where the run has no document for the query.

    Queries of the run without judgments are ignored, as trec_eval does.

    Args:
        qrels: judgments.
        run: what is measured; also as query id -> document id -> score.
        measures: names.
        answers: judgments by answers of at least the documents of the run, for measures that ask for them; they have
            every query that is to count.

    Raises:
        ConfigError: an unknown measure.
        DataError: there is no judged query, or a measure that there are no judgments or answers for.
        WrongVersion: pytrec_eval-terrier is too old to give the right values.
    """
    parsed = [parse_measure(name) for name in measures]
    run = run if isinstance(run, Run) else Run.from_dict(run)
    if not qrels and not answers:
        raise DataError("there are no judged queries to average over.")
    require_judged(parsed, by_judgments=bool(qrels), by_answers=bool(answers))
    query_ids = tuple(sorted({*qrels, *(answers or {})}))
    values = {one.name: np.zeros(len(query_ids)) for one in parsed}
    row_of = {query_id: row for row, query_id in enumerate(query_ids)}
    for (by_answers, level, by_trec), group in groupby(sorted(parsed, key=_judged_alike), key=_judged_alike):
        judged, wanted = (answers or {}) if by_answers else qrels, list(group)
        found = _by_trec_eval(judged, run, wanted, level) if by_trec else _by_families(judged, run, wanted)
        for name, query_id, value in found:
            values[name][row_of[query_id]] = value
    present = set(run.query_ids)
    return PerQuery(query_ids, values, missing=tuple(query_id for query_id in query_ids if query_id not in present))


def require_judged(measures: Sequence[Measure], *, by_judgments: bool, by_answers: bool) -> None:
    """Refuse measures that a dataset has no judgments, or no answers, for.

    Raises:
        DataError: the message names the first.
    """
    for one in measures:
        if one.by_answers and not by_answers:
            raise DataError(f"{one.name} needs answers, and this dataset has only judgments. Take R@k or Success@k.")
        if not one.by_answers and not by_judgments:
            raise DataError(
                f"{one.name} needs judgments, and this dataset has only answers. Set measures=[AnswerRecall@20]."
            )


def _judged_alike(one: Measure) -> tuple[bool, int, bool]:
    return one.by_answers, one.level, bool(one.trec_name)


def _by_trec_eval(judged: Qrels, run: Run, wanted: Sequence[Measure], level: int) -> Iterator[tuple[str, str, float]]:
    """(measure, query id, value) of measures of one relevance level."""
    import pytrec_eval

    require_version("pytrec_eval-terrier")
    evaluator = pytrec_eval.RelevanceEvaluator(
        # No measure here tells -1 from 0, and pytrec_eval may not return from a query with negative judgments alone.
        {query_id: {doc_id: max(grade, 0) for doc_id, grade in grades.items()} for query_id, grades in judged.items()},
        {one.trec_name for one in wanted},
        relevance_level=level,
    )
    asked = [(one.name, one.trec_key, one.kind, one.cutoff) for one in wanted]
    for chunk in _chunks(run, judged):
        for query_id, found in evaluator.evaluate(chunk).items():
            for name, key, kind, cutoff in asked:
                yield name, query_id, kind.at_cutoff(found[key], cutoff)


def _by_families(judged: Qrels, run: Run, wanted: Sequence[Measure]) -> Iterator[tuple[str, str, float]]:
    """(measure, query id, value) of measures that compute their own values.

    Raises:
        DataError: a value is not a finite number.
    """
    for one in wanted:
        for query_id, value in one.kind.values(judged, run, cutoff=one.cutoff, level=one.level).items():
            if not math.isfinite(value):
                raise DataError(f"{one.name} of query {query_id!r} is {value}, expected a finite number.")
            if query_id in judged:
                yield one.name, query_id, value


def _chunks(run: Run, judged: Container[str]) -> Iterator[dict[str, dict[str, float]]]:
    """The judged queries of a run as pytrec_eval wants them, some at a time."""
    chunk: dict[str, dict[str, float]] = {}
    for query_id, doc_ids, scores in run:
        if query_id in judged:
            chunk[query_id] = dict(zip(doc_ids, scores.tolist(), strict=True))
        if len(chunk) == _QUERIES_PER_CALL:
            yield chunk
            chunk = {}
    if chunk:
        yield chunk


def ceiling(qrels: Qrels, candidates: Run) -> Run:
    """The candidates in a perfect order: the best that any reranker could do with them.

    Measure it to get the candidate ceiling. Candidates without a judgment count as not relevant.
    """
    grades: list[NDArray[np.float32]] = []
    for query_id, doc_ids, _ in candidates:
        judged: Mapping[str, int] = qrels.get(query_id, {})
        grades.append(np.array([max(judged.get(doc_id, 0), 0) for doc_id in doc_ids], dtype=np.float32))
    return candidates.rescored(np.concatenate(grades)) if grades else candidates
