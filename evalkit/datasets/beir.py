"""Collections in BEIR layout: JSON lines of documents and queries, and judgments as tab-separated values.

corpus.jsonl    {"_id": "d1", "title": "...", "text": "..."}     title may be absent
queries.jsonl   {"_id": "q1", "text": "..."}                     queries of every split; only judged ones are kept
qrels/test.tsv  query-id <tab> corpus-id <tab> score             with a header line
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from evalkit import ids
from evalkit.config import DatasetConfig
from evalkit.datasets.assemble import assemble
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.source import Source, find, open_source
from evalkit.errors import DataError
from evalkit.progress import progress
from evalkit.store import Store
from evalkit.textfile import lines
from evalkit.trec import parse_qrels
from evalkit.types import Dataset, Qrels

_SCHEMA = pa.schema([("_id", pa.string()), ("title", pa.string()), ("text", pa.string())])
_FORMAT = 1  # of the Arrow file; a higher number makes old ones be built anew
_DOCUMENTS_PER_BATCH = 10_000
_LINES_PER_STEP = 1_000


def load(config: DatasetConfig, store: Store, *, path: str | Path | None) -> Dataset:
    """The collection at a path; its corpus is converted to Arrow once and found again by its content.

    Raises:
        DataError: a file is absent or malformed; the message names file and line.
    """
    with contextlib.closing(open_source(Path(str(path)).expanduser())) as source:
        qrels = _read_qrels(source, config.split)  # first, because it is small and a wrong split is a common mistake
        queries = _read_queries(source, qrels, config.split)
        corpus = find(source, "corpus.jsonl")
        sha256 = _content_digest(source, corpus)
        facts = {"format": _FORMAT, "content_sha256": sha256}
        folder = store.folder("corpora", facts, lambda new: _convert(source, corpus, new / "documents.arrow"))

    import datasets

    table = datasets.Dataset.from_file(str(folder / "documents.arrow"))
    documents = ArrowDocuments(table, title_separator=config.title_separator)
    return assemble(config, store, documents=documents, queries=queries, qrels=qrels, corpus_digest=sha256)


def _read_qrels(source: Source, split: str) -> Qrels:
    name = find(source, f"qrels/{split}.tsv")
    with source.open(name) as stream:
        return parse_qrels(lines(stream, source.label(name)), source.label(name))


def _read_queries(source: Source, qrels: Qrels, split: str) -> Mapping[str, str]:
    name = find(source, "queries.jsonl")
    queries: dict[str, str] = {}
    for number, record in _records(source, name):
        if record["_id"] in queries:
            raise DataError(f"{source.label(name)}:{number}: query id {record['_id']!r} occurs twice. Ids are unique.")
        queries[record["_id"]] = record["text"]
    absent = sorted(set(qrels) - set(queries))
    if absent:
        raise DataError(
            f"{source.label(name)}: lacks {len(absent)} of the {len(qrels)} queries judged in qrels/{split}.tsv, "
            f"such as {absent[0]!r}. Are queries and judgments of the same collection?"
        )
    return {query_id: queries[query_id] for query_id in sorted(qrels)}


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


def _records(
    source: Source, name: str, *, advance: Callable[[float], None] = lambda _: None
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, record) with `_id`, `title` and `text` as strings; `advance` is told of the megabytes read."""
    label = source.label(name)
    position = 0
    with source.open(name) as stream:
        for number, line in lines(stream, label):
            if number % _LINES_PER_STEP == 0:
                position, before = stream.tell(), position
                advance((position - before) / 1e6)
            try:
                parsed = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{label}:{number}: not JSON ({error}). Expected one object a line.") from error
            if not isinstance(parsed, dict):
                raise DataError(
                    f"{label}:{number}: a JSON {type(parsed).__name__}, expected an object with _id and text."
                )
            yield number, _checked(parsed, f"{label}:{number}")


def _checked(parsed: dict[str, Any], where: str) -> dict[str, str]:
    doc_id, title, text = parsed.get("_id"), parsed.get("title"), parsed.get("text")
    if isinstance(doc_id, int) and not isinstance(doc_id, bool):
        doc_id = str(doc_id)
    if not isinstance(doc_id, str) or not doc_id:
        raise DataError(f"{where}: _id is {_shown(doc_id)}, expected a string that is not empty.")
    if wrong := ids.fault(doc_id):
        raise DataError(f"{where}: _id {_shown(doc_id)} {wrong}.")
    if not isinstance(text, str):
        raise DataError(f"{where}: text is {_shown(text)}, expected a string (an empty one is fine).")
    if title is not None and not isinstance(title, str):
        raise DataError(f"{where}: title is {_shown(title)}, expected a string or none.")
    record = {"_id": doc_id, "title": title or "", "text": text}
    for key, value in record.items():
        if not _encodable(value):
            raise DataError(f"{where}: {key} holds half of a surrogate pair, which is no character. Mend the text.")
    return record


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004


def _convert(source: Source, name: str, target: Path) -> None:
    """Write the corpus as an Arrow stream, checking every line."""
    with progress("reading corpus", source.megabytes(name), "MB") as advance, pa.OSFile(str(target), "wb") as sink:
        ids: list[pa.Array] = []
        with pa.ipc.new_stream(sink, _SCHEMA) as writer:
            for batch in _batches(_records(source, name, advance=advance)):
                table = pa.RecordBatch.from_pylist(batch, schema=_SCHEMA)
                writer.write_batch(table)
                ids.append(table.column("_id"))
    if not ids:
        raise DataError(f"{source.label(name)}: holds no documents.")
    column = pa.chunked_array(ids)
    if pc.count_distinct(column).as_py() < len(column):
        _raise_duplicate(source, name)


def _batches(records: Iterator[tuple[int, dict[str, str]]]) -> Iterator[list[dict[str, str]]]:
    batch: list[dict[str, str]] = []
    for _, record in records:
        batch.append(record)
        if len(batch) == _DOCUMENTS_PER_BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _raise_duplicate(source: Source, name: str) -> None:
    # A second reading, so that a sound corpus is not slowed by remembering line numbers.
    first: dict[str, int] = {}
    for number, record in _records(source, name):
        earlier = first.setdefault(record["_id"], number)
        if earlier != number:
            raise DataError(
                f"{source.label(name)}:{number}: document id {record['_id']!r} is already on line {earlier}. "
                "Ids are unique."
            )
