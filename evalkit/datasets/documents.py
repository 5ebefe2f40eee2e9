"""Documents of a collection in an Arrow file, memory-mapped: a corpus of any size takes no memory to open."""

import mmap
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.inference.batches import windows
from evalkit.system.memory import let_go
from evalkit.system.progress import progress
from evalkit.types import Documents

_SAMPLE = 50  # documents
_BEGINNING = 100_000  # characters of each
_LEAST_KANA = 0.1  # per Chinese character, from which a text is Japanese
_WINDOW = 10_000  # documents in memory at a time
_WINDOW_BYTES = 64_000_000


class ArrowDocuments:
    """Documents in a Hugging Face `datasets.Dataset` with columns `_id`, `text` and perhaps `title`.

    Args:
        table: the memory-mapped dataset.
        id_column: name of the column of ids.
        title_separator: joins title and text; the result is stripped, as BEIR and MTEB do.
    """

    def __init__(self, table: Any, *, title_separator: str, id_column: str = "_id") -> None:
        arrow, self._mappings = _mapped(table)
        self._separator = title_separator
        self.ids: pa.ChunkedArray = arrow.column(id_column).cast(pa.string())
        columns = {name: as_text(arrow.column(name)) for name in ("title", "text") if name in arrow.column_names}
        self._parts = pa.table(columns).to_batches()
        self._starts = np.cumsum([0, *(len(part) for part in self._parts)])

    def __len__(self) -> int:
        """Number of documents."""
        return len(self.ids)

    def sizes(self) -> NDArray[np.int32]:
        """Bytes of each document's title and text, in corpus order."""
        sizes = [
            sum(pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int32) for column in part.columns)
            for part in self._parts
        ]
        self._let_go()
        return np.concatenate([np.empty(0, dtype=np.int32), *sizes])

    def texts(self, rows: Sequence[int] | NDArray[np.integer] | range) -> list[str]:
        """Texts at these positions, title and body joined."""
        positions = np.asarray(rows, dtype=np.int64)
        # Row after row through the file; a `take` of the whole table would copy all of it.
        order = np.argsort(positions, kind="stable")
        ascending = positions[order]
        ends = np.searchsorted(ascending, self._starts)
        texts: list[str] = []
        for number in np.flatnonzero(np.diff(ends)):
            inside = ascending[ends[number] : ends[number + 1]] - self._starts[number]
            texts += self._joined(self._parts[number].take(pa.array(inside)))
        if len(texts) != len(positions):
            raise IndexError(f"a row of {positions.min()} to {positions.max()} is none of {len(self)} documents")
        self._let_go()
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        return [texts[index] for index in place.tolist()]

    def rows(self) -> Iterator[dict[str, str]]:
        """`_id`, `title` and `text` of every document, in corpus order."""
        ids = iter(self.ids.to_pylist())
        for part in self._parts:
            for start in range(0, len(part), _WINDOW):
                for row in part.slice(start, _WINDOW).to_pylist():
                    yield {"_id": next(ids), "title": row.get("title") or "", "text": row["text"] or ""}
            self._let_go()

    def _joined(self, part: pa.RecordBatch) -> list[str]:
        bodies = part.column("text").to_pylist()
        if "title" not in part.schema.names:
            return [(body or "").strip() for body in bodies]
        pairs = zip(part.column("title").to_pylist(), bodies, strict=True)
        return [f"{title or ''}{self._separator}{body or ''}".strip() for title, body in pairs]

    def _let_go(self) -> None:
        for mapping in self._mappings:
            let_go(mapping)


class OpenedCorpus(NamedTuple):
    """A published corpus.

    Attributes:
        documents: memory-mapped.
        digest: what fixes its content.
        notes: counts of what was unusual in it; see `records.SAID`.
    """

    documents: Documents
    digest: str
    notes: Mapping[str, int]


def _mapped(table: Any) -> tuple[pa.Table, list[mmap.mmap]]:
    """The table of a `datasets.Dataset`, and the mappings of its files, whose pages can then be let go."""
    if table._indices is not None:  # noqa: SLF001 - what `flatten_indices` looks at
        table = table.flatten_indices()
    parts, mappings = [], []
    for file in table.cache_files:
        with Path(file["filename"]).open("rb") as opened:
            mappings.append(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))
        parts.append(pa.ipc.open_stream(pa.py_buffer(mappings[-1])).read_all())
    # Else it is a part of what its files hold, or has other names for it, as mteb's tasks have.
    if parts and sum(map(len, parts)) == len(table) and parts[0].column_names == table.column_names:
        return pa.concat_tables(parts), mappings
    return table.data.table, []


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of texts as it is; of numbers, such as pandas' NaN for no title, as text with null for NaN."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, column)
    return (
        column if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) else column.cast(pa.string())
    )


def read_through(documents: Documents, description: str) -> Iterator[list[str]]:
    """The texts of all documents in their order, some at a time, with progress."""
    with progress(description, len(documents), "documents") as advance:
        for rows in windows(documents.sizes(), count=_WINDOW, size=_WINDOW_BYTES):
            texts = documents.texts(range(rows.start, rows.stop))
            yield texts
            advance(len(texts))


def script_of(documents: Documents) -> str:
    """The script of most letters of the first documents; see `script_of_texts`."""
    return script_of_texts(documents.texts(range(min(len(documents), _SAMPLE))))


def script_of_texts(texts: Iterable[str]) -> str:
    """The script of most letters, as the first word of their Unicode names, such as `THAI`.

    `KANA` is Japanese: kana among Chinese characters. Empty where no script has more than half of the letters.
    """
    counts = Counter[str]()
    for character, count in Counter("".join(text[:_BEGINNING] for text in texts)).items():
        if character.isalpha():
            counts[unicodedata.name(character, "").partition(" ")[0]] += count
    kana = counts.pop("HIRAGANA", 0) + counts.pop("KATAKANA", 0)
    if kana > _LEAST_KANA * counts["CJK"]:
        counts["KANA"] = kana + counts.pop("CJK")
    else:
        counts["CJK"] += kana
    script, count = counts.most_common(1)[0]
    return script if 2 * count > counts.total() else ""
