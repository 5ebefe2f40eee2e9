"""Which published layout a checkpoint has, by its `config.json`. Several of them have no `model_type` of their own."""

from collections.abc import Mapping
from typing import Any

from evalkit.errors import ModelError
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

JINA_RANKING = "JinaForRanking"
"""The architecture of jina-reranker-v3: Qwen3 with a projector."""

# Model types whose layers `inference/layers.py` has.
_PACKED = {
    "bert",
    "camembert",
    "cost_wise_gemma",
    "deberta-v2",
    "distilbert",
    "electra",
    "gemma",
    "gemma2",
    "gemma3_text",
    "gte",
    "granite",
    "llama",
    "mistral",
    "modernbert",
    "nomic_bert",
    "qwen2",
    "qwen3",
    "roberta",
    "xlm-roberta",
}

# Packed types whose tokens, in the engine, reach the masks that fill up a query: no window, nothing causal.
_SEE_ALL = {"bert", "camembert", "distilbert", "electra", "gte", "new", "nomic_bert", "roberta", "xlm-roberta"}
_LOCAL_ATTENTION = 128  # ModernBERT's where config.json does not say
# Settings with which the engine has no layers for a packed type.
_NOT_PACKED: dict[str, dict[str, set[object]]] = {
    "deberta-v2": {"relative_attention": {None, False}},
    "gemma2": {"use_bidirectional_attention": {True}, "is_causal": {False}},
    "gemma3_text": {"is_causal": {False}},
    "mistral": {"is_causal": {False}},
}
# Packed types that other attention than `inference/attention.py` computes: slow where many lengths are many kernels.
_BY_LENGTHS = {"deberta-v2"}

# Model types whose position ids start behind the padding id, so that the first ones are never used.
_POSITIONS_BEHIND_PADDING = {
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}
_ROBERTA_PADDING = 1  # of their configurations, where config.json leaves it out
_DEBERTAS = {"deberta", "deberta-v2"}
# `n_positions` in the configuration of T5 says nothing of the model: its positions are relative.
_T5 = {"mt5", "t5", "umt5"}
_RELATIVE_POSITIONS = {*_T5, "xlnet"}
# Model types that turn queries and keys by an angle for each place, of which there is no last one; also others that
# have one of these keys in `config.json`.
_ROTARY = {
    *("cost_wise_gemma", "gemma", "gemma2", "gemma3_text", "granite", "gte", "llama", "minicpm", "mistral"),
    *("modernbert", "new", "nomic_bert", "qwen2", "qwen3"),
}
_OF_ROTARY = {"rope_theta", "rope_parameters"}
# Angles that depend on the longest text of a batch, and so on the neighbours.
_BY_LONGEST = {"dynamic", "longrope"}


def can_pack(checkpoint: Checkpoint) -> bool:
    """Whether the engine can run the model without padding."""
    config = checkpoint.config
    if is_minicpm(checkpoint) or is_jina(checkpoint) or is_gte(checkpoint):
        return True
    if config.get("model_type") not in _PACKED or config.get("is_decoder") or config.get("use_sliding_window"):
        return False
    odd = _NOT_PACKED.get(config["model_type"], {})
    if any(config.get(key) in values for key, values in odd.items()) or config.get("conv_kernel_size"):
        return False
    if config["model_type"] == "mistral" and "layer_types" in config:
        return False
    return not _turns_by_longest(config)


def _turns_by_longest(config: Mapping[str, Any]) -> bool:
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kinds = [rope, *(own for own in rope.values() if isinstance(own, dict))]
    return any(own.get("rope_type", own.get("type")) in _BY_LONGEST for own in kinds)


def packs_fillers(checkpoint: Checkpoint, tokens: int) -> bool:
    """Whether a packed model reads queries that masks fill up to so many tokens and that do not see these masks.

    ModernBERT's local windows must reach from the last mask to the first token.
    """
    kind = checkpoint.config.get("model_type")
    if kind == "modernbert":
        window: int = checkpoint.config.get("local_attention", _LOCAL_ATTENTION)
        return tokens <= window // 2
    return is_jina(checkpoint) or kind in _SEE_ALL


