"""Datasets: one loader a source, all giving the same `Dataset`. Knows nothing of retrieval or measures."""

import logging
from typing import TYPE_CHECKING

from evalkit.config import (
    BundledDatasetConfig,
    DatasetConfig,
    FolderDatasetConfig,
    HubDatasetConfig,
    MkqaDatasetConfig,
    MtebDatasetConfig,
    NeuclirDatasetConfig,
)
from evalkit.config.resources import shipped
from evalkit.datasets.documents import are_chinese
from evalkit.datasets.records import SAID
from evalkit.errors import ConfigError
from evalkit.store import Store
from evalkit.system.files import expanded
from evalkit.types import Dataset

if TYPE_CHECKING:
    from evalkit.datasets.snapshot import Snapshot

logger = logging.getLogger(__name__)


def load(config: DatasetConfig, store: Store) -> Dataset:
    """The dataset that a configuration names, its texts memory-mapped from the store.

    Raises:
        ConfigError: there is no loader for this kind of configuration.
        DataError: a file is absent or malformed.
    """
    from evalkit.datasets import beir, download, hub, mkqa, mteb_task, neuclir, reranking_samples, snapshot

    match config:
        case BundledDatasetConfig():
            dataset = beir.load(config, store, path=shipped("collections") / config.name)
        case FolderDatasetConfig() if reranking_samples.are_samples(config):
            dataset = reranking_samples.load(config, store)
        case FolderDatasetConfig() | HubDatasetConfig() if left := _snapshot(config):
            dataset = snapshot.load(config, store, left)
        case FolderDatasetConfig():
            dataset = beir.load(config, store, path=config.path, folder=config.folder, exact=True)
        case HubDatasetConfig(path=None, source="hub"):
            dataset = hub.load(config, store)
        case HubDatasetConfig():
            path = config.path or download.url_file(store, str(config.zip_url), str(config.zip_md5))
            dataset = beir.load(config, store, path=path, folder=config.folder)
        case MtebDatasetConfig():
            dataset = mteb_task.load(config, store)
        case MkqaDatasetConfig():
            dataset = mkqa.load(config, store)
        case NeuclirDatasetConfig():
            dataset = neuclir.load(config, store)
        case _:
            raise ConfigError(
                f"there is no loader for {type(config).__name__}. Choose a dataset from `evalkit list datasets`."
            )
    _warn(dataset)
    return dataset


def _snapshot(config: FolderDatasetConfig | HubDatasetConfig) -> "Snapshot | None":
    """What `dataset.path` holds, where that is parquet of the hub or was written by `save_to_disk`."""
    from evalkit.datasets import snapshot

    if not config.path:
        return None
    path, folder = expanded(config.path), config.folder
    if isinstance(config, FolderDatasetConfig):
        return snapshot.find(path, folder)
    return snapshot.find(path, config.subset) or (snapshot.find(path / folder) if folder else None)


def _warn(dataset: Dataset) -> None:
    for name, said in SAID.items():
        if count := dataset.notes.get(name):
            logger.warning("%s: %d %s.", dataset.name, count, said)
    absent = dataset.notes["judged_documents_absent"]
    if absent:
        logger.warning(
            "%s: %d judged documents (%d of them relevant) are not in the corpus. They count as not retrieved, "
            "and the candidate ceiling shows what they cost.",
            dataset.name,
            absent,
            dataset.notes["relevant_documents_absent"],
        )
    if unanswered := dataset.notes.get("questions_without_answers"):
        logger.warning("%s: %d questions have no answer and count as 0.", dataset.name, unanswered)
    if dataset.language != "zh" and are_chinese(dataset.documents):
        logger.warning(
            "%s: the documents look Chinese, and dataset.language is %s. Set dataset.language=zh.",
            dataset.name,
            dataset.language,
        )
