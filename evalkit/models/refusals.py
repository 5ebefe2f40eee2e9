"""Descriptions of folders that evalkit does not run, each with a remedy. Reads no weights."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_OLD_TRANSFORMER = "0_Transformer"
# Modules of sentence-transformers and PyLate -> what a checkpoint with such a module is.
_KINDS = {
    "StaticEmbedding": "a static embedding model, a table of word vectors, which retriever=dense reads",
    "Router": "a Router, which chooses one of several models by the kind of text",
    "Asym": "a Router, which chooses one of several models by the kind of text",
    "SpladePooling": "a sparse encoder (SPLADE)",
    "MLMTransformer": "a sparse encoder (SPLADE)",
    "SparseAutoEncoder": "a sparse encoder (CSR)",
    "SparseStaticEmbedding": "a sparse encoder, a table of word weights without a transformer",
    "MultiVectorMask": "a late-interaction model (ColBERT)",
    "LogitScore": "a reranker that scores by the logits of answer tokens (LogitScore)",
    "CLIPModel": "a model of images and texts",
    "WordEmbeddings": "a model of word vectors",
    "BoW": "a bag of words",
}


def instead_of_config(path: Path) -> str:
    """A description of a folder without `config.json`, as a sentence with a remedy."""
    if (path / "adapter_config.json").is_file():
        return f"it holds an adapter ({an_adapter(path)}) that cannot be read."
    if (path / _OLD_TRANSFORMER / "config.json").is_file():
        return (
            f"its transformer is in {_OLD_TRANSFORMER}, and modules.json, which says so, is absent. Download it again."
        )
    listed = _json(path / "modules.json")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    kinds = [str(entry["type"]).rsplit(".", 1)[-1] for entry in entries if "type" in entry]
    if "Router" in kinds:
        return f"it is {_KINDS['Router']}. {_REMEDIES['Router']}"
    for kind in kinds:
        if kind in _KINDS:
            return f"modules.json says {kind}: it is {_KINDS[kind]}, which evalkit does not run yet."
    if kinds:
        return f"its modules.json names {', '.join(kinds)}, and config.json of the transformer is absent."
    return (
        other_format(path)
        or _adapter_below(path)
        or "it is not a checkpoint. A checkpoint is a folder with config.json, weights and a tokenizer."
    )


def _adapter_below(path: Path) -> str:
    """A sentence about an adapter in a folder of this one; empty where there is none."""
    inner = sorted(file.parent for file in path.glob("*/adapter_config.json"))
    return f"its folder {inner[0].name} has adapter_config.json. Set the model to {inner[0]}." if inner else ""


def other_format(path: Path) -> str:
    """A sentence about weights for other runtimes; empty where a folder holds none."""
    found = [name for suffix, name in ((".gguf", "GGUF"), (".onnx", "ONNX")) if any(path.rglob(f"*{suffix}"))]
    if not found:
        return ""
    return f"it holds {' and '.join(found)} files, which evalkit does not read. Take the checkpoint in safetensors."


MERGE = (
    "An adapter is applied from a folder of its own, without config.json and weights of a model: move its files there, "
    "and name the base in base_model_name_or_path."
)

WHICH_HEAD = "In a copy of the folder, say tie_word_embeddings=false if that one was trained, or else remove it."
"""What to do about a stored head that `config.json` makes superfluous."""


def an_adapter(path: Path) -> str:
    """The adapter in a folder: its kind, and over what."""
    found = _json(path / "adapter_config.json")
    stored = found if isinstance(found, dict) else {}
    return f"{stored.get('peft_type', 'PEFT')} over {stored.get('base_model_name_or_path', 'a base model')}"


def module_kind(kinds: Sequence[str]) -> str | None:
    """A description of a chain of modules that is not a bi-encoder; None for a bi-encoder."""
    return next((f"{_KINDS[kind]} (modules.json: {', '.join(kinds)})" for kind in kinds if kind in _KINDS), None)


def remedy(kinds: Sequence[str]) -> str:
    """A sentence about where a chain of modules runs; or that it does not."""
    return next((text for kind, text in _REMEDIES.items() if kind in kinds), "evalkit does not run these yet.")


def instead_of_classifier(architectures: Sequence[str], kinds: Sequence[str], *, late: bool = False) -> str:
    """Why a checkpoint is not a sequence classifier of transformers, as two sentences: its kind and the remedy.

    Args:
        architectures: as `config.json` names them.
        kinds: of the modules in `modules.json`.
        late: whether other files have settings of late interaction.
    """
    if late:
        return "is a late-interaction model (ColBERT). Use it as reranker=late_interaction or reranker=auto."
    named = ", ".join(architectures) or "no architecture"
    if found := module_kind(kinds):
        return f"is {found}. {remedy(kinds)}"
    if {"Dense", "LayerNorm"} & set(kinds):
        return (
            f"is a cross-encoder whose head is the modules {', '.join(kinds)} of modules.json, not a classifier of "
            f"{named}, and does not end in a Dense that writes scores. {_NEAREST}"
        )
    if "Pooling" in kinds:
        return "is a bi-encoder (modules.json has a Pooling). Use it as retriever=dense or reranker=late_interaction."
    known = next(
        (text for endings, text in _ARCHITECTURES.items() if any(n.endswith(endings) for n in architectures)), ""
    )
    return known.format(named) or (
        f"config.json names {named}, not a ...ForSequenceClassification, so it promises no classification head. Is "
        "it the base model, or an embedder? If its weights do hold a trained classifier, name the class in "
        "architectures of config.json."
    )


_REMEDIES = {
    "Router": "Use it as retriever=dense, or as retriever=splade if it makes sparse vectors.",
    "SpladePooling": "Use it as retriever=splade.",
    "LogitScore": "Use it as reranker=auto.",
    "MultiVectorMask": "Use it as reranker=late_interaction or reranker=auto.",
}
_NEAREST = "`evalkit list rerankers` shows what it does run."
_ARCHITECTURES = {
    ("ForCausalLM",): "is a language model ({}), which scores by the logits of answer words after a prompt. Use the "
    "reranker that it was trained as, reranker=auto, or reranker=language_model with its template and words.",
    ("ForConditionalGeneration",): "is an encoder-decoder ({}). Those that answer with a word run as reranker=t5 with "
    "reranker.template, reranker.positive and reranker.negative.",
    ("EncoderModel",): "is the encoder of an encoder-decoder ({}), without a head that scores pairs; " + _NEAREST,
    ("ForRanking", "ColBERT"): "is a {}, an architecture with a head of its own that evalkit does not run yet; "
    + _NEAREST,
}


def _json(file: Path) -> Any:
    """The content of a JSON file; None if it cannot be read, since it is only described here."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
