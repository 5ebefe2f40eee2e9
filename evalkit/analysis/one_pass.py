"""What else one scoring pass says, from results on disk: no model, no second run. Prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.flags import Fall, Flag, flags_of_means, flags_of_runs
from evalkit.measures import ceiling, measure, parse_measure
from evalkit.measures.answers import AnswerJudge
from evalkit.measures.significance import intervals
from evalkit.measures.ties import TieRange, tie_range
from evalkit.results import Evaluation
from evalkit.results.gather import per_query
from evalkit.run import Run
from evalkit.types import Dataset, PerQuery, Qrels

DEPTHS = (10, 20, 50, 100)
_TOP = 10
_BUCKETS = 4
_ROUNDING = 1e-9
_REPLAYED = (
    "the scores are replayed, and nothing says that each was made from its pair alone: a listwise reranker would rank "
    "fewer candidates differently"
)
_CHANGED = "the reranked documents are not those of the candidates"


class AtDepth(NamedTuple):
    """A measure where only so many candidates of each query had been passed on: exactly what `depth=` would give.

    Given only for rerankers that score pairs one by one: a score then does not depend on the other candidates.
    """

    depth: int
    first_stage: float
    reranked: float
    ceiling: float


class Bucket(NamedTuple):
    """Queries of similar length.

    Attributes:
        least: characters of the shortest.
        most: of the longest.
        queries: how many.
        first_stage: mean of the measure.
        reranked: the same.
        low: of the paired 95 % interval of the difference.
        high: of the same.
    """

    least: int
    most: int
    queries: int
    first_stage: float
    reranked: float
    low: float
    high: float


class Judged(NamedTuple):
    """How much of the first ten documents is judged.

    Attributes:
        first_stage: mean share of them that have a judgment.
        reranked: the same.
        promoted: unjudged documents a query that the reranker brought into its first ten.
    """

    first_stage: float
    reranked: float
    promoted: float


class Truncation(NamedTuple):
    """Pairs that were read whole, or cut.

    Attributes:
        pairs: `whole` or `cut`.
        number: how many.
        relevant: of them with a relevant document.
        first_stage: share of the relevant ones in the first ten before reranking; None where there are none.
        reranked: the same after.
    """

    pairs: str
    number: int
    relevant: int
    first_stage: float | None
    reranked: float | None


@dataclass(frozen=True)
class Analysis:
    """One evaluation.

    Attributes:
        measure: its name.
        first_stage: mean.
        reranked: mean.
        ceiling: of the candidates.
        headroom: share of the room between first stage and ceiling that was gained; None where there is none.
        curve: a value a depth; empty where other depths cannot be told from this pass.
        no_curve: why there is no curve; empty where there is one.
        ties: of the reranked run.
        judged: of the first ten; None where answers decide.
        buckets: by length of the query, shortest first.
        truncated: pairs that were cut; None where no text was read.
        truncation: whole pairs beside cut ones; empty where it was not kept which were cut.
        pairs: how many.
        seconds: of reranking, without loading the model.
        pairs_per_second: see `Evaluation.rate`.
        flags: what to look at.
    """

    measure: str
    first_stage: float
    reranked: float
    ceiling: float
    headroom: float | None
    curve: tuple[AtDepth, ...]
    no_curve: str
    ties: TieRange
    judged: Judged | None
    buckets: tuple[Bucket, ...]
    truncated: int | None
    truncation: tuple[Truncation, ...]
    pairs: int
    seconds: float
    pairs_per_second: float | None
    flags: tuple[Flag, ...]


def analyse(
    evaluation: Evaluation, dataset: Dataset, name: str, depths: Sequence[int] = DEPTHS, *, fall: Fall | None = None
) -> Analysis:
    """Everything about one evaluation and measure.

    Args:
        evaluation: of a reranker.
        dataset: what it was measured on.
        name: of the measure.
        depths: of the curve; those beyond the candidates' are left out.
        fall: the verdict on a reranker below its first stage, where systems were compared.

    Raises:
        DataError: the dataset has no judgments for the measure.
    """
    run, candidates = evaluation.result.read_run(), evaluation.candidates.read_run()
    qrels = _qrels(dataset, run, name)
    before, after = per_query(evaluation.candidates, name), per_query(evaluation.result, name)
    best = _mean(qrels, ceiling(qrels, candidates), name)
    first, reranked = before.means[name], after.means[name]
    scores = _scores_of(candidates, run)
    reason = no_curve(evaluation) or (_CHANGED if scores is None else "")
    manifest = evaluation.result.manifest
    retrieved = evaluation.candidates.manifest["retriever"]["depth"]
    asked = sorted({depth for depth in depths if depth < retrieved} | {retrieved})
    return Analysis(
        name,
        first,
        reranked,
        best,
        (reranked - first) / (best - first) if best - first > _ROUNDING else None,
        () if scores is None or reason else tuple(_at(candidates, scores, qrels, name, depth) for depth in asked),
        reason,
        tie_range(qrels, run, name) if not parse_measure(name).by_answers else TieRange(reranked, None, reranked),
        _judged(dataset.qrels, candidates, run) if dataset.qrels else None,
        _buckets(dataset, before, after, name),
        manifest.get("truncated_pairs"),
        _truncation(evaluation, qrels, candidates, run, level=parse_measure(name).level),
        len(run),
        manifest["seconds"],
        evaluation.rate.value if evaluation.rate else None,
        (*flags_of_runs(run, scores, after), *flags_of_means(first, reranked, best, name, fall)),
    )


def no_curve(evaluation: Evaluation) -> str:
    """Why its scores do not tell what other depths would give; empty where each was made from its pair alone."""
    return _REPLAYED if evaluation.result.manifest.get("reranker", {}).get("kind") == "replay" else ""


def at_depth(evaluation: Evaluation, dataset: Dataset, name: str, depth: int) -> float | None:
    """What `depth=` would give; None where so few candidates are all, or this pass cannot tell (see `Analysis`)."""
    run, candidates = evaluation.result.read_run(), evaluation.candidates.read_run()
    scores = _scores_of(candidates, run)
    if scores is None or no_curve(evaluation) or depth >= evaluation.candidates.manifest["retriever"]["depth"]:
        return None
    return _at(candidates, scores, _qrels(dataset, run, name), name, depth).reranked


def _qrels(dataset: Dataset, run: Run, name: str) -> Qrels:
    return AnswerJudge(dataset).judge(run) if parse_measure(name).by_answers else dataset.qrels


def _mean(qrels: Qrels, run: Run, name: str) -> float:
    by_answers = parse_measure(name).by_answers
    found = measure({}, run, [name], answers=qrels) if by_answers else measure(qrels, run, [name])
    return found.means[name]


def _scores_of(candidates: Run, run: Run) -> NDArray[np.float32] | None:
    """The reranker's score of every candidate, in the candidates' order; None where the pairs are not the same."""
    if candidates.query_ids != run.query_ids or not candidates.doc_ids.equals(run.doc_ids):
        return None
    keys = [one.row_queries * len(one.doc_ids) + one.codes for one in (candidates, run)]
    orders = [np.argsort(key) for key in keys]
    if not np.array_equal(keys[0][orders[0]], keys[1][orders[1]]):
        return None
    scores = np.empty(len(candidates), dtype=np.float32)
    scores[orders[0]] = run.scores[orders[1]]
    return scores


def _at(candidates: Run, scores: NDArray[np.float32], qrels: Qrels, name: str, depth: int) -> AtDepth:
    keep = candidates.positions < depth
    cut = candidates.select(keep)
    runs = (cut, cut.rescored(scores[keep]), ceiling(qrels, cut))
    return AtDepth(depth, *(_mean(qrels, run, name) for run in runs))


def _judged(qrels: Qrels, candidates: Run, run: Run) -> Judged:
    tops = [{query_id: doc_ids for query_id, doc_ids, _ in one.top(_TOP)} for one in (candidates, run)]
    shares, promoted = [], 0
    for top in tops:
        known = [
            sum(doc_id in qrels[query] for doc_id in found) / len(found)
            for query, found in top.items()
            if query in qrels
        ]
        shares.append(float(np.mean(known)) if known else 0.0)
    for query, found in tops[1].items():
        before = set(tops[0].get(query, ()))
        promoted += sum(doc_id not in before and doc_id not in qrels[query] for doc_id in found if query in qrels)
    return Judged(shares[0], shares[1], promoted / len(qrels))


def _buckets(dataset: Dataset, before: PerQuery, after: PerQuery, name: str) -> tuple[Bucket, ...]:
    """Quarters of the queries by their number of characters."""
    lengths = np.array([len(dataset.queries[query_id]) for query_id in before.query_ids])
    found = []
    for rows in np.array_split(np.argsort(lengths, kind="stable"), _BUCKETS):
        if not len(rows):
            continue
        first, second = before.values[name][rows], after.values[name][rows]
        low, high = intervals((second - first)[:, None])[:, 0].tolist()
        own = lengths[rows]
        found.append(Bucket(int(own[0]), int(own[-1]), len(rows), float(first.mean()), float(second.mean()), low, high))
    return tuple(found)


def _truncation(
    evaluation: Evaluation, qrels: Qrels, candidates: Run, run: Run, *, level: int
) -> tuple[Truncation, ...]:
    cut = evaluation.result.read_truncated()
    if cut is None:
        return ()
    tops = [
        {(query_id, doc_id) for query_id, doc_ids, _ in one.top(_TOP) for doc_id in doc_ids}
        for one in (candidates, run)
    ]
    relevant = {
        (query_id, doc_id)
        for query_id, doc_ids, _ in run
        for doc_id in doc_ids
        if qrels.get(query_id, {}).get(doc_id, 0) >= level
    }
    found = []
    for name, chosen in (("whole", relevant - cut), ("cut", relevant & cut)):
        number = len(cut) if name == "cut" else len(run) - len(cut)
        shares = [len(chosen & top) / len(chosen) if chosen else None for top in tops]
        found.append(Truncation(name, number, len(chosen), *shares))
    return tuple(found)


def as_json(analysis: Analysis) -> Mapping[str, object]:
    """Everything, unrounded."""
    plain = {key: getattr(analysis, key) for key in Analysis.__dataclass_fields__}
    return {
        **plain,
        "ties": analysis.ties._asdict(),
        "judged": analysis.judged and analysis.judged._asdict(),
        **{
            key: [one._asdict() for one in getattr(analysis, key)]
            for key in ("curve", "buckets", "truncation", "flags")
        },
    }
