"""Names of evaluations in tables: those of their stages and, where several share one, the settings that differ.

    minicpm max_length=8    minicpm max_length=512    bm25-100 k1=1.2 + minicpm

No name holds a hash. Over datasets the same name is the same system.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from evalkit.config import ComputeConfig
from evalkit.config.python_object import UNIQUE
from evalkit.formats.notes import listed
from evalkit.results.result import Evaluation, Result

_MOST = 3  # settings in a name, where fewer tell its results apart
_LONGEST = 30  # characters of a value in a name
_HEX = re.compile(r"[0-9a-f]{16,}")
_KEYED = re.compile(r"\.[0-9a-f]{8}$")  # a folder whose name was taken by other settings
_ARITHMETIC = {field.name for field in fields(ComputeConfig)}


@dataclass(frozen=True)
class _Stage:
    """A first stage or a reranker on a dataset.

    Attributes:
        place: where its name must be its own: the dataset, and for a reranker its first stage.
        plain: its name in the manifest.
        token: what only the same system has.
        settings: that decide it, as typed, and its arithmetic.
        facts: its identity.
        folder: of its result.
    """

    place: tuple[str, str]
    plain: str
    token: str
    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    folder: Path


def names(evaluations: Sequence[Evaluation]) -> list[str]:
    """A name for each evaluation within its dataset: that of the reranker, or of the first stage where there is none.

    The first stage comes before the reranker where there are several first stages, on whatever datasets.
    """
    return _labelled(evaluations)[0]


def legend(evaluations: Sequence[Evaluation]) -> list[str]:
    """What the names of evaluations say, a line for each name that several share; empty where none do."""
    return _labelled(evaluations)[1]


def stages(evaluations: Sequence[Evaluation]) -> list[tuple[str, str]]:
    """Names of first stage and reranker of each evaluation; empty for no reranker."""
    return _labelled(evaluations)[2]


def _labelled(evaluations: Sequence[Evaluation]) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Names, their legend, and both parts of the names."""
    first, of_first = _told_apart([_first_stage(one) for one in evaluations])
    over = [number for number, one in enumerate(evaluations) if not one.is_first_stage]
    own, of_rerankers = _told_apart([_reranker(evaluations[number], first[number]) for number in over])
    rerankers = dict(zip(over, own, strict=True))
    parts = [(stage, rerankers.get(number, "")) for number, stage in enumerate(first)]
    several = len(set(first)) > 1
    found = [f"{stage} + {name}" if several and name else name or stage for stage, name in parts]
    _number_copies(found, evaluations)
    return found, [*(of_first if several else ()), *of_rerankers], parts


def _number_copies(found: list[str], evaluations: Sequence[Evaluation]) -> None:
    """Number first stages of a dataset that were given twice, as their own folder and as `none`."""
    seen: dict[tuple[str, str], dict[Path, int]] = {}
    for place, one in enumerate(evaluations):
        if one.is_first_stage:
            folders = seen.setdefault((one.dataset, found[place]), {})
            number = folders.setdefault(one.result.folder, len(folders) + 1)
            found[place] += f" ({number})" if number > 1 else ""


def _first_stage(one: Evaluation) -> _Stage:
    token = str(one.candidates.manifest.get("run_digest", one.candidates.folder))
    return _stage("retriever", one.candidates, (one.dataset, ""), one.first_stage, token)


def _reranker(one: Evaluation, stage: str) -> _Stage:
    return _stage("reranker", one.result, (one.dataset, stage), one.reranker, str(one.result.folder.resolve()))


def _stage(group: str, result: Result, place: tuple[str, str], plain: str, token: str) -> _Stage:
    facts = {f"{group}.{key}": value for key, value in result.manifest.get(group, {}).items() if key != UNIQUE}
    settings = {
        f"{group}.{key}{inner}": value
        for key, given in result.manifest.get("config", {}).get(group, {}).items()
        if key not in {"name", "languages"}
        for inner, value in _parts(given)
    }
    settings |= {key: value for key, value in facts.items() if key.partition(".")[2] in _ARITHMETIC}
    return _Stage(place, plain, token, settings, facts, result.folder)


def _parts(value: Any) -> list[tuple[str, Any]]:
    """A setting's value, or those of its own settings."""
    return [(f".{key}", inner) for key, inner in value.items()] if isinstance(value, Mapping) else [("", value)]


def _told_apart(stages: Sequence[_Stage]) -> tuple[list[str], list[str]]:
    """A name for each, and what those mean that are not plain."""
    found, lines = [one.plain for one in stages], []
    for way in (_by_settings, _by_kind, _by_facts, _by_folder):
        for name, rows in _alike(stages, found).items():
            endings, line = way(name, [stages[row] for row in rows])
            for row, ending in zip(rows, endings, strict=True):
                found[row] += ending
            lines += [line] if line else []
    return found, lines


