"""The nouns of an evaluation other than `Run`: Qrels, PerQuery, Dataset, Pair and Scored.

Knows nothing of files, models or settings.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.run import Run, document_ids

if TYPE_CHECKING:
    import pandas as pd

Qrels = Mapping[str, Mapping[str, int]]
"""Graded judgments: query id -> document id -> relevance."""

Subtopics = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Graded judgments of subtopics: query id -> document id -> subtopic -> relevance."""

Identity = Mapping[str, object]
"""Everything that decides what a stage computes, as JSON-able facts; its digest is part of every artefact's key."""


@dataclass(frozen=True, eq=False)
class PerQuery:
    """Measure values for exactly the judged queries, in ascending order of query id.

    Attributes:
        query_ids: every judged query, also those that the run lacks.
        values: measure name as typed (`nDCG@10`) -> shape (queries,), float64.
        missing: judged queries that the run has no document for; their values are 0.
    """

    query_ids: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]
    missing: tuple[str, ...]

    @property
    def means(self) -> dict[str, float]:
        """Mean over all judged queries of each measure, unrounded."""
        return {name: math.fsum(column) / len(column) for name, column in self.values.items()}

    def to_frame(self) -> pd.DataFrame:
        """One row a query: column `query_id`, then one column a measure."""
        import pandas as pd

        return pd.DataFrame({"query_id": list(self.query_ids), **self.values})


class Documents(Protocol):
    """**Protocol:** the texts of a collection, read from disk as they are asked for."""

    @property
    def ids(self) -> pa.ChunkedArray:
        """Document ids in corpus order."""
        ...

    def __len__(self) -> int:
        """Number of documents."""
        ...

    def sizes(self) -> NDArray[np.int32]:
        """About how many bytes each text has, in corpus order; cheap, since no text is read."""
        ...

    def texts(self, rows: Sequence[int] | NDArray[np.integer] | range) -> list[str]:
        """Texts of the documents at these positions, title and body joined, in the order asked for."""
        ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """A collection to evaluate on: documents, the judged queries of one split, and their judgments.

    Attributes:
        name: as in tables and folder names.
        split: which judgments, such as `test` or `dev`.
        language: language of the documents, such as `en`, `de` or `zh`; decides how BM25 finds words.
        documents: the corpus.
        queries: judged query id -> text, in ascending order of id.
        qrels: judgments of the split; empty for a dataset that is judged by answers alone.
        drop_identical_ids: whether a candidate with the query's own id is dropped before the depth cut.
        corpus_digest: SHA-256 of the corpus content, or the hub revision that fixes it.
        digest: SHA-256 of corpus, queries, judgments, language and policies; equal digests mean the same task.
        title_separator: what joins title and text.
        maxp: delimiter of passage ids such as `D1#3`, where judgments are of documents; empty where they are of
            what the corpus has.
        query_language: language of the queries.
        answers: query id -> answers; a document that contains one is relevant. For every query, or empty.
        instructions: query id -> what it asks for, of the queries that have an instruction of their own.
        candidates: documents of each query that come with the dataset, in the order of whoever ranked them; with equal
            scores where they are a list without an order. None where it has none.
        excluded: query id -> documents that are no answer to it and are dropped before the depth cut.
        notes: counts worth reporting, such as empty documents or judged documents absent from the corpus.
        differences: what it holds other than its card says; empty where the card is right.
        mteb_task: metadata of the task of mteb that it is, which models of mteb choose prompts by; else None.
    """

    name: str
    split: str
    language: str
    documents: Documents
    queries: Mapping[str, str]
    qrels: Qrels
    drop_identical_ids: bool
    corpus_digest: str
    digest: str
    title_separator: str = " "
    query_language: str = ""
    maxp: str = ""
    answers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    instructions: Mapping[str, str] = field(default_factory=dict)
    candidates: Run | None = None
    excluded: Mapping[str, Collection[str]] = field(default_factory=dict)
    notes: Mapping[str, int] = field(default_factory=dict)
    differences: Mapping[str, str] = field(default_factory=dict)
    mteb_task: object = None

    def rows(self, doc_ids: pa.Array) -> NDArray[np.int64]:
        """Position in the corpus of each of these distinct ids; -1 where the corpus has no such document."""
        return _places(doc_ids, self.documents.ids)

    def rows_of_judged(self, doc_ids: pa.Array) -> NDArray[np.int64]:
        """`rows` of distinct ids that judgments may have: of their first passages where documents have passages."""
        ids = self.documents.ids
        return _places(doc_ids, document_ids(ids, self.maxp) if self.maxp else ids)

    def ranked(self, run: Run) -> Run:
        """The run of what is judged: documents in place of their passages where `maxp` is set."""
        return run.by_document(self.maxp) if self.maxp else run

    @cached_property
    def most_dropped(self) -> int:
        """How many documents a query loses at most before the depth cut: that of its own id, and those it excludes."""
        own = max(self._passages(self.queries).values(), default=1) if self.drop_identical_ids else 0
        if not self.excluded:
            return own
        passages = self._passages({doc_id for doc_ids in self.excluded.values() for doc_id in doc_ids})
        return own + max(sum(passages.get(doc_id, 1) for doc_id in doc_ids) for doc_ids in self.excluded.values())

    def _passages(self, doc_ids: Iterable[str]) -> dict[str, int]:
        """How many passages each of these documents has; nothing where documents have no passages."""
        if not self.maxp:
            return {}
        names = document_ids(self.documents.ids, self.maxp)
        counts = names.filter(pc.is_in(names, value_set=pa.array(list(doc_ids), pa.string()))).value_counts()
        return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))

    def lacking(self, doc_ids: Sequence[str]) -> list[str]:
        """Which of these distinct ids that judgments may have the corpus lacks."""
        rows = self.rows_of_judged(pa.array(doc_ids, pa.string()))
        return [doc_ids[int(place)] for place in np.flatnonzero(rows < 0)]

    @property
    def without_relevant(self) -> list[str]:
        """Ids of queries that have judgments and no relevant document."""
        return [query_id for query_id, judged in self.qrels.items() if not any(g > 0 for g in judged.values())]


