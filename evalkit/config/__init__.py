"""The settings, as dataclasses with checks. YAML files under `conf/` choose a class and fill it in.

A dataclass here is a schema: it fixes names, types and defaults, and `__post_init__` checks ranges and choices. It does
not know how a setting is used. Dataclasses are not frozen because Hydra fills them in place. One file a stage.
"""

from dataclasses import dataclass, field
from typing import Any

from evalkit.config.after_file import NamedAfterFile
from evalkit.config.compute import ComputeConfig, MachineConfig
from evalkit.config.dataset import (
    BundledDatasetConfig,
    DatasetConfig,
    ExpectedCounts,
    FolderDatasetConfig,
    TextLengths,
)
from evalkit.config.limits import MISSING, at_least, given
from evalkit.config.reranker import RerankerConfig
from evalkit.config.retriever import DenseConfig, RetrieverConfig
from evalkit.errors import ConfigError

__all__ = [
    "ROOTS",
    "BundledDatasetConfig",
    "ComputeConfig",
    "DatasetConfig",
    "DenseConfig",
    "DoctorConfig",
    "EmbedConfig",
    "EvaluateConfig",
    "ExpectedCounts",
    "FetchConfig",
    "FolderDatasetConfig",
    "MachineConfig",
    "PromptConfig",
    "RerankerConfig",
    "RetrieverConfig",
    "ScoreConfig",
    "TextLengths",
]


@dataclass
class EvaluateConfig:
    """One evaluation: a dataset, a first stage, a reranker, and what to measure."""

    dataset: DatasetConfig = MISSING
    retriever: RetrieverConfig = MISSING
    reranker: RerankerConfig = MISSING
    compute: ComputeConfig = field(default_factory=ComputeConfig)
    depth: int = 100
    """Candidates of each query that are passed on to the reranker."""
    measures: list[str] = field(default_factory=lambda: ["nDCG@10", "R@20"])
    """Columns of the table. The manifest holds these and a standard set."""
    partial_average: bool = False
    """Average a suite although datasets of it are missing; the table says of how many."""
    results_dir: str = "results"
    """Folder of the results."""
    cache_dir: str | None = None
    """Where corpora and embeddings are cached; `~/.cache/evalkit` when not set."""

    def __post_init__(self) -> None:
        """Check ranges; name stages after their files."""
        at_least("depth", self.depth, 1)
        for stage in (self.retriever, self.reranker):
            if isinstance(stage, NamedAfterFile):
                stage.leave_out(self.dataset.name)
        given("results_dir", self.results_dir, "FOLDER")
        if not all(isinstance(name, str) for name in self.measures):
            raise ConfigError(f"measures={self.measures} is not a list of names, such as [nDCG@10,R@20].")
        if not self.measures:
            raise ConfigError("measures is empty. Name at least one, such as measures=[nDCG@10,R@20].")


@dataclass
class ScoreConfig:
    """A reranker on its own: `evalkit score`."""

    reranker: RerankerConfig = MISSING
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass
class EmbedConfig:
    """A first stage on its own: `evalkit embed`."""

    retriever: RetrieverConfig = MISSING
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass
class DoctorConfig:
    """A reranker or a first stage, whose checkpoint is looked at: `evalkit doctor`."""

    reranker: RerankerConfig | None = None
    retriever: RetrieverConfig | None = None
    compute: ComputeConfig = field(default_factory=ComputeConfig)


@dataclass
class PromptConfig:
    """A reranker or a first stage, and the dataset that it is shown: `evalkit prompt`."""

    reranker: RerankerConfig | None = None
    retriever: RetrieverConfig | None = None
    dataset: DatasetConfig = MISSING
    cache_dir: str | None = None
    """Where corpora are cached; `~/.cache/evalkit` when not set."""


@dataclass
class FetchConfig:
    """A dataset on its own: `evalkit fetch` and `evalkit list datasets --inspect`."""

    dataset: DatasetConfig = MISSING
    cache_dir: str | None = None
    """Where corpora are cached; `~/.cache/evalkit` when not set."""


ROOTS: dict[str, Any] = {
    "evaluate": EvaluateConfig,
    "score": ScoreConfig,
    "embed": EmbedConfig,
    "doctor": DoctorConfig,
    "prompt": PromptConfig,
    "fetch": FetchConfig,
}
"""Schemas of whole verbs, as the first entry of `conf/<verb>.yaml` names them."""
