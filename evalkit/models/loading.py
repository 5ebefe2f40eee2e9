"""Loading weights: native checkpoints through transformers, published layouts of their own through `weights`.

No remote code, no newly initialised tensor, no silent fallback.
"""

import copy
import inspect
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.errors import EvalkitError, ModelError
from evalkit.models.arithmetic import device_name, require_torch
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.layout import JINA_RANKING, has_t5_encoder, is_gte, is_minicpm, is_nomic
from evalkit.models.requirements import architectures, names_classifier
from evalkit.models.weights import (
    BUFFERS,
    Shape,
    Stored,
    Tensors,
    fill,
    require_complete,
    require_stored,
    uninitialised,
)
from evalkit.system.reporting import reason

# Tensors that a checkpoint may hold and an encoder does not use: pooler and pretraining heads.
_UNUSED_BY_ENCODERS = r"(.*\.)?(pooler|cls|lm_head)\..*"
# Heads that only a checkpoint holds which names such a class in `architectures`.
_WITH_HEAD = ("ForMaskedLM", "ForPreTraining", "LMHeadModel", "ForTokenClassification", "ForQuestionAnswering")
_HEADS = (
    r"|(vocab_transform|vocab_layer_norm|vocab_projector|predictions|discriminator_predictions|generator_predictions"
    r"|generator_lm_head|lm_loss|head|decoder|classifier|qa_outputs|lm_predictions)(\..*)?"
)


@contextmanager
def refusing(checkpoint: Checkpoint) -> Iterator[None]:
    """Read a checkpoint: turn what foreign code raises at a malformed one into one line that names it.

    Raises:
        ModelError: anything was raised inside that is not an error of evalkit itself; or the files changed, so that
            what was read of them may be something else than what the checkpoint's identity says.
    """
    try:
        yield
        checkpoint.require_unchanged()
    except EvalkitError:
        raise
    # config.json feeds strict dataclasses, arithmetic and tensor shapes: there is no list of what can fail.
    except Exception as error:
        if (named := _setting_behind(checkpoint, error)) is not None:
            raise ModelError(
                f"{checkpoint.path}/config.json: {named}, which transformers does not take. Download the file again, "
                "or mend it in a copy of the folder."
            ) from error
        raise ModelError(f"{checkpoint.path}: cannot be loaded: {type(error).__name__}: {reason(error)}") from error


def _setting_behind(checkpoint: Checkpoint, error: Exception) -> str | None:
    """The setting of `config.json` that an error of transformers is about; None where it names none.

    Its strict classes name the key, and its tables of functions fail with the value that they lack.
    """
    config = checkpoint.config
    if field := re.match(r"Validation error for field '(\w+)'", str(error)):
        legal = re.search(r"expected (.+?), got", str(error))
        key = field[1]
        return f"{key}={config.get(key)!r}" + (f" (expected {legal[1]})" if legal else "")
    if isinstance(error, KeyError) and error.args:
        return next((f"{key}={value!r}" for key, value in config.items() if value == error.args[0]), None)
    return None


def load_encoder(checkpoint: Checkpoint, compute: ComputeConfig) -> Any:
    """The bare encoder of a native checkpoint, gte, nomic or MiniCPM-Embedding, in evaluation mode on its device.

    Raises:
        ModelError: the weights are not those of its configuration.
    """
    require_torch()
    import transformers

    with refusing(checkpoint):
        if (model := _published(checkpoint, compute)) is not None:
            return model
        if has_t5_encoder(checkpoint):
            return load_native(
                transformers.AutoModelForTextEncoding,
                checkpoint,
                compute,
                unused=r"(decoder|lm_head)\..*",
                decodes=bool(checkpoint.config.get("is_encoder_decoder", True)),
            )
        options = {"add_pooling_layer": False} if _has_optional_pooler(checkpoint) else {}
        if "HF_ColBERT" in architectures(checkpoint):  # its projection, which is read elsewhere
            heads = r"|linear\.weight"
        elif JINA_RANKING in architectures(checkpoint):  # likewise
            heads = r"|projector\.[02]\.weight"
        else:
            heads = _HEADS if any(name.endswith(_WITH_HEAD) for name in architectures(checkpoint)) else ""
        return load_native(transformers.AutoModel, checkpoint, compute, unused=_UNUSED_BY_ENCODERS + heads, **options)


