"""Sparse weights of a corpus that are made bit by bit, with a journal of those that are done.

The first record of the journal says which weights these are and who makes them; each other one holds some rows with all
their weights. The file of all weights is written at the end, and the journal removed.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.budget import KeptBudget, budget_name
from evalkit.store.journal import Journal, lock_name

WEIGHTS = "weights.npz"
_DONE = "weights.log"
FILES = (WEIGHTS, _DONE, lock_name(_DONE), budget_name(_DONE))
"""Files that exist while weights are made; only the first remains."""
_NUMBER, _TERM, _WEIGHT = np.dtype("<i8"), np.dtype("<i4"), np.dtype("<f4")


class GrowingWeights:
    """Weights of a vocabulary, a row a document.

    Attributes:
        known: shape (documents,), which are done.
        budget: tokens of a batch that they are made with, where a probe found it.
    """

    def __init__(self, shape: tuple[int, int], journal: Journal) -> None:
        self._shape, self._journal = shape, journal
        self._parts: list[tuple[NDArray[np.int64], Any]] = []
        self.budget = KeptBudget(journal.path.with_name(budget_name(journal.path.name)))
        self.known = np.zeros(shape[0], dtype=bool)
        for record in journal.replay():
            self._add(*_unpacked(record, shape[1]))

    def keep(self, rows: NDArray[np.int64], weights: Any) -> None:
        """Write some rows, a `csr_array` of shape (rows, vocabulary), and that they are done.

        Raises:
            ResultError: the disk is full.
        """
        self._journal.append(_packed(rows, weights))
        self._add(rows, weights)

    def _add(self, rows: NDArray[np.int64], weights: Any) -> None:
        self._parts.append((rows, weights))
        self.known[rows] = True

    def let_go(self) -> None:
        """Nothing: the rows are in memory until the end."""

    def whole(self) -> Any:
        """All of them, a `csr_array` of shape (documents, vocabulary)."""
        return in_order(self._parts, self._shape[1])


@contextmanager
def open_weights(folder: Path, shape: tuple[int, int], made_by: Mapping[str, object]) -> Iterator[GrowingWeights]:
    """The weights in a folder, new or resumed, which are written by column when the `with` block ends.

    Args:
        folder: of `FILES`.
        shape: (documents, vocabulary).
        made_by: what the last bits depend on; rows of others are not resumed.

    Raises:
        ResultError: the disk is full.
    """
    from scipy import sparse

    journal = folder / _DONE
    head = json.dumps({**made_by, "weights": folder.name}, sort_keys=True).encode()
    growing = GrowingWeights(shape, Journal(journal, head=head, fits=partial(_is_of, shape)))
    yield growing
    sparse.save_npz(folder / WEIGHTS, growing.whole().tocsc(), compressed=False)
    for leftover in folder.glob(f"*{_DONE}*"):
        leftover.unlink()


def rows_done(folder: Path) -> int:
    """How many rows a killed process left in a folder."""
    records = Journal(folder / _DONE).replay()
    next(records, None)  # says who made the others
    return sum(int(np.frombuffer(record, _NUMBER, count=1)[0]) for record in records)


def in_order(parts: list[tuple[NDArray[np.int64], Any]], width: int) -> Any:
    """The weights of all texts as one `csr_array`, from (which texts, their weights) in any order."""
    from scipy import sparse

    rows = np.concatenate([np.empty(0, dtype=np.int64), *(rows for rows, _ in parts)])
    none = sparse.csr_array((0, width), dtype=np.float32)
    return sparse.vstack([none, *(block for _, block in parts)], format="csr")[np.argsort(rows)]


def _packed(rows: NDArray[np.int64], weights: Any) -> bytes:
    """The number of rows, which they are, how many weights each has, and the entries and weights of all."""
    fields = ((len(rows), _NUMBER), (rows, _NUMBER), (np.diff(weights.indptr), _NUMBER))
    entries = ((weights.indices, _TERM), (weights.data, _WEIGHT))
    return b"".join(np.asarray(values).astype(kind).tobytes() for values, kind in (*fields, *entries))


def _unpacked(record: bytes, width: int) -> tuple[NDArray[np.int64], Any]:
    from scipy import sparse

    rows, lengths, terms, weights = _fields(record)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)  # the type of what is made anew
    return rows, sparse.csr_array((weights, terms, ends), shape=(len(rows), width))


def _fields(record: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
    count = int(np.frombuffer(record, _NUMBER, count=1)[0])
    rows, lengths = (np.frombuffer(record, _NUMBER, count, _NUMBER.itemsize * (1 + place * count)) for place in (0, 1))
    start, number = _NUMBER.itemsize * (1 + 2 * count), int(lengths.sum())
    terms = np.frombuffer(record, _TERM, number, start)
    return rows, lengths, terms, np.frombuffer(record, _WEIGHT, number, start + _TERM.itemsize * number)


def _is_of(shape: tuple[int, int], record: bytes) -> bool:
    """Whether a record can hold weights of this shape."""
    try:
        rows, lengths, terms, weights = _fields(record)
    except ValueError:  # it is shorter than its numbers say
        return False
    size = _NUMBER.itemsize * (1 + 2 * len(rows)) + (_TERM.itemsize + _WEIGHT.itemsize) * len(weights)
    whole = len(record) == size and lengths.min(initial=0) >= 0
    of_documents = rows.min(initial=0) >= 0 and rows.max(initial=-1) < shape[0]
    return bool(whole and of_documents and terms.min(initial=0) >= 0 and terms.max(initial=-1) < shape[1])
