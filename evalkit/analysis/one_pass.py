"""Everything else that one scoring pass shows, from results on disk: no model, no second run. Prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.flags import Fall, Flag, flags_of_means, flags_of_runs
from evalkit.measures import ceilings, measure, parse_measure
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
_LISTWISE = (
    "the reranker is given all candidates of a query at once and may score each by the others, so it might rank fewer "
    "candidates differently"
)
_PASSAGES = "the depth counts passages (dataset.maxp), and the ranking is of documents"
_CHANGED = "the reranked documents are not those of the candidates"


class AtDepth(NamedTuple):
    """A measure with fewer candidates a query: exactly what `depth=` would give.

    Only for rerankers that score pairs one by one: a score then does not depend on the other candidates.
    """

    depth: int
    first_stage: float
    reranked: float
    ceiling: float


class Bucket(NamedTuple):
    """Queries with `least` to `most` characters, and their means before and after reranking.

    Attributes:
        low: lower end of the paired 95 % interval of the difference.
        high: upper end of the same.
    """

    least: int
    most: int
    queries: int
    first_stage: float
    reranked: float
    low: float
    high: float


class JudgedShare(NamedTuple):
    """Mean share of judged documents in the first ten, before and after reranking.

    `promoted` is the mean number of unjudged documents that the reranker brought into the first ten of a query.
    """

    first_stage: float
    reranked: float
    promoted: float


class Truncation(NamedTuple):
    """Pairs that were read `whole` or were `cut`: their number, and how many have a relevant document.

    `first_stage` and `reranked` are the shares of the relevant ones in the first ten; None where there are none.
    """

    pairs: str
    number: int
    relevant: int
    first_stage: float | None
    reranked: float | None


@dataclass(frozen=True)
class Analysis:
    """One evaluation. Of a run alone, `first_stage` and `reranked` are the same, and nothing is compared with it.

    Attributes:
        is_alone: whether it is a run alone, of which nobody knows the first stage.
        ceiling: mean of the best order of the candidates.
        headroom: share of the room between first stage and ceiling that was gained; None where there is no room.
        curve: one entry a depth; empty where this pass does not tell of other depths, and `no_curve` is the reason.
        judged: None where answers decide.
        buckets: by length of the query, shortest first; empty where texts are not at hand.
        truncated: number of truncated pairs; None where no text was read.
        truncation: whole pairs and truncated ones; empty where the result does not say which were truncated.
        seconds: seconds of reranking, without loading the model; None where nobody knows.
    """

    measure: str
    is_alone: bool
    first_stage: float
    reranked: float
    ceiling: float
    headroom: float | None
    curve: tuple[AtDepth, ...]
    no_curve: str
    ties: TieRange
    judged: JudgedShare | None
    buckets: tuple[Bucket, ...]
    truncated: int | None
    truncation: tuple[Truncation, ...]
    pairs: int
    seconds: float | None
    pairs_per_second: float | None
    flags: tuple[Flag, ...]


def analyse(
    evaluation: Evaluation, dataset: Dataset, name: str, depths: Sequence[int] = DEPTHS, *, fall: Fall | None = None
) -> Analysis:
    """Everything about one evaluation of a reranker, or of a run alone, and one measure.

    The curve leaves out depths beyond the candidates'. `fall` is the verdict on a reranker below its first stage, where
    systems were compared.

    Raises:
        DataError: the dataset has no judgments for the measure.
    """
    run, candidates = evaluation.result.read_run(), evaluation.candidates.read_run()
    qrels, kind = _qrels(dataset, run, name), parse_measure(name)
    before, after = per_query(evaluation.candidates, name), per_query(evaluation.result, name)
    best, first, reranked = _best(qrels, candidates, name), before.means[name], after.means[name]
    scores = _scores_of(candidates, run)
    reason = no_curve(evaluation) or (_CHANGED if scores is None else "")
    manifest = evaluation.result.manifest
    retrieved = _depth(evaluation, candidates)
    asked = sorted({depth for depth in depths if depth < retrieved} | {retrieved})
    return Analysis(
        name,
        evaluation.is_first_stage,
        first,
        reranked,
        best,
        (reranked - first) / (best - first) if best - first > _ROUNDING and not evaluation.is_first_stage else None,
        () if scores is None or reason else tuple(_at(candidates, scores, qrels, name, depth) for depth in asked),
        reason,
        TieRange(reranked, None, reranked) if kind.by_answers else tie_range(qrels, run, name),
        _judged(dataset.qrels, candidates, run) if dataset.qrels else None,
        _buckets(dataset, before, after, name),
        manifest.get("truncated_pairs"),
        _truncation(evaluation, qrels, candidates, run, level=kind.level),
        len(run),
        manifest.get("seconds"),
        evaluation.rate.value if evaluation.rate else None,
        (*flags_of_runs(run, scores, after), *flags_of_means(first, reranked, best, name, fall)),
    )


def no_curve(evaluation: Evaluation) -> str:
    """Why its scores do not tell of other depths; empty where each was made from its pair alone."""
    if _ranks_passages(evaluation):
        return _PASSAGES
    manifest = evaluation.result.manifest
    kind = manifest.get("reranker", {}).get("kind")
    if kind == "replay":
        return _REPLAYED
    # Earlier manifests do not say how an object of Python was called.
    return _LISTWISE if manifest.get("by_query", kind == "python") else ""


def _ranks_passages(evaluation: Evaluation) -> bool:
    return bool(evaluation.result.manifest["config"]["dataset"].get("maxp"))


def at_depth(evaluation: Evaluation, dataset: Dataset, name: str, depth: int) -> float | None:
    """The measure that `depth=` would give; None if these are all candidates, or without a curve (see `Analysis`)."""
    run, candidates = evaluation.result.read_run(), evaluation.candidates.read_run()
    scores = _scores_of(candidates, run)
    if scores is None or no_curve(evaluation) or depth >= _depth(evaluation, candidates):
        return None
    return _at(candidates, scores, _qrels(dataset, run, name), name, depth).reranked


def _depth(evaluation: Evaluation, candidates: Run) -> int:
    """Candidates of a query; of a run alone, the most that a query has."""
    depth = evaluation.candidates.manifest["retriever"]["depth"]
    return int(candidates.positions.max(initial=0)) + 1 if depth is None else int(depth)


def _qrels(dataset: Dataset, run: Run, name: str) -> Qrels:
    return AnswerJudge(dataset).judge(run) if parse_measure(name).by_answers else dataset.qrels


def _mean(qrels: Qrels, run: Run, name: str) -> float:
    by_answers = parse_measure(name).by_answers
    found = measure({}, run, [name], answers=qrels) if by_answers else measure(qrels, run, [name])
    return found.means[name]


def _best(qrels: Qrels, candidates: Run, name: str) -> float:
    return ceilings(qrels, candidates, [name], by_answers=parse_measure(name).by_answers)[name]


def _scores_of(candidates: Run, run: Run) -> NDArray[np.float32] | None:
    """The reranker's score of every candidate, in the candidates' order; None where the pairs differ."""
    if candidates.query_ids != run.query_ids or not candidates.doc_ids.equals(run.doc_ids):
        return None
    keys = [each.row_queries * len(each.doc_ids) + each.codes for each in (candidates, run)]
    orders = [np.argsort(key) for key in keys]
    if not np.array_equal(keys[0][orders[0]], keys[1][orders[1]]):
        return None
    scores = np.empty(len(candidates), dtype=np.float32)
    scores[orders[0]] = run.scores[orders[1]]
    return scores


def _at(candidates: Run, scores: NDArray[np.float32], qrels: Qrels, name: str, depth: int) -> AtDepth:
    keep = candidates.positions < depth
    cut = candidates.select(keep)
    first, reranked = (_mean(qrels, run, name) for run in (cut, cut.rescored(scores[keep])))
    return AtDepth(depth, first, reranked, _best(qrels, cut, name))


def _judged(qrels: Qrels, candidates: Run, run: Run) -> JudgedShare:
    before, after = (
        {query: doc_ids for query, doc_ids, _ in each.top(_TOP) if query in qrels} for each in (candidates, run)
    )
    shares = [
        [sum(doc_id in qrels[query] for doc_id in found) / len(found) for query, found in top.items()]
        for top in (before, after)
    ]
    promoted = sum(len(set(found) - set(before.get(query, ())) - qrels[query].keys()) for query, found in after.items())
    first, reranked = (float(np.mean(some)) if some else 0.0 for some in shares)
    return JudgedShare(first, reranked, promoted / len(qrels))


def _buckets(dataset: Dataset, before: PerQuery, after: PerQuery, name: str) -> tuple[Bucket, ...]:
    """Quarters of the queries by their number of characters; none where a text is not at hand.

    Queries of one length are in one bucket, so quarters are not equal and may be fewer.
    """
    if not dataset.queries.keys() >= set(before.query_ids):
        return ()
    lengths = np.array([len(dataset.queries[query_id]) for query_id in before.query_ids])
    order, found = np.argsort(lengths, kind="stable"), []
    starts = [part[0] for part in np.array_split(np.arange(len(order)), _BUCKETS) if len(part)]
    shorter = np.searchsorted(lengths[order], lengths)  # number of queries that are shorter
    quarter = np.searchsorted(starts, shorter, side="right")
    for number in np.unique(quarter):
        rows = order[quarter[order] == number]
        first, second = before.values[name][rows], after.values[name][rows]
        low, high = intervals((second - first)[:, None])[:, 0].tolist()
        own = lengths[rows]
        found.append(Bucket(int(own[0]), int(own[-1]), len(rows), float(first.mean()), float(second.mean()), low, high))
    return tuple(found)


def _truncation(
    evaluation: Evaluation, qrels: Qrels, candidates: Run, run: Run, *, level: int
) -> tuple[Truncation, ...]:
    cut = evaluation.result.read_truncated()
    if cut is None or _ranks_passages(evaluation):
        return ()
    tops = [
        {(query_id, doc_id) for query_id, doc_ids, _ in each.top(_TOP) for doc_id in doc_ids}
        for each in (candidates, run)
    ]
    pairs = ((query_id, doc_id) for query_id, doc_ids, _ in run for doc_id in doc_ids)
    relevant = {pair for pair in pairs if qrels.get(pair[0], {}).get(pair[1], 0) >= level}
    found = []
    for name, number, chosen in (("whole", len(run) - len(cut), relevant - cut), ("cut", len(cut), relevant & cut)):
        shares = [len(chosen & top) / len(chosen) if chosen else None for top in tops]
        found.append(Truncation(name, number, len(chosen), *shares))
    return tuple(found)


def as_json(analysis: Analysis) -> Mapping[str, object]:
    """Everything, unrounded."""
    plain = {key: getattr(analysis, key) for key in Analysis.__dataclass_fields__}
    lists = ("curve", "buckets", "truncation", "flags")
    return {
        **plain,
        "ties": analysis.ties._asdict(),
        "judged": analysis.judged and analysis.judged._asdict(),
        **{key: [entry._asdict() for entry in plain[key]] for key in lists},
    }
