"""`Run`: scored documents per query, and the one ranking rule of the project.

Columnar inside: 7,000 queries x 1,000 documents are three arrays, not seven million Python objects. Knows nothing of
files, texts or measures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.errors import DataError

_IDS_AT_A_TIME = 65_536


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
        used, doc_codes = _used(documents, len(doc_ids))
        doc_rank, doc_order = _ascending(_string_array(doc_ids, used))
        query_codes, codes = query_rank[queries], doc_rank[doc_codes]
        _require_distinct(query_codes, codes, query_order, doc_order, source)
        order = _order(query_codes, scores32, codes)
        counts = np.bincount(query_codes, minlength=len(query_order))
        return cls(
            query_ids=tuple(query_order.filter(pa.array(counts > 0)).to_pylist()),
            doc_ids=doc_order,
            offsets=np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64),
            codes=codes[order],
            scores=scores32[order],
        )

    @classmethod
    def from_dict(cls, scores: Mapping[str, Mapping[str, float]], *, source: str = "run") -> Run:
        """A Run from query id -> document id -> score; the argument is not changed.

        Raises:
            DataError: it is something else, or a score is not finite.
        """
        for query_id, found in scores.items():
            if not isinstance(found, Mapping) or not all(isinstance(value, Real) for value in found.values()):
                raise DataError(
                    f"{source}: query {query_id!r} has {found!r:.80}, expected its documents' scores, "
                    "such as {'d1': 2.5, 'd2': 0.5}."
                )
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

    def __repr__(self) -> str:
        return f"<Run of {len(self.query_ids):,} queries and {len(self.codes):,} scored documents>"

    def __len__(self) -> int:
        """Rows: the number of (query, document) pairs."""
        return len(self.scores)

    def __iter__(self) -> Iterator[Ranking]:
        """Rankings, in ascending order of query id."""
        offsets = self.offsets.tolist()
        for queries in self._some_queries():
            start = offsets[queries[0]]
            names = self.doc_ids.take(pa.array(self.codes[start : offsets[queries[-1] + 1]])).to_pylist()
            for index in queries:
                first, last = offsets[index], offsets[index + 1]
                yield Ranking(self.query_ids[index], names[first - start : last - start], self.scores[first:last])

    def _some_queries(self) -> Iterator[range]:
        """All queries in turn, as many at a time as have about 65,536 rows."""
        starts = np.flatnonzero(np.diff(self.offsets[:-1] // _IDS_AT_A_TIME, prepend=-1)).tolist()
        return (range(start, end) for start, end in pairwise([*starts, len(self.query_ids)]))

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
        """Only the rows where `keep` is true. They are in order already."""
        if keep.all():
            return self
        counts = np.bincount(self.row_queries[keep], minlength=len(self.query_ids))
        used, codes = _used(self.codes[keep], len(self.doc_ids))
        return Run(
            query_ids=tuple(query_id for query_id, count in zip(self.query_ids, counts, strict=True) if count),
            doc_ids=self.doc_ids.take(pa.array(used)),
            offsets=np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64),
            codes=codes,
            scores=self.scores[keep],
        )

    def only_queries(self, query_ids: Container[str]) -> Run:
        """Only the rows of these queries."""
        keep = np.array([query_id in query_ids for query_id in self.query_ids], dtype=bool)
        return self.select(keep[self.row_queries])

    def by_document(self, delimiter: str) -> Run:
        """Documents in place of their passages, each with the score of its best passage (MaxP); see `document_ids`."""
        names = document_ids(self.doc_ids, delimiter).dictionary_encode()
        codes = names.indices.to_numpy()[self.codes].astype(np.int64)
        # Rows are in ranking order, so the first of a document is its best passage.
        _, best = np.unique(self.row_queries * len(names.dictionary) + codes, return_index=True)
        return Run.rank(
            self.query_ids,
            names.dictionary,
            queries=self.row_queries[best],
            documents=codes[best],
            scores=self.scores[best],
        )

    def code_of(self, doc_ids: pa.Array) -> NDArray[np.int64]:
        """Index into `self.doc_ids` of each id; -1 for one that this run does not hold."""
        found = pc.index_in(doc_ids, value_set=self.doc_ids)
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), dtype=np.int64)

    def rescored(self, scores: NDArray[np.floating]) -> Run:
        """The same pairs ranked by new scores, one for each row in the order of this Run."""
        if scores.shape != self.scores.shape:
            raise ValueError(f"{len(scores)} scores for {len(self)} rows")
        return Run.rank(
            self.query_ids,
            self.doc_ids,
            queries=self.row_queries,
            documents=self.codes,
            scores=scores,
            source="rescored run",
        )

    def queries_with_ties(self, cutoff: int) -> list[str]:
        """Queries in which one of the first `cutoff` documents shares its score with another document."""
        tied = np.zeros(len(self), dtype=bool)
        same = (self.scores[1:] == self.scores[:-1]) & (self.positions[1:] > 0)
        tied[1:] |= same
        tied[:-1] |= same
        return [self.query_ids[index] for index in np.unique(self.row_queries[tied & (self.positions < cutoff)])]

    def own_ids(self, delimiter: str = "") -> NDArray[np.bool_]:
        """Shape (rows,): whether the document has the id of the query; with a delimiter, the one of this passage."""
        names = document_ids(self.doc_ids, delimiter) if delimiter else self.doc_ids
        query_of = pc.fill_null(pc.index_in(names, value_set=pa.array(self.query_ids, pa.string())), -1).to_numpy()
        return np.asarray(query_of[self.codes] == self.row_queries)

    def among(self, doc_ids: Mapping[str, Collection[str]], delimiter: str = "") -> NDArray[np.bool_]:
        """Shape (rows,): whether the document is one of those of its query; with a delimiter, a passage of one."""
        names = document_ids(self.doc_ids, delimiter) if delimiter else self.doc_ids
        found = np.zeros(len(self), dtype=bool)
        for index, query_id in enumerate(self.query_ids):
            if theirs := doc_ids.get(query_id):
                rows = slice(self.offsets[index], self.offsets[index + 1])
                known = pc.is_in(names.take(pa.array(self.codes[rows])), value_set=pa.array(list(theirs), pa.string()))
                found[rows] = known.to_numpy(zero_copy_only=False)
        return found

    def digest(self) -> str:
        """SHA-256 over ids, order and score bits: equal digests mean equal runs."""
        state = hashlib.sha256()
        some = (self.doc_ids.slice(start, _IDS_AT_A_TIME) for start in range(0, len(self.doc_ids), _IDS_AT_A_TIME))
        for texts in (self.query_ids, *(part.to_pylist() for part in some)):
            for text in texts:
                encoded = text.encode()
                state.update(len(encoded).to_bytes(8, "little") + encoded)
        for column in (self.offsets, self.codes, self.scores):
            state.update(np.ascontiguousarray(column).tobytes())
        return state.hexdigest()

    def documents_digest(self) -> str:
        """SHA-256 of each query's documents as a set, which reranking does not change."""
        state = hashlib.sha256()
        for query_id, doc_ids, _ in self:
            state.update("\0".join([query_id, *sorted(doc_ids)]).encode() + b"\1")
        return state.hexdigest()


