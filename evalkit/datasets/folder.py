"""Collections on disk: those that ship with evalkit, and anyone's."""

from evalkit.config import BundledDatasetConfig, FolderDatasetConfig
from evalkit.config.resources import shipped
from evalkit.datasets import beir, reranking_samples, snapshot
from evalkit.datasets.loader import Loader
from evalkit.system.files import expanded
from evalkit.types import Dataset


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
        if left := snapshot.find(expanded(str(config.path)), config.folder):
            return snapshot.load(config, store, left)
        return beir.load(config, store, path=config.path, folder=config.folder, exact=True)
