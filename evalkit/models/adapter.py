"""LoRA adapters (Hu et al. 2021, arXiv:2106.09685) as peft stores them, merged into the weights of their base.

W = W0 + s B A with s = lora_alpha / r, or lora_alpha / sqrt(r) with `use_rslora`. With `use_dora` the rows of W then
get stored lengths (Liu et al. 2024, arXiv:2402.09353). Tensors without such a pair, for example a classifier's head,
replace those of the base.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from evalkit.errors import ModelError
from evalkit.models.checkpoint import ADAPTER, Checkpoint
from evalkit.models.weights import Stored, Tensors

_PREFIX = "base_model.model."
# Keys that are obeyed here, then keys that the stored tensors speak for or that decide nothing of a forward pass.
_OBEYED = {
    *("peft_type", "task_type", "r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern"),
    "fan_in_fan_out",
}
_SILENT = {
    *("base_model_name_or_path", "revision", "bias", "target_modules", "modules_to_save", "exclude_modules"),
    *("inference_mode", "init_lora_weights", "lora_dropout", "layers_to_transform", "layers_pattern", "auto_mapping"),
    *("peft_version", "megatron_core", "ensure_weight_tying", "qalora_group_size", "parent_library"),
}
_BY_PEFT = "Merge the adapter with peft: PeftModel.from_pretrained(base, DIR).merge_and_unload().save_pretrained(NEW)."
_NOTHING: tuple[Any, ...] = (None, False, {}, [], "megatron.core")  # values that ask for nothing
_LENGTHS = "lora_magnitude_vector"
_HALF = re.compile(r"(.+)\.(lora_|lora_embedding_)([AB])(?:\.weight)?")
# The last layer of a classifier, as classes of transformers call it.
_LAST = ("score.weight", "classifier.weight", "classifier.out_proj.weight")


class Change(NamedTuple):
    """The change of one parameter by an adapter.

    Attributes:
        down: stored name of A; empty where the parameter is replaced.
        up: stored name of B, or of the tensor in its place.
        embeds: whether the parameter is a table of embeddings, which peft stores transposed.
        lengths: stored name of the lengths of its rows; empty where they are what they are.
        base: stored name of what the change is added to; empty where that is the base's own.
    """

    down: str
    up: str
    embeds: bool = False
    lengths: str = ""
    base: str = ""


class Adapter:
    """The changes of an adapter, by parameter.

    Raises:
        ModelError: it is of a kind that is not computed here.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._settings = _settings(checkpoint)
        self._tensors = Tensors(checkpoint, of_adapter=True)
        self.path = checkpoint.path
        self.changes = _changes(checkpoint, list(self._tensors.shapes), lengths=bool(self._settings.get("use_dora")))

    @property
    def replaced(self) -> set[str]:
        """Parameters that the adapter brings whole."""
        return {name for name, change in self.changes.items() if not change.down}

    @property
    def labels(self) -> int | None:
        """How many logits the head has that the adapter brings; None where it brings none."""
        shapes = (self._tensors.shapes[self.changes[name].up] for name in _LAST if name in self.replaced)
        return next((shape[0] for shape in shapes), None)

    def merge(self, model: Any, rows: Mapping[str, tuple[str, Sequence[int]]] | None = None) -> None:
        """Change a model's parameters, which have the names of the class that was trained.

        Args:
            model: of the base's weights.
            rows: trained parameters of which the model has some rows only: its own name for them, and which they are.

        Raises:
            ModelError: a parameter is not there, or of another shape.
        """
        parts = rows or {}
        parameters = dict(model.named_parameters(remove_duplicate=False))
        if absent := sorted(set(self.changes) - set(parameters) - set(parts)):
            raise ModelError(
                f"{self.path}: changes {absent[0]}, which the base has no parameter for here. If it is not another "
                f"model's adapter: {_BY_PEFT}"
            )
        with torch.no_grad():
            for name, change in self.changes.items():
                own, chosen = parts.get(name, (name, None))
                self._apply(name, parameters[own], change, chosen)

    def _apply(self, name: str, parameter: Any, change: Change, rows: Sequence[int] | None) -> None:
        stored = self._read(change.up, rows)
        if change.down:
            up, down = stored, self._read(change.down)
            product = up @ down if up.shape[-1] == down.shape[0] else up.new_empty(0)
            if change.embeds or self._settings.get("fan_in_fan_out"):
                product = product.T
            added = product * self._scale(name.rsplit(".", 1)[0])
        else:
            added = stored
        if added.shape != parameter.shape:
            raise ModelError(
                f"{self.path}: {change.up} does not fit {name} of shape {tuple(parameter.shape)}. Is it another "
                "model's adapter?"
            )
        before = self._read(change.base, rows).to(parameter.device) if change.base else parameter.double()
        merged = before + added.to(parameter.device) if change.down else added
        if change.lengths:
            lengths = self._read(change.lengths, rows).to(parameter.device)
            merged = torch.nn.functional.normalize(merged, dim=1) * lengths[:, None]
        parameter.copy_(merged.to(parameter.device, parameter.dtype))

    def _read(self, name: str, rows: Sequence[int] | None = None) -> Any:
        return self._tensors.read(Stored(name, rows)).double()

    def _scale(self, module: str) -> float:
        rank = int(_of_pattern(self._settings.get("rank_pattern"), module, self._settings["r"]))
        alpha = float(_of_pattern(self._settings.get("alpha_pattern"), module, self._settings["lora_alpha"]))
        return alpha / (rank**0.5 if self._settings.get("use_rslora") else rank)


