"""Any retrieval task of mteb, loaded by mteb itself: its corpus, queries, judgments and policies."""

from dataclasses import replace
from typing import Any

import pyarrow as pa

from evalkit.config import MtebDatasetConfig
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.download import offline
from evalkit.datasets.hub import Repository, require_commit
from evalkit.errors import ConfigError, DataError, MissingExtra, reason
from evalkit.store import Store
from evalkit.trec import add_judgment
from evalkit.types import Dataset, Qrels

_CHINESE = ("zho", "cmn", "yue", "zh")


def load(config: MtebDatasetConfig, store: Store) -> Dataset:
    """The task of this name.

    Raises:
        ConfigError: mteb has no such retrieval task, subset or split.
        DataError: mteb cannot load it.
        MissingExtra: mteb is not installed.
    """
    task = _task(config)
    subset = _subset(config, task)
    split = config.split or task.metadata.eval_splits[0]
    data = _data(config, task, subset, split)
    published = task.metadata.dataset
    chosen = config.drop_identical_ids
    config = replace(
        config,
        split=split,
        language=_language(task, subset),
        drop_identical_ids=bool(task.ignore_identical_ids) if chosen is None else chosen,
    )
    documents = ArrowDocuments(data["corpus"], title_separator=config.title_separator, id_column="id")
    digest = f"mteb:{published['path']}@{published['revision']}#{subset}/{split}"
    return assemble(config, store, documents=documents, judged=_judged(task, data), corpus_digest=digest)


def repository(config: MtebDatasetConfig) -> Repository:
    """Where mteb reads the task from.

    Raises:
        ConfigError: mteb has no such retrieval task or subset.
    """
    task = _task(config)
    return _repository(task, _subset(config, task))


def _repository(task: Any, subset: str) -> Repository:
    published = task.metadata.dataset
    return Repository(published["path"], published["revision"], None if subset == "default" else subset)


def _task(config: MtebDatasetConfig) -> Any:
    try:
        import mteb
    except ImportError as error:
        raise MissingExtra("mteb", extra="mteb", purpose="dataset=mteb") from error
    try:
        task = mteb.get_task(config.task)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"mteb has no task {config.task!r} ({reason(error)}). Check dataset.task.") from error
    if task.metadata.type != "Retrieval" or "text" not in task.metadata.modalities:
        raise ConfigError(f"{config.task} is a task of type {task.metadata.type}, not a retrieval of texts.")
    return task


def _subset(config: MtebDatasetConfig, task: Any) -> str:
    subsets = list(task.hf_subsets)
    if config.subset is None and len(subsets) == 1:
        return str(subsets[0])
    if config.subset not in subsets:
        raise ConfigError(
            f"dataset.subset={config.subset} is no part of {config.task}. Legal are: {', '.join(subsets)}."
        )
    return str(config.subset)


def _data(config: MtebDatasetConfig, task: Any, subset: str, split: str) -> Any:
    if split not in task.metadata.eval_splits:
        legal = ", ".join(task.metadata.eval_splits)
        raise ConfigError(f"dataset.split={split} is no split of {config.task}. Legal are: {legal}.")
    if offline():
        require_commit(_repository(task, subset))
    try:
        task.load_data()
        return task.dataset[subset][split]
    # mteb passes on what datasets, the hub and its own checks raise.
    except Exception as error:
        raise DataError(f"mteb cannot load {config.task} ({reason(error)}).") from error


def _language(task: Any, subset: str) -> str:
    """`zh` where the documents are Chinese, else `en`, which is what every other language is analysed as."""
    languages = task.metadata.eval_langs
    codes = languages[subset] if isinstance(languages, dict) else languages
    return "zh" if str(codes[-1]).split("-")[0] in _CHINESE else "en"


def _judged(task: Any, data: Any) -> Judged:
    qrels: dict[str, dict[str, int]] = {}
    for query_id, judged in data["relevant_docs"].items():
        for doc_id, grade in judged.items():
            add_judgment(qrels, str(query_id), str(doc_id), str(int(grade)), where=task.metadata.name)
    texts = data["queries"].data
    ids = texts.column("id").cast(pa.string()).to_pylist()
    queries = dict(zip(ids, texts.column("text").to_pylist(), strict=True))
    return Judged(_texts(task, queries, qrels), qrels, unjudged_queries=len(set(queries) - set(qrels)))


def _texts(task: Any, queries: dict[str, Any], qrels: Qrels) -> dict[str, str]:
    absent = sorted(query_id for query_id in qrels if not isinstance(queries.get(query_id), str))
    if absent:
        raise DataError(f"{task.metadata.name}: lacks the text of {len(absent)} judged queries, such as {absent[0]!r}.")
    return {query_id: queries[query_id] for query_id in sorted(qrels)}
