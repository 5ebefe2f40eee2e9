"""Novelty and diversity: nDCG in which a subtopic that was seen before gains less."""

from collections.abc import Iterable, Iterator, Mapping
from math import log2
from typing import ClassVar

from evalkit.measures.family import MeasureFamily, share
from evalkit.run import Run
from evalkit.types import Subtopics


class AlphaNDCG(MeasureFamily):
    """A document gains (1 - alpha)^n for each of its subtopics, n being the documents above it that have it too.

    Source: Clarke et al., SIGIR 2008, as TREC's ndeval has it: the best order is found greedily, from the document that
    gains most, and of equal ones from the last id.
    """

    about = "alpha-nDCG of judgments with subtopics, alpha .5; alpha_nDCG(alpha=0.9)@k: .9; only in `evalkit measure`"
    about_uncut = "alpha-nDCG over the whole run"
    aliases = ("alpha-nDCG", "\N{GREEK SMALL LETTER ALPHA}_nDCG", "\N{GREEK SMALL LETTER ALPHA}-nDCG")
    spellings = ("alpha-ndcg",)
    parameters: ClassVar = {"alpha": share(0.5)}
    has_judged_only = False
    by_subtopics = True

    @classmethod
    def values(
        cls, judged: Subtopics, run: Run, *, cutoff: int | None, level: int, alpha: float = 0.5
    ) -> Mapping[str, float]:
        """See `MeasureFamily`."""
        found = {}
        for query_id, doc_ids, _ in run if cutoff is None else run.top(cutoff):
            if query_id not in judged:
                continue
            has = {
                doc_id: subtopics
                for doc_id, grades in judged[query_id].items()
                if (subtopics := sorted(subtopic for subtopic, grade in grades.items() if grade >= level))
            }
            best = _discounted(_greedy(has, cutoff, alpha))
            found[query_id] = (
                _discounted(_gains((has.get(doc_id, []) for doc_id in doc_ids), alpha)) / best if best else 0.0
            )
        return found


def _gains(documents: Iterable[Iterable[str]], alpha: float) -> Iterator[float]:
    """The gain of each document, from its subtopics."""
    left: dict[str, float] = {}
    for subtopics in documents:
        yield sum(left.get(subtopic, 1.0) for subtopic in subtopics)
        left |= {subtopic: left.get(subtopic, 1.0) * (1 - alpha) for subtopic in subtopics}


def _greedy(has: Mapping[str, Iterable[str]], cutoff: int | None, alpha: float) -> Iterator[float]:
    """The gains of the best order."""
    left: dict[str, float] = {}
    waiting = set(has)
    for _ in range(len(has) if cutoff is None else min(cutoff, len(has))):
        gain, doc_id = max((sum(left.get(subtopic, 1.0) for subtopic in has[doc_id]), doc_id) for doc_id in waiting)
        yield gain
        waiting.remove(doc_id)
        left |= {subtopic: left.get(subtopic, 1.0) * (1 - alpha) for subtopic in has[doc_id]}


def _discounted(gains: Iterable[float]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
