"""How the files of a checkpoint say that texts are read; not its architecture and weights.

The one place that reads `config_sentence_transformers.json`, `sentence_bert_config.json` and `tokenizer_config.json`.
What is said there is obeyed unless a setting says otherwise; what is not known here is refused by file and key, as a
default in its place would be another model.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from evalkit.errors import ModelError
from evalkit.models.checkpoint import CHAIN_CONFIG, Checkpoint
from evalkit.models.layout import stated_positions, usable_positions
from evalkit.models.modality import LOADING, is_structured, length_of_loading, task_of, template_arguments, uses_chat

logger = logging.getLogger(__name__)

SENTENCE_TRANSFORMERS = CHAIN_CONFIG
TOKENIZER = "tokenizer_config.json"
# In the order in which sentence-transformers looks for them.
_TRANSFORMER = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
# Keys that are obeyed here or by whoever asks, and keys that change no number of a forward pass.
_KNOWN_OF_MODEL = {
    *("prompts", "default_prompt_name", "similarity_fn_name", "truncate_dim"),
    *("__version__", "model_type", "activation_fn", "max_active_dims"),
}
_KNOWN_OF_TRANSFORMER = {
    *("max_seq_length", "do_lower_case", "transformer_task", "modality_config", "module_output_name"),
    *("unpad_inputs", "processing_kwargs"),
    *LOADING,
}
LATE_INTERACTION = {
    *("query_prefix", "document_prefix", "query_length", "document_length", "query_expansion"),
    *("attend_to_expansion_tokens", "skiplist_words", "do_query_expansion"),
}
"""Keys of late interaction, which only such a model has."""
# What the names of prompts have in them that are made for queries and documents, where they are not just these.
_MADE_FOR = {"query": ("query",), "document": ("passage", "corpus", "document")}
_IF_SILENT = "If it changes no number, remove it in a copy of the folder."
# What a tokenizer writes as its length when it has none.
_NO_LIMIT = 1_000_000


@dataclass(frozen=True)
class Declared:
    """Facts that a checkpoint declares.

    Attributes:
        prompts: texts to put before a query or a document, by name.
        default_prompt: of these the one for a cross-encoder's queries; empty where none is named.
        max_length: tokens of a text or pair, special ones included; None where nothing limits it.
        lowercase: whether texts are put in lower case before special tokens are looked for in them, as up to
            sentence-transformers 5. The tokenizer does it behind that search; see `tokenizer_settings`.
        truncate_dim: how many numbers of a vector are used; all when None.
        similarity: `cosine` or `dot`, by which vectors are compared.
        task: what sentence-transformers 6 loads the transformer for; None where it does not say.
        chat: whether texts are written by the checkpoint's chat template; None where it does not say.
        structured: whether the template is given each text in a list of parts; None where it does not say.
        template_arguments: what else it is given.
    """

    prompts: Mapping[str, str]
    default_prompt: str
    max_length: int | None
    lowercase: bool
    truncate_dim: int | None
    similarity: str
    task: str | None
    chat: bool | None
    structured: bool | None = None
    template_arguments: Mapping[str, Any] = field(default_factory=dict)


class Reading(NamedTuple):
    """How texts are read: as the settings say, and the checkpoint where they say nothing.

    Attributes:
        query_instruction: what is put before a query.
        document_instruction: what is put before a document.
        max_length: tokens of one text, special ones included.
    """

    query_instruction: str
    document_instruction: str
    max_length: int


def declared(checkpoint: Checkpoint, *, pairs: bool = False, late: bool = False) -> Declared:
    """Read what a checkpoint's own files declare.

    Args:
        checkpoint: on disk.
        pairs: whether it is read as a cross-encoder, for which sentence-transformers reads its own files only beside a
            `modules.json`.
        late: whether the keys of late interaction are read by the caller.

    Raises:
        ModelError: a file says something that evalkit does not know, or cannot do.
    """
    model = _checked(checkpoint, SENTENCE_TRANSFORMERS, _KNOWN_OF_MODEL, late=late)
    name = transformer_file(checkpoint)
    transformer = _checked(checkpoint, name, _KNOWN_OF_TRANSFORMER, late=late)
    if pairs and not checkpoint.modules():
        if transformer or set(model) - {"__version__", "model_type", "activation_fn"}:
            logger.warning(
                "%s: %s and %s are not used, as in sentence-transformers: a cross-encoder without modules.json.",
                checkpoint.path,
                SENTENCE_TRANSFORMERS,
                name,
            )
        model, transformer = {}, {}
    prompts = _prompts(checkpoint, model)
    default = model.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise ModelError(
            f"{checkpoint.file(SENTENCE_TRANSFORMERS)}: default_prompt_name={default!r} is not among its prompts "
            f"({', '.join(prompts) or 'none'}). Name one of them in a copy of the folder."
        )
    where = f"{checkpoint.path}/{name}"
    return Declared(
        prompts=prompts,
        default_prompt=prompts.get(str(default), ""),
        max_length=_max_length(checkpoint, name, transformer),
        # Since version 5.4, which first wrote transformer_task, sentence-transformers leaves it to the tokenizer.
        lowercase=bool(transformer.get("do_lower_case", False)) and "transformer_task" not in transformer,
        truncate_dim=whole_number(f"{checkpoint.file(SENTENCE_TRANSFORMERS)}", model, "truncate_dim"),
        similarity="cosine" if late else _similarity(checkpoint, model),
        task=task_of(where, transformer),
        chat=uses_chat(where, transformer.get("modality_config")),
        structured=is_structured(where, transformer.get("modality_config")),
        template_arguments=template_arguments(where, transformer.get("processing_kwargs", {})),
    )


def reading(checkpoint: Checkpoint, said: Declared, settings: Any, *, group: str) -> Reading:
    """How a checkpoint's texts are read; `settings` count where they are not None. `group` is for the error.

    Raises:
        ModelError: neither says how many tokens a text may have.
    """
    # sentence-transformers puts these two before the texts of encode_query and encode_document, and no other.
    query, document = (
        said.prompts.get(role, "") if own is None else own
        for role, own in (("query", settings.query_instruction), ("document", settings.document_instruction))
    )
    return Reading(query, document, length(checkpoint, said, settings.max_length, group=group))


def length(checkpoint: Checkpoint, said: Declared, max_length: int | None, *, group: str) -> int:
    """How many tokens a text or pair may have.

    Raises:
        ModelError: neither the setting nor the checkpoint says.
    """
    chosen = said.max_length if max_length is None else max_length
    if chosen is None:
        raise ModelError(f"{checkpoint.path}: says nothing of how long a text may be. Set {group}.max_length=512.")
    return chosen


def unused_prompts(said: Declared, settings: Any) -> dict[str, str]:
    """`query` or `document` -> the name of a stored prompt that looks made for it and that no text gets."""
    found: dict[str, str] = {}
    for role, words in _MADE_FOR.items():
        made_for = (name for name, text in said.prompts.items() if text and any(word in name for word in words))
        free = getattr(settings, f"{role}_instruction") is None and not said.prompts.get(role)
        if free and (name := next(made_for, None)):
            found[role] = name
    return found


def is_late(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint has settings of late interaction (ColBERT), by PyLate or sentence-transformers 6."""
    files = (SENTENCE_TRANSFORMERS, *_TRANSFORMER)
    return any(LATE_INTERACTION & set(checkpoint.read_json(name) or {}) for name in files)


