"""Judgments of subtopics: TREC lines with the subtopic in the second column, as in the diversity task of the Web Track.

query_id subtopic doc_id relevance
"""

from collections.abc import Mapping
from pathlib import Path

from evalkit.errors import DataError
from evalkit.formats.judgments import add_judgment
from evalkit.formats.textfile import fields, read_lines
from evalkit.types import Qrels, Subtopics

_FIELDS = 4


def read_subtopics(path: str | Path) -> Subtopics:
    """Judgments of subtopics from a TREC file.

    Raises:
        DataError: a malformed line, a document judged twice differently for a subtopic, or there are no subtopics.
    """
    path, by_subtopic = Path(path), dict[str, dict[str, dict[str, int]]]()
    for number, line in read_lines(path):
        found = fields(line, (_FIELDS,))
        if len(found) != _FIELDS:
            raise DataError(f"{path}:{number}: {len(found)} fields, expected 4 (query_id subtopic doc_id relevance).")
        query_id, subtopic, doc_id, relevance = found
        add_judgment(by_subtopic.setdefault(subtopic, {}), query_id, doc_id, relevance, where=f"{path}:{number}")
    return of_documents(by_subtopic, str(path), "second column")


def of_documents(by_subtopic: Mapping[str, Qrels], name: str, column: str) -> Subtopics:
    """Judgments of each subtopic as those of each document.

    Args:
        by_subtopic: subtopic -> query id -> document id -> grade.
        name: of the judgments, for errors.
        column: what held the subtopics, likewise.

    Raises:
        DataError: there are no two subtopics.
    """
    if len(by_subtopic) < 2:  # noqa: PLR2004
        same = f"the {column} is {next(iter(by_subtopic))!r} in every line" if by_subtopic else "it is empty"
        raise DataError(f"{name}: holds no judgments of subtopics: {same}. Give those of a diversity task.")
    judged: dict[str, dict[str, dict[str, int]]] = {}
    for subtopic, qrels in by_subtopic.items():
        for query_id, grades in qrels.items():
            for doc_id, grade in grades.items():
                judged.setdefault(query_id, {}).setdefault(doc_id, {})[subtopic] = grade
    return judged


def over_subtopics(judged: Subtopics) -> Qrels:
    """The greatest grade of each document over its subtopics."""
    return {
        query_id: {doc_id: max(grades.values()) for doc_id, grades in documents.items()}
        for query_id, documents in judged.items()
    }
