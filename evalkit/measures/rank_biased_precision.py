"""Rank-biased precision."""

from collections.abc import Mapping
from typing import ClassVar

from evalkit.measures.family import MeasureFamily, graded, share
from evalkit.run import Run
from evalkit.types import Qrels


class RankBiasedPrecision(MeasureFamily):
    """Relevant documents that a reader sees who goes on to the next with probability p: (1 - p) sum of p^(rank - 1).

    Source: Moffat and Zobel, TOIS 2008. Relevance is binary, as in cwl_eval and ir_measures' `RBP(rel=1)`.
    """

    about = "rank-biased precision of a reader who goes on with probability .8; RBP(p=0.5)@k: with .5"
    about_uncut = "RBP over the whole run"
    spellings = ("rankbiasedprecision",)
    parameters: ClassVar = {"p": share(0.8)}

    @classmethod
    def values(cls, judged: Qrels, run: Run, *, cutoff: int | None, level: int, p: float = 0.8) -> Mapping[str, float]:
        """See `MeasureFamily`."""
        return {
            query.query_id: (1 - p) * sum(p**place for place, relevant in enumerate(query.relevant(level)) if relevant)
            for query in graded(judged, run, cutoff)
        }