def _settings(checkpoint: Checkpoint) -> Mapping[str, Any]:
    stored = checkpoint.read_json(ADAPTER) or {}
    if stored.get("peft_type") != "LORA":
        raise ModelError(
            f"{checkpoint.path}/{ADAPTER}: peft_type={stored.get('peft_type')!r}. evalkit reads LORA. {_BY_PEFT}"
        )
    odd = {key: value for key, value in stored.items() if key not in _OBEYED | _SILENT and value not in _NOTHING}
    if stored.get("use_dora") and stored.get("fan_in_fan_out"):
        odd["use_dora"] = True  # rows are columns there
    if odd:
        key = min(odd)
        raise ModelError(f"{checkpoint.path}/{ADAPTER}: {key}={odd[key]!r}, which evalkit does not compute. {_BY_PEFT}")
    for key in ("r", "lora_alpha"):
        value = stored.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            raise ModelError(f"{checkpoint.path}/{ADAPTER}: {key}={value!r}, expected a positive number.")
    return stored


def _changes(checkpoint: Checkpoint, names: list[str], *, lengths: bool) -> dict[str, Change]:
    found: dict[str, Change] = {}
    within: dict[str, str] = {}  # what peft stores of the layers that it wraps
    for name in names:
        if not name.startswith(_PREFIX):
            raise ModelError(f"{checkpoint.path}: holds {name}, expected names that begin with {_PREFIX}.")
        own = name.removeprefix(_PREFIX)
        if match := _HALF.fullmatch(own):
            module, stem, _ = match.groups()
            down, up = (f"{_PREFIX}{module}.{stem}{side}{match[0][match.end(3) :]}" for side in "AB")
            if down not in names or up not in names:
                raise ModelError(f"{checkpoint.path}: holds {name} without its other half. Download it again.")
            of_rows = f"{_PREFIX}{module}.{_LENGTHS}" if lengths else ""
            if of_rows and (of_rows not in names or stem != "lora_"):
                raise ModelError(f"{checkpoint.path}: use_dora, and {module} has no {_LENGTHS} of its rows. {_BY_PEFT}")
            found[f"{module}.weight"] = Change(down, up, embeds=stem != "lora_", lengths=of_rows)
        elif "lora_" in own:
            if lengths and own.endswith(_LENGTHS) and f"{name.removesuffix(_LENGTHS)}lora_A.weight" in names:
                continue
            raise ModelError(f"{checkpoint.path}: holds {name}, which evalkit does not compute. {_BY_PEFT}")
        elif ".base_layer." in own:
            within[own.replace(".base_layer.", ".")] = name
        elif ".original_module." not in own:  # which `modules_to_save` replaces
            found[own.replace(".modules_to_save.", ".")] = Change("", name)
    return found | {
        own: found[own]._replace(base=name) if own in found else Change("", name) for own, name in within.items()
    }


def _of_pattern(pattern: Any, module: str, usual: Any) -> Any:
    """The value that a pattern of peft's has for a module: the first whose key is the end of its name."""
    for key, value in (pattern or {}).items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return value
    return usual
