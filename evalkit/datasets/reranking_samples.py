"""A file of reranking samples: a query and its own candidates in each row, and no corpus.

    {"query": "...", "positive": ["...", ...], "negative": ["...", ...]}     also `pos` and `neg`; lists or single texts

Rows are JSON lines, a JSON array, or those of a parquet file.

`formats.passages` has the other layouts: of DPR, of Tevatron, and what retrievers write for questions with answers.
Positives have grade 1 and negatives grade 0, and both are the candidates of the query, in no order. Where passages have
no ids, the hash of their text is one, so that neither ids nor the order of ties tell which are relevant. The number of
its row is the id of a query without one. It may have an `instruction`, and `answers`, which also grade passages that
have no grade.
"""

import contextlib
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.config import DatasetConfig, FolderDatasetConfig
from evalkit.datasets import corpus
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.beir import parse_answers
from evalkit.datasets.data_rows import format_of, rows
from evalkit.datasets.delimited import Columns
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.records import (
    NO_TEXT,
    OF_QUERIES,
    REPEATED_CANDIDATES,
    Record,
    checked_id,
    checked_text,
    instruction_of,
    is_missing,
    mended,
)
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError
from evalkit.formats import passages
from evalkit.formats.archives import ARCHIVES, is_archive
from evalkit.formats.filekind import KIND_BYTES, file_kind
from evalkit.formats.passages import Passage
from evalkit.formats.textfile import peek
from evalkit.measures.answers import contains
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.files import expanded
from evalkit.system.reporting import shown
from evalkit.types import Dataset

logger = logging.getLogger(__name__)

MEASURES = ["MAP", "RR@10", "nDCG@10"]
"""Reported for reranking, in addition to what is asked for."""

_FORMAT = 1  # of ids; a higher number has old corpora built again


class _Sample(NamedTuple):
    query_id: str
    query: str | None
    instruction: str
    answers: tuple[str, ...]
    graded: Sequence[tuple[Record, int]]
    repeated: int


def are_samples(config: DatasetConfig) -> bool:
    """Whether `dataset.path` is a single file of JSON or parquet, which no collection is."""
    if not isinstance(config, FolderDatasetConfig):
        return False
    path = expanded(str(config.path))
    if not path.is_file():
        return False
    try:
        start = b"" if path.name.endswith(ARCHIVES) and not is_archive(path) else peek(path, KIND_BYTES)
    except DataError:  # an archive of several files
        return False
    if start.startswith(b"PAR1"):
        return True
    return file_kind(start) is None and start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))


def begins_with_sample(config: DatasetConfig) -> bool:
    """Whether the first row of the file is one; where it is not, `load` says what is wrong."""
    try:
        return next(_samples(expanded(str(config.path))), None) is not None
    except DataError:
        return False


def load(config: DatasetConfig, store: Store) -> Dataset:
    """The queries of a file, and as documents all that any of them has for a candidate."""
    path = expanded(str(config.path))
    samples = list(_samples(path))
    if not samples:
        raise DataError(f"{path}: holds no samples. Expected {_expected()}.")
    candidates = _distinct(record for sample in samples for record, _ in sample.graded)
    digest = hashlib.sha256()
    for record in candidates:
        # Older than titles and ids, and keys of results hang on it.
        plain = record.id == _id_of("", record.text)
        digest.update(hashlib.sha256((record.text if plain else "\n".join(record.row.values())).encode()).digest())
    sha256 = f"{digest.hexdigest()}+samples"
    facts = {"samples": _FORMAT, "content_sha256": digest.hexdigest()}
    found = corpus.from_records(candidates, store, facts, label=str(path), digest=sha256)
    documents = ArrowDocuments(found.table, title_separator=config.title_separator)
    return assemble(config, store, documents=documents, judged=_judged(samples, found.notes), corpus_digest=sha256)


def _distinct(records: Iterable[Record]) -> list[Record]:
    """The first record of each id."""
    first: dict[str, Record] = {}
    for record in records:
        if (earlier := first.setdefault(record.id, record)).row != record.row:
            raise DataError(
                f"{record.where}: passage id {record.id!r} is already in {earlier.where}, with another title or text. "
                "Ids are unique."
            )
    return list(first.values())


