"""A `Dataset` from its parts, however they were read: digests, and the counts worth telling."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from evalkit.config import DatasetConfig
from evalkit.progress import progress
from evalkit.store import Store, digest
from evalkit.types import Dataset, Documents, Qrels

_WINDOW = 10_000  # documents in memory at a time


def assemble(
    config: DatasetConfig,
    store: Store,
    *,
    documents: Documents,
    queries: Mapping[str, str],
    qrels: Qrels,
    corpus_digest: str,
) -> Dataset:
    """The dataset of a configuration, with its digest over corpus, queries, judgments and policies."""
    facts = {
        "corpus": corpus_digest,
        "queries": dict(queries),
        "qrels": {query_id: dict(judged) for query_id, judged in qrels.items()},
        "language": config.language,
        "title_separator": config.title_separator,
        "drop_identical_ids": config.drop_identical_ids,
    }
    dataset = Dataset(
        name=config.name,
        split=config.split,
        language=config.language,
        documents=documents,
        queries=queries,
        qrels=qrels,
        drop_identical_ids=config.drop_identical_ids,
        corpus_digest=corpus_digest,
        digest=digest(facts),
        title_separator=config.title_separator,
    )
    return replace(dataset, notes=_notes(dataset, store))


def _notes(dataset: Dataset, store: Store) -> dict[str, int]:
    """The counts that the manifest reports."""
    judged = sorted({doc_id for grades in dataset.qrels.values() for doc_id in grades})
    rows = dataset.rows(pa.array(judged, pa.string()))
    absent = {judged[index] for index in np.flatnonzero(rows < 0)}
    pairs = [(doc_id, grade) for grades in dataset.qrels.values() for doc_id, grade in grades.items()]
    return {
        "documents": len(dataset.documents),
        "empty_documents": _empty_documents(dataset, store),
        "queries": len(dataset.queries),
        "judgments": len(pairs),
        "relevant_judgments": sum(grade > 0 for _, grade in pairs),
        "queries_without_relevant": sum(not any(g > 0 for g in grades.values()) for grades in dataset.qrels.values()),
        "judged_documents_absent": len(absent),
        "relevant_documents_absent": len({doc_id for doc_id, grade in pairs if grade > 0 and doc_id in absent}),
    }


def _empty_documents(dataset: Dataset, store: Store) -> int:
    """Documents without any text, counted once a corpus: a large one takes seconds to read through."""

    def count(folder: Path) -> None:
        total = len(dataset.documents)
        empty = 0
        with progress("counting empty documents", total, "documents") as advance:
            for start in range(0, total, _WINDOW):
                texts = dataset.documents.texts(range(start, min(start + _WINDOW, total)))
                empty += texts.count("")
                advance(len(texts))
        (folder / "empty.json").write_text(json.dumps(empty), encoding="utf-8")

    facts = {"corpus": dataset.corpus_digest, "title_separator": dataset.title_separator, "count": "empty documents"}
    return int(json.loads((store.folder("counts", facts, count) / "empty.json").read_text(encoding="utf-8")))
