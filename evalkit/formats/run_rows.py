"""Rows of a run file as columns of numbers, checked: distinct ids, codes into them, scores and ranks."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.errors import DataError
from evalkit.formats.rows import Row, is_number
from evalkit.run import Run

_IDS_AT_A_TIME = 65_536


class RunRows(NamedTuple):
    """Rows of a file in their order.

    Attributes:
        query_ids: distinct.
        doc_ids: distinct.
        queries: shape (rows,), indices into `query_ids`.
        documents: shape (rows,), indices into `doc_ids`.
        scores: shape (rows,).
        ranks: shape (rows,), NaN where there is no number; None where the file has no ranks.
    """

    query_ids: list[str]
    doc_ids: pa.Array
    queries: NDArray[np.int32]
    documents: NDArray[np.int32]
    scores: NDArray[np.float64]
    ranks: NDArray[np.float64] | None

    def run(self, source: str) -> Run:
        """By score.

        Raises:
            DataError: a score is not finite, or a document occurs twice for a query.
        """
        return Run.rank(
            self.query_ids,
            self.doc_ids,
            queries=self.queries,
            documents=self.documents,
            scores=self.scores,
            source=source,
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


def checked(rows: Callable[[], Iterator[Row]], path: Path) -> tuple[RunRows, Run]:
    """All rows, and the run that they make by score; `rows` is called once more where one of them is at fault.

    Raises:
        DataError: a score is no finite number, an id is empty, or a document occurs twice for a query.
    """
    scored = _collected(rows(), path)
    try:
        return scored, scored.run(str(path))
    except DataError:
        # `rank` looks for faults over all rows at once; only a faulty file is read again, to name the line.
        _raise_not_finite(rows(), path)
        _raise_repeated(rows(), path)
        raise


def _collected(rows: Iterable[Row], path: Path) -> RunRows:
    queries: dict[str, int] = {}
    documents = _Distinct()
    query_codes, scores, given = array("i"), array("d"), array("d")
    for number, query_id, doc_id, rank, value in rows:
        if not are_ids(query_id, doc_id):
            raise DataError(f"{path}:{number}: an id is empty or holds a NUL character.")
        if value is not None:
            if not is_number(value):
                raise DataError(f"{path}:{number}: the score is {value!r}, expected a number.")
            scores.append(float(value))
        if rank is not None:
            given.append(float(rank) if is_number(rank) else float("nan"))
        query_codes.append(queries.setdefault(query_id, len(queries)))
        documents.add(doc_id)
    doc_ids, doc_codes = documents.encoded()
    return RunRows(
        list(queries),
        doc_ids,
        np.frombuffer(query_codes, dtype=np.int32),
        doc_codes,
        np.frombuffer(scores, dtype=np.float64) if scores else np.zeros(len(query_codes)),
        np.frombuffer(given, dtype=np.float64) if given else None,
    )


class _Distinct:
    """Ids in a row, as codes into the distinct ones."""

    def __init__(self) -> None:
        self._parts: list[pa.Array] = []
        self._some: list[str] = []

    def add(self, text: str) -> None:
        """The next id."""
        self._some.append(text)
        if len(self._some) == _IDS_AT_A_TIME:
            self._close()

    def _close(self) -> None:
        self._parts.append(pa.array(self._some, pa.string()))
        self._some = []

    def encoded(self) -> tuple[pa.Array, NDArray[np.int32]]:
        """The distinct ids, ascending, and the code of each of all.

        By sorting: a table of millions of ids by their hashes takes several times the memory.
        """
        self._close()
        ids, self._parts = pa.chunked_array(self._parts).combine_chunks(), []
        order = pc.array_sort_indices(ids)
        ids = ids.take(order)
        is_new = np.ones(len(ids), dtype=bool)
        is_new[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        codes = np.empty(len(ids), dtype=np.int32)
        codes[order.to_numpy()] = np.cumsum(is_new, dtype=np.int32) - np.int32(1)
        return ids.filter(pa.array(is_new)), codes


def _raise_repeated(rows: Iterable[Row], path: Path) -> None:
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if (row.query_id, row.doc_id) in seen:
            raise DataError(
                f"{path}:{row.number}: document {row.doc_id!r} occurs twice for query {row.query_id!r}. Keep one line."
            )
        seen.add((row.query_id, row.doc_id))


def _raise_not_finite(rows: Iterable[Row], path: Path) -> None:
    for row in rows:
        with np.errstate(over="ignore"):
            finite = row.value is None or np.isfinite(np.float32(float(row.value)))
        if not finite:
            raise DataError(
                f"{path}:{row.number}: the score is {row.value}, which cannot be ranked. "
                "Expected a finite float32 number."
            )


def are_ids(query_id: str, doc_id: str) -> bool:
    """Whether both may be ids: neither is empty, nor holds a NUL, which would end it early in trec_eval's C."""
    return bool(query_id and doc_id) and "\0" not in query_id and "\0" not in doc_id