def _judged(samples: Sequence[_Sample], notes: Mapping[str, int]) -> Judged:
    ordered = sorted(samples, key=lambda sample: sample.query_id)
    notes = {
        **notes,
        REPEATED_CANDIDATES: sum(sample.repeated for sample in samples),
        f"{OF_QUERIES}{NO_TEXT}": sum(sample.query is None for sample in samples),
    }
    answered = all(sample.answers for sample in samples)
    qrels = {sample.query_id: {record.id: grade for record, grade in sample.graded} for sample in ordered}
    return Judged(
        {sample.query_id: sample.query or "" for sample in ordered},
        qrels,
        candidates=Run.from_dict({query_id: dict.fromkeys(grades, 0.0) for query_id, grades in qrels.items()}),
        answers={sample.query_id: sample.answers for sample in ordered} if answered else {},
        instructions={sample.query_id: sample.instruction for sample in ordered if sample.instruction},
        notes={name: count for name, count in notes.items() if count},
    )


def _id_of(title: str, text: str) -> str:
    return hashlib.blake2b((f"{title}\n{text}" if title else text).encode(), digest_size=8).hexdigest()


def _samples(path: Path) -> Iterator[_Sample]:
    seen: set[str] = set()
    with contextlib.closing(FolderSource(path.parent)) as source:
        form = format_of(source, path.name)
        with source.open(path.name) as stream:
            found = rows(stream, str(path), path.name, form, Columns(passages.QUERIES, passages.POSITIVES))
            for number, (where, fields) in enumerate(found, 1):
                sample = _sample(fields, where, number)
                if sample.query_id in seen:
                    raise DataError(f"{where}: query id {sample.query_id!r} occurs twice. Ids are unique.")
                seen.add(sample.query_id)
                yield sample


def _sample(fields: Mapping[str, Any], where: str, number: int) -> _Sample:
    question = passages.of_question(fields, number)
    if question is None:
        raise DataError(
            f"{where}: {shown(list(fields))} is not a reranking sample. A single file for dataset.path holds "
            f"{_expected()}; a collection is a folder, a zip or a tar{_run(fields)}."
        )
    answers = fields.get("answers")
    texts = () if answers is None else parse_answers(answers, where)
    graded: dict[str, tuple[Record, int]] = {}
    count = 0
    for passage in question.passages(where):
        record = _record(passage, where)
        grade = _grade(passage, record.text, texts, where)
        earlier, before = graded.setdefault(record.id, (record, grade))
        _distinct([earlier, record])
        if before != grade:
            raise DataError(f"{where}: {shown(record.text)} is both positive and negative. Leave one of them.")
        count += 1
    if not graded:
        raise DataError(f"{where}: has neither a positive nor a negative text. Leave the sample out.")
    query_key = next(name for name in passages.QUERIES if name in fields)
    text = None if is_missing(fields[query_key]) else checked_text(fields[query_key], where, query_key)
    return _Sample(
        checked_id(question.query_id, where, "the query id"),
        text,
        instruction_of(fields, where),
        texts,
        list(graded.values()),
        count - len(graded),
    )


def _run(fields: Mapping[str, Any]) -> str:
    return ", and a run is for retriever=saved retriever.path=FILE" if {"hits", "candidates"} & fields.keys() else ""


def _record(passage: Passage, where: str) -> Record:
    fields = passage.fields
    key = next((name for name in ("text", "contents") if name in fields), None)
    if key is None:
        raise DataError(f"{where}: a passage has no text, only {shown(list(fields))}. Its key may be text, contents.")
    title, text, unusual = mended(fields, key, where)
    title, text = checked_text(title, where, "a title"), checked_text(text, where, "the text of a passage")
    own = passage.doc_id
    identifier = _id_of(title, text) if own is None else checked_id(own, where, "a passage id")
    return Record(where, identifier, title, text, {}, unusual)


def _grade(passage: Passage, text: str, answers: Sequence[str], where: str) -> int:
    if passage.grade is not None:
        return passage.grade
    if not answers:
        raise DataError(
            f"{where}: its passages have no `has_answer`, and the question has no answers to judge them by."
        )
    return int(contains(text, answers))


def _expected() -> str:
    return 'rows of {"query": ..., "positive": [...], "negative": [...]}'
