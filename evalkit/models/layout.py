"""Which published layout a checkpoint has, by its `config.json`. Several of them have no `model_type` of their own."""

from evalkit.models.checkpoint import Checkpoint

# Model types that transformers runs with its own attention formula alone. To ask their
# classes is to import transformers: seconds that a run with nothing to do would wait for.
_WITHOUT_SDPA = {
    "big_bird",
    "bigbird_pegasus",
    "bloom",
    "canine",
    "convbert",
    "deberta",
    "deberta-v2",
    "flaubert",
    "fnet",
    "funnel",
    "gemma2",
    "gpt_neo",
    "gpt_oss",
    "gptj",
    "ibert",
    "layoutlmv2",
    "layoutlmv3",
    "lilt",
    "longformer",
    "luke",
    "markuplm",
    "megatron-bert",
    "mpnet",
    "mpt",
    "mra",
    "mvp",
    "nystromformer",
    "openai-gpt",
    "perceiver",
    "reformer",
    "rembert",
    "roformer",
    "squeezebert",
    "t5gemma",
    "tapas",
    "xlm",
    "xlnet",
    "yoso",
}


# Model types whose layers `inference/blocks.py` has.
_PACKED = {
    "bert",
    "camembert",
    "cost_wise_gemma",
    "gemma",
    "granite",
    "llama",
    "qwen2",
    "qwen3",
    "roberta",
    "xlm-roberta",
}


def can_pack(checkpoint: Checkpoint) -> bool:
    """Whether the engine can run the model without padding."""
    config = checkpoint.config
    if is_minicpm(checkpoint) or is_jina(checkpoint) or is_gte(checkpoint):
        return True
    if config.get("model_type") not in _PACKED or config.get("is_decoder") or config.get("use_sliding_window"):
        return False
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    # Some positions are scaled by the longest text of a batch, and so depend on the neighbours.
    return rope.get("rope_type", rope.get("type")) not in {"dynamic", "longrope"}


def has_sdpa(checkpoint: Checkpoint) -> bool:
    """Whether transformers can run the model with scaled_dot_product_attention."""
    return checkpoint.config.get("model_type") not in _WITHOUT_SDPA


def layout(checkpoint: Checkpoint) -> str:
    """`jina`, `gte`, or what `config.json` says in `model_type`."""
    if is_jina(checkpoint):
        return "jina"
    return "gte" if is_gte(checkpoint) else str(checkpoint.config.get("model_type"))


def is_minicpm(checkpoint: Checkpoint) -> bool:
    """MiniCPM 1 and 2 (OpenBMB); the first published ones have no `model_type`."""
    return "scale_depth" in checkpoint.config and "scale_emb" in checkpoint.config


def is_gte(checkpoint: Checkpoint) -> bool:
    """Alibaba-NLP/new-impl, such as gte-multilingual-reranker-base."""
    return checkpoint.config.get("model_type") == "new"


def is_jina(checkpoint: Checkpoint) -> bool:
    """jinaai/xlm-roberta-flash, such as jina-reranker-v2-base-multilingual."""
    return "XLMRobertaFlashConfig" in str(checkpoint.config.get("auto_map", {}).get("AutoConfig", ""))