def _alike(stages: Sequence[_Stage], labels: Sequence[str]) -> dict[str, list[int]]:
    """Names that several systems share in some place, with all that have them anywhere."""
    tokens: dict[tuple[str, tuple[str, str]], set[str]] = {}
    for one, label in zip(stages, labels, strict=True):
        tokens.setdefault((label, one.place), set()).add(one.token)
    shared = dict.fromkeys(label for (label, _), own in tokens.items() if len(own) > 1)
    return {name: [row for row, label in enumerate(labels) if label == name] for name in shared}


def _differing(some: Sequence[_Stage], of: Callable[[_Stage], Mapping[str, Any]]) -> list[str]:
    """Keys with several values in a place that all there have, in their order."""
    places: dict[tuple[str, str], list[_Stage]] = {}
    for one in some:
        places.setdefault(one.place, []).append(one)
    found: dict[str, None] = {}
    for own in places.values():
        for key in of(own[0]):
            if all(key in of(one) for one in own) and len({_plain(of(one)[key]) for one in own}) > 1:
                found[key] = None
    return list(found)


def _by_settings(name: str, some: Sequence[_Stage]) -> tuple[list[str], str]:
    keys = _differing(some, lambda one: one.settings)
    if not keys:
        return [""] * len(some), ""
    chosen = _fewest(keys, some) if len(keys) > _MOST else keys
    texts = {key: _texts([one.settings.get(key) for one in some]) for key in chosen}
    endings = [
        "".join(f" {key.rpartition('.')[2]}={texts[key][row]}" for key in chosen if key in one.settings)
        for row, one in enumerate(some)
    ]
    return endings, f"{name}: results of this name differ in {listed(keys, most=12)}"


def _fewest(keys: Sequence[str], some: Sequence[_Stage]) -> list[str]:
    """The first keys that tell as many results apart as all of them do."""

    def kinds(chosen: Sequence[str]) -> int:
        return len({(one.place, *(_plain(one.settings.get(key)) for key in chosen)) for one in some})

    chosen: list[str] = []
    for key in keys:
        if kinds([*chosen, key]) > kinds(chosen):
            chosen.append(key)
    return chosen


def _by_kind(name: str, some: Sequence[_Stage]) -> tuple[list[str], str]:
    """The kinds of rerankers or first stages, as of a model and of the file of its scores, which is replayed."""
    key = next((key for key in _differing(some, lambda one: one.facts) if key.endswith(".kind")), "")
    endings = [f" ({one.facts[key]})" if key in one.facts else "" for one in some]
    return endings, f"{name}: results of this name differ in {key}" if key else ""


def _by_facts(name: str, some: Sequence[_Stage]) -> tuple[list[str], str]:
    """Numbers, since digests and long texts are nothing to read."""
    keys = _differing(some, lambda one: one.facts)
    if not keys:
        return [""] * len(some), ""
    return _numbered(name, some, [_plain([one.facts.get(key) for key in keys]) for one in some], listed(keys, most=12))


def _by_folder(name: str, some: Sequence[_Stage]) -> tuple[list[str], str]:
    """The part of their folders that differs, as of two folders of results; else numbers."""
    folders = [one.folder.resolve().parts[::-1] for one in some]
    systems = len({(one.place, one.token) for one in some})
    for own in zip(*folders, strict=False):
        kinds = {(one.place, part) for one, part in zip(some, own, strict=True)}
        if len(kinds) == systems and not any(map(_KEYED.search, own)):
            return [f" ({part})" for part in own], f"{name}: the same settings, in {_folders(some)}"
    return _numbered(name, some, [one.token for one in some], "nothing that their manifests say")


def _numbered(name: str, some: Sequence[_Stage], values: Sequence[str], what: str) -> tuple[list[str], str]:
    """Numbers in the order of the folders, so that they do not depend on that of the results."""
    by_folder = [value for _, value in sorted(zip((one.folder.parts for one in some), values, strict=True))]
    numbers = {value: number for number, value in enumerate(dict.fromkeys(by_folder), start=1)}
    endings = [f" ({numbers[value]})" for value in values]
    return endings, f"{name}: {_folders(some)} differ in {what}"


def _folders(some: Sequence[_Stage]) -> str:
    return listed([str(folder) for folder in sorted({one.folder for one in some})], most=12)


def _texts(values: Sequence[Any]) -> list[str]:
    """Values of a setting as a name has them: short, and different where they are."""
    known = {_plain(value): _text(value) for value in values}
    if any("/" in text for text in known.values()):
        return [_tail(known[_plain(value)], known.values()) for value in values]
    return [known[_plain(value)] for value in values]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(map(_text, value)) or "none"
    text = str(value).lower() if value is None or isinstance(value, bool) else str(value)
    if _HEX.fullmatch(text):  # a revision
        return text[:7]
    return text if "/" in text or len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _tail(path: str, paths: Any) -> str:
    """So much of the end of a path as no other one has."""
    own, others = path.split("/"), [other.split("/") for other in paths if other != path]
    for length in range(1, len(own)):
        if all(other[-length:] != own[-length:] for other in others):
            return "/".join(own[-length:])
    return path


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
