"""Vectors of a corpus in a file of their final size, with a journal of those that are done.

The first record of the journal says which vectors these are and who makes them; each other one holds rows and the
checksum of their vectors. What a killed process left is compared with it, so that only vectors that are on the disk as
they were made count as done.
"""

import hashlib
import io
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.inference.budget import KeptBudget, budget_name
from evalkit.store.journal import Journal, lock_name
from evalkit.system.files import is_file
from evalkit.system.memory import let_go

logger = logging.getLogger(__name__)

VECTORS = "vectors.npy"
DONE = "done.log"
FILES = (VECTORS, DONE, lock_name(DONE), budget_name(DONE))
"""Files that exist while vectors are made; only the first remains."""
DIGEST_BYTES = 16  # bytes
_RECORDS_PER_BREATH = 1000


class GrowingVectors:
    """Vectors that are made bit by bit.

    Attributes:
        known: shape (documents,), which are done.
        budget: tokens of a batch that they are made with, where a probe found it.
    """

    def __init__(self, vectors: NDArray[Any], journal: Journal) -> None:
        self._vectors, self._journal = vectors, journal
        self.budget = KeptBudget(journal.path.with_name(budget_name(journal.path.name)))
        self.known = np.zeros(len(vectors), dtype=bool)
        lost = np.zeros(len(vectors), dtype=bool)
        for number, record in enumerate(journal.replay()):
            rows = np.frombuffer(record[:-DIGEST_BYTES], dtype=np.int64)
            (self.known if self._digest(rows) == record[-DIGEST_BYTES:] else lost)[rows] = True
            if number % _RECORDS_PER_BREATH == 0:
                self.let_go()
        if count := int((lost & ~self.known).sum()):
            logger.warning(
                "%s: %d vectors are not as they were made (the file is damaged). They are computed again.",
                journal.path.with_name(VECTORS),
                count,
            )

    def keep(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Write some vectors, and that they are done.

        Raises:
            ResultError: the disk is full.
        """
        self._vectors[rows] = vectors
        self._journal.append(rows.astype(np.int64).tobytes() + self._digest(rows))
        self.known[rows] = True

    def let_go(self) -> None:
        """Let pages of the file go that were written or read: on the disk they take no memory."""
        let_go(getattr(self._vectors, "_mmap", None))

    def _digest(self, rows: NDArray[np.int64]) -> bytes:
        return hashlib.blake2b(self._vectors[rows].tobytes(), digest_size=DIGEST_BYTES).digest()


@contextmanager
def open_vectors(
    folder: Path, shape: tuple[int, int], dtype: str, made_by: Mapping[str, object]
) -> Iterator[GrowingVectors]:
    """The vectors in a folder, new or resumed; the journal is removed when the `with` block ends.

    Raises:
        OSError: there is no room for them.
        ResultError: the disk is full.
    """
    path, journal = folder / VECTORS, folder / DONE
    if not _fits(path, shape, dtype):
        journal.unlink(missing_ok=True)
        _reserve(path, shape, dtype)
    vectors = np.load(path, mmap_mode="r+")
    head = json.dumps({**made_by, "vectors": folder.name}, sort_keys=True).encode()
    yield GrowingVectors(vectors, Journal(journal, head=head, fits=partial(_are_rows, shape[0])))
    vectors.flush()
    for leftover in folder.glob(f"*{DONE}*"):
        leftover.unlink()


def rows_done(folder: Path) -> int:
    """How many vectors a killed process left in a folder."""
    records = Journal(folder / DONE).replay()
    next(records, None)  # says who made the others
    return sum((len(record) - DIGEST_BYTES) // np.dtype(np.int64).itemsize for record in records)


def _are_rows(documents: int, record: bytes) -> bool:
    """Whether a record can hold rows of so many documents."""
    if len(record) < DIGEST_BYTES or (len(record) - DIGEST_BYTES) % np.dtype(np.int64).itemsize:
        return False
    rows = np.frombuffer(record[:-DIGEST_BYTES], dtype=np.int64)
    return bool(rows.min(initial=0) >= 0 and rows.max(initial=-1) < documents)


def _fits(path: Path, shape: tuple[int, int], dtype: str) -> bool:
    """Whether a file of these vectors exists with exactly the expected size."""
    header = _header(shape, dtype)
    if not is_file(path) or path.stat().st_size != len(header) + _size(shape, dtype):
        return False
    with path.open("rb") as file:
        return file.read(len(header)) == header


def _header(shape: tuple[int, int], dtype: str) -> bytes:
    file = io.BytesIO()
    described = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
    return file.getvalue()


def _size(shape: tuple[int, int], dtype: str) -> int:
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


def _reserve(path: Path, shape: tuple[int, int], dtype: str) -> None:
    """A file of zeros with room on the disk: a write to a mapping that finds none would kill the process."""
    with path.open("wb") as file:
        file.write(_header(shape, dtype))
        size = file.tell() + _size(shape, dtype)
        file.truncate(size)
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
