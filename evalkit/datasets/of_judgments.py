"""A dataset of judgments alone, for runs without a collection; texts come from single files where these are given."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.datasets import corpus
from evalkit.datasets.data_rows import format_of
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.own_dataset import own_corpus
from evalkit.datasets.own_records import own_records
from evalkit.datasets.records import QUERIES, Record, add_once, records
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError
from evalkit.formats.similar_ids import LOOKED_AT, compared
from evalkit.run import Run
from evalkit.store import open_store
from evalkit.store.artefact import digest
from evalkit.types import Dataset, Qrels


class NoDocuments:
    """The documents of a dataset without a corpus."""

    ids = pa.chunked_array([], pa.string())

    def __len__(self) -> int:
        """There are none."""
        return 0

    def sizes(self) -> NDArray[np.int32]:
        """See `Documents`."""
        return np.empty(0, np.int32)

    def texts(self, rows: object) -> list[str]:
        """See `Documents`."""
        del rows
        return []


def dataset_of_judgments(
    qrels: Qrels, name: str, *, documents: Any = None, queries: Any = None, run: Run | None = None
) -> Dataset:
    """A dataset that has texts only where they are given; its digest is that of the judgments.

    Args:
        qrels: judgments.
        name: of the dataset.
        documents: a file in any format of a corpus, `{id: text}`, or a table; None for no texts.
        queries: likewise of queries.
        run: of documents that the corpus should hold, for a check of the ids.

    Raises:
        DataError: texts are malformed, or of no judged query or no document of the run.
    """
    found = digest({"qrels": {query_id: dict(judged) for query_id, judged in qrels.items()}})
    dataset = Dataset(name, "", "", NoDocuments(), {}, qrels, drop_identical_ids=False, corpus_digest="", digest=found)
    if queries is not None:
        dataset = replace(dataset, queries=_texts_of_queries(queries, qrels))
    return dataset if documents is None else _with_documents(dataset, documents, run)


def _with_documents(dataset: Dataset, given: Any, run: Run | None) -> Dataset:
    store = open_store()
    if isinstance(given, Path):
        found = corpus.from_file(FolderSource(given.parent), given.name, store)
    else:
        found = own_corpus(given, dataset.name, store)
    dataset = replace(dataset, documents=ArrowDocuments(found.table, title_separator=dataset.title_separator))
    some = run.doc_ids[:LOOKED_AT].to_pylist() if run else []
    if some and len(dataset.lacking(some)) == len(some):
        theirs = dataset.documents.ids[:LOOKED_AT].to_pylist()
        alike = compared(some, theirs, place="the runs", other="the corpus")
        raise DataError(f"{_named(given, 'the corpus')}: holds no document of the runs: {alike}")
    return dataset


def _texts_of_queries(given: Any, qrels: Qrels) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for record in _queries(given):
        add_once(found, record.id_in(qrels), record.text, record.where)
    name = _named(given, "the queries")
    if not found:
        raise DataError(f"{name}: holds no queries.")
    if found.keys().isdisjoint(qrels):
        alike = compared(list(qrels), list(found), place="the judgments", other="the queries")
        raise DataError(f"{name}: holds no judged query: {alike}")
    return {query_id: found[query_id] for query_id in sorted(qrels) if query_id in found}


def _queries(given: Any) -> Iterator[Record]:
    if not isinstance(given, Path):
        return own_records(given, QUERIES, "queries")
    source = FolderSource(given.parent)
    return records(source, given.name, format_of(source, given.name), QUERIES)


def _named(given: Any, otherwise: str) -> str:
    return str(given) if isinstance(given, Path) else otherwise