def _published(checkpoint: Checkpoint, compute: ComputeConfig) -> Any:
    """The encoder of a layout that transformers does not read, by its own map of tensors; None for any other."""
    import transformers

    if is_minicpm(checkpoint):
        from evalkit.models.minicpm_decoder import granite_config

        config = granite_config(checkpoint, compute.padded_attention)
        return assemble(lambda: transformers.GraniteModel(config), checkpoint, compute, _minicpm_source)
    if is_gte(checkpoint):
        from evalkit.models import gte

        settings = gte.config_of(checkpoint, compute.padded_attention)
        return assemble(
            lambda: transformers.GteModel(settings),
            checkpoint,
            compute,
            lambda name, tensors: gte.bare_source(name, settings, tensors),
            unused=gte.UNUSED_BY_ENCODERS,
        )
    if is_nomic(checkpoint):
        from evalkit.models import nomic

        nomic_config = nomic.config_of(checkpoint, compute.padded_attention)
        return assemble(
            lambda: transformers.NomicBertModel(nomic_config),
            checkpoint,
            compute,
            lambda name, _: nomic.source(name, nomic_config),
            unused=nomic.UNUSED_BY_ENCODERS,
        )
    return None


def _minicpm_source(name: str, tensors: Tensors) -> Stored:
    """MiniCPM-Embedding's names have no `model.` before them; those of a language model do."""
    return Stored(name if "norm.weight" in tensors.shapes else f"model.{name}")


def assemble(
    make: Callable[[], Any],
    checkpoint: Checkpoint,
    compute: ComputeConfig,
    source: Callable[[str, Tensors], Stored],
    *,
    beside: Callable[[Any], Mapping[str, Shape]] = lambda _: {},
    unused: str = "(?!)",
    rows: Mapping[str, tuple[str, Sequence[int]]] | None = None,
) -> Any:
    """A model made without weights and filled from a checkpoint, in evaluation mode on its device.

    Args:
        make: gives the model, with its attention already chosen.
        checkpoint: with the weights.
        compute: where and how.
        source: (parameter name, stored tensors) -> where the parameter is stored.
        beside: model -> stored tensors that the architecture has and this model does not compute.
        unused: stored names that may be there and are not read, as a regular expression.
        rows: for an adapter, see `Adapter.merge`.

    Raises:
        ModelError: the weights are not those of this architecture and configuration.
    """
    torch = require_torch()
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    tensors = Tensors(checkpoint)
    require_stored(make, tensors)
    with uninitialised(getattr(torch, compute.dtype), device_name(compute)):
        model = make()
    fill(model, tensors, lambda name: source(name, tensors), beside=beside(model), unused=unused)
    if (adapter := _adapter(checkpoint)) is not None:
        adapter.merge(model, rows)
    return model.eval()


def _adapter(checkpoint: Checkpoint) -> Any:
    """The adapter of a checkpoint; None where it has none."""
    if checkpoint.base is None:
        return None
    from evalkit.models.adapter import Adapter  # imports torch

    return Adapter(checkpoint)


def _has_optional_pooler(checkpoint: Checkpoint) -> bool:
    """Whether the model class can be built without the pooler, which encoders do not use and checkpoints may lack."""
    import transformers

    classes = transformers.MODEL_MAPPING
    config = type(_config(checkpoint))
    return config in classes and "add_pooling_layer" in inspect.signature(classes[config].__init__).parameters


