"""Rerankers: each turns a Run of candidates into a Run of the same pairs in a better order. Knows no judgments.

Two of them, `none` and `replay`, need no text. All others are a `Reranker`: texts in, float32 logits out.
"""

from evalkit.config import (
    ComputeConfig,
    CrossEncoderConfig,
    LateInteractionConfig,
    ReplayConfig,
    RerankerConfig,
)
from evalkit.errors import ConfigError
from evalkit.rerank.passthrough import KeepOrder, Replay
from evalkit.rerank.texts import Reranked, score_candidates
from evalkit.run import Run
from evalkit.types import Dataset, Reranker

AnyReranker = Reranker | KeepOrder | Replay


def build(config: RerankerConfig, compute: ComputeConfig) -> AnyReranker:
    """The reranker that a configuration names. Loads no model; scoring does.

    Raises:
        ConfigError: there is no reranker for this kind of configuration.
        ModelError: the checkpoint is absent, or contradicts the settings.
    """
    match config:
        case LateInteractionConfig():
            from evalkit.rerank.late_interaction import LateInteractionReranker

            return LateInteractionReranker(config, compute)
        case CrossEncoderConfig():
            from evalkit.rerank.cross_encoder import CrossEncoderReranker

            return CrossEncoderReranker(config, compute)
        case ReplayConfig():
            return Replay(config)
        case RerankerConfig(name="none"):
            return KeepOrder()
        case _:
            raise ConfigError(
                f"there is no reranker for {type(config).__name__}. Choose one from `evalkit list rerankers`."
            )


def apply(reranker: AnyReranker, candidates: Run, dataset: Dataset) -> Reranked:
    """The candidates in the reranker's order.

    Raises:
        DataError: a candidate has no text in the corpus, or no score in the file that is replayed.
    """
    if isinstance(reranker, KeepOrder | Replay):
        run, unscored = reranker.reorder(candidates)
        return Reranked(run, truncated=None, unscored=unscored)
    return score_candidates(reranker, candidates, dataset)
