"""Measures of a run against judgments, per query and mean, through pytrec_eval.

Every judged query counts: one that the run lacks scores 0 and is named. Measures are written as in papers:
`nDCG@10`, `R@20`, `P@10`, `MAP@100`, `RR@10`, `Success@5`; without a cutoff `nDCG`, `MAP` and `RR` read the whole run.
nDCG has linear gains (the grade itself), as in trec_eval, BEIR and MTEB. Most others ask whether a document is
relevant, which is from grade 1 on; `R(rel=2)@20` asks from grade 2 on, as in ir_measures and `trec_eval -l 2`.
`nDCG(judged_only=True)@10`, in papers nDCG'@10, leaves unjudged documents out of the run first (Sakai, SIGIR 2007).
Other names of the same measures are read too: `MRR@10` is RR@10, `Recall@10` is R@10, `Hit@10` is Success@10.
`AnswerRecall@20` judges by answers instead of judgments: it is Success@20 where a document with an answer is relevant.
"""

import math
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.measures.measure_names import MEASURES, Measure, canonical, families, parse_measure
from evalkit.run import Run
from evalkit.system.versions import require_version
from evalkit.types import PerQuery, Qrels, Subtopics

__all__ = [
    "MEASURES",
    "Measure",
    "canonical",
    "ceiling",
    "ceilings",
    "families",
    "measure",
    "parse_measure",
    "require_judged",
]

Evaluators = dict[tuple[frozenset[str], int], Any]
"""Evaluators of trec_eval for the same judgments, by its measures and the relevance level: building one takes longer
than measuring ten documents a query."""

# pytrec_eval wants nested dicts; converting this many queries at a time keeps them from filling memory.
_QUERIES_PER_CALL = 500


def measure(
    qrels: Qrels,
    run: Run | Mapping[str, Mapping[str, float]],
    measures: Sequence[str],
    *,
    answers: Qrels | None = None,
    subtopics: Subtopics | None = None,
    evaluators: Evaluators | None = None,
) -> PerQuery:
    """Values of every measure for every judged query; 0 where the run has no document for the query.

    Queries of the run without judgments are ignored, as trec_eval does.

    Args:
        qrels: judgments.
        run: what is measured; also as query id -> document id -> score.
        measures: names.
        answers: judgments by answers, for measures that ask for them, of every query and all documents of the run.
        subtopics: judgments of subtopics, for measures that ask for them.
        evaluators: those of earlier calls with these judgments, unchanged since; new ones are added.

    Raises:
        ConfigError: an unknown measure.
        DataError: there is no judged query, or a measure that there are no judgments, answers or subtopics for.
        WrongVersion: pytrec_eval-terrier is too old to give the right values.
    """
    parsed = [parse_measure(name) for name in measures]
    run = run if isinstance(run, Run) else Run.from_dict(run)
    if not qrels and not answers and not subtopics:
        raise DataError("there are no judged queries to average over.")
    require_judged(parsed, by_judgments=bool(qrels), by_answers=bool(answers), by_subtopics=bool(subtopics))
    query_ids = tuple(sorted({*qrels, *(answers or {}), *(subtopics or {})}))
    values = {one.name: np.zeros(len(query_ids)) for one in parsed}
    row_of = {query_id: row for row, query_id in enumerate(query_ids)}
    for (by_answers, judged_only, level, by_trec), group in groupby(sorted(parsed, key=_alike), key=_alike):
        judged, wanted = (answers or {}) if by_answers else qrels, list(group)
        read = run.select(preference(judged, run) >= 0) if judged_only else run
        if by_trec:
            kept = evaluators if evaluators is not None and not by_answers else {}
            found = _by_trec_eval(judged, _first(read, wanted), wanted, level, kept)
        else:
            found = _by_families(judged, subtopics, read, wanted)
        for name, own in found:
            values[name][[row_of[query_id] for query_id in own]] = list(own.values())
    return PerQuery(query_ids, values, missing=tuple(sorted(set(query_ids).difference(run.query_ids))))


def _first(run: Run, wanted: Sequence[Measure]) -> Run:
    """The documents that trec_eval reads for these measures; all where one has no cutoff."""
    cutoffs = [one.cutoff for one in wanted if one.cutoff is not None]
    return run.top(max(cutoffs)) if len(cutoffs) == len(wanted) else run


