"""Vectors of a corpus in a file of their final size, and beside it a journal of which of them are done.

A record of the journal tells rows and the checksum of their vectors. What a killed process left is compared with it, so
that only vectors that are on the disk as they were made count as done.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.journal import Journal
from evalkit.memory import let_go

logger = logging.getLogger(__name__)

VECTORS = "vectors.npy"
DONE = "done.log"
DIGEST_BYTES = 16  # bytes
_RECORDS_PER_BREATH = 1000


class GrowingVectors:
    """Vectors that are made bit by bit.

    Args:
        vectors: shape (documents, width), memory-mapped.
        journal: of what is done.
        made_by: what must be the same for the vectors of one file.

    Attributes:
        known: shape (documents,), which are done.
    """

    def __init__(self, vectors: NDArray[Any], journal: Journal, made_by: Mapping[str, object]) -> None:
        self._vectors, self._journal = vectors, journal
        self.known = np.zeros(len(vectors), dtype=bool)
        records = journal.replay()
        head = next(records, b"")
        if head != (expected := json.dumps(made_by, sort_keys=True).encode()):
            if head:
                logger.warning("%s: was begun on another machine or torch. It is begun again.", journal.path.parent)
            records.close()
            journal.path.unlink(missing_ok=True)
            self._journal = Journal(journal.path)
            self._journal.append(expected)
            return
        for number, record in enumerate(records):
            rows = np.frombuffer(record[:-DIGEST_BYTES], dtype=np.int64)
            if rows.max(initial=-1) < len(vectors) and self._digest(rows) == record[-DIGEST_BYTES:]:
                self.known[rows] = True
            if number % _RECORDS_PER_BREATH == 0:
                self.let_go()

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
    """The vectors in a folder, begun or gone on with; the journal is gone once a `with` block is through.

    Args:
        folder: of the artefact.
        shape: documents and width.
        dtype: of the file.
        made_by: what must be the same for the vectors of one file, such as the version of torch.

    Raises:
        OSError: there is no room for them.
        ResultError: the disk is full.
    """
    path, journal = folder / VECTORS, folder / DONE
    if not _fits(path, shape, dtype):
        journal.unlink(missing_ok=True)
        _reserve(path, shape, dtype)
    vectors = np.load(path, mmap_mode="r+")
    yield GrowingVectors(vectors, Journal(journal), made_by)
    vectors.flush()
    for leftover in folder.glob(f"*{DONE}*"):
        leftover.unlink()


def _fits(path: Path, shape: tuple[int, int], dtype: str) -> bool:
    """Whether a file of these vectors was begun."""
    try:
        found = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return bool(found.shape == shape and found.dtype == np.dtype(dtype))


def _reserve(path: Path, shape: tuple[int, int], dtype: str) -> None:
    """A file of zeros with room on the disk: a write to a mapping that finds none would kill the process."""
    kind = np.dtype(dtype)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
        )
        size = file.tell() + int(np.prod(shape)) * kind.itemsize
        file.truncate(size)
        file.flush()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
