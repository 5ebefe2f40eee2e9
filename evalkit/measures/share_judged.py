"""How much of a ranking was judged."""

from collections.abc import Mapping

from evalkit.measures.family import MeasureFamily, graded
from evalkit.run import Run
from evalkit.types import Qrels


class ShareJudged(MeasureFamily):
    """Share of the first k documents that have a judgment, whatever its grade; of all of them, where they are fewer.

    Source: `Judged` of ir_measures (MacAvaney, Macdonald and Ounis, ECIR 2022), from OpenNIR.
    """

    about = "share of the first k documents that are judged, relevant or not"
    about_uncut = "share of the documents of the run that are judged"
    has_level = has_judged_only = False

    @classmethod
    def values(cls, judged: Qrels, run: Run, *, cutoff: int | None, level: int) -> Mapping[str, float]:
        """See `MeasureFamily`."""
        del level
        return {
            query_id: sum(grade is not None for grade in grades) / len(grades)
            for query_id, grades, _ in graded(judged, run, cutoff)
        }
