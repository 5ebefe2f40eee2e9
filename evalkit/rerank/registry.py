"""The kinds of rerankers, by the names in the `defaults` of `conf/reranker/*.yaml`; other packages may add some."""

from evalkit.config.registry import Registry

SCHEMAS = {
    "none": "evalkit.rerank.passthrough:KeepOrderConfig",
    "replay": "evalkit.rerank.passthrough:ReplayConfig",
    "late_interaction": "evalkit.rerank.late_interaction:LateInteractionConfig",
    "cross_encoder": "evalkit.rerank.families.cross_encoder:CrossEncoderConfig",
    "minicpm": "evalkit.rerank.families.minicpm:MiniCPMRerankerConfig",
    "flag_llm": "evalkit.rerank.families.flag_llm:FlagLLMConfig",
    "layerwise": "evalkit.rerank.families.flag_llm:LayerwiseConfig",
    "lightweight": "evalkit.rerank.families.flag_llm:LightweightConfig",
    "qwen3": "evalkit.rerank.families.qwen3:Qwen3RerankerConfig",
}

RERANKERS = Registry("reranker", SCHEMAS)
