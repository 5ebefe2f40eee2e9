"""Loading weights and tokenizers through transformers.

No remote code, no newly initialised tensor, no silent fallback.
"""

import inspect
import re
from pickle import UnpicklingError  # noqa: TID251 - only the error, with which torch refuses what is no tensor
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.errors import MissingExtra, ModelError, reason
from evalkit.models.checkpoint import Checkpoint

# Tensors that a checkpoint may hold and an encoder does not use: pooler and pretraining heads, stored position ids.
_UNUSED_BY_ENCODERS = re.compile(r"(^|\.)(pooler|cls|lm_head)\.|position_ids$")
_UNUSED_BY_CLASSIFIERS = re.compile(r"position_ids$")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
)
# Families whose position ids start behind the padding id, so that two positions are never used.
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


def device_name(compute: ComputeConfig) -> str:
    """`cuda` or `cpu`.

    Raises:
        ModelError: CUDA was asked for and there is none.
    """
    torch = require_torch()
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise ModelError("compute.device=cuda was asked for, but torch sees no CUDA device. Set compute.device=cpu.")
    return "cuda" if compute.device != "cpu" and available else "cpu"


def require_torch() -> Any:
    """The torch module.

    Raises:
        MissingExtra: torch or transformers is not installed.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingExtra(error.name or "torch", extra="models", purpose="a neural model") from error
    # Loading bars and advice of the library would land between ours.
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch


def load_encoder(checkpoint: Checkpoint, compute: ComputeConfig) -> Any:
    """The bare encoder of a checkpoint, in evaluation mode on its device."""
    require_torch()
    import transformers

    options = {"add_pooling_layer": False} if _has_optional_pooler(checkpoint) else {}
    return _load(transformers.AutoModel, checkpoint, compute, unused=_UNUSED_BY_ENCODERS, **options)


def _has_optional_pooler(checkpoint: Checkpoint) -> bool:
    """Whether the model class can be built without the pooler, which encoders do not use and checkpoints may lack."""
    import transformers

    classes = transformers.MODEL_MAPPING
    config = type(_config(checkpoint))
    return config in classes and "add_pooling_layer" in inspect.signature(classes[config].__init__).parameters


def check(checkpoint: Checkpoint, compute: ComputeConfig, *, max_length: int) -> None:
    """Refuse at once what would fail after the first stage has worked for hours.

    Raises:
        ModelError: more tokens than the model has positions, or CUDA where there is none.
        MissingExtra: a package that the settings need is absent.
    """
    _require_positions(checkpoint, max_length)
    _require_attention(compute)
    if compute.device == "cuda":
        device_name(compute)


def require_encoder(checkpoint: Checkpoint) -> None:
    """Refuse a cross-encoder, whose token vectors mean nothing on their own.

    Raises:
        ModelError: `config.json` names a classifier.
    """
    architectures = _architectures(checkpoint)
    if _is_classifier(architectures):
        raise ModelError(
            f"{checkpoint.path}: config.json names {', '.join(architectures)}, a cross-encoder. "
            "Use it as reranker=cross_encoder."
        )


def require_classifier(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint without a trained classification head.

    Raises:
        ModelError: `config.json` names another kind of model.
    """
    architectures = _architectures(checkpoint)
    if not _is_classifier(architectures):
        raise ModelError(
            f"{checkpoint.path}: config.json names {', '.join(architectures) or 'no architecture'}, not a "
            "...ForSequenceClassification. It has no trained classification head, so its scores would be random."
        )


def _architectures(checkpoint: Checkpoint) -> list[str]:
    return [str(name) for name in (checkpoint.read_json("config.json") or {}).get("architectures") or []]


def _is_classifier(architectures: list[str]) -> bool:
    return any(name.endswith("ForSequenceClassification") for name in architectures)


def load_classifier(checkpoint: Checkpoint, compute: ComputeConfig) -> Any:
    """The sequence-classification model of a checkpoint, in evaluation mode on its device.

    Raises:
        ModelError: the checkpoint is not one; a classification head would have been made up.
    """
    require_torch()
    import transformers

    require_classifier(checkpoint)
    return _load(transformers.AutoModelForSequenceClassification, checkpoint, compute, unused=_UNUSED_BY_CLASSIFIERS)


