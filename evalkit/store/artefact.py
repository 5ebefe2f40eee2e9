"""An artefact is a folder of plain files, named by the digest of what it was made from, and checked by it.

Its `facts.json` says what it was made from, what people call that, and the checksums of its files. Links, pipes and
devices are not part of an artefact, and are neither followed nor opened.
"""

import hashlib
import json
import logging
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from evalkit.system.files import file_digest, is_file, is_folder, read_file, remove, walk

logger = logging.getLogger(__name__)

CORPORA, COUNTS, EMBEDDINGS, SEARCHES = "corpora", "counts", "embeddings", "searches"
SCORES = "scores"
GROWING = (SCORES,)
DOWNLOADS = "downloads"
KINDS = (CORPORA, COUNTS, EMBEDDINGS, SEARCHES, *GROWING, DOWNLOADS)
"""All kinds of artefacts. Those in `GROWING` grow with use; downloads are named by their published MD5."""

FACTS = "facts.json"


def digest(facts: Mapping[str, object]) -> str:
    """SHA-256 of facts as canonical JSON; equal facts have equal digests, whatever their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()).hexdigest()


def dump(record: Mapping[str, object]) -> str:
    """The content of `facts.json` for a record."""
    return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def describe_files(folder: Path) -> dict[str, dict[str, object]]:
    """Size and checksum of every file of an artefact but `facts.json`."""
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in walk(folder)
        if is_file(path) and path != folder / FACTS
    }


def record_of(folder: Path) -> dict[str, Any]:
    """The `facts.json` of an artefact: its `facts`, its `label`, and once it is whole its `files`.

    Raises:
        OSError: it is absent.
        ValueError: it is damaged.
    """
    try:
        record = json.loads(read_file(folder / FACTS))
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    if isinstance(record, dict):
        return record
    raise ValueError("is not an object")


def content_digest(folder: Path) -> str:
    """SHA-256 of an artefact's content, from the checksums that were recorded when it was made."""
    return digest(record_of(folder)["files"])


def fault_of(folder: Path, *, grows: bool = False) -> str | None:
    """The fault of an artefact, or None if it is whole. Reads every byte: about a second a gigabyte.

    Args:
        folder: of the artefact.
        grows: whether it grows with use; then its files are not looked into.
    """
    if fault := fault_of_facts(folder):
        return fault
    try:
        if others := strays(folder, flat=grows):
            return f"{others[0].relative_to(folder)} is not a file that was written"
        found, recorded = ({}, {}) if grows else (describe_files(folder), record_of(folder).get("files"))
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    if not isinstance(recorded, dict):
        return f"{FACTS} is damaged"
    changed = sorted(name for name in {*recorded, *found} if recorded.get(name) != found.get(name))
    return f"{changed[0]} is not the file that was written" if changed else None


def fault_of_facts(folder: Path) -> str | None:
    """The fault of the `facts.json` of an artefact, whose digest is its name, or None."""
    if not is_folder(folder):
        return "is not a folder"
    try:
        own = digest(record_of(folder)["facts"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{FACTS} is absent or damaged"
    return None if own == folder.name else f"{FACTS} is of another artefact"


def strays(folder: Path, *, flat: bool) -> list[Path]:
    """Whatever is not a file in a folder: links, pipes, devices, and empty folders; all folders where it is flat.

    Raises:
        OSError: a folder cannot be read.
    """
    others = [path for path in walk(folder) if not is_file(path)]
    return [path for path in others if flat or not is_folder(path) or not any(path.iterdir())]


def open_folder(folder: Path) -> None:
    """A folder of the store as it was left, or a new one; anything else of its name is removed.

    Raises:
        OSError: it cannot be made.
    """
    if os.path.lexists(folder) and not is_folder(folder):
        logger.warning("%s: is not a folder. It is removed.", folder)
        remove(folder)
    folder.mkdir(parents=True, exist_ok=True)


def clear(folder: Path, names: Collection[str] = ()) -> None:
    """Remove whatever is not a file from a folder, and where names are given, other files.

    Raises:
        OSError: it cannot be removed.
    """
    for path in sorted(folder.iterdir()):
        if not is_file(path) or (names and path.name not in {FACTS, *names}):
            logger.warning("%s: does not belong there. It is removed.", path)
            remove(path)
