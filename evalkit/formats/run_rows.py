"""Rows of a run file as columns of numbers, checked: distinct ids, codes into them, scores and ranks."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.formats import ids
from evalkit.formats.rows import Row, is_number
from evalkit.run import Run

_IDS_AT_A_TIME = 65_536


class RunRows(NamedTuple):
    """Rows of a file in their order.

    Attributes:
        query_ids: the distinct queries.
        doc_ids: the distinct documents.
        queries: shape (rows,), indices into `query_ids`.
        documents: shape (rows,), indices into `doc_ids`.
        scores: shape (rows,).
        ranks: shape (rows,), NaN for a field that is not a number; None where the file has no ranks.
        repeats: how many further rows were the same as one of these.
    """

    query_ids: list[str]
    doc_ids: pa.Array
    queries: NDArray[np.int32]
    documents: NDArray[np.int32]
    scores: NDArray[np.float64]
    ranks: NDArray[np.float64] | None
    repeats: int = 0

    def run(self, source: str) -> Run:
        """The run by score.

        Raises:
            DataError: a score is not finite, or a document occurs twice for a query.
        """
        codes, scores = {"queries": self.queries, "documents": self.documents}, self.scores
        return Run.rank(self.query_ids, self.doc_ids, **codes, scores=scores, source=source)

    def once(self, source: str) -> tuple["RunRows", Run]:
        """These rows and their run; where the same rows are repeated, those that are left without.

        Raises:
            DataError: as of `run`.
        """
        try:
            return self, self.run(source)
        except DataError:
            if (kept := self.distinct()).repeats:
                with suppress(DataError):
                    return kept, kept.run(source)
            raise

    def distinct(self) -> "RunRows":
        """The first of all rows that are the same."""
        ranks = np.zeros(len(self.queries)) if self.ranks is None else np.nan_to_num(self.ranks, nan=-1.0)
        _, first = np.unique(
            np.stack([self.queries, self.documents, self.scores, ranks], axis=1), axis=0, return_index=True
        )
        kept = np.sort(first)
        return self._replace(
            queries=self.queries[kept],
            documents=self.documents[kept],
            scores=self.scores[kept],
            ranks=None if self.ranks is None else self.ranks[kept],
            repeats=len(self.queries) - len(kept),
        )


def from_mapping(scores: Mapping[str, Mapping[str, float]]) -> RunRows:
    """Rows from query id -> document id -> score."""
    codes: dict[str, int] = {}
    documents = [codes.setdefault(doc_id, len(codes)) for found in scores.values() for doc_id in found]
    lengths = [len(found) for found in scores.values()]
    return RunRows(
        list(scores),
        pa.array(list(codes), pa.string()),
        np.repeat(np.arange(len(scores), dtype=np.int32), lengths),
        np.array(documents, dtype=np.int32),
        np.array([float(score) for found in scores.values() for score in found.values()], dtype=np.float64),
        None,
    )


def checked(rows: Callable[[], Iterator[Row]], path: Path, *, repeats: bool = False) -> tuple[RunRows, Run]:
    """All rows, and their run by score. `rows` is called again if one of them is at fault, to name its line.

    Args:
        rows: of the file.
        path: of the file, for errors.
        repeats: whether a row may repeat another one, which is then left out.

    Raises:
        DataError: a score is not a finite number, an id is empty, or a document occurs twice for a query.
    """
    scored = _collected(rows(), path)
    try:
        return scored.once(str(path)) if repeats else (scored, scored.run(str(path)))
    except DataError:
        _raise_fault(rows(), path)
        raise


def _collected(rows: Iterable[Row], path: Path) -> RunRows:
    queries: dict[str, int] = {}
    documents, some = [], []
    query_codes, scores, given = array("i"), array("d"), array("d")
    for number, query_id, doc_id, rank, value in rows:
        if not ids.are_ids(query_id, doc_id):
            raise DataError(f"{path}:{number}: an id is empty or holds a NUL character.")
        if value is not None:
            if not is_number(value):
                raise DataError(f"{path}:{number}: the score is {value!r}, expected a number.")
            scores.append(float(value))
        if rank is not None:
            given.append(float(rank) if is_number(rank) else float("nan"))
        query_codes.append(queries.setdefault(query_id, len(queries)))
        some.append(doc_id)
        if len(some) == _IDS_AT_A_TIME:
            documents.append(pa.array(some, pa.string()))
            some = []
    doc_ids, doc_codes = _encoded(pa.chunked_array([*documents, pa.array(some, pa.string())]))
    return RunRows(
        list(queries),
        doc_ids,
        np.frombuffer(query_codes, dtype=np.int32),
        doc_codes,
        np.frombuffer(scores, dtype=np.float64) if scores else np.zeros(len(query_codes)),
        np.frombuffer(given, dtype=np.float64) if given else None,
    )


def _encoded(all_ids: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int32]]:
    """The distinct ids, ascending, and the code of each of all.

    By sorting: pyarrow's `dictionary_encode` of millions of ids takes several times the memory.
    """
    found = all_ids.combine_chunks()
    order = pc.array_sort_indices(found)
    found = found.take(order)
    is_new = np.ones(len(found), dtype=bool)
    is_new[1:] = pc.not_equal(found[1:], found[:-1]).to_numpy(zero_copy_only=False)
    codes = np.empty(len(found), dtype=np.int32)
    codes[order.to_numpy()] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
    return found.filter(pa.array(is_new)), codes


def _raise_fault(rows: Iterable[Row], path: Path) -> None:
    """Name the first row whose score is not finite, or else the first that repeats a pair."""
    seen: set[tuple[str, str]] = set()
    repeated = None
    for row in rows:
        with np.errstate(over="ignore"):
            finite = row.value is None or np.isfinite(np.float32(float(row.value)))
        if not finite:
            raise DataError(
                f"{path}:{row.number}: the score is {row.value}, which cannot be ranked. "
                "Expected a finite float32 number."
            )
        pair = (row.query_id, row.doc_id)
        repeated = row if repeated is None and pair in seen else repeated
        seen.add(pair)
    if repeated is not None:
        raise DataError(
            f"{path}:{repeated.number}: document {repeated.doc_id!r} occurs twice for query {repeated.query_id!r}. "
            "Keep one line."
        )