def _load(
    factory: Any, checkpoint: Checkpoint, compute: ComputeConfig, *, unused: re.Pattern[str], **extra: Any
) -> Any:
    torch = require_torch()
    from safetensors import SafetensorError

    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    _require_attention(compute)
    config = _config(checkpoint)
    if config.is_encoder_decoder:
        raise ModelError(f"{checkpoint.path}: {config.model_type} is an encoder-decoder, which evalkit does not run.")
    try:
        model, report = factory.from_pretrained(
            checkpoint.path,
            config=config,
            dtype=getattr(torch, compute.dtype),
            attn_implementation=compute.attention,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # so that `_require_complete` can name the tensor
            **extra,
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError, UnpicklingError) as error:
        raise ModelError(f"{checkpoint.path}: cannot be loaded: {reason(error)}") from error
    _require_complete(checkpoint, report, unused)
    return model.eval().to(device_name(compute))


def _config(checkpoint: Checkpoint) -> Any:
    import transformers

    raw = checkpoint.read_json("config.json") or {}
    try:
        return transformers.AutoConfig.from_pretrained(checkpoint.path, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        remote = " Its own code would have to be run, which evalkit never does." if "auto_map" in raw else ""
        raise ModelError(
            f"{checkpoint.path}: transformers knows no model of type {raw.get('model_type')!r}.{remote}"
        ) from error


def _require_attention(compute: ComputeConfig) -> None:
    if compute.attention == "flash_attention_2":
        import importlib.util

        if importlib.util.find_spec("flash_attn") is None:
            raise MissingExtra("flash_attn", extra="flash", purpose="compute.attention=flash_attention_2")


def _require_complete(checkpoint: Checkpoint, report: dict[str, Any], unused: re.Pattern[str]) -> None:
    """Refuse a model of which a tensor is missing, misshapen or left over."""
    missing = sorted(report["missing_keys"])
    mismatched = sorted(str(key[0] if isinstance(key, tuple) else key) for key in report["mismatched_keys"])
    surplus = sorted(key for key in report["unexpected_keys"] if not unused.search(key))
    for keys, fault in (
        (missing, "lacks {} of the model's tensors, which would be newly initialised"),
        (mismatched, "has {} tensors of another shape than its config says"),
        (surplus, "has {} tensors that the model has no place for, so it is another model than its config says"),
    ):
        if keys:
            raise ModelError(
                f"{checkpoint.path}: {fault.format(len(keys))}: {', '.join(keys[:3])}{', ...' if keys[3:] else ''}."
            )


def load_tokenizer(checkpoint: Checkpoint, max_length: int) -> Any:
    """The `tokenizers.Tokenizer` of a checkpoint.

    Raises:
        ModelError: there is none, or `max_length` is more than the model has positions.
    """
    require_torch()
    import tokenizers
    import transformers

    if not any((checkpoint.path / name).is_file() for name in _TOKENIZER_FILES):
        # transformers would make up an empty vocabulary, in which every word is unknown.
        raise ModelError(f"{checkpoint.path}: has no tokenizer ({', '.join(_TOKENIZER_FILES)}).")
    file = checkpoint.path / "tokenizer.json"
    try:
        # Read as published: transformers 5 rebuilds parts of some tokenizers from class defaults.
        if file.is_file():
            tokenizer = tokenizers.Tokenizer.from_file(str(file))
        else:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                checkpoint.path, trust_remote_code=False
            ).backend_tokenizer
    except Exception as error:
        # tokenizers raises bare Exception for a malformed file; AutoTokenizer half a dozen classes.
        raise ModelError(f"{checkpoint.path}: no usable tokenizer: {reason(error)}") from error
    if not tokenizer.encode("").ids:
        raise ModelError(
            f"{checkpoint.path}: its tokenizer adds no special tokens, so an empty text would have none at all."
        )
    _require_positions(checkpoint, max_length)
    return tokenizer


def _require_positions(checkpoint: Checkpoint, max_length: int) -> None:
    config = checkpoint.read_json("config.json") or {}
    positions = config.get("max_position_embeddings")
    padded = config.get("model_type") in _POSITIONS_BEHIND_PADDING
    reserved = int(config.get("pad_token_id") or 0) + 1 if padded else 0
    if isinstance(positions, int) and max_length > positions - reserved:
        raise ModelError(
            f"{checkpoint.path}: max_length={max_length}, but the model has {positions - reserved} positions."
        )
