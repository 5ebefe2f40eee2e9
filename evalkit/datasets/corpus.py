"""Corpora from files: checked, converted to Arrow once, and found again by their content."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evalkit.datasets.data_rows import COLUMNAR, LINES, PARQUET, format_of
from evalkit.datasets.records import NO_TEXT, NO_TITLE, REPEATED, Record, records
from evalkit.datasets.source import CollectionFiles, FolderSource
from evalkit.errors import DataError
from evalkit.formats.textfile import lines
from evalkit.store import Store
from evalkit.store.artefact import CORPORA, DOWNLOADS
from evalkit.system.progress import progress

_SCHEMA = pa.schema([("_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
_FORMAT = 1  # of the Arrow file; a higher number has old ones built again
_DOCUMENTS_PER_BATCH = 10_000
_CHARACTERS_PER_BATCH = 64_000_000  # a column of a batch holds less than 2 GiB, and a character takes up to 4 bytes
_LONGEST = 400_000_000  # characters of a document, for the same reason
_ARROW, _NOTES = "documents.arrow", "notes.json"


class Corpus(NamedTuple):
    """The documents of a collection.

    Attributes:
        table: a memory-mapped `datasets.Dataset` with columns `_id`, `title` and `text`.
        digest: what fixes its content: SHA-256 of the file, or its published checksum.
        notes: counts of what was unusual in it; see `records.SAID`.
    """

    table: Any
    digest: str
    notes: Mapping[str, int]


def from_file(source: CollectionFiles, name: str, store: Store, *, more: Sequence[str] = ()) -> Corpus:
    """The documents of a file in any format of `data_rows`, and of `more` like it, in this order.

    JSON lines have the digest of their decompressed bytes.
    """
    form, names = format_of(source, name), (name, *more)
    sha256 = _content_digest(source, names)

    def build(folder: Path) -> None:
        _convert(source, names, form, folder, sha256)

    # The digest of JSON lines is older than the other formats, and keys of vectors and results hang on it.
    kept_by = {
        LINES: ({"content_sha256": sha256}, sha256),
        PARQUET: ({"parquet_sha256": sha256}, sha256),
    }
    facts, digest = kept_by.get(form, ({"content_sha256": sha256, "form": form}, f"{sha256}+{form}"))
    return open_corpus(store, {"format": _FORMAT, **facts}, build, label=source.label(name), digest=digest)


def from_published(store: Store, content: str, get: Callable[[], Path]) -> Corpus:
    """`from_file` for JSON lines whose published checksum fixes their content.

    Args:
        store: where the converted corpus is kept.
        content: the checksum, such as `md5:...`.
        get: gives the file; called only where the store lacks the corpus.
    """

    def build(folder: Path) -> None:
        path = get()
        _convert(FolderSource(path.parent), (path.name,), LINES, folder)

    kind, _, checksum = content.partition(":")
    if kind == "md5":
        store.used.add(f"{DOWNLOADS}/{checksum}")
    return open_corpus(store, {"format": _FORMAT, "content": content}, build, label=content, digest=content)


def from_records(
    found: Iterable[Record], store: Store, facts: Mapping[str, object], *, label: str, digest: str
) -> Corpus:
    """Documents that were read already, of different ids; `facts` fix them."""

    def build(folder: Path) -> None:
        _, unusual = _write_rows(found, folder)
        _write_notes(folder, unusual)

    return open_corpus(store, {"format": _FORMAT, **facts}, build, label=label, digest=digest)


def from_reading(
    read: Callable[[], Iterable[Record]], store: Store, facts: Mapping[str, object], *, label: str, digest: str
) -> Corpus:
    """Documents that `read` gives, once or again, without those that repeat an earlier one; `facts` fix them."""

    def build(folder: Path) -> None:
        _write(read, folder, label)

    return open_corpus(store, {"format": _FORMAT, **facts}, build, label=label, digest=digest)


def open_corpus(
    store: Store, facts: Mapping[str, object], build: Callable[[Path], None], *, label: str, digest: str
) -> Corpus:
    """The corpus that these facts fix, built by `build(folder)` where the store lacks it; people call it `label`."""
    import datasets

    folder = store.folder(CORPORA, facts, build, label=label)
    notes = folder / _NOTES
    counts = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    return Corpus(datasets.Dataset.from_file(str(folder / _ARROW)), digest, counts)


def from_columns(
    store: Store,
    facts: Mapping[str, object],
    columns: Callable[[], Iterable[Sequence[pa.Array]]],
    *,
    label: str,
    digest: str,
) -> Corpus:
    """`open_corpus` of batches of ids, titles and texts that are in Arrow already, null for none.

    The caller checks the ids.
    """

    def build(folder: Path) -> None:
        unusual = Counter[str]()
        with pa.OSFile(str(folder / _ARROW), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
            for ids, titles, texts in columns():
                unusual.update({NO_TITLE: titles.null_count, NO_TEXT: texts.null_count})
                batch = [ids, titles.fill_null(""), texts.fill_null("")]
                writer.write_batch(pa.RecordBatch.from_arrays(batch, schema=_SCHEMA))
        _write_notes(folder, unusual)

    return open_corpus(store, {"format": _FORMAT, **facts}, build, label=label, digest=digest)


def _convert(source: CollectionFiles, names: Sequence[str], form: str, folder: Path, sha256: str | None = None) -> None:
    """Convert files, of this content where that is known."""
    label = source.label(names[0])
    with progress("reading corpus", _megabytes(source, names), "MB") as advance:

        def read() -> Iterator[Record]:
            state = hashlib.sha256()
            # Parquet is read from its end, so its bytes are looked through once more.
            note = None if form in COLUMNAR or sha256 is None else state.update
            for name in names:
                yield from records(source, name, form, advance=advance, note=note)
            if sha256 is not None:
                found = _content_digest(source, names) if form in COLUMNAR else state.hexdigest()
                _require_content(label, found, sha256)

        _write(read, folder, label)


def _require_content(label: str, found: str, sha256: str) -> None:
    """Refuse what was read under the key of another content."""
    if found != sha256:
        raise DataError(f"{label}: changed while it was read. Run again.")


def _megabytes(source: CollectionFiles, names: Sequence[str]) -> float | None:
    sizes = [source.megabytes(name) for name in names]
    return None if None in sizes else sum(size or 0 for size in sizes)


def _content_digest(source: CollectionFiles, names: Sequence[str]) -> str:
    """SHA-256 of the decompressed bytes of files: the same corpus is the same whatever its packaging."""
    state = hashlib.sha256()
    with progress("checking corpus", _megabytes(source, names), "MB") as advance:
        for name in names:
            _add_content(state, source, name, advance)
    return state.hexdigest()


def _add_content(state: Any, source: CollectionFiles, name: str, advance: Callable[[float], None]) -> None:
    with source.open(name) as stream:
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


def _write(read: Callable[[], Iterable[Record]], folder: Path, label: str) -> None:
    """Write documents as an Arrow stream, the first of identical ones, and counts of what was unusual in them."""
    seen, unusual = _write_rows(read(), folder)
    if not seen.count:
        raise DataError(f"{label}: holds no documents.")
    if suspects := seen.suspects():
        # Read once more, so that a sound corpus is not slowed by remembering documents.
        repeated = _repeats(read(), suspects)
        if repeated:
            rest = (record for number, record in enumerate(read()) if number not in repeated)
            _, unusual = _write_rows(rest, folder)
            unusual[REPEATED] = len(repeated)
    _write_notes(folder, unusual)


def _write_notes(folder: Path, unusual: Counter[str]) -> None:
    if found := {name: count for name, count in unusual.items() if count}:
        (folder / _NOTES).write_text(json.dumps(found, sort_keys=True), encoding="utf-8")


def _write_rows(found: Iterable[Record], folder: Path) -> "tuple[_Seen, Counter[str]]":
    """Write an Arrow stream; which ids are in it, and counts of what was unusual."""
    seen, unusual = _Seen(), Counter[str]()
    with pa.OSFile(str(folder / _ARROW), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as writer:
        for some in _batches(found):
            writer.write_batch(pa.RecordBatch.from_pylist([record.row for record in some], schema=_SCHEMA))
            seen.add([record.id for record in some])
            unusual.update(what for record in some for what in record.unusual)
    return seen, unusual


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
    """Refuse ids that occur twice, or that `ids.fault` refuses; for millions of them at once."""
    if repeats := repeated_ids(ids, label):
        raise DataError(f"{label}: {len(repeats)} document ids occur twice. Ids are unique.")


def repeated_ids(ids: pa.ChunkedArray, label: str) -> dict[int, int]:
    """The row of each id that is in an earlier row, and that row; ids that `ids.fault` refuses are refused."""
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
    first: dict[str, int] = {}
    suspects = seen.suspects()
    rows = enumerate(doc_id for chunk in ids.chunks for doc_id in chunk.to_pylist()) if suspects else ()
    return {
        row: earlier
        for row, doc_id in rows
        if hash(doc_id) in suspects and (earlier := first.setdefault(doc_id, row)) != row
    }


def _repeats(found: Iterable[Record], suspects: Container[int]) -> set[int]:
    """Numbers, from 0, of documents that are the same as an earlier one."""
    first: dict[str, Record] = {}
    repeated = set()
    for number, record in enumerate(found):
        if hash(record.id) not in suspects:
            continue
        earlier = first.setdefault(record.id, record)
        if earlier.row != record.row:
            raise DataError(
                f"{record.where}: document id {record.id!r} is already on {earlier.place}, with another title or text. "
                "Ids are unique."
            )
        if earlier is not record:
            repeated.add(number)
    return repeated


def _batches(found: Iterable[Record]) -> Iterator[list[Record]]:
    """Documents of an Arrow batch at a time: bounded in number, and in characters."""
    batch: list[Record] = []
    characters = 0
    for record in found:
        size = len(record.title) + len(record.text)
        if characters + size > _CHARACTERS_PER_BATCH or len(batch) == _DOCUMENTS_PER_BATCH:
            if size > _LONGEST:
                raise DataError(f"{record.where}: a document of {size:,} characters, expected up to {_LONGEST:,}.")
            if batch:
                yield batch
            batch, characters = [], 0
        batch.append(record._replace(fields={}))  # which may hold much more than title and text
        characters += size
    if batch:
        yield batch
