"""Which files a repository of the hub has for each configuration, as the head of its README.md says."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml


def configurations(card: Path) -> dict[str, Any]:
    """Data files by configuration, as the head of a README.md lists them; none where it does not."""
    try:
        head = yaml.safe_load(card.read_text(encoding="utf-8").split("---", 2)[1])
        return {entry["config_name"]: entry["data_files"] for entry in head["configs"]}
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError):
        return {}


def patterns_of(data_files: Any) -> Iterator[tuple[str, list[str]]]:
    """(split, patterns of its files) as a card writes them: a pattern, a list of them, or a list by split."""
    listed = data_files if isinstance(data_files, list) else [data_files]
    if plain := [entry for entry in listed if isinstance(entry, str)]:
        yield "", plain
    for entry in listed:
        if isinstance(entry, dict) and isinstance(entry.get("split"), str):
            paths = entry.get("path")
            yield entry["split"], [path for path in (paths if isinstance(paths, list) else [paths]) if path]


def files_of(folder: Path, pattern: str) -> list[Path]:
    """The parquet files of a pattern, none outside of the folder."""
    if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
        return []
    return sorted(file for file in folder.glob(pattern) if file.suffix == ".parquet" and file.is_file())
