"""Corpora from files: checked, converted to Arrow once, and found again by their content."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.artefact import CORPORA, DOWNLOADS
from evalkit.datasets.records import Record, checked, records
from evalkit.datasets.source import FolderSource, Source
from evalkit.errors import DataError, reason
from evalkit.folders import file_digest
from evalkit.progress import progress
from evalkit.store import Store
from evalkit.textfile import lines

_SCHEMA = pa.schema([("_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
_FORMAT = 1  # of the Arrow file; a higher number makes old ones be built anew
_DOCUMENTS_PER_BATCH = 10_000
_CHARACTERS_PER_BATCH = 64_000_000  # a column of a batch holds less than 2 GiB, and a character takes up to 4 bytes
_LONGEST = 400_000_000  # characters of a document, for the same reason
_ARROW = "documents.arrow"


def from_json_lines(source: Source, name: str, store: Store) -> tuple[Any, str]:
    """A memory-mapped `datasets.Dataset` of a file of documents, and the SHA-256 of its decompressed content.

    Raises:
        DataError: a line is malformed, an id occurs twice, or the file changes while it is read.
    """
    sha256 = _content_digest(source, name)

    def build(folder: Path) -> None:
        _convert(source, name, folder, sha256)

    facts = {"format": _FORMAT, "content_sha256": sha256}
    return open_corpus(store, facts, build, label=source.label(name)), sha256


def from_published(store: Store, content: str, get: Callable[[], Path]) -> tuple[Any, str]:
    """`from_json_lines` for a file whose published checksum fixes its content.

    Args:
        store: where the converted corpus is kept.
        content: the checksum, such as `md5:...`.
        get: gives the file; called only where the store lacks the corpus.
    """

    def build(folder: Path) -> None:
        path = get()
        _convert(FolderSource(path.parent), path.name, folder)

    kind, _, checksum = content.partition(":")
    if kind == "md5":
        store.used.add(f"{DOWNLOADS}/{checksum}")
    return open_corpus(store, {"format": _FORMAT, "content": content}, build, label=content), content


def from_parquet(path: Path, store: Store) -> tuple[Any, str]:
    """`from_json_lines` for a parquet file with columns for id, text and perhaps title.

    Raises:
        DataError: it is no parquet, lacks a column, or changes while it is read.
    """
    sha256 = file_digest(path)

    def build(folder: Path) -> None:
        _write(lambda: _parquet_records(path, sha256), folder, str(path))

    return open_corpus(store, {"format": _FORMAT, "parquet_sha256": sha256}, build, label=str(path)), sha256


def open_corpus(store: Store, facts: Mapping[str, object], build: Callable[[Path], None], *, label: str) -> Any:
    """The corpus that these facts fix, built by `build(folder)` where the store lacks it; people call it `label`."""
    import datasets

    return datasets.Dataset.from_file(str(store.folder(CORPORA, facts, build, label=label) / _ARROW))


def from_columns(
    store: Store, facts: Mapping[str, object], columns: Callable[[], Iterable[Sequence[pa.Array]]], *, label: str
) -> Any:
    """`open_corpus` of batches of ids, titles and texts that are in Arrow already; the caller checks the ids."""

    def build(folder: Path) -> None:
        with pa.OSFile(str(folder / _ARROW), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
            for batch in columns():
                writer.write_batch(pa.RecordBatch.from_arrays(list(batch), schema=_SCHEMA))

    return open_corpus(store, {"format": _FORMAT, **facts}, build, label=label)


def _convert(source: Source, name: str, folder: Path, sha256: str | None = None) -> None:
    """Convert a file, of this content where that is known."""
    label = source.label(name)
    with progress("reading corpus", source.megabytes(name), "MB") as advance:

        def read() -> Iterator[Record]:
            if sha256 is None:
                yield from records(source, name, advance=advance)
                return
            state = hashlib.sha256()
            yield from records(source, name, advance=advance, note=state.update)
            _require_content(label, state.hexdigest(), sha256)

        _write(read, folder, label)


def _parquet_records(path: Path, sha256: str) -> Iterator[Record]:
    import pyarrow.parquet as pq

    row = 0
    try:
        with pq.ParquetFile(path) as file, progress("reading corpus", file.metadata.num_rows, "documents") as advance:
            for batch in file.iter_batches(rows_per_batch(file.metadata)):
                for fields in batch.to_pylist():
                    row += 1
                    yield checked(fields, f"{path} row:{row}")
                advance(len(batch))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no parquet, or a damaged one ({reason(error)}).") from error
    _require_content(str(path), file_digest(path), sha256)


def rows_per_batch(metadata: Any) -> int:
    """So few that texts of the usual length in the file do not fill the memory."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    bytes_per_row = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0.0)
    return int(min(_DOCUMENTS_PER_BATCH, max(1, _CHARACTERS_PER_BATCH // max(bytes_per_row, 1.0))))


def _require_content(label: str, found: str, sha256: str) -> None:
    """Refuse what was read under the key of another content.

    Raises:
        DataError: the file changed after its digest was taken.
    """
    if found != sha256:
        raise DataError(f"{label}: changed while it was read. Run again.")


def _content_digest(source: Source, name: str) -> str:
    """SHA-256 of a file's decompressed bytes: the same corpus is the same whatever its packaging."""
    state = hashlib.sha256()
    size = source.megabytes(name)
    with source.open(name) as stream, progress("checking corpus", size, "MB") as advance:
        try:
            while block := stream.read(1 << 20):
                state.update(block)
                advance(len(block) / 1e6)
        # Zip, gzip and zlib have many errors for damaged bytes; reading line by line finds the line.
        except Exception as error:
            with source.open(name) as again:
                for _ in lines(again, source.label(name)):
                    pass
            raise DataError(f"{source.label(name)}: cannot be read ({error}).") from error
    return state.hexdigest()


def _write(read: Callable[[], Iterable[Record]], folder: Path, label: str) -> None:
    """Write documents as an Arrow stream.

    Raises:
        DataError: there are none, or an id occurs twice.
    """
    seen = _Seen()
    with pa.OSFile(str(folder / _ARROW), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        for rows in _batches(read()):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=_SCHEMA))
            seen.add([row["_id"] for row in rows])
    if not seen.count:
        raise DataError(f"{label}: holds no documents.")
    if suspects := seen.suspects():
        # A second reading, so that a sound corpus is not slowed by remembering line numbers.
        _refuse_repeated(record for record in read() if hash(record.id) in suspects)


class _Seen:
    """Hashes of ids, of eight bytes each: millions of ids need not be in memory to tell that one occurs twice."""

    def __init__(self) -> None:
        self._hashes: list[NDArray[np.int64]] = []
        self.count = 0

    def add(self, ids: Sequence[str]) -> None:
        """Note some ids."""
        self._hashes.append(np.fromiter(map(hash, ids), dtype=np.int64, count=len(ids)))
        self.count += len(ids)

    def suspects(self) -> set[int]:
        """Hashes that occur twice: of ids that do, and perhaps of others."""
        found = np.sort(np.concatenate([np.empty(0, dtype=np.int64), *self._hashes]))
        return set(found[1:][found[1:] == found[:-1]].tolist())


def require_ids(ids: pa.ChunkedArray, label: str) -> None:
    """Refuse ids that occur twice, or that `ids.fault` refuses; for millions of them at once.

    Raises:
        DataError: the message says how many, and names the first.
    """
    wrong: list[str] = []
    seen = _Seen()
    for chunk in ids.chunks:
        trimmed = pc.equal(pc.utf8_trim_whitespace(chunk), chunk)
        legal = pc.and_(trimmed, pc.invert(pc.match_substring_regex(chunk, r"[\t\n\r\x00]|^$")))
        if not pc.all(legal).as_py():
            wrong += chunk.filter(pc.invert(legal)).to_pylist()
        seen.add(chunk.to_pylist())
    if wrong:
        raise DataError(
            f"{label}: {len(wrong)} document ids, such as {wrong[0]!r}, are empty or hold tabs, line breaks or "
            "outer blanks, which no run file can hold."
        )
    if suspects := seen.suspects():
        repeated = [one for chunk in ids.chunks for one in chunk.to_pylist() if hash(one) in suspects]
        if (more := len(repeated) - len(set(repeated))) > 0:
            raise DataError(f"{label}: {more} document ids occur twice. Ids are unique.")


def _refuse_repeated(found: Iterable[Record]) -> None:
    """Refuse documents of which two have the same id.

    Raises:
        DataError: the message names both lines.
    """
    first: dict[str, Record] = {}
    for record in found:
        earlier = first.setdefault(record.id, record)
        if earlier is not record:
            line = earlier.where.rpartition(":")[2]
            raise DataError(f"{record.where}: document id {record.id!r} is already on line {line}. Ids are unique.")


def _batches(found: Iterable[Record]) -> Iterator[list[dict[str, str]]]:
    """Rows of an Arrow batch at a time: bounded in number, and in characters.

    Raises:
        DataError: a single document is too long for any batch.
    """
    batch: list[dict[str, str]] = []
    characters = 0
    for record in found:
        size = len(record.title) + len(record.text)
        if characters + size > _CHARACTERS_PER_BATCH or len(batch) == _DOCUMENTS_PER_BATCH:
            if size > _LONGEST:
                raise DataError(f"{record.where}: a document of {size:,} characters, expected up to {_LONGEST:,}.")
            if batch:
                yield batch
            batch, characters = [], 0
        batch.append(record.row)
        characters += size
    if batch:
        yield batch
