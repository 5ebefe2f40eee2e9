"""Requirements on a checkpoint for a kind of model, by its configuration and file names. Reads no weights."""

from evalkit.errors import ModelError
from evalkit.inference import notices
from evalkit.models.checkpoint import ADAPTER, Checkpoint
from evalkit.models.declared import TOKENIZER, Declared, is_late
from evalkit.models.layout import (
    has_rotary_positions,
    has_t5_encoder,
    is_gte,
    is_jina,
    is_minicpm,
    is_nomic,
    stated_positions,
    usable_positions,
)
from evalkit.models.refusals import MERGE, an_adapter, instead_of_classifier, module_kind, remedy

_OWN_CODE = ("cost_wise_gemma",)
# model_type -> the bare model of transformers; its weights are stored below `model.`, and the head is `lm_head`.
LANGUAGE_MODELS = {
    "gemma": "GemmaModel",
    "gemma2": "Gemma2Model",
    "gemma3_text": "Gemma3TextModel",
    "llama": "LlamaModel",
    "mistral": "MistralModel",
    "qwen2": "Qwen2Model",
    "qwen3": "Qwen3Model",
}


def require_encoder(checkpoint: Checkpoint) -> None:
    """Refuse anything but an encoder of texts, such as a cross-encoder, whose token vectors mean nothing alone.

    Raises:
        ModelError: the checkpoint's files name another kind of model, or something that evalkit does not run.
    """
    require_whole(checkpoint)
    require_no_code(checkpoint)
    kinds = checkpoint.kinds
    if found := module_kind(kinds):
        raise ModelError(f"{checkpoint.path}: is {found}, not a bi-encoder. {remedy(kinds)}")
    if checkpoint.config.get("model_type") == "model2vec":
        raise ModelError(
            f"{checkpoint.path}: is a table of model2vec without modules.json. Save it again with model2vec from 0.4, "
            "which writes that file: StaticModel.from_pretrained(DIR).save_pretrained(NEW)."
        )
    names = architectures(checkpoint)
    encodes = any(name.endswith(("EncoderModel", "ForConditionalGeneration")) for name in names)
    if encodes and not has_t5_encoder(checkpoint):
        raise ModelError(
            f"{checkpoint.path}: is an encoder-decoder or the encoder of one ({', '.join(names)}), which "
            "evalkit does not run yet. `evalkit list retrievers` shows what it does run."
        )
    if is_classifier(checkpoint):
        raise ModelError(
            f"{checkpoint.path}: config.json names {', '.join(names)}, a cross-encoder. "
            f"Use it as reranker={'minicpm_reranker' if is_minicpm(checkpoint) else 'cross_encoder'}."
        )


def require_classifier(checkpoint: Checkpoint) -> None:
    """Refuse anything but a sequence classifier. If `config.json` names no class, the tensors decide later.

    Raises:
        ModelError: the checkpoint's files name another kind of model, or something that evalkit does not run.
    """
    require_no_code(checkpoint)
    names, kinds = architectures(checkpoint), checkpoint.kinds
    late = is_late(checkpoint)
    if late or set(kinds) - {"Transformer"} or (names and not is_classifier(checkpoint)):
        raise ModelError(f"{checkpoint.path}: {instead_of_classifier(names, kinds, late=late)}")


