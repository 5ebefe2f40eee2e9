"""p-MRR: whether a ranking follows a changed instruction."""

from collections.abc import Mapping
from typing import ClassVar

from evalkit.errors import DataError
from evalkit.measures.family import MeasureFamily
from evalkit.run import Run
from evalkit.types import Qrels

_BEFORE, _AFTER = "-og", "-changed"  # how FollowIR ends the ids of a topic with its two instructions


class PairwiseMRR(MeasureFamily):
    """How far the documents whose grade an instruction changes move, from -1 (the wrong way) over 0 to 1.

    A topic is two queries, `301-og` and `301-changed`. Of each document with another grade in the second: with ranks
    before and after, 1 - before / after where it fell, after / before - 1 where it rose; a document that the run lacks
    is behind its last one. Both queries have the mean over these documents, so that the mean over queries is the mean
    over topics. In FollowIR the changed documents lose their relevance.

    Source: Weller et al., "FollowIR", 2024, as mteb has it.
    """

    about = ""
    about_uncut = "p-MRR of FollowIR: how far documents move whose grade a changed instruction changes, -1 to 1"
    aliases = ("p_MRR", "pMRR")
    spellings = ("p-mrr", "pairwise-mrr")
    has_level = False
    has_judged_only = False
    most: ClassVar = 1.0

    @classmethod
    def values(cls, judged: Qrels, run: Run, *, cutoff: int | None, level: int) -> Mapping[str, float]:
        """See `MeasureFamily`.

        Raises:
            DataError: a query has no partner.
        """
        del cutoff, level
        for query_id in judged:
            if (other := _partner(query_id)) not in judged:
                raise DataError(
                    f"p-MRR compares queries such as 301{_BEFORE} and 301{_AFTER}, and {query_id!r} has no such partner"
                    f"{f' {other!r}' if other else ''}. Choose another measure, or all queries."
                )
        orders = {query_id: doc_ids for query_id, doc_ids, _ in run if query_id in judged}
        found = {}
        for query_id, before in orders.items():
            after = orders.get(other := _partner(query_id))
            if query_id.endswith(_BEFORE) and after is not None:
                changed = [doc_id for doc_id, grade in judged[query_id].items() if judged[other].get(doc_id) != grade]
                moves = [_move(_rank(before, doc_id), _rank(after, doc_id)) for doc_id in changed]
                found[query_id] = found[other] = sum(moves) / len(moves) if moves else 0.0
        return found


def _partner(query_id: str) -> str:
    """The id of the same topic with the other instruction; empty where the id does not say."""
    for end, other in ((_BEFORE, _AFTER), (_AFTER, _BEFORE)):
        if query_id.endswith(end):
            return query_id.removesuffix(end) + other
    return ""


def _rank(doc_ids: list[str], doc_id: str) -> int:
    return doc_ids.index(doc_id) + 1 if doc_id in doc_ids else len(doc_ids) + 1


def _move(before: int, after: int) -> float:
    return after / before - 1 if before >= after else 1 - before / after
