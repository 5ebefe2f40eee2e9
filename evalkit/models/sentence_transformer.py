"""The head that a checkpoint in sentence-transformers layout declares, and whether the settings agree with it.

Reads `modules.json`, `1_Pooling/config.json` and the layers behind the pooling, as sentence-transformers 2 to 6 write
them.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.config import DenseConfig
from evalkit.errors import ModelError
from evalkit.inference import notices
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import Declared
from evalkit.models.layout import is_minicpm
from evalkit.models.requirements import LANGUAGE_MODELS, architectures

_SUPPORTED = {"StaticEmbedding", "Transformer", "Pooling", "Dense", "LayerNorm", "Normalize", "Dropout"}
_ORDER = re.compile("(Transformer Pooling|StaticEmbedding)( Dense| LayerNorm| Normalize| Dropout)*")
# What sentence-transformers calls the poolings, before version 6 (`pooling_mode_...`) and since; in the order in which
# it puts the results of several behind each other where none is said.
_POOLINGS = {
    "cls_token": "cls",
    "cls": "cls",
    "max_tokens": "max",
    "max": "max",
    "mean_tokens": "mean",
    "mean": "mean",
    "mean_sqrt_len_tokens": "mean_sqrt_length",
    "weightedmean_tokens": "weighted_mean",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}


@dataclass(frozen=True)
class EmbeddingHead:
    """How token vectors become a text's vector.

    Attributes:
        pooling: as `retriever.pooling` names it.
        normalize: whether the vector is scaled to length 1.
        ranked_normalized: whether it is for a search, where the similarity is the cosine.
        layers: kind and folder of each module between pooling and scaling, in order.
        truncate_dim: length to which the scaled vector is truncated; None for its full length.
        skips_prompt: whether the tokens of an instruction are left out of the pooling.
    """

    pooling: str
    normalize: bool
    ranked_normalized: bool
    layers: tuple[tuple[str, Path], ...] = ()
    truncate_dim: int | None = None
    skips_prompt: bool = False


def embedding_head(checkpoint: Checkpoint, config: DenseConfig, said: Declared) -> EmbeddingHead:
    """The head that settings and checkpoint agree on.

    Raises:
        ModelError: they contradict each other, the checkpoint has a module that is not supported, or neither says.
    """
    kinds = _supported(checkpoint)
    scaled = kinds[-1:] == ["Normalize"]
    pooling = _agreed_pooling(checkpoint, config)
    if scaled and config.normalize is False:
        raise ModelError(f"{checkpoint.path}: retriever.normalize=false, but modules.json has a Normalize module.")
    if said.similarity == "dot" and not scaled and config.normalize:
        raise ModelError(
            f"{checkpoint.path}: is made for dot products of unscaled vectors. Set retriever.normalize=false."
        )
    normalize = scaled or bool(config.normalize)
    by_cosine = said.similarity == "cosine" and config.normalize is not False
    truncate_dim = said.truncate_dim if config.truncate_dim is None else config.truncate_dim
    first = 1 if checkpoint.static is not None else len(("Transformer", "Pooling"))
    between = checkpoint.modules()[first : -1 if scaled else None]
    return EmbeddingHead(
        pooling,
        normalize=normalize,
        ranked_normalized=by_cosine or (normalize and truncate_dim is None),
        layers=tuple((kind, checkpoint.path / folder) for kind, folder in between if kind != "Dropout"),
        truncate_dim=truncate_dim,
        skips_prompt=skips_prompt(checkpoint),
    )


def _supported(checkpoint: Checkpoint) -> list[str]:
    """The kinds of modules that a checkpoint lists, once they are sure to be a chain that is computed here."""
    kinds = checkpoint.kinds
    if unsupported := sorted(set(kinds) - _SUPPORTED):
        raise ModelError(
            f"{checkpoint.path}: modules.json has {', '.join(unsupported)}, which evalkit does not run yet."
        )
    if kinds and not _ORDER.fullmatch(" ".join(kinds)):
        raise ModelError(
            f"{checkpoint.path}: modules.json has {', '.join(kinds)}, in an order that evalkit does not run. Supported "
            "is Transformer, Pooling, any number of Dense, LayerNorm, Normalize and Dropout."
        )
    return kinds


def _agreed_pooling(checkpoint: Checkpoint, config: DenseConfig) -> str:
    stored = stored_pooling(checkpoint) if checkpoint.static is None else "mean"
    if config.pooling == "weighted_mean" and stored == "mean" and is_minicpm(checkpoint):
        # MiniCPM-Embedding's own code weights the states before the stored plain mean.
        stored = "weighted_mean"
    if config.pooling != "checkpoint" and stored not in (None, config.pooling):
        raise ModelError(
            f"{checkpoint.path}: retriever.pooling={config.pooling}, but 1_Pooling/config.json says {stored}. "
            "Remove the setting, or mend the file."
        )
    chosen = stored if config.pooling == "checkpoint" else config.pooling
    causal = [name for name in architectures(checkpoint) if name.endswith("ForCausalLM")]
    if chosen is None:
        usual = "last" if causal or checkpoint.config.get("model_type") in LANGUAGE_MODELS else "cls"
        raise ModelError(f"{checkpoint.path}: says nothing of its pooling. Set retriever.pooling={usual} or mean.")
    if causal and not checkpoint.kinds:
        notices.say(
            "",
            f"{checkpoint.path}: config.json names {causal[0]}, and there is no modules.json. If it was trained as a "
            "reranker or for chats, its vectors mean nothing.",
        )
    return chosen


def _pooling_settings(checkpoint: Checkpoint) -> tuple[str, dict[str, Any] | None]:
    """The file that describes the pooling, and what it says."""
    folder = next((folder for kind, folder in checkpoint.modules() if kind == "Pooling"), "1_Pooling")
    name = f"{folder}/config.json"
    return name, checkpoint.read_json(name)


def skips_prompt(checkpoint: Checkpoint) -> bool:
    """Whether the tokens of a prompt are left out of the pooling."""
    return (_pooling_settings(checkpoint)[1] or {}).get("include_prompt") is False


def stored_pooling(checkpoint: Checkpoint) -> str | None:
    """The pooling that a checkpoint names, as `retriever.pooling` names it; None where it names none.

    Several are one name with + between them.

    Raises:
        ModelError: one is not known, or the file says nothing of it.
    """
    name, stored = _pooling_settings(checkpoint)
    if stored is None:
        return None
    prefix = "pooling_mode_"
    on = {key.removeprefix(prefix) for key, said in stored.items() if key.startswith(prefix) and said is True}
    modes = [mode for mode in _POOLINGS if mode in on] + sorted(on.difference(_POOLINGS))
    # sentence-transformers 6 writes one word, or a list of them.
    if isinstance(stored.get("pooling_mode"), str | list):
        given = stored["pooling_mode"]
        modes = [given] if isinstance(given, str) else [str(mode) for mode in given]
    if not modes or not _POOLINGS.keys() >= set(modes):
        raise ModelError(
            f"{checkpoint.path}/{name}: pooling {', '.join(modes) or 'none'}. "
            f"Supported are {', '.join(dict.fromkeys(_POOLINGS.values()))}."
        )
    return "+".join(_POOLINGS[mode] for mode in modes)


def pooled_width(checkpoint: Checkpoint, pooling: str) -> int:
    """Numbers in a pooled vector of a transformer's states."""
    return int(checkpoint.numbers("hidden_size")["hidden_size"]) * (1 + pooling.count("+"))
