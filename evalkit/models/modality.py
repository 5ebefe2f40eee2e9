"""How the transformer of a checkpoint is given texts, as sentence-transformers 6 stores it; see `declared`."""

from collections.abc import Mapping
from typing import Any

from evalkit.errors import ModelError

# What a transformer is loaded for -> what sentence-transformers calls its output, which the next module reads.
_OUTPUTS = {
    "feature-extraction": "token_embeddings",
    "sequence-classification": "scores",
    "text-generation": "causal_logits",
}
# Arguments of a tokenizer's call that change no token of a text that is run without padding.
_OF_PADDING = {"padding", "padding_side", "pad_to_multiple_of"}
_OF_CALL = {*_OF_PADDING, "truncation", "max_length", "return_tensors"}  # no template is given these
# Arguments with which sentence-transformers loads a transformer, by their newer and older names, and which of them
# change no number here: dtype and attention are settings of evalkit's own, and code is never run.
_OF_LOADING = {
    ("model_kwargs", "model_args"): {
        *("add_pooling_layer", "attn_implementation", "device_map", "dtype", "low_cpu_mem_usage", "torch_dtype"),
        *("trust_remote_code", "use_safetensors"),
    },
    ("processor_kwargs", "tokenizer_args"): {"model_max_length", "padding_side", "trust_remote_code", "use_fast"},
    ("config_kwargs", "config_args"): {"trust_remote_code", "use_cache"},
}
LOADING = frozenset(name for names in _OF_LOADING for name in names)
"""Keys of these arguments."""
_FORMATS = {"flat", "structured"}
_PLAIN_OUTPUTS = {"last_hidden_state", "logits"}


def task_of(where: str, transformer: Mapping[str, Any]) -> str | None:
    """The task that the transformer is loaded for.

    Raises:
        ModelError: its output is given to the next module under a name that is not that of this task.
    """
    task, output = transformer.get("transformer_task"), transformer.get("module_output_name")
    if output is not None and output != _OUTPUTS.get(task or "feature-extraction", output):
        raise ModelError(
            f"{where}: module_output_name={output!r} with transformer_task={task!r}, expected "
            f"{_OUTPUTS[task or 'feature-extraction']!r}."
        )
    return None if task is None else str(task)


def uses_chat(where: str, modalities: Any) -> bool | None:
    """Whether texts go through a chat template; None where nothing says so.

    Raises:
        ModelError: texts go through another method of the model than its forward pass.
    """
    if modalities is None:
        return None
    found = modalities if isinstance(modalities, dict) else {}
    for way in (found.get("text", {}), found.get("message", {})):
        if way.get("method", "forward") != "forward" or way.get("method_output_name") not in {None, *_PLAIN_OUTPUTS}:
            raise ModelError(f"{where}: modality_config={modalities!r}. evalkit reads texts through forward alone.")
    return "message" in found


def is_structured(where: str, modalities: Any) -> bool | None:
    """Whether a template is given each text in a list of parts; None where nothing says so.

    Raises:
        ModelError: it is given them in another way.
    """
    found = modalities.get("message", {}).get("format") if isinstance(modalities, dict) else None
    if found is not None and found not in _FORMATS:
        raise ModelError(f"{where}: format={found!r} of message. Legal are flat and structured.")
    return None if found is None else found == "structured"


def template_arguments(where: str, given: Any) -> dict[str, Any]:
    """Arguments of the chat template.

    Raises:
        ModelError: a call of the tokenizer has an argument that changes its tokens.
    """
    groups = given if isinstance(given, dict) else {"processing_kwargs": given}
    template = groups.get("chat_template") or {}
    for group, arguments in groups.items():
        own = set(arguments) if isinstance(arguments, dict) else {"its value"}
        odd = own & _OF_CALL - _OF_PADDING if group == "chat_template" else own - _OF_PADDING
        if odd and arguments:
            raise ModelError(
                f"{where}: processing_kwargs of {group} has {min(odd)}, which evalkit does not "
                "obey. Use reranker.max_length for a length."
            )
    return {key: value for key, value in template.items() if key not in _OF_PADDING}


def length_of_loading(where: str, transformer: Mapping[str, Any]) -> Any:
    """The length that an argument of loading gives the tokenizer; None where none does.

    Raises:
        ModelError: there is an argument that may change the numbers of the model.
    """
    length = None
    for names, known in _OF_LOADING.items():
        for name in names:
            arguments = transformer.get(name) or {}
            odd = sorted(set(arguments) - known) if isinstance(arguments, dict) else ["its value"]
            if odd:
                raise ModelError(
                    f"{where}: {name} has {odd[0]}, which evalkit does not obey. Write it into config.json or "
                    "tokenizer_config.json in a copy of the folder, or remove it if it changes no number."
                )
            length = arguments.get("model_max_length", length)
    return length
