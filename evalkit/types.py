"""The nouns of an evaluation: Run, Qrels, PerQuery, Dataset, and the two seams FirstStage and Reranker.

Columnar inside: 7,000 queries x 1,000 documents are three arrays, not seven million Python objects. Knows nothing of
files, models or settings. `Run` holds the only ranking rule of the project.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Qrels = Mapping[str, Mapping[str, int]]
"""Graded judgments: query id -> document id -> relevance."""

Identity = Mapping[str, object]
"""Everything that decides what a stage computes, as JSON-able facts; its digest is part of every artefact's key."""


class Ranking(NamedTuple):
    """One query's ranked documents, best first."""

    query_id: str
    doc_ids: list[str]
    scores: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Run:
    """Scored documents per query, always stored in ranking order. Build one with `Run.rank`.

    The order is trec_eval's, and this class is the only place that decides it: score descending as float32, then
    document id descending by its UTF-8 bytes. Queries are kept in ascending order of their ids.

    Attributes:
        query_ids: the queries that have at least one document, ascending. Q of them.
        doc_ids: the distinct documents, ascending by UTF-8 bytes, so that comparing codes compares ids. V of them.
        offsets: shape (Q + 1,); rows `offsets[i]:offsets[i + 1]` belong to `query_ids[i]`.
        codes: shape (rows,), int32, indices into `doc_ids`.
        scores: shape (rows,), float32, finite.
    """

    query_ids: tuple[str, ...]
    doc_ids: pa.Array
    offsets: NDArray[np.int64]
    codes: NDArray[np.int32]
    scores: NDArray[np.float32]

    @classmethod
    def rank(
        cls,
        query_ids: Sequence[str],
        doc_ids: Sequence[str] | pa.Array | pa.ChunkedArray,
        *,
        queries: NDArray[np.integer],
        documents: NDArray[np.integer],
        scores: NDArray[np.floating],
        source: str = "run",
    ) -> Run:
        """Rank rows of (query, document, score) given as codes into two lists of distinct ids.

        Args:
            query_ids: distinct query ids, any order; those without rows are left out of the Run.
            doc_ids: distinct document ids, any order.
            queries: shape (rows,), indices into `query_ids`.
            documents: shape (rows,), indices into `doc_ids`.
            scores: shape (rows,); cast to float32, because that is what trec_eval compares.
            source: named in errors.

        Raises:
            DataError: a score is not finite in float32, or a document occurs twice for a query.
        """
        with np.errstate(over="ignore"):
            scores32 = np.asarray(scores).astype(np.float32)
        _require_finite(scores32, query_ids, doc_ids, queries, documents, source)
        query_rank, query_order = _ascending(pa.array(query_ids, pa.string()))
        used, doc_codes = np.unique(documents, return_inverse=True)
        doc_rank, doc_order = _ascending(_string_array(doc_ids, used))
        query_codes, codes = query_rank[queries], doc_rank[doc_codes]
        # Sorting negated scores keeps the sort stable for equal ones; lexsort's last key is the first to count.
        order = np.lexsort((-codes, -scores32, query_codes))
        _require_distinct(query_codes, codes, query_order, doc_order, source)
        counts = np.bincount(query_codes, minlength=len(query_order))
        present = np.flatnonzero(counts)
        names = query_order.to_pylist()
        return cls(
            query_ids=tuple(names[i] for i in present),
            doc_ids=doc_order,
            offsets=np.concatenate([[0], np.cumsum(counts[present])]).astype(np.int64),
            codes=codes[order].astype(np.int32),
            scores=scores32[order],
        )

    @classmethod
    def from_dict(cls, scores: Mapping[str, Mapping[str, float]], *, source: str = "run") -> Run:
        """A Run from query id -> document id -> score; the argument is not changed."""
        query_ids, doc_codes = list(scores), dict[str, int]()
        queries = np.repeat(np.arange(len(query_ids)), [len(scores[q]) for q in query_ids])
        documents = [doc_codes.setdefault(doc, len(doc_codes)) for q in query_ids for doc in scores[q]]
        values = [float(value) for q in query_ids for value in scores[q].values()]
        return cls.rank(
            query_ids,
            list(doc_codes),
            queries=queries,
            documents=np.array(documents, dtype=np.int64),
            scores=np.array(values, dtype=np.float64),
            source=source,
        )

    def __len__(self) -> int:
        """Rows: the number of (query, document) pairs."""
        return len(self.scores)

    def __iter__(self) -> Iterator[Ranking]:
        """Rankings, in ascending order of query id."""
        for index, query_id in enumerate(self.query_ids):
            rows = slice(self.offsets[index], self.offsets[index + 1])
            yield Ranking(query_id, self.doc_ids.take(pa.array(self.codes[rows])).to_pylist(), self.scores[rows])

    @property
    def row_queries(self) -> NDArray[np.int64]:
        """Shape (rows,): which of `query_ids` each row belongs to."""
        return np.repeat(np.arange(len(self.query_ids)), np.diff(self.offsets))

    @property
    def positions(self) -> NDArray[np.int64]:
        """Shape (rows,): rank of each row within its query, from 0."""
        return np.arange(len(self)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))

    def top(self, depth: int) -> Run:
        """The `depth` best documents of every query."""
        return self.select(self.positions < depth)

    def select(self, keep: NDArray[np.bool_]) -> Run:
        """Only the rows where `keep` is true."""
        return self._replaced(self.row_queries[keep], self.codes[keep], self.scores[keep])

    def only_queries(self, query_ids: Container[str]) -> Run:
        """Only the rows of these queries."""
        keep = np.array([query_id in query_ids for query_id in self.query_ids], dtype=bool)
        return self.select(keep[self.row_queries])

    def code_of(self, doc_ids: pa.Array) -> NDArray[np.int64]:
        """Index into `self.doc_ids` of each id; -1 for one that this run does not hold."""
        found = pc.index_in(doc_ids, value_set=self.doc_ids)
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def rescored(self, scores: NDArray[np.floating]) -> Run:
        """The same pairs ranked by new scores, one for each row in the order of this Run."""
        if scores.shape != self.scores.shape:
            raise ValueError(f"{len(scores)} scores for {len(self)} rows")
        return self._replaced(self.row_queries, self.codes, scores)

    def _replaced(self, queries: NDArray[np.integer], codes: NDArray[np.integer], scores: NDArray[np.floating]) -> Run:
        return Run.rank(self.query_ids, self.doc_ids, queries=queries, documents=codes, scores=scores)

    def tied_queries(self, cutoff: int) -> int:
        """Number of queries in which one of the first `cutoff` documents shares its score with another document."""
        tied = np.zeros(len(self), dtype=bool)
        same = (self.scores[1:] == self.scores[:-1]) & (self.positions[1:] > 0)
        tied[1:] |= same
        tied[:-1] |= same
        return len(np.unique(self.row_queries[tied & (self.positions < cutoff)]))

    def digest(self) -> str:
        """SHA-256 over ids, order and score bits: equal digests mean equal runs."""
        state = hashlib.sha256()
        for text in (*self.query_ids, *self.doc_ids.to_pylist()):
            encoded = text.encode()
            state.update(len(encoded).to_bytes(8, "little") + encoded)
        for column in (self.offsets, self.codes, self.scores):
            state.update(np.ascontiguousarray(column).tobytes())
        return state.hexdigest()


