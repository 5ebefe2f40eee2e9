"""The seam of first stages: a dataset in, candidates out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

from evalkit.config import ComputeConfig, DatasetConfig
from evalkit.config.registry import require_defined
from evalkit.formats.notes import Note
from evalkit.inference.usage import Usage
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.stages import Stages
from evalkit.types import Dataset, Identity


class FirstStage(ABC):
    """Makes candidates for every query. A subclass has `identity` and `retrieve`; everything else has a default.

    Attributes:
        stages: how long the parts of the last `retrieve` took; None where it has no parts.
        usage: what the engine took for it; None without an engine.
        workers: what a manifest should say of those that did the work.
        notes: what a user should know of the last `retrieve`, such as what was odd about a file that it read.
    """

    stages: Stages | None = None
    usage: Usage | None = None
    workers: Mapping[str, object] = MappingProxyType({})
    notes: tuple[Note, ...] = ()

    @classmethod
    def build(
        cls, config: Any, *, compute: ComputeConfig, store: Store, dataset: DatasetConfig | None, weights: bool
    ) -> Self:
        """One from its settings. A class whose constructor takes more than the settings has its own.

        Args:
            config: the settings.
            compute: where and how models run.
            store: where data derived from a corpus is stored.
            dataset: that is searched, for its instruction and policies.
            weights: whether the weights of a hub id are downloaded too; finding earlier results needs none.
        """
        del compute, store, dataset, weights
        require_defined(cls)
        return cls(config)  # type: ignore[call-arg]

    @property
    @abstractmethod
    def identity(self) -> Identity:
        """Everything that decides the candidates, apart from dataset and depth. Cheap: loads no model."""

    @abstractmethod
    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """At most `depth` documents for each query, in the total order of `Run`.

        A query may end with fewer, or none. A document with the query's own id is left out before the cut when the
        dataset says so.
        """

    def corpus_facts(self, dataset: Dataset) -> Identity | None:
        """All that decides the vectors of a dataset's documents; None where no vectors are stored."""
        del dataset
        return None
