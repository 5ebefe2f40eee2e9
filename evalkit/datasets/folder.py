"""Collections on disk: those that ship with evalkit, and anyone's."""

import contextlib

from evalkit.config import BundledDatasetConfig, FolderDatasetConfig
from evalkit.config.resources import shipped
from evalkit.datasets import beir, filenames, reranking_samples, snapshot
from evalkit.datasets.loader import Loader
from evalkit.datasets.opening import open_source
from evalkit.datasets.snapshot import Snapshot
from evalkit.datasets.source import FolderSource
from evalkit.system.files import expanded
from evalkit.types import Dataset


def recognised(config: FolderDatasetConfig) -> str:
    """As which layout `FolderLoader` reads a path."""
    if reranking_samples.are_samples(config):
        return "questions with passages of their own"
    if left := _snapshot(config):
        files = [file for splits in left.parts.values() for places in splits.values() for file in places]
        saved = any(file.is_dir() for file in files)
        return "what save_to_disk of `datasets` wrote" if saved else "parquet, a file or folder a part"
    with contextlib.closing(open_source(expanded(str(config.path)), config.folder, exact=True)) as source:
        return filenames.recognised(source.files())


def _snapshot(config: FolderDatasetConfig) -> Snapshot | None:
    """Parquet or what `save_to_disk` wrote at a path, unless it is one of several formats in a collection there."""
    path = expanded(str(config.path))
    left = snapshot.find(path, config.folder)
    if left and not left.subsets and not set(snapshot.PARTS) <= left.parts.keys():
        return None if filenames.are_whole(FolderSource(path).files()) else left
    return left


class BundledLoader(Loader):
    """Reads a collection that ships with evalkit."""

    config: BundledDatasetConfig

    def load(self) -> Dataset:
        """See `Loader`."""
        return beir.load(self.config, self.store, path=shipped("collections") / self.config.name)


class FolderLoader(Loader):
    """Reads reranking samples, parquet of the hub, what `save_to_disk` wrote, or BEIR layout: as the path holds."""

    config: FolderDatasetConfig

    def load(self) -> Dataset:
        """See `Loader`."""
        config, store = self.config, self.store
        if reranking_samples.are_samples(config):
            return reranking_samples.load(config, store)
        if left := _snapshot(config):
            return snapshot.load(config, store, left)
        return beir.load(config, store, path=config.path, folder=config.folder, exact=True)
