"""Documents of a collection in an Arrow file, memory-mapped: a corpus of any size takes no memory to open."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.progress import progress
from evalkit.types import Documents

_SAMPLE = 50  # documents
_WINDOW = 10_000  # documents in memory at a time


class ArrowDocuments:
    """Documents in a Hugging Face `datasets.Dataset` with columns `_id`, `text` and perhaps `title`.

    Args:
        table: the memory-mapped dataset.
        id_column: name of the column of ids.
        title_separator: joins title and text; the result is stripped, as BEIR and MTEB do.
    """

    def __init__(self, table: Any, *, title_separator: str, id_column: str = "_id") -> None:
        self._table = table.with_format("arrow")
        self._separator = title_separator
        self._titled = "title" in table.column_names
        self.ids: pa.ChunkedArray = table.data.column(id_column).cast(pa.string())

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._table)

    def texts(self, rows: Sequence[int] | NDArray[np.integer] | range) -> list[str]:
        """Texts at these positions, title and body joined."""
        columns = self._table[rows if isinstance(rows, range) else [int(row) for row in rows]]
        bodies = columns["text"].to_pylist()
        if not self._titled:
            return [(body or "").strip() for body in bodies]
        titles = columns["title"].to_pylist()
        pairs = zip(titles, bodies, strict=True)
        return [f"{title or ''}{self._separator}{body or ''}".strip() for title, body in pairs]


def read_through(documents: Documents, description: str) -> Iterator[list[str]]:
    """The texts of all documents in their order, some at a time, with progress."""
    total = len(documents)
    with progress(description, total, "documents") as advance:
        for start in range(0, total, _WINDOW):
            texts = documents.texts(range(start, min(start + _WINDOW, total)))
            yield texts
            advance(len(texts))


def are_chinese(documents: Documents) -> bool:
    """Whether most letters of the first documents are Chinese characters."""
    text = "".join(documents.texts(range(min(len(documents), _SAMPLE))))
    letters = [character for character in text if character.isalpha()]
    return 2 * sum("\u4e00" <= character <= "\u9fff" for character in letters) > len(letters)
