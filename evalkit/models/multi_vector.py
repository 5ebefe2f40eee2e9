"""How a late-interaction checkpoint (ColBERT) marks, cuts, expands and compares texts, by its own files.

Three layouts: PyLate's, that of sentence-transformers 6 (MultiVectorEncoder), and that of the ColBERT authors
(`HF_ColBERT` with `artifact.metadata`). Reads no weights.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import (
    LATE_INTERACTION,
    SENTENCE_TRANSFORMERS,
    TOKENIZER,
    require_known,
    token_text,
    transformer_file,
    whole_number,
)

METADATA = "artifact.metadata"  # of the ColBERT authors
LINEAR = "linear.weight"  # their projection, next to the weights of the encoder
_MASK = "MultiVectorMask"
_KNOWN = {"Transformer", "Dense", _MASK, "Normalize"}
_TOKENS = "token_embeddings"  # what is scaled
_USUAL_QUERY, _USUAL_DOCUMENT = 32, 180
_PUNCTUATION = tuple(string.punctuation)


@dataclass(frozen=True)
class MultiVector:
    """One layout, whichever files say it.

    Attributes:
        query_mark: token that is put behind the first one of a query; none when empty.
        document_mark: likewise of a document.
        query_length: tokens of a query, with mark and special ones; None for as many as the checkpoint has.
        document_length: tokens of a document, likewise.
        expansion: tokens to which queries are filled up; 0 for none.
        cuts_at_expansion: whether queries are cut there too.
        expansion_token: what they are filled up with; the mask, or else the end of a text, when None.
        attends: whether other tokens see those.
        skipped: tokens whose vectors are left out.
        skips_in: `query` and `document`, whichever have such tokens.
        skips_unknown: whether the unknown token is one where the vocabulary lacks one of them.
        dense: folders of the linear layers over token vectors, in order.
        normalizes: whether vectors are scaled to length 1.
        averages: whether the sum over a query's tokens is divided by their number.
    """

    query_mark: str
    document_mark: str
    query_length: int | None
    document_length: int | None
    expansion: int
    cuts_at_expansion: bool = True
    expansion_token: str | None = None
    attends: bool = False
    skipped: tuple[str, ...] = ()
    skips_in: tuple[str, ...] = ("document",)
    skips_unknown: bool = False
    dense: tuple[str, ...] = ()
    normalizes: bool = True
    averages: bool = False


def multi_vector(checkpoint: Checkpoint) -> MultiVector | None:
    """The layout of a checkpoint; None where it is not a late-interaction model.

    Raises:
        ModelError: its files say something that is not computed here.
    """
    kinds = checkpoint.kinds
    if "HF_ColBERT" in checkpoint.config.get("architectures", []):
        return _of_colbert(checkpoint)
    model = checkpoint.read_json(SENTENCE_TRANSFORMERS) or {}
    if _MASK in kinds or model.get("model_type") == "MultiVectorEncoder":
        return _of_sentence_transformers(checkpoint, model)
    if LATE_INTERACTION & set(model) or model.get("model_type") == "ColBERT":
        return _of_pylate(checkpoint, model)
    return None


def special_token(checkpoint: Checkpoint, name: str) -> str | None:
    """A special token of the tokenizer, such as `mask_token`."""
    text = token_text((checkpoint.read_json(TOKENIZER) or {}).get(name))
    return text if isinstance(text, str) else None


def _of_pylate(checkpoint: Checkpoint, model: Mapping[str, Any]) -> MultiVector:
    where = f"{checkpoint.path}/{SENTENCE_TRANSFORMERS}"
    _require_chain(checkpoint, known={"Transformer", "Dense"})
    query = whole_number(where, model, "query_length") or _USUAL_QUERY
    expands = model.get("do_query_expansion")
    words = model.get("skiplist_words")
    return MultiVector(
        query_mark=_text(where, model, "query_prefix", "[Q] "),
        document_mark=_text(where, model, "document_prefix", "[D] "),
        query_length=query,
        document_length=whole_number(where, model, "document_length") or _USUAL_DOCUMENT,
        expansion=0 if expands is False else query,
        attends=bool(model.get("attend_to_expansion_tokens")),
        skipped=_PUNCTUATION if words is None else _words(where, words),
        skips_unknown=True,
        dense=_dense(checkpoint),
        averages=_averages(where, model),
    )


def _of_sentence_transformers(checkpoint: Checkpoint, model: Mapping[str, Any]) -> MultiVector:
    name = transformer_file(checkpoint)
    where, stored = f"{checkpoint.path}/{name}", checkpoint.read_json(name) or {}
    _require_chain(checkpoint, known=_KNOWN)
    expansion = stored.get("query_expansion") or {}
    if odd := sorted(set(expansion) - {"strategy", "attend", "token", "length"}):
        raise ModelError(f"{where}: query_expansion has {odd[0]}. Legal are strategy, attend, token and length.")
    if expansion and expansion.get("strategy") not in {"fixed", "min"}:
        raise ModelError(f"{where}: query_expansion={expansion!r}. Legal strategies are fixed and min.")
    length = whole_number(where, expansion, "length") if expansion else None
    if expansion and length is None:
        raise ModelError(f"{where}: query_expansion={expansion!r} has no length. Say how many tokens a query has.")
    if expansion and _MASK not in checkpoint.kinds:
        raise ModelError(
            f"{where}: query_expansion={expansion!r}, but modules.json has no {_MASK}, without which "
            "sentence-transformers compares no token that it fills up with. Add one in a copy of the folder, or remove "
            "query_expansion."
        )
    fixed = expansion.get("strategy") == "fixed"
    words, tasks = _mask(checkpoint)
    return MultiVector(
        query_mark="",  # marks are prompts, which are read with the text
        document_mark="",
        query_length=length if fixed else whole_number(where, stored, "query_length"),
        document_length=whole_number(where, stored, "document_length"),
        expansion=length or 0,
        cuts_at_expansion=fixed,
        expansion_token=expansion.get("token"),
        attends=bool(expansion.get("attend")),
        skipped=words,
        skips_in=tasks,
        dense=_dense(checkpoint),
        normalizes=_normalizes(checkpoint),
        averages=_averages(f"{checkpoint.path}/{SENTENCE_TRANSFORMERS}", model),
    )


def _of_colbert(checkpoint: Checkpoint) -> MultiVector:
    file, stored = f"{checkpoint.path}/{METADATA}", checkpoint.read_json(METADATA) or {}
    if stored.get("similarity", "cosine") != "cosine":
        raise ModelError(f"{file}: similarity={stored['similarity']!r}. evalkit computes cosine.")
    query = whole_number(file, stored, "query_maxlen") or _USUAL_QUERY
    return MultiVector(
        query_mark=str(stored.get("query_token_id") or "[unused0]"),
        document_mark=str(stored.get("doc_token_id") or "[unused1]"),
        query_length=query,
        document_length=whole_number(file, stored, "doc_maxlen") or _USUAL_DOCUMENT,
        expansion=query,
        attends=bool(stored.get("attend_to_mask_tokens", False)),
        skipped=_PUNCTUATION if stored.get("mask_punctuation", True) else (),
    )


def _require_chain(checkpoint: Checkpoint, *, known: set[str]) -> None:
    kinds = checkpoint.kinds
    odd = sorted(set(kinds) - known)
    ordered = kinds[:1] == ["Transformer"] and "Dense" not in kinds[1 + kinds.count("Dense") :]
    if odd or not ordered:
        raise ModelError(
            f"{checkpoint.path}: modules.json has {', '.join(kinds)}. As late interaction evalkit runs Transformer, "
            f"any number of Dense, then {_MASK} and Normalize."
        )


def _dense(checkpoint: Checkpoint) -> tuple[str, ...]:
    return tuple(folder for kind, folder in checkpoint.modules() if kind == "Dense")


def _normalizes(checkpoint: Checkpoint) -> bool:
    """Whether token vectors are scaled to length 1."""
    for kind, folder in checkpoint.modules():
        stored = (checkpoint.read_json(f"{folder}/config.json") or {}) if kind == "Normalize" else {}
        for key, value in stored.items():
            if not (key in {"module_input_name", "module_output_name"} and value == _TOKENS):
                raise ModelError(f"{checkpoint.path}/{folder}/config.json: {key}={value!r}, expected {_TOKENS!r}.")
    return "Normalize" in checkpoint.kinds


def _mask(checkpoint: Checkpoint) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words that are skipped, and in which texts."""
    folder = next((folder for kind, folder in checkpoint.modules() if kind == _MASK), None)
    if folder is None:
        return (), ()
    where, stored = f"{checkpoint.path}/{folder}/config.json", checkpoint.read_json(f"{folder}/config.json") or {}
    said = {key: value for key, value in stored.items() if value is not None}
    require_known(where, said, {"skiplist_words", "skiplist_tasks"})
    tasks = stored.get("skiplist_tasks") or ["document"]
    tasks = [tasks] if isinstance(tasks, str) else tasks
    return _words(where, stored.get("skiplist_words") or []), _words(where, tasks)


def _words(where: str, words: Any) -> tuple[str, ...]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ModelError(f"{where}: {words!r} is not a list of words.")
    return tuple(words)


def _text(where: str, stored: Mapping[str, Any], key: str, usual: str) -> str:
    value = stored.get(key)
    if value is not None and not isinstance(value, str):
        raise ModelError(f"{where}: {key}={value!r}, expected a text.")
    return usual if value is None else value


def _averages(where: str, model: Mapping[str, Any]) -> bool:
    found = str(model.get("similarity_fn_name") or "maxsim").lower()
    if found not in {"maxsim", "meanmaxsim", "cosine", "dot"}:
        raise ModelError(f"{where}: similarity_fn_name={found!r}. evalkit knows MaxSim and MeanMaxSim.")
    return found == "meanmaxsim"
