"""A dataset's doctor: what in a collection surprises, before it surprises in a number."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.datasets.documents import read_through
from evalkit.types import Dataset

_EXAMPLES = 3


@dataclass(frozen=True)
class Lengths:
    """How some numbers are distributed; all 0 where there are none."""

    least: int
    median: float
    mean: float
    percentile_95: float
    most: int


@dataclass(frozen=True)
class Finding:
    """Something that may surprise: how often, and the first ids; none of them is an error by itself."""

    what: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inspection:
    """Counts and lengths of a collection.

    Attributes:
        documents: how many.
        queries: how many are judged.
        grades: grade -> judgments.
        findings: what may surprise, also what was looked for and not found.
        document_characters: of title and text, joined.
        query_characters: of the queries.
        relevant_per_query: documents with a grade above 0.
    """

    documents: int
    queries: int
    grades: dict[int, int]
    findings: tuple[Finding, ...]
    document_characters: Lengths
    query_characters: Lengths
    relevant_per_query: Lengths


def inspect(dataset: Dataset) -> Inspection:
    """Look through a whole dataset once; memory stays at a few bytes a document."""
    lengths, hashes = _read(dataset)
    query_lengths = [len(text) for text in dataset.queries.values()]
    relevant = [sum(grade > 0 for grade in judged.values()) for judged in dataset.qrels.values()]
    grades = Counter(grade for judged in dataset.qrels.values() for grade in judged.values())
    return Inspection(
        documents=len(dataset.documents),
        queries=len(dataset.queries),
        grades=dict(sorted(grades.items())),
        findings=(
            _rows(dataset, "empty documents", np.flatnonzero(lengths == 0)),
            _rows(dataset, "documents that repeat an earlier one's text", _repeats(hashes[lengths > 0], lengths > 0)),
            *_of_queries(dataset),
            *_of_ids(dataset),
            *_of_candidates(dataset),
        ),
        document_characters=_distribution(lengths),
        query_characters=_distribution(np.array(query_lengths)),
        relevant_per_query=_distribution(np.array(relevant)),
    )


def _read(dataset: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Length and hash of every document's text."""
    total = len(dataset.documents)
    lengths, hashes = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.int64)
    start = 0
    for texts in read_through(dataset.documents, "inspecting documents"):
        window = slice(start, start := start + len(texts))
        lengths[window] = [len(text) for text in texts]
        # Two of ten million texts share a 64-bit hash by chance in one of 300,000 corpora.
        hashes[window] = [hash(text) for text in texts]
    return lengths, hashes


def _repeats(hashes: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows of the chosen documents whose hash an earlier one has."""
    _, first = np.unique(hashes, return_index=True)
    again = np.ones(len(hashes), dtype=bool)
    again[first] = False
    return np.flatnonzero(chosen)[again]


def _rows(dataset: Dataset, what: str, rows: NDArray[np.int64]) -> Finding:
    ids = dataset.documents.ids.take(pa.array(rows[:_EXAMPLES])).to_pylist() if len(rows) else []
    return Finding(what, len(rows), tuple(ids))


def _of_queries(dataset: Dataset) -> list[Finding]:
    first: dict[str, str] = {}
    for query_id, text in dataset.queries.items():
        first.setdefault(text, query_id)
    repeated = [query_id for query_id, text in dataset.queries.items() if first[text] != query_id]
    empty = [query_id for query_id, text in dataset.queries.items() if not text.strip()]
    return [
        _ids("empty queries", empty),
        _ids("queries that repeat an earlier one's text", repeated),
        _ids("judged queries without a relevant document", dataset.without_relevant),
        Finding("queries without judgments in this split", dataset.notes.get("unjudged_queries", 0)),
    ]


def _of_ids(dataset: Dataset) -> list[Finding]:
    query_ids = sorted(dataset.queries)
    alone = set(dataset.lacking(query_ids))
    shared = [query_id for query_id in query_ids if query_id not in alone]
    own = [query_id for query_id in shared if dataset.qrels.get(query_id, {}).get(query_id, 0) > 0]
    dangling = dataset.lacking(sorted({doc_id for judged in dataset.qrels.values() for doc_id in judged}))
    relevant = {doc_id for judged in dataset.qrels.values() for doc_id, grade in judged.items() if grade > 0}
    return [
        _ids("ids that a query and a document share", shared),
        _ids("queries whose relevant document has their own id", own),
        _ids("judged documents that the corpus lacks", dangling),
        _ids("relevant documents that the corpus lacks", [doc_id for doc_id in dangling if doc_id in relevant]),
    ]


def _of_candidates(dataset: Dataset) -> list[Finding]:
    """What surprises about the candidates that a dataset brings; nothing where it brings none."""
    if dataset.candidates is None:
        return []
    found = {query_id: set(doc_ids) for query_id, doc_ids, _ in dataset.candidates}
    relevant = {
        query_id: {doc_id for doc_id, grade in grades.items() if grade > 0}
        for query_id, grades in dataset.qrels.items()
    }
    whole = [query_id for query_id, doc_ids in relevant.items() if doc_ids and doc_ids <= found.get(query_id, set())]
    return [
        _ids("queries without candidates", [query_id for query_id in dataset.queries if query_id not in found]),
        _ids("candidates that the corpus lacks", dataset.lacking(dataset.candidates.doc_ids.to_pylist())),
        _ids("queries whose candidates have every relevant document", whole),
    ]


def _ids(what: str, ids: Sequence[str]) -> Finding:
    return Finding(what, len(ids), tuple(ids[:_EXAMPLES]))


def _distribution(values: NDArray[np.int64]) -> Lengths:
    if not len(values):
        return Lengths(0, 0.0, 0.0, 0.0, 0)
    return Lengths(
        least=int(values.min()),
        median=float(np.median(values)),
        mean=float(values.mean()),
        percentile_95=float(np.percentile(values, 95)),
        most=int(values.max()),
    )