def document_ids(passage_ids: pa.Array | pa.ChunkedArray, delimiter: str) -> pa.Array | pa.ChunkedArray:
    """Documents of passages, `D1` of `D1#3`: ids up to the first delimiter, as in Anserini; whole if that is at 0."""
    names = pc.list_element(pc.split_pattern(passage_ids, delimiter, max_splits=1), 0)
    return pc.if_else(pc.equal(names, ""), passage_ids, names)


def _string_array(ids: Sequence[str] | pa.Array | pa.ChunkedArray, rows: NDArray[np.integer]) -> pa.Array:
    """The ids at these positions as one Arrow array."""
    taken = (ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.string())).take(pa.array(rows))
    return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


def _ascending(ids: pa.Array) -> tuple[NDArray[np.int32], pa.Array]:
    """Position of each id in ascending order of UTF-8 bytes, and the ids in that order."""
    order = pc.array_sort_indices(ids)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order.to_numpy()] = np.arange(len(order), dtype=np.int32)
    return rank, ids.take(order)


def _order(queries: NDArray[np.int32], scores: NDArray[np.float32], codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """The rows in ranking order, of codes that ascend with the ids; all as they are, where they are in order."""
    falls = (scores[1:] < scores[:-1]) | ((scores[1:] == scores[:-1]) & (codes[1:] < codes[:-1]))
    if np.where(queries[1:] == queries[:-1], falls, queries[1:] > queries[:-1]).all():
        return np.arange(len(codes))
    # Sorting negated scores keeps the sort stable for equal ones; lexsort's last key is the first to count.
    return np.lexsort((-codes, -scores, queries))


def _used(codes: NDArray[np.integer], count: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Which of `count` codes occur, ascending, and the codes as places among these."""
    occurs = np.zeros(count, dtype=bool)
    occurs[codes] = True
    place = np.cumsum(occurs, dtype=np.int32) - np.int32(1)
    return np.flatnonzero(occurs), place[codes]


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
    queries: NDArray[np.int32], documents: NDArray[np.int32], query_ids: pa.Array, doc_ids: pa.Array, source: str
) -> None:
    pairs = np.sort(queries.astype(np.int64) * max(len(doc_ids), 1) + documents)
    repeated = pairs[1:][pairs[1:] == pairs[:-1]]
    if len(repeated):
        query, document = divmod(int(repeated[0]), len(doc_ids))
        raise DataError(
            f"{source}: document {doc_ids[document].as_py()!r} occurs twice for query {query_ids[query].as_py()!r}. "
            "Keep one line for each pair."
        )
