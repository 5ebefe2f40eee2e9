"""First stages: each gives the best candidates of every query as a `Run`. Knows nothing of judgments or rerankers."""

from evalkit.config import ComputeConfig, DatasetConfig, RetrieverConfig
from evalkit.config.registry import Registry, implementation
from evalkit.results.outcome import Retrieved
from evalkit.retrieval.first_stage import FirstStage
from evalkit.store import Store
from evalkit.system.stages import Stages
from evalkit.types import Dataset

RETRIEVERS = Registry(
    "retriever",
    {
        "dense": "evalkit.config.retriever:DenseConfig",
        "bm25": "evalkit.retrieval.bm25:BM25Config",
        "splade": "evalkit.retrieval.splade:SpladeConfig",
        "saved": "evalkit.retrieval.saved:SavedConfig",
        "python": "evalkit.retrieval.own_retriever:PythonRetrieverConfig",
        "own": "evalkit.retrieval.own_candidates:OwnConfig",
        "fusion": "evalkit.retrieval.fusion:FusionConfig",
    },
    base="evalkit.config.retriever:RetrieverConfig",
)
"""Schema of a first stage -> its settings; then the entry points `evalkit.retrievers` of installed packages."""


def build(
    config: RetrieverConfig,
    compute: ComputeConfig,
    store: Store,
    *,
    dataset: DatasetConfig | None = None,
    weights: bool = True,
) -> FirstStage:
    """The first stage that a configuration is for. Loads no model; `retrieve` does.

    Args:
        config: which, and its settings.
        compute: where and how models run.
        store: where data derived from a corpus is stored.
        dataset: whose instruction is looked up, where the settings say so.
        weights: whether the weights of a hub id are downloaded too; finding earlier results needs none.

    Raises:
        ConfigError: there is no first stage for this kind of configuration.
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    kind: type[FirstStage] = implementation(
        config,
        noun="first stage",
        choose="one from `evalkit list retrievers`",
        maker="build",
        base="evalkit.retrieval.first_stage.FirstStage",
    )
    return kind.build(config, compute=compute, store=store, dataset=dataset, weights=weights)


def apply(first_stage: FirstStage, dataset: Dataset, depth: int) -> Retrieved:
    """The candidates of every query of a dataset, and what they took."""
    stages = Stages()
    with stages.timed("retrieve"):
        run = first_stage.retrieve(dataset, depth)
    own = first_stage.stages or stages
    return Retrieved(run, own.seconds, first_stage.usage, first_stage.workers, first_stage.notes, own)
