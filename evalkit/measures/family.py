"""The base of measures: one class a family, such as nDCG with any cutoff. A subclass and its name make a measure."""

from abc import ABC
from collections.abc import Mapping
from typing import ClassVar

from evalkit.run import Run
from evalkit.types import Qrels


class MeasureFamily(ABC):
    """A family of measures. A subclass either names its measure in trec_eval or has `values`.

    Attributes:
        about: a line about the measure with a cutoff, for `evalkit list measures`.
        about_uncut: likewise without a cutoff; empty where it needs one.
        aliases: other names that are accepted.
        spellings: other names, in lower case, for which this one is proposed.
        has_level: whether it asks from which grade on a document is relevant.
        by_answers: whether it is judged by answers instead of judgments.
        trec: name in trec_eval with a cutoff, such as `ndcg_cut`.
        trec_uncut: likewise without one.
    """

    about: ClassVar[str]
    about_uncut: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    spellings: ClassVar[tuple[str, ...]] = ()
    has_level: ClassVar[bool] = True
    by_answers: ClassVar[bool] = False
    trec: ClassVar[str] = ""
    trec_uncut: ClassVar[str] = ""

    @classmethod
    def trec_name(cls, cutoff: int | None) -> str:
        """How pytrec_eval is asked, such as `ndcg_cut.10`; empty for a family that has `values`."""
        return cls.trec_uncut if cutoff is None else f"{cls.trec}.{cutoff}" if cls.trec else ""

    @classmethod
    def at_cutoff(cls, value: float, cutoff: int | None) -> float:
        """The value of a query, from what pytrec_eval gives for `trec_name`."""
        del cutoff
        return value

    @classmethod
    def values(cls, judged: Qrels, run: Run, *, cutoff: int | None, level: int) -> Mapping[str, float]:
        """Value of each query that is judged and in the run, without help of trec_eval; a query left out counts as 0.

        Args:
            judged: query id -> document id -> grade; with `by_answers` the grade is 1 for a document with an answer.
            run: iterates over (query id, document ids in order, scores).
            cutoff: documents to look at; None for all.
            level: the grade from which a document is relevant.
        """
        raise NotImplementedError
