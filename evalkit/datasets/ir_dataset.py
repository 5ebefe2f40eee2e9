"""Any collection of ir_datasets that has documents, queries and judgments, read by ir_datasets itself.

A document is the text that ir_datasets describes as its default, so fields such as title and body are joined as that
library joins them. A query is the default text of its topic, or the field that `dataset.query_field` names.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from evalkit.config import DatasetConfig
from evalkit.config.dataset import ExpectedCounts
from evalkit.config.languages import language_code
from evalkit.config.limits import given
from evalkit.datasets import corpus
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.columns import judged_texts, judgments
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.loader import Loader, RemoteFile
from evalkit.datasets.records import Record, checked_id, checked_text
from evalkit.errors import ConfigError, DataError, EvalkitError, MissingExtra
from evalkit.formats.python_objects import run_of
from evalkit.run import Run
from evalkit.store import Store
from evalkit.store.artefact import COUNTS
from evalkit.system.lookalikes import did_you_mean
from evalkit.system.progress import progress
from evalkit.system.reporting import reason
from evalkit.types import Dataset

logger = logging.getLogger(__name__)

_GRADED = {"query_id", "doc_id", "relevance", "iteration"}
_OF_PARTS = {"subtopic_id", "iprob", "start"}  # several judgments of a pair: of subtopics, of a sample, of passages
_STEP = 1_000  # documents between two steps of the progress bar


@dataclass
class IrDatasetConfig(DatasetConfig):
    """Any collection of the installed ir_datasets; its languages are those that ir_datasets states."""

    implementation: ClassVar[str] = "evalkit.datasets.ir_dataset:IrDatasetLoader"
    name: str = ""
    id: str = ""
    """Id of the collection in ir_datasets, such as `msmarco-passage/trec-dl-2020/judged`."""
    query_field: str | None = None
    """Field of a topic that is the query, such as `description`; the default text of ir_datasets when not set."""
    scored_documents: bool = False
    """Read the scored documents of the collection too, which may be a large download, for `retriever=own`."""

    def __post_init__(self) -> None:
        """Check, and name the dataset after its id."""
        given("dataset.id", self.id, "ID (a collection of ir_datasets, such as beir/scifact/test)")
        for key in ("path", "split", "title_separator"):
            if getattr(self, key) != getattr(DatasetConfig, key):
                raise ConfigError(f"dataset.{key} is not for dataset=ir_datasets, where dataset.id says it all.")
        self.name = self.name or re.sub(r"[^A-Za-z0-9._+@-]", "-", self.id)
        super().__post_init__()


class IrDatasetLoader(Loader):
    """Reads a collection as ir_datasets does, which also downloads it into its own folder."""

    config: IrDatasetConfig

    def load(self) -> Dataset:
        """The collection.

        Raises:
            ConfigError: ir_datasets has no such collection, or it lacks documents, queries or judgments.
            DataError: ir_datasets cannot read or download it, or its judgments are not of documents.
            MissingExtra: ir_datasets is not installed.
        """
        config, source = self.config, _source(self.config)
        with _explained(config.id):
            judged = judged_of(source, config.id, config.query_field)
            documents = _documents(source, config.id, self.store)
            candidates = _candidates(source, config.id) if config.scored_documents else None
        config = replace(
            config,
            language=_language(source.docs_lang()) if config.language == DatasetConfig.language else config.language,
            query_language=config.query_language or _language(source.queries_lang()),
            expected=_expected(config.expected, source),
        )
        return assemble(
            config,
            self.store,
            documents=ArrowDocuments(documents.table, title_separator=config.title_separator),
            judged=replace(judged, candidates=candidates, notes={**judged.notes, **documents.notes}),
            corpus_digest=f"ir_datasets:{documents.digest}",
        )

    def remote_files(self) -> list[RemoteFile]:
        """See `Loader`; ir_datasets does not say which files a collection has."""
        return [RemoteFile(f"ir_datasets {self.config.id}", None, here=self.is_here())]

    def is_here(self) -> bool:
        """See `Loader`."""
        path = _path(_source(self.config))
        return path is not None and path.exists()


def _source(config: IrDatasetConfig) -> Any:
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingExtra("ir_datasets", extra="ir-datasets", purpose="dataset=ir_datasets") from error
    try:
        source = ir_datasets.load(config.id)
    except KeyError as error:
        raise ConfigError(
            f"ir_datasets has no collection {config.id!r}. {did_you_mean(config.id, list(ir_datasets.registry))}"
            "Its catalogue is at https://ir-datasets.com."
        ) from error
    lacking = [part for part in ("docs", "queries", "qrels") if not source.has(part)]
    if lacking:
        below = [name for name in ir_datasets.registry if name.startswith(f"{config.id}/")]
        whole = [name for name in below if all(ir_datasets.load(name).has(part) for part in ("queries", "qrels"))]
        remedy = f" Set dataset.id to one of: {', '.join(whole)}." if whole else ""
        raise ConfigError(f"{config.id} of ir_datasets has no {' and no '.join(lacking)}.{remedy}")
    return source


@contextmanager
def _explained(collection: str) -> Iterator[None]:
    """Report errors of ir_datasets in one line; those of evalkit say enough."""
    try:
        yield
    except EvalkitError:
        raise
    # ir_datasets passes on what downloads, archives and parsers raise.
    except Exception as error:
        raise DataError(
            f"ir_datasets cannot read {collection} ({reason(error)}). How to get its files: "
            f"https://ir-datasets.com/{collection.partition('/')[0]}.html"
        ) from error


def documents_of(source: Any, label: str) -> Iterator[Record]:
    """The documents of a collection, each with its default text.

    Args:
        source: a dataset of ir_datasets.
        label: begins errors.

    Raises:
        DataError: a document has no text, or its id cannot be one.
    """
    kind = source.docs_cls()
    if not hasattr(kind, "default_text") and "text" not in kind._fields:
        raise DataError(f"{label}: ir_datasets does not say what the text of a document is among {_fields(kind)}.")
    for number, document in enumerate(source.docs_iter(), 1):
        where = f"{label}: document {number}"
        text = document.default_text() if hasattr(document, "default_text") else document.text
        yield Record(where, checked_id(document.doc_id, where, "doc_id"), "", checked_text(text, where, "text"), {})


def judged_of(source: Any, label: str, query_field: str | None = None) -> Judged:
    """The judged queries of a collection.

    Args:
        source: a dataset of ir_datasets.
        label: begins errors.
        query_field: which field of a topic is the query; its default text when None.

    Raises:
        ConfigError: topics have no such field, or none by default.
        DataError: judgments are of parts of documents, or a query has no text.
    """
    graded = source.qrels_cls()
    if unreadable := _OF_PARTS & set(graded._fields):
        raise DataError(
            f"{label}: judgments have {_fields(graded)}, and measures take one grade of a document. Judgments with "
            f"{' and '.join(sorted(unreadable))} cannot be read."
        )
    if more := [name for name in graded._fields if name not in _GRADED]:
        logger.warning("%s: judgments also have %s, which no measure reads.", label, ", ".join(more))
    qrels = judgments(((row.query_id, row.doc_id, row.relevance) for row in source.qrels_iter()), label)
    topics = list(source.queries_iter())
    field = query_field or ("" if hasattr(source.queries_cls(), "default_text") else "text")
    if field and field not in source.queries_cls()._fields:
        raise ConfigError(
            f"{label}: topics have {_fields(source.queries_cls())} and no {field}. Set dataset.query_field to one."
        )
    texts = [getattr(topic, field) if field else topic.default_text() for topic in topics]
    queries = judged_texts([topic.query_id for topic in topics], texts, qrels, label)
    return Judged(queries, qrels, unjudged_queries=len(topics) - len(queries))


def _candidates(source: Any, label: str) -> Run:
    """The scored documents of a collection; MS MARCO's have no order, so their scores are equal."""
    if not source.has("scoreddocs"):
        raise ConfigError(f"{label} of ir_datasets has no scored documents. Remove dataset.scored_documents=true.")
    return run_of(list(source.scoreddocs_iter()), f"{label}: scored documents", order="score")