def runs_by_lengths(model_type: object) -> bool:
    """Whether a packed model of this type has no kernel for texts of different lengths, on any device."""
    return model_type in _BY_LENGTHS


def has_sdpa(checkpoint: Checkpoint) -> bool:
    """Whether transformers can run the model with scaled_dot_product_attention."""
    return checkpoint.config.get("model_type") not in _WITHOUT_SDPA


def layout(checkpoint: Checkpoint) -> str:
    """`jina`, or `model_type` of `config.json`: `new` is gte as published, `gte` as transformers saves it."""
    return "jina" if is_jina(checkpoint) else str(checkpoint.config.get("model_type"))


def is_minicpm(checkpoint: Checkpoint) -> bool:
    """MiniCPM 1 and 2 (OpenBMB); the first published ones have no `model_type`."""
    return "scale_depth" in checkpoint.config and "scale_emb" in checkpoint.config


def stated_positions(checkpoint: Checkpoint) -> int | None:
    """`max_position_embeddings`, which need not be a limit; None where `config.json` has none."""
    config = checkpoint.config
    usual = config.get("n_positions") if config.get("model_type") not in _RELATIVE_POSITIONS else None
    found = config.get("max_position_embeddings", usual)
    return int(found) if isinstance(found, int) and found > 0 else None


def has_rotary_positions(checkpoint: Checkpoint) -> bool:
    """Whether a place is an angle that does not depend on the length of any text, so that every place has one."""
    config = checkpoint.config
    turns = config.get("model_type") in _ROTARY or is_minicpm(checkpoint) or not _OF_ROTARY.isdisjoint(config)
    return turns and not _turns_by_longest(config)


def usable_positions(checkpoint: Checkpoint) -> int | None:
    """How many tokens a text may have before the model runs out of positions; None where nothing limits it.

    Raises:
        ModelError: positions start behind the padding token, and `pad_token_id` is null.
    """
    kind = checkpoint.config.get("model_type")
    # DeBERTa counts from token to token; only with this setting has it a table of places too.
    unbiased = kind in _DEBERTAS and not checkpoint.config.get("position_biased_input", True)
    relative = kind in _RELATIVE_POSITIONS or unbiased or has_rotary_positions(checkpoint)
    positions = (
        None if relative else checkpoint.config.get("max_position_embeddings", checkpoint.config.get("n_positions"))
    )
    if positions is None or positions < 0:
        return None
    if kind not in _POSITIONS_BEHIND_PADDING and not is_jina(checkpoint):
        return int(positions)
    stored = checkpoint.read_json("config.json") or {}
    if stored.get("pad_token_id", _ROBERTA_PADDING) is None:
        raise ModelError(
            f"{checkpoint.path}/config.json: pad_token_id is null, and the positions of this model start behind it. "
            f"Models of this kind have pad_token_id={_ROBERTA_PADDING}: say so there."
        )
    return int(positions) - int(checkpoint.config.get("pad_token_id", _ROBERTA_PADDING)) - 1


def is_gte(checkpoint: Checkpoint) -> bool:
    """Alibaba-NLP/new-impl, such as gte-multilingual-reranker-base."""
    return checkpoint.config.get("model_type") == "new"


def is_nomic(checkpoint: Checkpoint) -> bool:
    """nomic-ai/nomic-bert-2048, such as nomic-embed-text-v1.5, not as transformers saves it."""
    return checkpoint.config.get("model_type") == "nomic_bert" and "n_embd" in checkpoint.config


def has_t5_encoder(checkpoint: Checkpoint) -> bool:
    """T5 and its kin, whose encoder is used alone, as in sentence-t5 and gtr-t5."""
    return checkpoint.config.get("model_type") in _T5


def is_jina(checkpoint: Checkpoint) -> bool:
    """jinaai/xlm-roberta-flash, such as jina-reranker-v2-base-multilingual."""
    return "XLMRobertaFlashConfig" in str(checkpoint.config.get("auto_map", {}).get("AutoConfig", ""))
