"""Score heads on single layers, as BGE's layerwise and lightweight rerankers store them."""

from collections.abc import Callable, Sequence
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.loading import assemble
from evalkit.models.weights import Shape, Stored, Tensors, layers_above


def layers_with_heads(checkpoint: Checkpoint, model_type: str) -> range:
    """After which layers a checkpoint can score: `start_layer` to the last.

    Raises:
        ModelError: `config.json` is not that of such a model, or its heads are of another kind.
    """
    config = checkpoint.config
    if config.get("model_type") != model_type:
        raise ModelError(
            f"{checkpoint.path}/config.json: model_type is {config.get('model_type')!r}, expected {model_type!r}."
        )
    layers, start = checkpoint.numbers("num_hidden_layers")["num_hidden_layers"], config.get("start_layer")
    if not isinstance(start, int) or not 0 <= start <= layers:
        raise ModelError(f"{checkpoint.path}/config.json: start_layer={start!r} is none of the {layers} layers.")
    checkpoint.require_settings({"head_type": "simple", "head_multi": True, "layer_sep": 1, "layer_wise": True})
    return range(start, layers + 1)


def assemble_with_heads(
    make: Callable[[], Any],
    checkpoint: Checkpoint,
    compute: ComputeConfig,
    *,
    legal: range,
    last: int,
    heads: Sequence[int],
) -> Any:
    """A model up to its last cut-off, filled from a checkpoint that has all layers and heads.

    What is above the cut-off must be there and is not read.

    Args:
        make: gives the model; its blocks are `model.layers`, and its heads `heads`.
        checkpoint: with the weights.
        compute: where and how.
        legal: after which layers the checkpoint can score.
        last: the last cut-off.
        heads: which stored head each head of the model is.
    """

    def source(name: str, _: Tensors) -> Stored:
        return Stored(_stored(heads[int(name.split(".")[1])]) if name.startswith("heads.") else name)

    def beside(model: Any) -> dict[str, Shape]:
        unused = [head for head in range(len(legal)) if head not in heads]
        shape = tuple(model.heads[0].weight.shape)
        return layers_above(model, first=last, stop=legal[-1]) | {_stored(head): shape for head in unused}

    return assemble(make, checkpoint, compute, source, beside=beside)


def _stored(head: int) -> str:
    return f"lm_head.{head}.linear_head.weight"
