"""Does a document contain an answer? The matcher of DPR, Contriever and BGE-M3, and judgments made with it.

A text is normalised to NFD and cut into tokens: runs of letters, digits and marks, and every other character that is
neither blank nor control; tokens are lower-cased. A document contains an answer if the answer's tokens occur in it one
after the other. A run of Chinese characters is one token, so Chinese answers are found only where blanks surround them.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import regex

from evalkit.run import Run
from evalkit.system.progress import progress
from evalkit.types import Dataset, Qrels

_TOKEN = regex.compile(r"([\p{L}\p{N}\p{M}]+)|([^\p{Z}\p{C}])", regex.IGNORECASE | regex.UNICODE | regex.MULTILINE)
# No token holds a control character, so joined tokens contain each other exactly where the lists do.
_BETWEEN = "\0"
_PAIRS_PER_WINDOW = 65_536


def tokens(text: str) -> list[str]:
    """The tokens of a text, in lower case."""
    return [match.group().lower() for match in _TOKEN.finditer(unicodedata.normalize("NFD", text))]


def contains(document: str, answers: Sequence[str]) -> bool:
    """Whether a document contains any of the answers. An answer without tokens is contained in nothing."""
    joined = _joined(document)
    return any(answer in joined for answer in _patterns(answers))


def _joined(text: str) -> str:
    return f"{_BETWEEN}{_BETWEEN.join(tokens(text))}{_BETWEEN}"


def _patterns(answers: Sequence[str]) -> list[str]:
    # The reference takes an answer without tokens, such as "", to be in every document.
    return [pattern for pattern in map(_joined, answers) if pattern != _BETWEEN * 2]


class AnswerJudge:
    """Judgments of runs over a dataset by its answers; a pair that was judged before is not read again."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._judged: dict[str, dict[str, int]] = {query_id: {} for query_id in dataset.queries}
        self._patterns: dict[str, list[str]] = {}

    def judge(self, run: Run) -> Qrels:
        """1 for every document of the run that contains an answer of its question, else 0. Every question is there."""
        unseen = [
            (query_id, doc_id)
            for query_id, doc_ids, _ in run
            if query_id in self._judged
            for doc_id in doc_ids
            if doc_id not in self._judged[query_id]
        ]
        with progress("matching answers", len(unseen), "documents") as advance:
            for start in range(0, len(unseen), _PAIRS_PER_WINDOW):
                window = unseen[start : start + _PAIRS_PER_WINDOW]
                texts = self._texts([doc_id for _, doc_id in window])
                for query_id, doc_id in window:
                    document = texts[doc_id]
                    self._judged[query_id][doc_id] = int(any(p in document for p in self._patterns_of(query_id)))
                advance(len(window))  # telling of each document takes longer than matching it
        return self._judged

    def _texts(self, doc_ids: Sequence[str]) -> dict[str, str]:
        """Joined tokens of documents. A document that the corpus lacks contains nothing."""
        distinct = list(dict.fromkeys(doc_ids))
        rows = self._dataset.rows(pa.array(distinct, pa.string()))
        present = np.flatnonzero(rows >= 0)
        found = self._dataset.documents.texts(rows[present])
        joined = dict.fromkeys(distinct, "")
        joined.update({distinct[place]: _joined(text) for place, text in zip(present, found, strict=True)})
        return joined

    def _patterns_of(self, query_id: str) -> list[str]:
        if query_id not in self._patterns:
            self._patterns[query_id] = _patterns(self._dataset.answers[query_id])
        return self._patterns[query_id]
