"""First stages: each gives the best candidates of every query as a `Run`. Knows nothing of judgments or rerankers."""

from evalkit.config import (
    BM25Config,
    ComputeConfig,
    DatasetConfig,
    DenseConfig,
    JudgedConfig,
    MtebDatasetConfig,
    RetrieverConfig,
    SavedConfig,
)
from evalkit.config.instructions import choose_instruction
from evalkit.errors import ConfigError
from evalkit.retrieval.first_stage import FirstStage
from evalkit.store import Store


def build(
    config: RetrieverConfig,
    compute: ComputeConfig,
    store: Store,
    *,
    dataset: DatasetConfig | None = None,
    weights: bool = True,
) -> FirstStage:
    """The first stage that a configuration names. Loads no model; `retrieve` does.

    Args:
        config: which, and its settings.
        compute: where and how models run.
        store: where what it makes of a corpus is kept.
        dataset: whose instruction is looked up, where the settings say so.
        weights: whether the weights of a hub id are downloaded too; to find what was kept needs none.

    Raises:
        ConfigError: there is no first stage for this kind of configuration.
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    match config:
        case DenseConfig():
            from evalkit.retrieval.dense import DenseRetriever

            return DenseRetriever(config, compute, store, query_instruction(config, dataset), weights=weights)
        case BM25Config():
            from evalkit.retrieval.bm25 import BM25Retriever

            return BM25Retriever(config)
        case SavedConfig():
            from evalkit.retrieval.saved import SavedRetriever

            decided = (
                dataset is None or dataset.drop_identical_ids is not None or isinstance(dataset, MtebDatasetConfig)
            )
            return SavedRetriever(config, own_ids_decided=decided)
        case JudgedConfig():
            from evalkit.retrieval.judged import JudgedRetriever

            return JudgedRetriever()
        case _:
            raise ConfigError(
                f"there is no first stage for {type(config).__name__}. Choose one from `evalkit list retrievers`."
            )


def query_instruction(config: DenseConfig, dataset: DatasetConfig | None) -> str | None:
    """What is put before the queries of a dataset; None for what the checkpoint says."""
    key = dataset.key if dataset else None
    task = choose_instruction(config.instructions, key=key, name="retriever.instructions")
    if task:
        return str(config.instructed_query).replace("{instruction}", task)
    return "" if key in config.instruction_except else config.query_instruction
