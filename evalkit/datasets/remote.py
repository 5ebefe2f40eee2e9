"""What a dataset has to be downloaded for: files, their sizes, and which are on this machine already."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evalkit.config import (
    DatasetConfig,
    HubDatasetConfig,
    MkqaDatasetConfig,
    MtebDatasetConfig,
    NeuclirDatasetConfig,
)
from evalkit.datasets import download, hub, hub_files, mkqa, mteb_task, neuclir
from evalkit.datasets.hub import Repository
from evalkit.datasets.snapshot import PARTS
from evalkit.errors import DataError, Unreachable
from evalkit.store import Store


class RemoteFile(NamedTuple):
    """A published file.

    Attributes:
        name: where it is published.
        bytes: its size; None where the server does not say.
        here: whether it was downloaded before.
    """

    name: str
    bytes: int | None
    here: bool


def remote_files(config: DatasetConfig, store: Store) -> list[RemoteFile]:
    """The files that loading a dataset reads from the network; none for one that is on disk.

    Raises:
        DataError: the hub cannot be reached, or has no such dataset.
    """
    match config:
        case HubDatasetConfig(path=None, source="hub"):
            return list(_of_repository(Repository(config.hub_id, config.revision, config.subset)))
        case HubDatasetConfig(path=None):
            return [_of_url(store, str(config.zip_url), str(config.zip_md5))]
        case MtebDatasetConfig():
            return _of_mteb(mteb_task.repository(config))
        case MkqaDatasetConfig():
            return list(_of_mkqa(config))
        case NeuclirDatasetConfig():
            return list(_of_neuclir(config, store))
        case _:
            return []


def is_here(config: DatasetConfig, store: Store) -> bool:
    """Whether a dataset can be loaded without a download; no server is asked.

    Raises:
        DataError: a file that is set is absent.
    """
    match config:
        case HubDatasetConfig(path=None, source="hub"):
            return hub.is_here(Repository(config.hub_id, config.revision, config.subset))
        case HubDatasetConfig(path=None):
            return download.downloaded(store, str(config.zip_url), str(config.zip_md5)) is not None
        case MtebDatasetConfig():
            return hub.prepared(mteb_task.repository(config))
        case MkqaDatasetConfig():
            questions = config.path or hub_files.in_hub_cache(config.hub_id, config.revision, config.hub_file)
            documents = mkqa.corpus_path(config) or hub.is_here(mkqa.corpus_repository(config), ("corpus",))
            return bool(questions and documents)
        case NeuclirDatasetConfig():
            places = neuclir.find_places(config)
            cached = any(hub_files.in_hub_cache(config.hub_id, at, config.hub_file) for at in config.revisions)
            topics = places.topics or download.downloaded(store, config.topics_url, config.topics_md5)
            qrels = places.qrels or download.downloaded(store, config.qrels_url, config.qrels_md5)
            return bool((places.documents or cached) and topics and qrels)
        case _:
            return True


def _of_repository(repository: Repository, parts: Sequence[str] = PARTS) -> Iterator[RemoteFile]:
    for name, size in hub.remote_files(repository, parts):
        here = hub_files.in_hub_cache(repository.hub_id, repository.revision, name)
        yield RemoteFile(f"{repository.hub_id}/{name}", size, here)


def _of_mteb(repository: Repository) -> list[RemoteFile]:
    try:
        return list(_of_repository(repository))
    except Unreachable:
        raise
    except DataError:  # a layout that the task reads by code of its own
        return [RemoteFile(repository.hub_id, None, here=False)]


def _of_url(store: Store, url: str, md5: str) -> RemoteFile:
    here = download.downloaded(store, url, md5)
    return RemoteFile(url, here.stat().st_size if here else download.url_size(url), here is not None)


def _of_hub_file(hub_id: str, revision: str, name: str) -> RemoteFile:
    here = hub_files.in_hub_cache(hub_id, revision, name)
    return RemoteFile(f"{hub_id}/{name}", hub_files.hub_file_size(hub_id, revision, name), here)


def _of_mkqa(config: MkqaDatasetConfig) -> Iterator[RemoteFile]:
    if not config.path:
        yield _of_hub_file(config.hub_id, config.revision, config.hub_file)
    if mkqa.corpus_path(config) is None:
        yield from _of_repository(mkqa.corpus_repository(config), ("corpus",))


def _of_neuclir(config: NeuclirDatasetConfig, store: Store) -> Iterator[RemoteFile]:
    places = neuclir.find_places(config)
    if places.documents is None:
        revision = hub_files.revision_in_hub(config.hub_id, config.revisions, config.hub_file)
        yield _of_hub_file(config.hub_id, revision, config.hub_file)
    if places.topics is None:
        yield _of_url(store, config.topics_url, config.topics_md5)
    if places.qrels is None:
        yield _of_url(store, config.qrels_url, config.qrels_md5)
