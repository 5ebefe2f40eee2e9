"""Candidates in a file of a collection, `candidates` or `top_ranked` in any format: a run, lists of ids, or passages.

any run                                                                            see `formats.runfile`
{"query-id": "q1", "corpus-ids": ["d7", "d2"]}                                     a list a query, without an order
{"q1": ["d7", "d2"]}                                                               likewise
{"query": {"qid": "q1", "text": ...}, "candidates": [{"docid": "d7", "score": 2.5, "doc": {"contents": ...}}]}
{"query": ..., "hits": [{"qid": "q1", "docid": "d7", "score": 2.5, "content": ...}]}        these two of rank_llm

Passages with texts are the documents of a collection that has no file of them, and their queries likewise.
"""

import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from evalkit.datasets import corpus
from evalkit.datasets.candidate_lists import LIST_KEYS, QUERY_KEYS, OwnCandidates, candidates_of_lists
from evalkit.datasets.data_rows import COLUMNAR, format_of, rows
from evalkit.datasets.delimited import Columns
from evalkit.datasets.records import (
    TEXT_KEYS,
    Record,
    add_once,
    checked_id,
    checked_text,
    digest_of,
    is_missing,
    mended,
)
from evalkit.datasets.source import CollectionFiles, FolderSource
from evalkit.errors import DataError
from evalkit.formats.compressed import plain_name
from evalkit.formats.passages import QUERY_IDS, doc_id_of
from evalkit.formats.runfile import RunFile, read_run_file
from evalkit.store import Store

logger = logging.getLogger(__name__)

_PASSAGES = ("candidates", "hits")
_JSON = ("json", "jsonl")


def read_candidates(source: CollectionFiles, name: str, *, is_ranking: bool) -> OwnCandidates:
    """The candidates in a file of a collection; of a file without scores with equal ones, unless `is_ranking`.

    Raises:
        DataError: it is malformed, or of another layout.
    """
    label = source.label(name)
    if lists := _lists(source, name):
        return candidates_of_lists(lists, is_ranking=is_ranking, source=label)
    with _on_disk(source, name) as path:
        try:
            file = _ordered(path, is_ranking=is_ranking)
        except DataError as error:
            raise DataError(str(error).replace(str(path), label)) from error
    for note in file.notes:
        logger.warning("%s: %s.", label, note.text)
    return OwnCandidates(file.run, {})


def _ordered(path: Path, *, is_ranking: bool) -> RunFile:
    file = read_run_file(path)
    if file.by_rank is not None:
        raise DataError(f"{path}: scores and {file.ranks_are} disagree. Leave one of them.")
    return read_run_file(path, order="rank") if file.is_unordered and is_ranking else file


def _lists(source: CollectionFiles, name: str) -> dict[str, list[str]]:
    """Query id -> ids, of a file of lists; empty for any other."""
    found: dict[str, list[str]] = {}
    for where, row in _rows(source, name):
        key = next((key for key in QUERY_KEYS if key in row), None)
        value = next((key for key in LIST_KEYS if _are_ids(row.get(key))), None)
        if key is None and row and all(map(_are_ids, row.values())):
            return {query_id: [str(doc_id) for doc_id in ids] for query_id, ids in row.items()}
        if key is None or value is None:
            if found:
                raise DataError(f"{where}: has no {QUERY_KEYS[0]} or {LIST_KEYS[0]}, which rows before it have.")
            return {}
        query_id = checked_id(row[key], where, key)
        if query_id in found:
            raise DataError(f"{where}: query id {query_id!r} occurs twice. Ids are unique.")
        found[query_id] = [checked_id(doc_id, where, value) for doc_id in row[value]]
    return found


def _rows(source: CollectionFiles, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file of JSON or parquet; none of any other."""
    form = format_of(source, name)
    if form not in COLUMNAR and PurePosixPath(plain_name(name)).suffix.lstrip(".") not in _JSON:
        return
    with source.open(name) as stream:
        yield from rows(stream, source.label(name), name, form, Columns(QUERY_KEYS, LIST_KEYS))


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str | int) for item in value)


@contextmanager
def _on_disk(source: CollectionFiles, name: str) -> Iterator[Path]:
    """The path of a file, or of a copy where it is in an archive."""
    if isinstance(source, FolderSource):
        yield source.path / name
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / PurePosixPath(plain_name(name)).name
        with source.open(name) as stream, path.open("wb") as copy:
            shutil.copyfileobj(stream, copy)
        yield path


class Passages(NamedTuple):
    """What a file of candidates says besides their order: texts.

    Attributes:
        queries: query id -> text, of the queries that have one.
        documents: the passages, each once.
    """

    queries: Mapping[str, str]
    documents: list[Record]

    def corpus(self, store: Store, label: str) -> corpus.Corpus:
        """The documents, in the store."""
        digest = digest_of(self.documents)
        return corpus.from_records(self.documents, store, {"passages_sha256": digest}, label=label, digest=digest)


def read_passages(source: CollectionFiles, name: str) -> Passages | None:
    """The texts in a file of candidates; None where it has none.

    Raises:
        DataError: a passage has no text where others have, or two have one id and different texts.
    """
    queries: dict[str, str] = {}
    documents: list[Record] = []
    known: dict[str, dict[str, str]] = {}
    for number, (where, row) in enumerate(_rows(source, name), 1):
        passages = next((row[key] for key in _PASSAGES if isinstance(row.get(key), list)), None)
        if passages is None or not all(isinstance(passage, dict) for passage in passages):
            return None
        query = row.get("query")
        about = {**row, **query} if isinstance(query, dict) else {**row, "text": query}
        named = next((place[key] for place in (about, *passages[:1]) for key in QUERY_IDS if key in place), str(number))
        if isinstance(about.get("text"), str):
            queries[checked_id(named, where, "the query id")] = checked_text(about["text"], where, "query")
        for passage in passages:
            record = _record(passage, where)
            if add_once(known, record.id, record.row, where, what="passage"):
                documents.append(record)
    return Passages(queries, documents) if documents else None


def _record(passage: Mapping[str, Any], where: str) -> Record:
    fields = passage.get("doc", passage)
    fields = {"text": fields} if isinstance(fields, str) else fields
    present = [key for key in TEXT_KEYS if key in fields]
    key = next((key for key in present if not is_missing(fields[key])), *present[:1]) if present else None
    if key is None:
        raise DataError(f"{where}: candidate {doc_id_of(passage)!r} has no text under {', '.join(TEXT_KEYS)}.")
    title, text, unusual = mended(fields, key, where)
    title, text = checked_text(title, where, "a title"), checked_text(text, where, key)
    return Record(where, checked_id(doc_id_of(passage), where, "docid"), title, text, {}, unusual)
