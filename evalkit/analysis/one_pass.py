"""Everything else that one scoring pass shows, from results on disk: no model, no second run. Prints nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.analysis.flags import Fall, Flag, flags_of_means, flags_of_runs
from evalkit.analysis.shared_facts import SharedFacts, pairs_among, rows_among
from evalkit.measures import parse_measure, preference
from evalkit.measures.significance import intervals
from evalkit.measures.ties import TieRange, tie_range
from evalkit.results import Evaluation
from evalkit.run import Run
from evalkit.types import Dataset, PerQuery

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
    evaluation: Evaluation,
    dataset: Dataset,
    name: str,
    depths: Sequence[int] = DEPTHS,
    *,
    fall: Fall | None = None,
    shared: SharedFacts | None = None,
) -> Analysis:
    """Everything about one evaluation of a reranker, or of a run alone, and one measure.

    The curve leaves out depths beyond the candidates'. `fall` is the verdict on a reranker below its first stage, where
    systems were compared; `shared` has what earlier calls for this dataset and measure found.

    Raises:
        DataError: the dataset has no judgments for the measure.
    """
    shared = shared or SharedFacts(dataset, name)
    run, candidates = shared.run(evaluation.result), shared.run(evaluation.candidates)
    before, after = shared.values(evaluation.candidates), shared.values(evaluation.result)
    first, reranked = before.means[name], after.means[name]
    best, kind = shared.of_candidates(evaluation.candidates)[1], parse_measure(name)
    rows, places, is_same = _places(candidates, run)
    same, scores = ((evaluation.candidates, rows), run.scores) if is_same else (None, None)
    grades = shared.grades(evaluation.result, same)
    reason = no_curve(evaluation) or ("" if is_same else _CHANGED)
    manifest, whole = evaluation.result.manifest, AtDepth(_depth(evaluation, candidates), first, reranked, best)
    return Analysis(
        name,
        evaluation.is_first_stage,
        first,
        reranked,
        best,
        (reranked - first) / (best - first) if best - first > _ROUNDING and not evaluation.is_first_stage else None,
        () if reason else _curve(shared, evaluation, places, depths, whole),
        reason,
        TieRange(reranked, None, reranked) if kind.by_answers else _ties(shared, run, after, grades),
        _judged(shared, evaluation, places) if dataset.qrels else None,
        _buckets(dataset, before, after, name),
        manifest.get("truncated_pairs"),
        _truncation(shared, evaluation, places, grades >= kind.level),
        len(run),
        manifest.get("seconds"),
        evaluation.rate.value if evaluation.rate else None,
        (*flags_of_runs(run, scores, after), *flags_of_means(first, reranked, best, name, len(after.query_ids), fall)),
    )


def _places(candidates: Run, run: Run) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """Row and place of each document among the candidates, -1 where it is none; and whether they are the same."""
    rows = rows_among(candidates, run)
    places = np.where(rows >= 0, candidates.positions[rows], -1) if len(candidates) else rows
    return rows, places, len(run) == len(candidates) and bool((rows >= 0).all())


def _curve(
    shared: SharedFacts, evaluation: Evaluation, places: NDArray[np.int64], depths: Sequence[int], whole: AtDepth
) -> tuple[AtDepth, ...]:
    """The smaller of these depths, then that of the candidates."""
    smaller, run = sorted({depth for depth in depths if depth < whole.depth}), shared.run(evaluation.result)
    return (*(_at(shared, evaluation, run, places, depth) for depth in smaller), whole)


def _ties(shared: SharedFacts, run: Run, after: PerQuery, grades: NDArray[np.float32]) -> TieRange:
    name = shared.measure
    return tie_range(shared.qrels(run), run, name, replace(after, values={name: after.values[name]}), grades)


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
    shared = SharedFacts(dataset, name)
    run, candidates = shared.run(evaluation.result), shared.run(evaluation.candidates)
    rows = rows_among(candidates, run)
    is_same = len(run) == len(candidates) and (rows >= 0).all()
    if not is_same or no_curve(evaluation) or depth >= _depth(evaluation, candidates):
        return None
    return shared.mean(run, candidates.positions[rows] < depth)


def _depth(evaluation: Evaluation, candidates: Run) -> int:
    """Candidates of a query; of a run alone, the most that a query has."""
    depth = evaluation.candidates.manifest["retriever"]["depth"]
    return int(candidates.positions.max(initial=0)) + 1 if depth is None else int(depth)


def _at(shared: SharedFacts, evaluation: Evaluation, run: Run, places: NDArray[np.int64], depth: int) -> AtDepth:
    """Fewer candidates leave the order of the others as it is."""
    first, best = shared.of_candidates(evaluation.candidates, depth)
    return AtDepth(depth, first, shared.mean(run, places < depth), best)


def _judged(shared: SharedFacts, evaluation: Evaluation, places: NDArray[np.int64]) -> JudgedShare:
    qrels, shares = shared.dataset.qrels, []
    for result in (evaluation.candidates, evaluation.result):
        run = shared.run(result)
        # Grades by answers say nothing of judgments.
        by_answers = parse_measure(shared.measure).by_answers
        is_judged = (preference(qrels, run) if by_answers else shared.grades(result)) >= 0
        first, count = run.positions < _TOP, len(run.query_ids)
        number = np.bincount(run.row_queries, weights=first, minlength=count)
        judged = np.bincount(run.row_queries, weights=first & is_judged, minlength=count)
        known = np.array([query_id in qrels for query_id in run.query_ids], dtype=bool)
        shares.append(float((judged[known] / number[known]).mean()) if known.any() else 0.0)
    is_new = first & ~((places >= 0) & (places < _TOP)) & ~is_judged
    promoted = int(known[run.row_queries[is_new]].sum())
    return JudgedShare(shares[0], shares[1], promoted / len(qrels))


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
    shared: SharedFacts, evaluation: Evaluation, places: NDArray[np.int64], is_relevant: NDArray[np.bool_]
) -> tuple[Truncation, ...]:
    run, cut = shared.run(evaluation.result), shared.truncated(evaluation.result)
    if cut is None or _ranks_passages(evaluation):
        return ()
    relevant = run.select(is_relevant)
    some = pairs_among(cut, "doc_id", relevant.doc_ids)
    pairs = [(query_id, doc_id) for query_id, doc_ids, _ in relevant for doc_id in doc_ids]
    was_cut = np.array([pair in some for pair in pairs], dtype=bool)
    before, after = places[is_relevant], run.positions[is_relevant]
    tops = ((before >= 0) & (before < _TOP), after < _TOP)
    found = []
    for name, number, chosen in (("whole", len(run) - len(cut), ~was_cut), ("cut", len(cut), was_cut)):
        count = int(chosen.sum())
        shares = [int(top[chosen].sum()) / count if count else None for top in tops]
        found.append(Truncation(name, number, count, *shares))
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
