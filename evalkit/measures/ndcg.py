"""Normalised discounted cumulative gain: the gain of a document over the logarithm of its rank, as a share of the best.

With linear gains, through trec_eval: Järvelin and Kekäläinen, TOIS 2002, with the discount 1 / log2(rank + 1). With
exponential gains: Burges et al., ICML 2005, as gdeval, ir_measures and LETOR compute it.
"""

from collections.abc import Iterable, Mapping
from math import log2
from typing import ClassVar

from evalkit.errors import DataError
from evalkit.measures.family import MeasureFamily, Parameter, graded
from evalkit.run import Run
from evalkit.types import Qrels

_GREATEST = 1000  # grade whose exponential gain a sum of floats can hold


def _read(text: str) -> str:
    if text not in {"log2", "exp-log2"}:
        raise ValueError(text)
    return text


class NDCG(MeasureFamily):
    """The gain is the grade itself, as in trec_eval, BEIR and MTEB; with `dcg='exp-log2'` it is 2^grade - 1."""

    about = (
        "normalised discounted cumulative gain, linear gains; nDCG(dcg='exp-log2')@k: gains 2^grade - 1; "
        "nDCG(judged_only=True)@k or nDCG'@k: without unjudged documents, and so any measure of judgments"
    )
    about_uncut = "nDCG over the whole run"
    parameters: ClassVar = {"dcg": Parameter("log2", _read, "log2 (linear gains) or exp-log2 (2^grade - 1)")}
    has_level = False
    trec, trec_uncut = "ndcg_cut", "ndcg"

    @classmethod
    def values(
        cls, judged: Qrels, run: Run, *, cutoff: int | None, level: int, dcg: str = "exp-log2"
    ) -> Mapping[str, float]:
        """With exponential gains; trec_eval has the linear ones."""
        del level, dcg
        found = {}
        for query_id, grades, own in graded(judged, run, cutoff):
            if max(own.values(), default=0) > _GREATEST:
                raise DataError(
                    f"the grade {max(own.values())} of query {query_id!r} is too great for gains of 2^grade."
                )
            best = _dcg(sorted(own.values(), reverse=True)[:cutoff])
            found[query_id] = _dcg(grade or 0 for grade in grades) / best if best else 0.0
        return found


def _dcg(grades: Iterable[int]) -> float:
    return sum((2.0**grade - 1) / log2(rank + 1) for rank, grade in enumerate(grades, start=1) if grade > 0)
