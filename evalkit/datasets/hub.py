"""Published datasets from the Hugging Face hub, in the parquet layout of the `mteb/*` repositories.

    configuration `corpus`   split `corpus`    columns _id, title, text
    configuration `queries`  split `queries`   columns _id, text
    configuration `default`  split by name     columns query-id, corpus-id, score

`datasets` downloads, caches and memory-maps; HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE work as its users know them.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow.compute as pc

from evalkit.config import HubDatasetConfig
from evalkit.datasets.assemble import assemble
from evalkit.datasets.documents import ArrowDocuments
from evalkit.errors import DataError, reason
from evalkit.store import Store
from evalkit.trec import add_judgment
from evalkit.types import Dataset, Qrels


def load(config: HubDatasetConfig, store: Store) -> Dataset:
    """The dataset at its pinned revision.

    Raises:
        DataError: it cannot be reached, or its layout is another one.
    """
    qrels = _read_qrels(config)
    queries = _read_queries(config, qrels)
    corpus = _part(config, "corpus", "corpus")
    documents = ArrowDocuments(corpus, title_separator=config.title_separator, id_column=_id_column(config, corpus))
    if (distinct := pc.count_distinct(documents.ids).as_py()) < len(documents):
        raise DataError(f"{config.hub_id}: {len(documents) - distinct} document ids occur twice. Ids are unique.")
    if pc.any(pc.match_substring_regex(documents.ids, r"[\t\n\r\x00]|^\s|\s$|^$")).as_py():
        raise DataError(f"{config.hub_id}: has document ids that no run file can hold (empty, tabs, outer blanks).")
    return assemble(
        config,
        store,
        documents=documents,
        queries=queries,
        qrels=qrels,
        corpus_digest=f"hub:{config.hub_id}@{config.revision}",
    )


def _part(config: HubDatasetConfig, name: str, split: str) -> Any:
    """One configuration and split of the repository, memory-mapped."""
    import datasets

    try:
        return datasets.load_dataset(config.hub_id, name, split=split, revision=config.revision)
    # Network, authentication, layout: `datasets` and its clients raise dozens of unrelated classes for these.
    except Exception as error:
        raise DataError(
            f"{config.hub_id}@{config.revision[:8]} ({name}/{split}) cannot be loaded from the hub ({reason(error)}). "
            f"If you have the collection on disk, set dataset.path=FOLDER."
        ) from error


def _id_column(config: HubDatasetConfig, table: Any) -> str:
    for name in ("_id", "id"):
        if name in table.column_names and "text" in table.column_names:
            return name
    raise DataError(f"{config.hub_id}: columns {', '.join(table.column_names)}, expected _id, text and perhaps title.")


def _read_qrels(config: HubDatasetConfig) -> Qrels:
    table = _part(config, "default", config.split)
    columns = ("query-id", "corpus-id", "score")
    if not set(columns) <= set(table.column_names):
        raise DataError(f"{config.hub_id}: columns {', '.join(table.column_names)}, expected {', '.join(columns)}.")
    qrels: dict[str, dict[str, int]] = {}
    rows = zip(*(table.data.column(name).to_pylist() for name in columns), strict=True)
    for query_id, doc_id, score in rows:
        whole = str(int(score)) if isinstance(score, float) and score.is_integer() else str(score)
        add_judgment(qrels, str(query_id), str(doc_id), whole, where=config.hub_id)
    return qrels


def _read_queries(config: HubDatasetConfig, qrels: Qrels) -> Mapping[str, str]:
    table = _part(config, "queries", "queries")
    ids = table.data.column(_id_column(config, table)).to_pylist()
    texts = table.data.column("text").to_pylist()
    queries = dict(zip((str(query_id) for query_id in ids), texts, strict=True))
    if len(queries) < len(texts):
        raise DataError(f"{config.hub_id}: {len(texts) - len(queries)} query ids occur twice. Ids are unique.")
    absent = sorted(query_id for query_id in qrels if queries.get(query_id) is None)
    if absent:
        raise DataError(f"{config.hub_id}: lacks the text of {len(absent)} judged queries, such as {absent[0]!r}.")
    return {query_id: queries[query_id] for query_id in sorted(qrels)}
