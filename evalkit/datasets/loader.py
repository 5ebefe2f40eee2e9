"""The seam of datasets: what reads one kind of them, chosen by the class of its settings."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from evalkit.store import Store
from evalkit.types import Dataset


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


class Loader(ABC):
    """Reads a dataset. A subclass has `load`; the rest is that of a dataset on disk unless it says otherwise.

    Args:
        config: the settings; their class names the loader as its `implementation`.
        store: where data derived from a collection is stored.
    """

    def __init__(self, config: Any, store: Store) -> None:
        self.config, self.store = config, store

    @abstractmethod
    def load(self) -> Dataset:
        """The dataset; `assemble` makes one from its parts.

        Raises:
            DataError: a file is absent or malformed.
        """

    def remote_files(self) -> list[RemoteFile]:
        """The files that `load` reads from the network.

        Raises:
            DataError: a server cannot be reached, or has no such dataset.
        """
        return []

    def is_here(self) -> bool:
        """Whether `load` needs no download; no server is asked.

        Raises:
            DataError: a file that is set is absent.
        """
        return True
