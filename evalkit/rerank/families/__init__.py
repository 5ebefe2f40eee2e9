"""The kinds of pair rerankers, one file each: what a template and a model have to do with each other."""

from evalkit.config import (
    CrossEncoderConfig,
    FlagLLMConfig,
    LayerwiseConfig,
    LightweightConfig,
    MiniCPMRerankerConfig,
    PairRerankerConfig,
    Qwen3RerankerConfig,
)
from evalkit.errors import ConfigError
from evalkit.rerank.families.cross_encoder import CrossEncoderFamily
from evalkit.rerank.families.flag_llm import GemmaFamily, LayerwiseFamily, LightweightFamily
from evalkit.rerank.families.minicpm import MiniCPMFamily
from evalkit.rerank.families.qwen3 import Qwen3Family
from evalkit.rerank.pair_reranker import Family


def family_of(config: PairRerankerConfig) -> Family:
    """The family that a configuration is of.

    Raises:
        ConfigError: there is none.
    """
    match config:
        case CrossEncoderConfig():
            return CrossEncoderFamily(config)
        case MiniCPMRerankerConfig():
            return MiniCPMFamily(config)
        case LayerwiseConfig():
            return LayerwiseFamily(config)
        case LightweightConfig():
            return LightweightFamily(config)
        case FlagLLMConfig():
            return GemmaFamily(config)
        case Qwen3RerankerConfig():
            return Qwen3Family(config)
        case _:
            raise ConfigError(f"there is no family of rerankers for {type(config).__name__}.")
