"""Expected reciprocal rank."""

from collections.abc import Mapping
from typing import ClassVar

from evalkit.errors import DataError
from evalkit.measures.family import MeasureFamily, Parameter, graded
from evalkit.run import Run
from evalkit.types import Qrels


def _read(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:  # noqa: PLR2004 - a scale of grades
        raise ValueError(text)
    return int(text)


class ExpectedReciprocalRank(MeasureFamily):
    """Reciprocal rank at which a reader stops, who stops at a document with probability (2^grade - 1) / 2^greatest.

    Source: Chapelle, Metzler, Zhang and Grinspan, CIKM 2009. The greatest grade of the scale is 4, as in TREC's gdeval
    and ir_measures, unless `max_rel` says otherwise.
    """

    about = "expected reciprocal rank, for grades up to 4; ERR(max_rel=3)@k: up to 3"
    about_uncut = "ERR over the whole run"
    parameters: ClassVar = {"max_rel": Parameter(4, _read, "the greatest grade of the scale, from 1 to 100")}
    has_level = False

    @classmethod
    def values(
        cls, judged: Qrels, run: Run, *, cutoff: int | None, level: int, max_rel: int = 4
    ) -> Mapping[str, float]:
        """See `MeasureFamily`.

        Raises:
            DataError: a grade is greater than `max_rel`.
        """
        del level
        greatest = max((grade for own in judged.values() for grade in own.values()), default=0)
        if greatest > max_rel:
            end = f"@{cutoff}" if cutoff else ""
            raise DataError(
                f"there is a grade of {greatest}, and ERR is for grades up to {max_rel}. Ask for the scale of these "
                f"judgments, such as ERR(max_rel={greatest}){end}."
            )
        found = {}
        for query_id, grades, _ in graded(judged, run, cutoff):
            found[query_id], reached = 0.0, 1.0
            for rank, grade in enumerate(grades, start=1):
                stops = (2.0 ** max(grade or 0, 0) - 1) / 2.0**max_rel
                found[query_id] += reached * stops / rank
                reached *= 1 - stops
        return found
