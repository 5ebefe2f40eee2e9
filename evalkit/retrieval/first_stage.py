"""The seam of first stages: a dataset in, candidates out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

from evalkit.formats.notes import Note
from evalkit.inference.usage import Usage
from evalkit.models.checkpoint import Checkpoint
from evalkit.run import Run
from evalkit.system.stages import Stages
from evalkit.types import Dataset, Identity


class FirstStage(ABC):
    """Makes candidates for every query. A subclass has `identity` and `retrieve`; everything else has a default.

    Attributes:
        checkpoint: of its model; None without one.
        stages: how long the parts of the last `retrieve` took; None where it has no parts.
        usage: what the engine took for it; None without an engine.
        workers: what a manifest should say of those that did the work.
        notes: what was odd about a file that it read.
    """

    checkpoint: Checkpoint | None = None
    stages: Stages | None = None
    usage: Usage | None = None
    workers: Mapping[str, object] = MappingProxyType({})
    notes: tuple[Note, ...] = ()

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
        """All that decides the vectors of a dataset's documents; None where no vectors are kept."""
        del dataset
        return None
