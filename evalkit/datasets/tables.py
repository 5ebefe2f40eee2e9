"""Judgments and query texts from columns of a table, as `hub.py` and `mteb_task.py` both have them."""

from collections.abc import Iterable, Sequence
from typing import Any

from evalkit.errors import DataError
from evalkit.trec import add_judgment
from evalkit.types import Qrels


def judgments(rows: Iterable[tuple[Any, Any, Any]], where: str) -> Qrels:
    """Judgments from (query id, document id, score); a score may be a float, as long as it is a whole number.

    Raises:
        DataError: a score is no integer, or a pair is judged twice differently; `where` begins the message.
    """
    qrels: dict[str, dict[str, int]] = {}
    for query_id, doc_id, score in rows:
        whole = str(int(score)) if isinstance(score, float) and score.is_integer() else str(score)
        add_judgment(qrels, str(query_id), str(doc_id), whole, where=where)
    return qrels


def judged_texts(ids: Sequence[Any], texts: Sequence[Any], qrels: Qrels, where: str) -> dict[str, str]:
    """Texts of the judged queries, in ascending order of id.

    Raises:
        DataError: an id occurs twice, or a judged query has no text; `where` begins the message.
    """
    queries = dict(zip(map(str, ids), texts, strict=True))
    if len(queries) < len(ids):
        raise DataError(f"{where}: {len(ids) - len(queries)} query ids occur twice. Ids are unique.")
    absent = sorted(query_id for query_id in qrels if not isinstance(queries.get(query_id), str))
    if absent:
        raise DataError(f"{where}: lacks the text of {len(absent)} judged queries, such as {absent[0]!r}.")
    return {query_id: queries[query_id] for query_id in sorted(qrels)}
