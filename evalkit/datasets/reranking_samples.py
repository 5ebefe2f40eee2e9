"""A file of reranking samples: a query and its own candidates in each row, and no corpus.

    {"query": "...", "positive": ["...", ...], "negative": ["...", ...]}     also `pos` and `neg`; lists or single texts

Positives have grade 1 and negatives grade 0; `retriever=judged` makes candidates of them. Documents have the hash of
their text for an id, so that neither ids nor the order of ties tell which are relevant. A query without an id has the
number of its row. It may have an `instruction`.
"""

import contextlib
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.config import DatasetConfig, FolderDatasetConfig
from evalkit.datasets import corpus
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.data_rows import format_of, rows
from evalkit.datasets.delimited import Columns
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.records import REPEATED_CANDIDATES, Record, checked_id, checked_text, shown
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError
from evalkit.formats.archives import ARCHIVES, is_archive
from evalkit.formats.filekind import KIND_BYTES, file_kind
from evalkit.formats.textfile import peek
from evalkit.store import Store
from evalkit.system.files import expanded
from evalkit.types import Dataset

logger = logging.getLogger(__name__)

MEASURES = ["MAP", "RR@10", "nDCG@10"]
"""Reported for reranking, in addition to what is asked for."""

_QUERIES = ("query", "question", "text")
_IDS = ("_id", "id", "query_id", "query-id", "qid")
_POSITIVES = ("positive", "positives", "pos")
_NEGATIVES = ("negative", "negatives", "neg")
_FORMAT = 1  # of ids; a higher number has old corpora built again


class _Sample(NamedTuple):
    query_id: str
    query: str
    instruction: str
    graded: Mapping[str, int]
    repeated: int


def are_samples(config: DatasetConfig) -> bool:
    """Whether `dataset.path` is a single file of JSON, which no collection is."""
    if not isinstance(config, FolderDatasetConfig):
        return False
    path = expanded(str(config.path))
    if not path.is_file():
        return False
    try:
        start = b"" if path.name.endswith(ARCHIVES) and not is_archive(path) else peek(path, KIND_BYTES)
    except DataError:  # an archive of several files
        return False
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
    texts = list(dict.fromkeys(text for sample in samples for text in sample.graded))
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    sha256 = f"{digest.hexdigest()}+samples"
    found = corpus.from_records(
        (Record(str(path), _id_of(text), "", text, {}) for text in texts),
        store,
        {"samples": _FORMAT, "content_sha256": digest.hexdigest()},
        label=str(path),
        digest=sha256,
    )
    documents = ArrowDocuments(found.table, title_separator=config.title_separator)
    return assemble(config, store, documents=documents, judged=_judged(samples), corpus_digest=sha256)


def _judged(samples: Sequence[_Sample]) -> Judged:
    ordered = sorted(samples, key=lambda sample: sample.query_id)
    repeated = sum(sample.repeated for sample in samples)
    return Judged(
        {sample.query_id: sample.query for sample in ordered},
        {sample.query_id: {_id_of(text): grade for text, grade in sample.graded.items()} for sample in ordered},
        instructions={sample.query_id: sample.instruction for sample in ordered if sample.instruction},
        notes={REPEATED_CANDIDATES: repeated} if repeated else {},
    )


def _id_of(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _samples(path: Path) -> Iterator[_Sample]:
    seen: set[str] = set()
    with contextlib.closing(FolderSource(path.parent)) as source:
        form = format_of(source, path.name)
        with source.open(path.name) as stream:
            found = rows(stream, str(path), path.name, form, Columns(_QUERIES, _POSITIVES))
            for number, (where, fields) in enumerate(found, 1):
                sample = _sample(fields, where, number)
                if sample.query_id in seen:
                    raise DataError(f"{where}: query id {sample.query_id!r} occurs twice. Ids are unique.")
                seen.add(sample.query_id)
                yield sample


def _sample(fields: Mapping[str, Any], where: str, number: int) -> _Sample:
    query_key, id_key = _key(fields, _QUERIES), _key(fields, _IDS)
    positive_key, negative_key = _key(fields, _POSITIVES), _key(fields, _NEGATIVES)
    if query_key is None or positive_key is None:
        raise DataError(
            f"{where}: {shown(list(fields))} is not a reranking sample. A single file for dataset.path holds "
            f"{_expected()}; a collection is a folder, a zip or a tar."
        )
    positives = _texts(fields[positive_key], where, positive_key)
    negatives = _texts(fields[negative_key], where, negative_key) if negative_key else []
    if both := set(positives) & set(negatives):
        raise DataError(f"{where}: {shown(min(both))} is both positive and negative. Leave one of them.")
    if not positives and not negatives:
        raise DataError(f"{where}: has neither a positive nor a negative text. Leave the sample out.")
    instruction = fields.get("instruction")
    counts = Counter([*positives, *negatives])
    return _Sample(
        checked_id(fields[id_key], where, id_key) if id_key else str(number),
        checked_text(fields[query_key], where, query_key),
        "" if instruction is None else checked_text(instruction, where, "instruction"),
        {**dict.fromkeys(positives, 1), **dict.fromkeys(negatives, 0)},
        counts.total() - len(counts),
    )


def _key(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in fields), None)


def _texts(value: Any, where: str, key: str) -> list[str]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list):
        raise DataError(f"{where}: {key} is {shown(value)}, expected a list of texts.")
    return [checked_text(text, where, f"a text of {key}") for text in values]


def _expected() -> str:
    return 'rows of {"query": ..., "positive": [...], "negative": [...]}'