def asks_lower_case(checkpoint: Checkpoint) -> bool:
    """Whether the settings of the transformer ask for lower case."""
    return bool((checkpoint.read_json(transformer_file(checkpoint)) or {}).get("do_lower_case"))


def transformer_file(checkpoint: Checkpoint) -> str:
    """The name of the file with the settings of the transformer."""
    return next((name for name in _TRANSFORMER if (checkpoint.path / name).is_file()), _TRANSFORMER[0])


def require_known(file: str, stored: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse what a file of a module says beyond the keys that are known.

    Raises:
        ModelError: it has another key.
    """
    if unknown := sorted(set(stored).difference(known)):
        raise ModelError(f"{file}: evalkit does not know {unknown[0]}={stored[unknown[0]]!r}. {_IF_SILENT}")


def whole_number(file: str, stored: Mapping[str, Any], key: str) -> int | None:
    """A number that a file says; None where it does not.

    Raises:
        ModelError: it is not a whole number from 1.
    """
    value = stored.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ModelError(f"{file}: {key}={value!r}, expected a whole number from 1.")
    return value


def token_text(token: Any) -> str | None:
    """A special token's string, as it or its settings are stored."""
    return token.get("content") if isinstance(token, dict) else token


def _checked(checkpoint: Checkpoint, name: str, known: set[str], *, late: bool) -> dict[str, Any]:
    """A JSON file without what it leaves open.

    Raises:
        ModelError: it says something that is not known.
    """
    stored = {key: value for key, value in (checkpoint.read_json(name) or {}).items() if value not in (None, {}, [])}
    if (found := sorted(LATE_INTERACTION & set(stored))) and not late:
        raise ModelError(
            f"{checkpoint.file(name)}: {', '.join(found)} say that this is a late-interaction model (ColBERT). Use it "
            "as reranker=late_interaction or reranker=auto."
        )
    if unknown := sorted(set(stored) - known - LATE_INTERACTION):
        raise ModelError(
            f"{checkpoint.file(name)}: evalkit does not know {unknown[0]}={stored[unknown[0]]!r}, so it cannot tell "
            f"what that changes. {_IF_SILENT}"
        )
    return stored


def _prompts(checkpoint: Checkpoint, model: Mapping[str, Any]) -> dict[str, str]:
    prompts = model.get("prompts", {})
    texts = {name: text for name, text in prompts.items() if text is not None} if isinstance(prompts, dict) else None
    if texts is None or not all(isinstance(text, str) for text in texts.values()):
        raise ModelError(f"{checkpoint.file(SENTENCE_TRANSFORMERS)}: prompts={prompts!r}, expected names with texts.")
    return texts


def _similarity(checkpoint: Checkpoint, model: Mapping[str, Any]) -> str:
    found = str(model.get("similarity_fn_name", "cosine"))
    if found not in {"cosine", "dot"}:
        raise ModelError(
            f"{checkpoint.file(SENTENCE_TRANSFORMERS)}: similarity_fn_name={found!r}. evalkit knows cosine and "
            "dot. To search by the cosine, remove it in a copy of the folder."
        )
    return found


def tokenizer_length(checkpoint: Checkpoint) -> int | None:
    """How many tokens a text may have by the tokenizer's own file; None where it sets no limit."""
    found = (checkpoint.read_json(TOKENIZER) or {}).get("model_max_length")
    return int(found) if isinstance(found, int | float) and found < _NO_LIMIT else None


def _max_length(checkpoint: Checkpoint, name: str, transformer: Mapping[str, Any]) -> int | None:
    """The stored length, else the tokenizer's or the model's; at most what the model has positions for."""
    where = f"{checkpoint.path}/{name}"
    key = "max_seq_length" if (own := length_of_loading(where, transformer)) is None else "model_max_length"
    stored = [whole_number(where, {"model_max_length": own, **transformer}, key)]
    if stored == [None]:
        # The latter also where positions are relative, and longer texts could be read, as sentence-transformers does.
        stored = [tokenizer_length(checkpoint), stated_positions(checkpoint)]
    limits = [limit for limit in (*stored, usable_positions(checkpoint)) if limit is not None]
    return min(limits, default=None)
