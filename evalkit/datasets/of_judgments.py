"""A dataset of judgments alone, for runs without a collection; texts come from single files where these are given."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.datasets import corpus
from evalkit.datasets.data_rows import format_of
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.records import QUERIES, records
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError
from evalkit.formats.similar_ids import compared
from evalkit.run import Run
from evalkit.store import open_store
from evalkit.store.artefact import digest
from evalkit.types import Dataset, Qrels

_LOOKED_AT = 100_000  # documents whose ids are compared with those of a run


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
    qrels: Qrels, name: str, *, documents: Path | None = None, queries: Path | None = None, run: Run | None = None
) -> Dataset:
    """A dataset that has texts only where files of them are given; its digest is that of the judgments.

    Args:
        qrels: judgments.
        name: of the dataset.
        documents: a file in any format of a corpus.
        queries: a file in any format of queries.
        run: of documents that the corpus should hold, for a check of the ids.

    Raises:
        DataError: a file is malformed, or holds no judged query or no document of the run.
    """
    found = digest({"qrels": {query_id: dict(judged) for query_id, judged in qrels.items()}})
    dataset = Dataset(name, "", "", NoDocuments(), {}, qrels, drop_identical_ids=False, corpus_digest="", digest=found)
    if queries:
        dataset = replace(dataset, queries=_texts_of_queries(queries, qrels))
    return _with_documents(dataset, documents, run) if documents else dataset


def _with_documents(dataset: Dataset, path: Path, run: Run | None) -> Dataset:
    table = corpus.from_file(FolderSource(path.parent), path.name, open_store()).table
    dataset = replace(dataset, documents=ArrowDocuments(table, title_separator=dataset.title_separator))
    some = run.doc_ids[:_LOOKED_AT].to_pylist() if run else []
    if some and len(dataset.lacking(some)) == len(some):
        theirs = dataset.documents.ids[:_LOOKED_AT].to_pylist()
        alike = compared(some, theirs, place="the runs", other="the corpus")
        raise DataError(f"{path}: holds no document of the runs: {alike}")
    return dataset


def _texts_of_queries(path: Path, qrels: Qrels) -> Mapping[str, str]:
    source = FolderSource(path.parent)
    found: dict[str, str] = {}
    for record in records(source, path.name, format_of(source, path.name), QUERIES):
        if found.setdefault(record.id, record.text) != record.text:
            raise DataError(f"{record.where}: query id {record.id!r} occurs twice, with different texts.")
    if not found:
        raise DataError(f"{path}: holds no queries.")
    if found.keys().isdisjoint(qrels):
        alike = compared(list(qrels), list(found), place="the judgments", other="the queries")
        raise DataError(f"{path}: holds no judged query: {alike}")
    return {query_id: found[query_id] for query_id in sorted(qrels) if query_id in found}