def _string_array(ids: Sequence[str] | pa.Array | pa.ChunkedArray, rows: NDArray[np.integer]) -> pa.Array:
    """The ids at these positions as one Arrow array."""
    taken = (ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())).take(pa.array(rows))
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


def _ascending(ids: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Position of each id in ascending order of UTF-8 bytes, and the ids in that order."""
    order = pc.array_sort_indices(ids).to_numpy().astype(np.int64)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank, ids.take(pa.array(order))


def _require_finite(
    scores: NDArray[np.float32],
    query_ids: Sequence[str],
    doc_ids: Sequence[str] | pa.Array | pa.ChunkedArray,
    queries: NDArray[np.integer],
    documents: NDArray[np.integer],
    source: str,
) -> None:
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        row = bad[0]
        raise DataError(
            f"{source}: the score of document {str(doc_ids[documents[row]])!r} for query "
            f"{query_ids[queries[row]]!r} is {scores[row]}, which cannot be ranked ({len(bad)} such). "
            "Scores are finite float32 numbers."
        )


def _require_distinct(
    queries: NDArray[np.int64], documents: NDArray[np.int64], query_ids: pa.Array, doc_ids: pa.Array, source: str
) -> None:
    pairs = np.sort(queries * max(len(doc_ids), 1) + documents)
    repeated = pairs[1:][pairs[1:] == pairs[:-1]]
    if len(repeated):
        query, document = divmod(int(repeated[0]), len(doc_ids))
        raise DataError(
            f"{source}: document {doc_ids[document].as_py()!r} occurs twice for query {query_ids[query].as_py()!r}. "
            "Keep one line for each pair."
        )


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

    def texts(self, rows: Sequence[int] | NDArray[np.integer] | range) -> list[str]:
        """Texts of the documents at these positions, title and body joined, in the order asked for."""
        ...


@dataclass(frozen=True, eq=False)
class Dataset:
    """A collection to evaluate on: documents, the judged queries of one split, and their judgments.

    Attributes:
        name: as in tables and folder names.
        split: which judgments, such as `test` or `dev`.
        language: language of the documents, `en` or `zh`; decides BM25's tokenizer.
        documents: the corpus.
        queries: judged query id -> text, in ascending order of id.
        qrels: judgments of the split.
        drop_identical_ids: whether a candidate with the query's own id is dropped before the depth cut.
        corpus_digest: SHA-256 of the corpus content, or the hub revision that fixes it.
        digest: SHA-256 of everything above and of queries and judgments: equal digests mean the same task.
        title_separator: what joins title and text.
        notes: counts worth reporting, such as empty documents or judged documents absent from the corpus.
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
    notes: Mapping[str, int] = field(default_factory=dict)

    def rows(self, doc_ids: pa.Array) -> NDArray[np.int64]:
        """Position in the corpus of each of these distinct ids; -1 where the corpus has no such document."""
        # Hashing the few ids asked for and scanning the corpus keeps memory small when the corpus is not.
        found = pc.index_in(self.documents.ids, value_set=doc_ids).to_numpy()
        rows = np.full(len(doc_ids), -1, dtype=np.int64)
        present = np.flatnonzero(~np.isnan(found)) if found.dtype.kind == "f" else np.arange(len(found))
        rows[found[present].astype(np.int64)] = present
        return rows


class FirstStage(Protocol):
    """**Protocol:** makes candidates for every query of a dataset."""

    @property
    def identity(self) -> Identity:
        """Everything that decides the candidates, apart from dataset and depth. Cheap: loads no model."""
        ...

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """At most `depth` documents for each query, in the total order of `Run`.

        A query may end with fewer, or none. A document with the query's own id is left out before the cut when the
        dataset says so.
        """
        ...


class Pair(NamedTuple):
    """A templated query text and a document text to be scored."""

    query: str
    document: str


class PairScores(NamedTuple):
    """What a reranker says of a list of pairs.

    Attributes:
        scores: shape (pairs,), raw float32 logits in the order of the pairs; higher is more relevant.
        truncated: how many of the pairs were cut to fit the model's limit.
    """

    scores: NDArray[np.float32]
    truncated: int


class Reranker(Protocol):
    """**Protocol:** scores query-document pairs. One method, so that a test's stub is five lines."""

    @property
    def identity(self) -> Identity:
        """Everything that decides a score. Cheap: loads no model."""
        ...

    def score(self, pairs: Sequence[Pair], *, advance: Callable[[int], None]) -> PairScores:
        """Scores in input order, whatever the batching; `advance(n)` is called as pairs are done."""
        ...
