"""The base of measures: a class a family, such as nDCG with any cutoff. A subclass and its name make a measure."""

from abc import ABC
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from evalkit.run import Run
from evalkit.types import Qrels


class Parameter(NamedTuple):
    """A parameter of a family, such as `p` in `RBP(p=0.9)@10`.

    Attributes:
        default: the value where the name gives none; names in tables leave it out.
        read: turns the text of a value into the value; a ValueError says that it is not legal.
        legal: the legal values, for errors.
    """

    default: str | float
    read: Callable[[str], str | float]
    legal: str


def share(default: float) -> Parameter:
    """A parameter above 0 and below 1."""

    def read(text: str) -> float:
        if not 0 < float(text) < 1:
            raise ValueError(text)
        return float(text)

    return Parameter(default, read, "a number above 0 and below 1")


class MeasureFamily(ABC):
    """A family of measures. A subclass either names its measure in trec_eval or has `values`.

    Attributes:
        about: a line about the measure with a cutoff, for `evalkit list measures`; empty where it takes none.
        about_uncut: likewise without a cutoff; empty where it needs one.
        aliases: other names that are accepted.
        spellings: other names, in lower case, for which this one is proposed.
        parameters: name -> parameter; `values` takes them as keyword arguments. trec_eval has the defaults only.
        has_level: whether it asks from which grade on a document is relevant.
        has_judged_only: whether unjudged documents can be left out of the run first.
        by_answers: whether it is judged by answers instead of judgments.
        by_subtopics: whether it is judged by judgments of subtopics.
        most: the greatest value, where the best order of the candidates by grade does not have it.
        trec: name in trec_eval with a cutoff, such as `ndcg_cut`.
        trec_uncut: likewise without one.
    """

    about: ClassVar[str]
    about_uncut: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    spellings: ClassVar[tuple[str, ...]] = ()
    parameters: ClassVar[Mapping[str, Parameter]] = {}
    has_level: ClassVar[bool] = True
    has_judged_only: ClassVar[bool] = True
    by_answers: ClassVar[bool] = False
    by_subtopics: ClassVar[bool] = False
    most: ClassVar[float | None] = None
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
    def values(cls, judged: Any, run: Run, *, cutoff: int | None, level: int) -> Mapping[str, float]:
        """Value of each query that is judged and in the run, without help of trec_eval; a query left out counts as 0.

        Args:
            judged: query id -> document id -> grade; with `by_answers` the grade is 1 for a document with an answer,
                with `by_subtopics` it is subtopic -> grade.
            run: iterates over (query id, document ids in order, scores).
            cutoff: documents to look at; None for all.
            level: the grade from which a document is relevant.
        """
        raise NotImplementedError


class Graded(NamedTuple):
    """The first documents of a query by their grades, best first; None for one without a judgment."""

    query_id: str
    grades: list[int | None]
    judged: Mapping[str, int]

    def relevant(self, level: int) -> list[bool]:
        """Whether each of the documents is relevant."""
        return [grade is not None and grade >= level for grade in self.grades]


def graded(judged: Qrels, run: Run, cutoff: int | None) -> Iterator[Graded]:
    """The judged queries of a run, with the grades of their first `cutoff` documents."""
    for query_id, doc_ids, _ in run if cutoff is None else run.top(cutoff):
        if query_id in judged:
            grades = judged[query_id]
            yield Graded(query_id, [grades.get(doc_id) for doc_id in doc_ids], grades)
