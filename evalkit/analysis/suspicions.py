"""What is suspicious in results of a comparison, each fact once: from manifests, and notes on runs. Prints nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from evalkit.analysis import result_doubts as doubts
from evalkit.analysis.flags import flags_of_ceiling
from evalkit.analysis.pairwise import Comparison
from evalkit.formats.doubts import TIES
from evalkit.formats.notes import listed
from evalkit.results import Evaluation
from evalkit.results.judged_runs import RunResult

_TIED = 0.1  # of the queries with a tie in the top 10; more is a constant or a low-precision score
_CUT = 0.5  # of the pairs
_OTHERWISE = {TIES, "queries_missing", "third_column", "no_ranks"}  # notes that are said below, or raise no doubt


class Suspicion(NamedTuple):
    """A sentence without its full stop.

    Attributes:
        level: `error` for what cannot be, else `warning`.
        dataset: name of the dataset.
        systems: names of the systems; empty where it is true of the dataset.
        text: begins with dataset and systems.
    """

    level: str
    dataset: str
    systems: tuple[str, ...]
    text: str


def suspicions(comparisons: Sequence[Comparison], measure: str) -> list[Suspicion]:
    """Errors first, then in the order of the datasets."""
    found = [suspicion for one in comparisons for suspicion in _on(one, measure)]
    return sorted(found, key=lambda one: one.level)


def _on(one: Comparison, measure: str) -> list[Suspicion]:
    systems: dict[tuple[str, str], list[str]] = {}
    for name, evaluation in zip(one.names, one.evaluations, strict=True):
        for level, text in _of_system(evaluation, measure):
            systems.setdefault((level, text), []).append(name)
    of_dataset = doubts.of_dataset(one.evaluations[0].result.manifest["dataset"])
    found = [Suspicion("warning", one.dataset, (), f"{one.dataset}: {text}") for text in of_dataset]
    for (level, text), names in systems.items():
        several = f", {listed(names)}" if len(names) < len(one.names) else ""
        found.append(Suspicion(level, one.dataset, tuple(names), f"{one.dataset}{several}: {text}"))
    return found


def _of_system(evaluation: Evaluation, measure: str) -> list[tuple[str, str]]:
    """Level and text."""
    result, candidates = evaluation.result.manifest, evaluation.candidates.manifest
    found = [
        ("warning", text) for text in (*doubts.of_candidates(evaluation), *doubts.of_result(evaluation, [measure]))
    ]
    if isinstance(evaluation.result, RunResult):
        notes = evaluation.result.measured.notes
        found += [("warning", note.text) for note in notes if note.kind not in _OTHERWISE]
    if result["queries_with_ties_in_top_10"] > _TIED * result["queries"]:
        found.append(("warning", f"{doubts.ties(result)} of {result['queries']:,}"))
    if (cut := result.get("truncated_pairs") or 0) > _CUT * result["pairs"]:
        found.append(("warning", f"{cut:,} of {result['pairs']:,} pairs were truncated"))
    sources = candidates["measures"], result["measures"], candidates["ceiling"]
    if not evaluation.is_first_stage and all(measure in means for means in sources):
        first, reranked, best = (means[measure] for means in sources)
        found += [
            (flag.level, flag.text)
            for flag in flags_of_ceiling(first, reranked, best, measure, queries=result["queries"])
        ]
    return found