def require_language_model(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that is not a language model which is read here.

    Raises:
        ModelError: it is another architecture.
    """
    kind, names = checkpoint.config.get("model_type"), architectures(checkpoint)
    if kind not in LANGUAGE_MODELS or (names and not any(name.endswith("ForCausalLM") for name in names)):
        raise ModelError(
            f"{checkpoint.path}/config.json: is {kind!r} ({', '.join(names)}). As language models evalkit "
            f"reads the ...ForCausalLM of {', '.join(LANGUAGE_MODELS)}."
        )


def require_text(checkpoint: Checkpoint, said: Declared) -> None:
    """Refuse an encoder that is not given texts as they are, or whose transformer is loaded as something else.

    Raises:
        ModelError: texts go through a chat template, or the transformer has another head than none.
    """
    if said.chat:
        raise ModelError(
            f"{checkpoint.path}: its texts are messages for a chat template (modality_config), which evalkit does not "
            "write for encoders yet. If it was trained on bare texts, remove message there in a copy of the folder."
        )
    if said.task not in {None, "feature-extraction"}:
        raise ModelError(
            f"{checkpoint.path}: transformer_task is {said.task}, so it is not an encoder of texts. Use reranker=auto."
        )


def require_positions(checkpoint: Checkpoint, max_length: int) -> None:
    """Refuse at once more tokens than the model has positions for; where these are rotary, say so.

    Raises:
        ModelError: `max_length` is more than that.
    """
    positions, stated = usable_positions(checkpoint), stated_positions(checkpoint)
    if stated is not None and max_length > stated and has_rotary_positions(checkpoint):
        notices.say(
            "",
            f"{checkpoint.path}: max_length={max_length}, and config.json names {stated} positions. They are rotary, "
            "so longer texts are read too, as by sentence-transformers; the model need not be trained for them.",
        )
    if positions is not None and max_length > positions:
        raise ModelError(
            f"{checkpoint.path}: max_length={max_length}, but the model has {positions} positions. Set max_length to "
            f"{positions} or less."
        )


def require_whole(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose weights next to `config.json` are not the whole model.

    Raises:
        ModelError: an adapter lies next to them, or they are quantised.
    """
    if checkpoint.base is None and (checkpoint.path / ADAPTER).is_file():
        raise ModelError(
            f"{checkpoint.path}/{ADAPTER}: an adapter ({an_adapter(checkpoint.path)}) lies next to the "
            f"weights, which are another model without it. {MERGE} If it is a leftover, remove the file."
        )
    quantised = checkpoint.config.get("quantization_config")
    if quantised is not None:
        method = (quantised.get("quant_method") or quantised) if isinstance(quantised, dict) else quantised
        raise ModelError(
            f"{checkpoint.path}/config.json: quantization_config says that the weights are quantised ({method}), which "
            "evalkit does not run. Take the checkpoint in bfloat16 or float32."
        )


def require_no_code(checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that names code of its own, where no module of evalkit stands for that code.

    Raises:
        ModelError: `auto_map` does, in the model's configuration or in that of the tokenizer.
    """
    own = is_minicpm(checkpoint) or is_jina(checkpoint) or is_gte(checkpoint) or is_nomic(checkpoint)
    code = checkpoint.config.get("auto_map")
    if code and not own and checkpoint.config.get("model_type") not in _OWN_CODE:
        named = f"{checkpoint.path}/config.json: auto_map names the model's own code ({next(iter(code.values()))})"
        if (kind := checkpoint.config.get("model_type")) is None:
            raise ModelError(
                f"{named}, which evalkit never runs, and there is neither a model_type nor all that a layout of "
                "evalkit's own has, such as MiniCPM's scale_emb and scale_depth. Download config.json again."
            )
        raise ModelError(
            f"{named}, which evalkit never runs. The class of transformers for {kind!r} may compute something else. "
            "If you know that it does not, remove auto_map in a copy of the folder."
        )
    tokenizer = (checkpoint.read_json(TOKENIZER) or {}).get("auto_map")
    if tokenizer and not own:
        raise ModelError(
            f"{checkpoint.path}/{TOKENIZER}: auto_map names the tokenizer's own code, which evalkit never runs. "
            "If tokenizer.json gives the same tokens, remove auto_map in a copy of the folder."
        )


def architectures(checkpoint: Checkpoint) -> list[str]:
    """Names of classes in `config.json`."""
    return [str(name) for name in checkpoint.config.get("architectures", [])]


def names_classifier(checkpoint: Checkpoint) -> bool:
    """Whether `config.json` names a sequence classifier."""
    return any(name.endswith("ForSequenceClassification") for name in architectures(checkpoint))


def is_classifier(checkpoint: Checkpoint) -> bool:
    """Whether `config.json` names a sequence classifier, or an adapter is for one."""
    adapter = (checkpoint.read_json(ADAPTER) or {}) if checkpoint.base is not None else {}
    return names_classifier(checkpoint) or adapter.get("task_type") == "SEQ_CLS"
