"""Questions with passages of their own, as DPR, Tevatron, Pyserini and rerankers' training files write them.

{"question": ..., "answers": [...], "ctxs": [{"id", "title", "text", "score", "has_answer"}]}       DPR, retrieved
{"question": ..., "answers": [...], "positive_ctxs": [...], "negative_ctxs": [...], "hard_negative_ctxs": [...]}    DPR
{"query_id": ..., "query": ..., "positive_passages": [{"docid", "title", "text"}], "negative_passages": [...]} Tevatron
{"query": ..., "positive": [text, ...], "negative": [text, ...]}                               mteb, FlagEmbedding (pos)

Pyserini writes DPR's first as one object {query id: question}, and calls `ctxs` contexts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from evalkit.errors import DataError
from evalkit.system.reporting import shown

QUERIES = ("query", "question", "text")
QUERY_IDS = ("_id", "id", "query_id", "query-id", "qid", "q_id")
POSITIVES = ("positive", "positives", "pos", "positive_passages", "positive_ctxs")
NEGATIVES = ("negative", "negatives", "neg", "negative_passages", "negative_ctxs", "hard_negative_ctxs")
RETRIEVED = ("ctxs", "contexts")
DOC_IDS = ("docid", "doc_id", "id", "_id", "passage_id", "psg_id", "docno", "pid")


class Passage(NamedTuple):
    """A passage of a question.

    Attributes:
        fields: as the file has it, `text` among them.
        grade: 1 or 0; None for a retrieved one of which the file does not say whether it has the answer.
    """

    fields: Mapping[str, Any]
    grade: int | None

    @property
    def doc_id(self) -> Any:
        """Its id as the file has it; None where it has none."""
        return doc_id_of(self.fields)


class Question(NamedTuple):
    """A question and its passages.

    Attributes:
        query_id: as the file has it, else the number of its row.
        fields: of the whole row.
        graded: each key that holds passages, with the grade of these; None where each passage says its own.
    """

    query_id: Any
    fields: Mapping[str, Any]
    graded: Mapping[str, int | None]

    def passages(self, where: str) -> Iterator[Passage]:
        """All passages in their order.

        Raises:
            DataError: a list of passages holds something else.
        """
        for key, grade in self.graded.items():
            for value in _listed(self.fields[key], where, key):
                fields = {"text": value} if isinstance(value, str) else value
                own = fields.get("has_answer", fields.get("has_answer_str")) if grade is None else None
                yield Passage(fields, int(own) if isinstance(own, bool | int) else grade)

    def judged(self, where: str) -> list[Passage]:
        """The passages that have an id and a grade.

        Raises:
            DataError: one of them lacks either.
        """
        found = list(self.passages(where))
        if any(passage.doc_id is None or passage.grade is None for passage in found):
            raise DataError(
                f"{where}: its passages lack ids or `has_answer`, so they are not judgments. Read such a file as a "
                "collection: dataset=folder dataset.path=FILE."
            )
        return found


def doc_id_of(fields: Mapping[str, Any]) -> Any:
    """The id of a passage as a file has it; None where it has none."""
    return next((fields[name] for name in DOC_IDS if fields.get(name) is not None), None)


def of_question(fields: Mapping[str, Any], number: int) -> Question | None:
    """A row as a question with passages; None where it holds none. `number` is its id where it has no other."""
    graded: dict[str, int | None] = dict.fromkeys((name for name in POSITIVES if name in fields), 1)
    graded |= dict.fromkeys((name for name in NEGATIVES if name in fields), 0)
    if not graded:
        graded = dict.fromkeys(name for name in RETRIEVED if isinstance(fields.get(name), Sequence))
    known = any(name in fields for name in (*POSITIVES, *RETRIEVED)) and any(name in fields for name in QUERIES)
    if not graded or not known:
        return None
    query_id = next((fields[name] for name in QUERY_IDS if fields.get(name) is not None), str(number))
    return Question(query_id, fields, graded)


def _listed(value: Any, where: str, key: str) -> list[Any]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str | dict) for item in values):
        raise DataError(f"{where}: {key} is {shown(value)}, expected a list of texts or passages.")
    return values