def _fields(kind: Any) -> str:
    return ", ".join(kind._fields)


def _documents(source: Any, collection: str, store: Store) -> corpus.Corpus:
    """The documents in the store, found by their content."""
    count = _published_count(source)

    def read(what: str) -> Iterator[Record]:
        with progress(what, count, "documents") as advance:
            for number, record in enumerate(documents_of(source, collection), 1):
                yield record
                if number % _STEP == 0:
                    advance(_STEP)

    digest = _known_digest(source, lambda: _content_digest(read("checking corpus")), store, collection)
    facts = {"ir_datasets_sha256": digest}
    return corpus.from_reading(lambda: read("reading corpus"), store, facts, label=collection, digest=digest)


def _content_digest(documents: Iterator[Record]) -> str:
    state = hashlib.sha256()
    for record in documents:
        state.update(json.dumps([record.id, record.text]).encode())
    return state.hexdigest()


def _known_digest(source: Any, measured: Callable[[], str], store: Store, collection: str) -> str:
    """The digest of the documents, which is remembered for as long as their file and ir_datasets are the same."""
    import ir_datasets

    path = _path(source, download=True)
    if path is None or not path.is_file():
        return measured()

    def build(folder: Path) -> None:
        (folder / "digest.json").write_text(json.dumps(measured()), encoding="utf-8")

    status = path.stat()
    stamp = [str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino]
    facts = {"ir_datasets": ir_datasets.__version__, "fields": _fields(source.docs_cls()), "file": stamp}
    found = store.folder(COUNTS, facts, build, label=f"digest of {collection}")
    return str(json.loads((found / "digest.json").read_text(encoding="utf-8")))


def _path(source: Any, *, download: bool = False) -> Path | None:
    """The file or folder with the documents, there or where it will be; None where ir_datasets does not say."""
    try:
        found = source.docs_handler().docs_path(force=download)
    except (AttributeError, TypeError):  # not every kind of collection has it
        return None
    except OSError:
        if download:
            raise
        return None
    return Path(found) if isinstance(found, str | os.PathLike) else None


def _language(code: str | None) -> str:
    """The language of texts; English, as for every dataset, where ir_datasets states none or no code of ISO 639."""
    try:
        return language_code("dataset.language", code or DatasetConfig.language)
    except ConfigError:
        return DatasetConfig.language


def _expected(expected: ExpectedCounts, source: Any) -> ExpectedCounts:
    """The counts of a card; how many documents ir_datasets has published, where it says so."""
    return replace(expected, documents=_published_count(source)) if expected.documents is None else expected


def _published_count(source: Any) -> int | None:
    """How many documents the metadata of ir_datasets has; None for a dataset without them."""
    return source.metadata().get("docs", {}).get("count") if hasattr(source, "metadata") else None
