"""What a checkpoint in sentence-transformers layout says of its pooling, and whether the settings agree.

Reads `modules.json`, `1_Pooling/config.json` and `sentence_bert_config.json`, as sentence-transformers 2 to 6 write
them.
"""

from dataclasses import dataclass

from evalkit.config import DenseConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint

_SUPPORTED = {"Transformer", "Pooling", "Normalize"}


@dataclass(frozen=True)
class EmbeddingHead:
    """How token vectors become a text's vector.

    Attributes:
        pooling: `cls` or `mean`.
        normalize: whether the vector is scaled to length 1.
    """

    pooling: str
    normalize: bool


def embedding_head(checkpoint: Checkpoint, config: DenseConfig) -> EmbeddingHead:
    """The head that settings and checkpoint agree on.

    Raises:
        ModelError: they contradict each other, the checkpoint has a module that is not supported, or neither says.
    """
    modules = checkpoint.modules()
    unsupported = sorted(set(modules) - _SUPPORTED)
    if unsupported:
        raise ModelError(
            f"{checkpoint.path}: modules.json has {', '.join(unsupported)}, which evalkit does not run yet."
        )
    pooling = _stored_pooling(checkpoint)
    if config.pooling != "checkpoint" and pooling not in (None, config.pooling):
        raise ModelError(
            f"{checkpoint.path}: retriever.pooling={config.pooling}, but 1_Pooling/config.json says {pooling}. "
            "Remove the setting, or mend the file."
        )
    # A checkpoint without a Normalize module leaves it to the user, so only switching off a stored one contradicts.
    if "Normalize" in modules and not config.normalize:
        raise ModelError(f"{checkpoint.path}: retriever.normalize=false, but modules.json has a Normalize module.")
    similarity = (checkpoint.read_json("config_sentence_transformers.json") or {}).get("similarity_fn_name")
    if similarity == "dot" and "Normalize" not in modules and config.normalize:
        raise ModelError(
            f"{checkpoint.path}: is made for dot products of unscaled vectors. Set retriever.normalize=false."
        )
    chosen = pooling if config.pooling == "checkpoint" else config.pooling
    if chosen is None:
        raise ModelError(f"{checkpoint.path}: says nothing of its pooling. Set retriever.pooling=cls or mean.")
    if chosen == "mean" and (config.query_instruction or config.document_instruction) and _skips_prompt(checkpoint):
        raise ModelError(
            f"{checkpoint.path}: 1_Pooling leaves instructions out of the mean, which evalkit does not do."
        )
    return EmbeddingHead(chosen, normalize=config.normalize)


def lowercases(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint wants its texts in lower case before they are tokenised."""
    return bool((checkpoint.read_json("sentence_bert_config.json") or {}).get("do_lower_case", False))


def _skips_prompt(checkpoint: Checkpoint) -> bool:
    return (checkpoint.read_json("1_Pooling/config.json") or {}).get("include_prompt") is False


def _stored_pooling(checkpoint: Checkpoint) -> str | None:
    stored = checkpoint.read_json("1_Pooling/config.json")
    if stored is None:
        return None
    modes = sorted(
        key.removeprefix("pooling_mode_")
        for key, on in stored.items()
        if key.startswith("pooling_mode_") and on is True
    )
    if isinstance(stored.get("pooling_mode"), str):  # sentence-transformers 6 writes one word
        modes = [stored["pooling_mode"]]
    names = {"cls_token": "cls", "cls": "cls", "mean_tokens": "mean", "mean": "mean"}
    if len(modes) != 1 or modes[0] not in names:
        raise ModelError(
            f"{checkpoint.path}/1_Pooling/config.json: pooling {', '.join(modes) or 'none'}. "
            "Supported are cls and mean."
        )
    return names[modes[0]]
