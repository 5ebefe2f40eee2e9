"""A folder of results as it is now: what runs, what broke off, what is done. Takes no lock and changes no file."""

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.errors import ResultError
from evalkit.results.manifest import MANIFEST, read_manifest
from evalkit.system.running import FOLDER, RUNNING, Running, is_recent, read

FIRST_STAGE = "first stage"


class Finished(NamedTuple):
    """A result that is there.

    Attributes:
        dataset: its name; `first_stage` is that with its depth.
        reranker: its name; `first stage` for candidates.
        measure: the first that was asked for; `value` is its mean.
        seconds: seconds of work.
        written: time of its last change, in seconds since the epoch.
        overrides: what was typed after `evalkit evaluate`; empty for one from Python.
    """

    dataset: str
    first_stage: str
    reranker: str
    measure: str
    value: float
    seconds: float
    written: float
    overrides: tuple[str, ...] = ()


class Look(NamedTuple):
    """What was seen.

    Attributes:
        running: evaluations that run, the longest first.
        broken: those that failed, were interrupted or killed within a day, the last first.
        finished: results, the last first.
    """

    running: list[Running]
    broken: list[Running]
    finished: list[Finished]


@dataclass
class Watch:
    """Looks at a folder again and again, and reads only what changed.

    Attributes:
        folder: the folder of results.
    """

    folder: Path
    _known: dict[Path, tuple[float, Finished | None]] = field(default_factory=dict)

    def look(self) -> Look:
        """The folder as it is now.

        Raises:
            ResultError: there is no such folder.
        """
        if not self.folder.is_dir():
            raise ResultError(f"{self.folder}: there is no such folder. Give the folder of results, results_dir.")
        records = [found for path in sorted(self.folder.glob(f"{FOLDER}/*.json")) if (found := read(path))]
        recent = [one for one in records if is_recent(one)]
        return Look(
            sorted((one for one in recent if one.state == RUNNING), key=lambda one: one.started),
            sorted((one for one in recent if one.state != RUNNING), key=lambda one: -one.updated),
            sorted(self._finished(), key=lambda one: -one.written),
        )

    def _finished(self) -> Iterator[Finished]:
        for path in _manifests(self.folder):
            try:
                changed = path.stat().st_mtime
            except OSError:  # replaced a moment ago
                continue
            if path not in self._known or self._known[path][0] != changed:
                self._known[path] = changed, _finished(path, changed)
            if (found := self._known[path][1]) is not None:
                yield found


def _manifests(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if MANIFEST in files:
            yield Path(place) / MANIFEST


def _finished(path: Path, changed: float) -> Finished | None:
    try:
        found: dict[str, Any] = read_manifest(path.parent)
    except ResultError:  # of a damaged one `compare` says what is wrong
        return None
    measure = found["config"]["measures"][0]
    if measure not in found["measures"]:
        measure = next(iter(found["measures"]))
    stage = f"{found['retriever']['name']}-{found['retriever']['depth']}"
    reranker = found.get("reranker", {}).get("name", FIRST_STAGE)
    value, name, overrides = found["measures"][measure], found["dataset"]["name"], _typed(found["command"])
    return Finished(name, stage, reranker, measure, value, found["seconds"], changed, overrides)


def _typed(command: str) -> tuple[str, ...]:
    _, is_evaluation, typed = command.partition("evalkit evaluate ")
    try:
        return tuple(shlex.split(typed)) if is_evaluation else ()
    except ValueError:  # Python's own `command`, with an open quote
        return ()