def _places(wanted: pa.Array, ids: pa.ChunkedArray) -> NDArray[np.int64]:
    """First position among `ids` of each wanted one, all distinct; -1 where it is absent."""
    # Hashing the few ids asked for and scanning the corpus keeps memory small when the corpus is not.
    found = pc.fill_null(pc.index_in(ids, value_set=wanted), -1).to_numpy()
    rows = np.full(len(wanted), -1, dtype=np.int64)
    present = np.flatnonzero(found >= 0)[::-1]  # so that the first of several comes last, and stays
    rows[found[present]] = present
    return rows


class MatchedTokens(NamedTuple):
    """For each token of a query the token of a document that late interaction matches it with.

    Attributes:
        score: of the pair: sum or mean of `values`.
        tokens: the query's tokens, as the text has them; special ones as the vocabulary has them.
        values: product of each with the document's best token, float64.
        matches: the document's tokens, likewise.
        spans: where these start and stop in the document, in characters; (-1, -1) for special tokens.
    """

    score: float
    tokens: tuple[str, ...]
    values: tuple[float, ...]
    matches: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]


class Pair(NamedTuple):
    """A query and a document, the input of a reranker.

    Attributes:
        query: text of the query.
        document: text of the document.
        instruction: what the query asks for; None for the reranker's own, empty for none.
        query_id: id of the query; empty where it is not known.
        doc_id: id of the document, likewise.
    """

    query: str
    document: str
    instruction: str | None = None
    query_id: str = ""
    doc_id: str = ""


def checked_pair(number: int, pair: Sequence[str | None]) -> Pair:
    """A pair, also where a plain tuple of texts was given.

    Args:
        number: of the pair, for the error.
        pair: query, document, and perhaps an instruction.

    Raises:
        DataError: it is something else.
    """
    # A text is a sequence of texts, too: one of two letters would be a pair.
    if isinstance(pair, Pair) and isinstance(pair.query, str) and isinstance(pair.document, str):
        return pair
    known = isinstance(pair, tuple | list) and 2 <= len(pair) <= 3  # noqa: PLR2004
    if not known or not all(isinstance(text, str) for text in pair[:2]):
        raise DataError(f"pair {number} is {pair!r}, expected the texts of a query and a document.")
    return Pair(*pair)  # type: ignore[arg-type]


class Scored(NamedTuple):
    """Scores of some of the pairs that a reranker was given, or of all of them.

    Attributes:
        rows: shape (pairs,), which pairs.
        scores: shape (pairs,), raw float32 logits; higher is more relevant. With several cut-off layers, shape
            (pairs, cut-offs).
        cut: shape (pairs,), which of them were cut to fit the model's limit.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    cut: NDArray[np.bool_]

    @property
    def truncated(self) -> int:
        """How many of the pairs were cut."""
        return int(self.cut.sum())