def load_native(
    factory: Any, checkpoint: Checkpoint, compute: ComputeConfig, *, unused: str, decodes: bool = False, **extra: Any
) -> Any:
    """A checkpoint that transformers loads itself, in evaluation mode on its device.

    Args:
        factory: an `AutoModel...` class.
        checkpoint: in a layout of transformers.
        compute: where and how.
        unused: stored names that may be left over, as a regular expression for the whole name.
        decodes: whether it is an encoder-decoder.
        extra: passed on to the model class.

    Raises:
        ModelError: transformers does not know the model, or a tensor is missing, misshapen or left over.
    """
    torch = require_torch()
    if compute.threads is not None:
        torch.set_num_threads(compute.threads)
    config = _config(checkpoint)
    _require_plain(checkpoint, config, decodes=decodes)
    adapter = _adapter(checkpoint)
    if adapter is not None and adapter.labels and not names_classifier(checkpoint):
        config.num_labels, unused = adapter.labels, f"{unused}|{_UNUSED_BY_ENCODERS}"
    tensors = Tensors(checkpoint)  # also refuses damaged files by name
    require_stored(lambda: factory.from_config(copy.deepcopy(config), **extra), tensors)
    model, report = factory.from_pretrained(
        checkpoint.whole.path,
        config=config,
        dtype=getattr(torch, compute.dtype),
        attn_implementation=compute.padded_attention,
        trust_remote_code=False,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # so that `require_complete` can name the tensor
        **extra,
    )
    may_be_left = re.compile(f"{unused}|{BUFFERS}")
    _require_complete(checkpoint, report, may_be_left, replaced=adapter.replaced if adapter else ())
    if adapter is not None:
        adapter.merge(model)
    surplus = set(report["unexpected_keys"])
    _require_once(
        checkpoint, model, [key for key in tensors.shapes if key not in surplus and not may_be_left.fullmatch(key)]
    )
    return model.eval().to(device_name(compute))


def _require_complete(
    checkpoint: Checkpoint, report: Mapping[str, Any], may_be_left: re.Pattern[str], *, replaced: Container[str]
) -> None:
    """Refuse what transformers reports of tensors; those that an adapter replaces may be missing."""
    require_complete(
        checkpoint.path,
        missing=[key for key in report["missing_keys"] if key not in replaced],
        misshapen={str(key): (tuple(stored), tuple(own)) for key, stored, own in report["mismatched_keys"]},
        surplus=[key for key in report["unexpected_keys"] if not may_be_left.fullmatch(key)],
    )


def _require_once(checkpoint: Checkpoint, model: Any, used: list[str]) -> None:
    """Refuse tensors under two names: `encoder.x` and `bert.encoder.x` are one to transformers, which takes either."""
    if (twice := len(used) - len(model.state_dict())) > 0:
        raise ModelError(f"{checkpoint.path}: holds {twice} tensors twice, by two names. Remove one of each pair.")


def _require_plain(checkpoint: Checkpoint, config: Any, *, decodes: bool) -> None:
    if config.is_encoder_decoder != decodes:
        kind = "is an encoder-decoder, which evalkit does not run as this" if not decodes else "is no encoder-decoder"
        raise ModelError(f"{checkpoint.path}: {config.model_type} {kind}.")
    if "transformers_weights" in checkpoint.config:
        raise ModelError(
            f"{checkpoint.path}/config.json: names its weights in transformers_weights, and evalkit reads "
            "model.safetensors. Rename the file, and remove the setting."
        )


def _config(checkpoint: Checkpoint) -> Any:
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(checkpoint.whole.path, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        remote = (
            "Its own code would have to be run, which evalkit never does." if "auto_map" in checkpoint.config else ""
        )
        kind = checkpoint.config.get("model_type")
        if kind is None:
            raise ModelError(
                f"{checkpoint.path}/config.json: has no model_type, so nothing says which architecture it is. "
                f"Download the file again. {remote}".rstrip()
            ) from error
        raise ModelError(
            f"{checkpoint.path}: transformers knows no model of type {kind!r}. {remote}".rstrip()
        ) from error
