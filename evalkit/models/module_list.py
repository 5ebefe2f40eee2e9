"""The modules that `modules.json` lists, and whether the folders that it names are there."""

import json
from pathlib import Path
from typing import Any

from evalkit.errors import ModelError

# Modules without settings that evalkit reads: an empty folder, which git does not keep, or none.
_WITHOUT_FILES = {"Normalize", "Dropout"}
# Modules whose settings sentence-transformers always writes to a config.json in their folder.
_WITH_SETTINGS = {"Pooling", "Dense", "LayerNorm", "LogitScore", "SpladePooling", "MultiVectorMask"}
# Where the classes of a module come from whose code is known. Any other is code of the checkpoint's own.
KNOWN_PACKAGES = ("sentence_transformers.", "pylate.")


def listed_modules(file: Path) -> list[tuple[str, str]]:
    """(class with its package, folder) of every entry in a `modules.json`, in order.

    Raises:
        ModelError: it is no list of at least one module, or names code of the checkpoint's own.
    """
    try:
        entries: Any = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ModelError(f"{file}: not readable as JSON ({error}). Download it again.") from error
    if not isinstance(entries, list) or not entries or not all(map(_is_module, entries)):
        raise ModelError(
            f"{file}: expected a list of at least one module, each an object with the texts type and path. Download "
            "it again, or remove it if the model has none."
        )
    found = [(str(entry["type"]), str(entry.get("path", ""))) for entry in entries]
    for kind, _ in found:
        if not kind.startswith(KNOWN_PACKAGES):
            raise ModelError(f"{file}: {kind} is code of the checkpoint's own, which evalkit never runs.")
    return found


def require_folder(root: Path, named_in: str, kind: str, folder: str) -> None:
    """Refuse a module whose folder, or the settings in it, did not come with the checkpoint.

    Args:
        root: the folder that `folder` is seen from.
        named_in: the file that names it, for the error.
        kind: the class's name without its package.
        folder: empty where the module is in `root` itself.

    Raises:
        ModelError: one is absent.
    """
    if not folder or kind in _WITHOUT_FILES:
        return
    if not (root / folder).is_dir():
        raise ModelError(f"{root}: {named_in} names {folder}, which is not there. Download the checkpoint again.")
    if kind in _WITH_SETTINGS and not (root / folder / "config.json").is_file():
        raise ModelError(f"{root}: {named_in} names {folder}, which has no config.json. Download the checkpoint again.")


def _is_module(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("type"), str) and isinstance(entry.get("path", ""), str)
