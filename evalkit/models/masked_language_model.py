"""Masked language models: the bare encoder and the head that gives a logit for every entry of the vocabulary."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.config import ComputeConfig
from evalkit.models.arithmetic import require_torch
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.loading import load_native, refusing

if TYPE_CHECKING:
    from evalkit.models.packing import Contents

# Tensors that a checkpoint may hold and no logit depends on: pooler, and the head for the next sentence.
_UNUSED = r"(.*\.)?(pooler|cls\.seq_relationship)\..*"


Head = Callable[[Any], Any]


def _of_distilbert(model: Any) -> Head:
    return lambda states: model.vocab_projector(model.vocab_layer_norm(model.activation(model.vocab_transform(states))))


def _of_modernbert(model: Any) -> Head:
    return lambda states: model.decoder(model.head(states))


def _of_electra(model: Any) -> Head:
    return lambda states: model.generator_lm_head(model.generator_predictions(states))


# model_type -> the head of its ...ForMaskedLM in transformers, from states of shape (..., width) to logits.
HEADS: Mapping[str, Callable[[Any], Head]] = {
    "bert": lambda model: model.cls,
    "camembert": lambda model: model.lm_head,
    "distilbert": _of_distilbert,
    "electra": _of_electra,
    "modernbert": _of_modernbert,
    "mpnet": lambda model: model.lm_head,
    "roberta": lambda model: model.lm_head,
    "xlm-roberta": lambda model: model.lm_head,
}


class MaskedLanguageModel(NamedTuple):
    """A masked language model in two parts, on one device.

    Attributes:
        bare: the encoder.
        head: from its states, shape (tokens, width), to logits, shape (tokens, vocabulary).
        contents: of both.
    """

    bare: Any
    head: Head
    contents: "Contents"


def load_masked(checkpoint: Checkpoint, compute: ComputeConfig) -> MaskedLanguageModel:
    """A masked language model, in evaluation mode on its device.

    Raises:
        ModelError: the weights are not those of its configuration.
    """
    require_torch()
    import transformers

    from evalkit.models.packing import contents

    with refusing(checkpoint):
        model = load_native(transformers.AutoModelForMaskedLM, checkpoint, compute, unused=_UNUSED)
        return MaskedLanguageModel(
            model.base_model, HEADS[str(checkpoint.config["model_type"])](model), contents(model)
        )
