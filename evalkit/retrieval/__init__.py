"""First stages: each gives the best candidates of every query as a `Run`. Knows nothing of judgments or rerankers."""

from evalkit.config import BM25Config, ComputeConfig, DenseConfig, RetrieverConfig, SavedConfig
from evalkit.errors import ConfigError
from evalkit.store import Store
from evalkit.types import FirstStage


def build(config: RetrieverConfig, compute: ComputeConfig, store: Store) -> FirstStage:
    """The first stage that a configuration names. Loads no model; `retrieve` does.

    Raises:
        ConfigError: there is no first stage for this kind of configuration.
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    match config:
        case DenseConfig():
            from evalkit.retrieval.dense import DenseRetriever

            return DenseRetriever(config, compute, store)
        case BM25Config():
            from evalkit.retrieval.bm25 import BM25Retriever

            return BM25Retriever(config)
        case SavedConfig():
            from evalkit.retrieval.saved import SavedRetriever

            return SavedRetriever(config)
        case _:
            raise ConfigError(
                f"there is no first stage for {type(config).__name__}. Choose one from `evalkit list retrievers`."
            )
