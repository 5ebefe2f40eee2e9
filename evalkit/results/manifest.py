"""What the manifest of a result says, written and read: whatever is no manifest of evalkit's is refused here, once.

Whoever reads a result trusts what `read_manifest` gave. Knows nothing of the files beside it.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.limits import nameable
from evalkit.errors import ConfigError, ResultError
from evalkit.store.artefact import digest

MANIFEST = "manifest.json"
_SEAL = "manifest_sha256"  # over all else in the manifest, so that an altered number is noticed
_HUGE = 1e300  # an integer of JSON may be beyond any float
_ABSENT = object()


def sealed(manifest: Mapping[str, Any]) -> str:
    """The content of `manifest.json`."""
    return json.dumps({**manifest, _SEAL: digest(manifest)}, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the result in a folder.

    Raises:
        ResultError: it is absent, damaged, altered, or lacks what evalkit writes.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ResultError(f"{path}: cannot be read (there is no such file). Remove {folder} and run again.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
        is_whole = isinstance(manifest, dict) and manifest.pop(_SEAL, None) == digest(manifest)
    except (OSError, ValueError, RecursionError) as error:
        raise ResultError(f"{path}: cannot be read ({error}). Remove {folder} and run again.") from error
    if not is_whole:
        raise ResultError(f"{path}: is not the manifest that evalkit wrote. Remove {folder} and run again.")
    if wrong := _misfit(manifest):
        raise ResultError(f"{path}: {wrong} is not what evalkit writes. Remove {folder} and run again.")
    return dict(manifest)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no finite number")
    return value


def _misfit(manifest: Mapping[str, Any]) -> str | None:
    """The first field that is not as evalkit writes it."""
    kind = _OF_RERANKED if "reranker" in manifest else _OF_CANDIDATES
    for place, is_right in {**_OF_ALL, **kind}.items():
        value: Any = manifest
        for name in place.removesuffix("?").split("."):
            value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
        if not (place.endswith("?") if value is _ABSENT else is_right(value)):
            return place.removesuffix("?")
    if manifest["measures"].keys() != manifest["ceiling"].keys():
        return "ceiling"
    return None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


def _seconds(value: Any) -> bool:
    return _number(value) and value >= 0


def _count(value: Any) -> bool:
    return isinstance(value, int) and _seconds(value)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _digest(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))


def _name(value: Any) -> bool:
    """Whether a value may name a folder: readers make paths of it."""
    try:
        nameable("name", value)
    except (ConfigError, TypeError):
        return False
    return True


def _part(value: Any) -> bool:
    """Whether a value may be a part of a folder's name, such as a revision."""
    return _text(value) and value not in {".", ".."} and not re.search(r"[/\\\0]", value)


def _or_none(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_right(value)


def _list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(is_right, value))


def _object_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(is_right, value.values()))


def _is_note(value: Any) -> bool:
    return isinstance(value, dict) and _text(value.get("kind")) and _text(value.get("text"))


_any_object = _object_of(lambda _: True)

# Place of a field -> whether its value is right. A question mark: the field may be absent.
_OF_ALL: Mapping[str, Callable[[Any], bool]] = {
    "key": _digest,
    "pairs": _count,
    "queries": _count,
    "queries_with_ties_in_top_10": _count,
    "queries_without_candidates": _list_of(_text),
    "measures": _object_of(_number),
    "ceiling": _object_of(_number),
    "run_sha256": _digest,
    "per_query_sha256": _digest,
    "truncated_sha256?": _digest,
    "seconds": _seconds,
    "stages?": _object_of(_object_of(_number)),
    "truncated_pairs?": _or_none(_count),
    "notes?": lambda value: isinstance(value, list) and all(_is_note(one) for one in value),
    "artefacts": _list_of(_text),
    "command": _text,
    "dataset.name": _name,
    "dataset.split": _text,
    "dataset.digest": _text,
    "dataset.empty_documents": _count,
    "dataset.queries_without_relevant": _count,
    "dataset.queries_dropped?": _count,
    "dataset.queries_not_sampled?": _count,
    "dataset.differences?": _object_of(_text),
    "config.measures": lambda value: bool(value) and _list_of(_text)(value),
    "config.cache_dir": _or_none(_text),
    "config.compute": _any_object,
    "config.dataset": _any_object,
    "config.dataset.revision?": _or_none(_part),
    "config.dataset.title_separator": _text,
    "config.retriever.name": _name,
    "config.retriever.model?": _or_none(_text),
    "config.retriever.revision?": _or_none(_part),
    "config.reranker.name": _name,
    "config.reranker.model?": _or_none(_text),
    "config.reranker.revision?": _or_none(_part),
    "retriever.name": _name,
    "retriever.kind": _text,
    "retriever.depth": _count,
    "environment.device": _text,
    "environment.git_commit": _or_none(_text),
    "environment.packages.evalkit": _text,
}
_OF_CANDIDATES: Mapping[str, Callable[[Any], bool]] = {"run_digest": _digest}
_OF_RERANKED: Mapping[str, Callable[[Any], bool]] = {
    "reranker.name": _name,
    "reranker.kind": _text,
    "candidates.key": _digest,
    "candidates.run_digest": _digest,
    "pairs_per_second": _or_none(_seconds),
    "truncated_pairs": _or_none(_count),
    "unscored_pairs": _count,
}
