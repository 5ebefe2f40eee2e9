"""The settings of `config.json` that several modules read: their usual names, types and limits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import ModelError

# What JSON must hold there; null counts as absent.
_TYPES: dict[str, type] = {
    "architectures": list,
    "auto_map": dict,
    "max_position_embeddings": int,
    "model_type": str,
    "pad_token_id": int,
    "rope_scaling": dict,
    "vocab_size": int,
}
# What other architectures call the settings that evalkit reads. The first that is there counts.
_ALSO_CALLED = {
    "hidden_size": ("dim", "d_model", "n_embd", "n_embed", "emb_dim"),
    "intermediate_size": ("hidden_dim", "d_ff", "d_inner", "n_inner"),
    "num_attention_heads": ("n_heads", "n_head", "num_heads"),
    "num_hidden_layers": ("n_layers", "n_layer", "num_layers"),
}
# Settings that every model has, and far more than any has: a model of a billion layers takes for ever to build.
_AT_MOST = {
    "hidden_size": 1_000_000,
    "max_position_embeddings": 1_000_000_000_000,
    "num_attention_heads": 10_000,
    "num_hidden_layers": 1_000,
    "num_labels": 1_000_000,
}


def checked_settings(folder: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without null keys, widths and counts also under their usual names.

    Args:
        folder: the checkpoint's, for errors.
        found: the object in its `config.json`.

    Raises:
        ModelError: a setting that every model has is of another type, or no size that a model can have.
    """
    stored = {key: value for key, value in found.items() if value is not None}
    for key, others in _ALSO_CALLED.items():
        if key not in stored and (name := next((other for other in others if other in stored), None)):
            stored[key] = stored[name]
    for key, kind in _TYPES.items():
        value = stored.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ModelError(
                f"{folder}/config.json: {key}={value!r} is a {type(value).__name__}, expected {kind.__name__}."
            )
    for key, most in _AT_MOST.items():
        value = stored.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
            raise ModelError(f"{folder}/config.json: {key}={value!r}, expected a whole number from 1 to {most:,}.")
    return stored