def require_judged(
    measures: Sequence[Measure], *, by_judgments: bool, by_answers: bool, by_subtopics: bool = False
) -> None:
    """Refuse measures that a dataset has no judgments, no answers, or no subtopics for.

    Raises:
        DataError: the message names the first.
    """
    for one in measures:
        if one.by_answers and not by_answers:
            raise DataError(f"{one.name} needs answers, and this dataset has only judgments. Take R@k or Success@k.")
        if one.by_subtopics and not by_subtopics:
            raise DataError(
                f"{one.name} needs judgments of subtopics, which only `evalkit measure` reads, from the second column "
                "of TREC judgments: query_id subtopic doc_id relevance."
            )
        if not (one.by_answers or one.by_subtopics or by_judgments):
            raise DataError(
                f"{one.name} needs judgments, and this dataset has only answers. Set measures=[AnswerRecall@20]."
            )


def _alike(one: Measure) -> tuple[bool, bool, int, bool]:
    """Measures that are equal in this read the same judgments and the same run."""
    return one.by_answers, one.judged_only, one.level, bool(one.trec_name)


def _by_trec_eval(
    judged: Qrels, run: Run, wanted: Sequence[Measure], level: int, kept: Evaluators
) -> Iterator[tuple[str, dict[str, float]]]:
    """(measure, values of some queries) of measures of one relevance level."""
    key = frozenset(one.trec_name for one in wanted), level
    if key not in kept:
        kept[key] = _evaluator(judged, *key)
    for chunk in _chunks(run, judged):
        found = kept[key].evaluate(chunk)
        for one in wanted:
            at_cutoff, name, cutoff = one.kind.at_cutoff, one.trec_key, one.cutoff
            yield one.name, {query_id: at_cutoff(own[name], cutoff) for query_id, own in found.items()}


def _evaluator(judged: Qrels, names: Collection[str], level: int) -> Any:
    import pytrec_eval

    require_version("pytrec_eval-terrier")
    return pytrec_eval.RelevanceEvaluator(
        # Left out, because pytrec_eval may not return from a query with negative judgments alone. Only bpref tells -1,
        # which is unjudged, from 0.
        {query_id: {doc_id: g for doc_id, g in grades.items() if g >= 0} for query_id, grades in judged.items()},
        set(names),
        relevance_level=level,
    )


def _by_families(
    judged: Qrels, subtopics: Subtopics | None, run: Run, wanted: Iterable[Measure]
) -> Iterator[tuple[str, dict[str, float]]]:
    """(measure, value of each query) of measures that compute their own values.

    Raises:
        DataError: a value is not a finite number.
    """
    for one in wanted:
        known = (subtopics or {}) if one.by_subtopics else judged
        found = one.kind.values(known, run, cutoff=one.cutoff, level=one.level, **dict(one.parameters))
        for query_id, value in found.items():
            if not math.isfinite(value):
                raise DataError(f"{one.name} of query {query_id!r} is {value}, expected a finite number.")
        yield one.name, {query_id: value for query_id, value in found.items() if query_id in known}


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

    Measure it to get the candidate ceiling. Candidates without a judgment count as not relevant. They come last, after
    documents that are judged not relevant, so that the order is the best one for every measure, Judged@k too.
    """
    return candidates.rescored(preference(qrels, candidates)) if len(candidates) else candidates


def ceilings(
    judged: Qrels,
    candidates: Run,
    measures: Sequence[str],
    *,
    by_answers: bool = False,
    evaluators: Evaluators | None = None,
    wanted: NDArray[np.float32] | None = None,
) -> dict[str, float]:
    """Measure -> mean of its candidate ceiling; p-MRR has the greatest value that it can have.

    Args:
        judged: judgments, or with `by_answers` judgments by answers.
        candidates: what may be put into another order.
        measures: names.
        by_answers: whether the measures are judged by answers.
        evaluators: as of `measure`.
        wanted: the `preference` of the candidates, where it is known.
    """
    best = ceiling(judged, candidates) if wanted is None else candidates.rescored(wanted)
    if by_answers:
        means = measure({}, best, measures, answers=judged).means
    else:
        means = measure(judged, best, measures, evaluators=evaluators).means
    most = {name: parse_measure(name).kind.most for name in means}
    return {name: mean if (greatest := most[name]) is None else greatest for name, mean in means.items()}


def preference(qrels: Qrels, run: Run) -> NDArray[np.float32]:
    """Shape (rows,), by how much each document is wanted: its grade, 0 if that is negative, -1 without a judgment."""
    found: list[float] = []
    for query_id, doc_ids, _ in run:
        judged = qrels.get(query_id, {})
        found += [judged.get(doc_id, math.nan) for doc_id in doc_ids]
    grades = np.array(found, dtype=np.float32)
    return np.where(np.isnan(grades), np.float32(-1), np.maximum(grades, 0))
