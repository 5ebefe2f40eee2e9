"""Which head a reranker's checkpoint has, by its own files. Reads no weights.

`classifier`: one of transformers; `chain`: modules behind a pooling; `answers`: the logits of one or two tokens.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

from evalkit.errors import ModelError
from evalkit.models.checkpoint import Checkpoint
from evalkit.models.declared import Declared, require_known
from evalkit.models.requirements import require_classifier, require_no_code
from evalkit.models.sentence_transformer import pooled_width, stored_pooling

Head = Literal["classifier", "chain", "answers"]
LOGIT_SCORE = "LogitScore"
# What sentence-transformers loads the transformer for.
_TASKS: dict[Head, str] = {
    "classifier": "sequence-classification",
    "chain": "feature-extraction",
    "answers": "text-generation",
}
_CHAIN = re.compile("Transformer Pooling( (Dense|LayerNorm|Normalize|Dropout))* Dense")
_SCORES = "scores"


def head_of(checkpoint: Checkpoint) -> Head:
    """The head, as `modules.json` says; a classifier where it has the transformer alone, or is absent."""
    if LOGIT_SCORE in checkpoint.kinds:
        return "answers"
    return "chain" if is_chain(checkpoint) else "classifier"


def require_head(checkpoint: Checkpoint, said: Declared) -> Head:
    """The head, once it is sure to be one that is computed here.

    Args:
        checkpoint: on disk.
        said: what it declares.

    Raises:
        ModelError: it is not a reranker, or one of another kind.
    """
    head = head_of(checkpoint)
    if said.task not in {None, _TASKS[head]}:
        raise ModelError(f"{checkpoint.path}: transformer_task is {said.task}, and its modules expect {_TASKS[head]}.")
    if head == "classifier":
        require_classifier(checkpoint)
        return head
    require_no_code(checkpoint)
    if head == "chain":
        _require_chain(checkpoint)
    elif checkpoint.kinds != ["Transformer", LOGIT_SCORE]:
        raise ModelError(f"{checkpoint.path}: modules.json has {', '.join(checkpoint.kinds)}, expected Transformer "
                         f"and {LOGIT_SCORE}.")  # fmt: skip
    return head


def is_chain(checkpoint: Checkpoint) -> bool:
    """Whether `modules.json` has a head of modules that ends in a Dense which writes scores."""
    listed = checkpoint.modules()
    if len(listed) < 3 or listed[-1][0] != "Dense" or listed[1][0] != "Pooling":  # noqa: PLR2004
        return False
    return (checkpoint.read_json(f"{listed[-1][1]}/config.json") or {}).get("module_output_name") == _SCORES


def stored_answers(checkpoint: Checkpoint) -> list[int]:
    """The tokens whose logits make the score, of a checkpoint with a LogitScore: relevant, and perhaps not relevant.

    Raises:
        ModelError: its file does not name them.
    """
    folder = next(folder for kind, folder in checkpoint.modules() if kind == LOGIT_SCORE)
    name = f"{folder}/config.json"
    stored = checkpoint.read_json(name) or {}
    require_known(f"{checkpoint.path}/{name}", stored, {"true_token_id", "false_token_id", "module_input_name"})
    if stored.get("module_input_name", "causal_logits") != "causal_logits":
        raise ModelError(
            f"{checkpoint.path}/{name}: module_input_name={stored['module_input_name']!r}, expected 'causal_logits'."
        )
    ids = [stored.get("true_token_id"), stored.get("false_token_id")]
    found = [token for token in ids if token is not None]
    size = checkpoint.config.get("vocab_size", 0)
    if ids[0] is None or not all(_is_token(token, size) for token in found) or len(set(found)) < len(found):
        raise ModelError(
            f"{checkpoint.path}/{name}: true_token_id={ids[0]!r}, false_token_id={ids[1]!r}; expected two different "
            f"tokens of {size}, the second may be null."
        )
    return [int(token) for token in found]


def _is_token(token: Any, size: int) -> bool:
    return isinstance(token, int) and not isinstance(token, bool) and 0 <= token < size


def _require_chain(checkpoint: Checkpoint) -> None:
    """Refuse a chain that does not end in one score, or has a module that is not computed here."""
    kinds, folders = (list(part) for part in zip(*checkpoint.modules(), strict=True))
    if not _CHAIN.fullmatch(" ".join(kinds)):
        raise ModelError(
            f"{checkpoint.path}: modules.json has {', '.join(kinds)}. As a reranker evalkit runs Transformer, Pooling, "
            "then any of Dense, LayerNorm, Normalize and Dropout, and a Dense that writes the score."
        )
    pooling = stored_pooling(checkpoint)
    if pooling is None:
        raise ModelError(
            f"{checkpoint.path}/{folders[1]}/config.json: is absent, so the pooling is not known. Download it again."
        )
    dense = [folder for kind, folder in zip(kinds, folders, strict=True) if kind == "Dense"]
    _require_widths(checkpoint, dense, pooled_width(checkpoint, pooling))


def _require_widths(checkpoint: Checkpoint, folders: Sequence[str], width: int) -> None:
    """Refuse linear layers that do not fit behind each other, or give more than one score."""
    for folder in folders:
        found = Checkpoint(checkpoint.path / folder, {}).numbers("in_features", "out_features")
        if found["in_features"] != width:
            raise ModelError(
                f"{checkpoint.path}/{folder}/config.json: in_features={found['in_features']}, but vectors have {width}."
            )
        width = found["out_features"]
    if width != 1:
        raise ModelError(f"{checkpoint.path}/{folders[-1]}/config.json: out_features={width}, expected one score.")
