"""The content of the store: sizes, ages, origin and integrity of each artefact, and removing old ones.

What evalkit did not make is neither listed nor touched: an artefact is a folder of a known kind, named as one, that
says what it is.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import ResultError
from evalkit.store import PARTIAL, Store
from evalkit.store.artefact import DOWNLOADS, FACTS, GROWING, KINDS, fault_of, record_of, strays
from evalkit.store.journal import damage
from evalkit.system.files import is_file, is_folder, remove, walk

YOUNGEST = 3600.0
"""Seconds for which an artefact is never pruned after it was used: whoever asked for it may not have opened it yet."""
_REMOVED = ".removed-"
_DIGEST, _MD5 = "[0-9a-f]{64}", "[0-9a-f]{32}"
_LEFT = re.compile(rf"{re.escape(_REMOVED)}(?:{_DIGEST}|{_MD5})|\.building-(?:{_DIGEST}|\w+-\d+-\w+)")


@dataclass(frozen=True)
class Artefact:
    """One folder of the store.

    Attributes:
        kind: such as `embeddings`.
        name: the digest of its facts, or the published checksum of a download.
        path: where it is.
        state: `whole`, `unfinished` (the command that makes it resumes there), or `leftover`.
        size: bytes.
        made: seconds since the epoch.
        used: when it was last asked for or added to, likewise.
        label: what it was made by, and of.
        facts: all that it was made from.
    """

    kind: str
    name: str
    path: Path
    state: str
    size: int
    made: float
    used: float
    label: str
    facts: Mapping[str, Any]


def artefacts(store: Store) -> list[Artefact]:
    """Everything in a store, the largest first."""
    found = []
    for kind, path in _places(store):
        with suppress(FileNotFoundError):  # gone meanwhile
            if _is_artefact(kind, path):
                found.append(_artefact(kind, path))
    return sorted(found, key=lambda artefact: (-artefact.size, artefact.kind, artefact.name))


def misplaced(store: Store) -> list[Path]:
    """Entries in the place of an artefact that are none: links, files, folders without a description."""
    return [path for kind, path in _places(store) if not _is_artefact(kind, path)]


def fault(artefact: Artefact) -> str | None:
    """The fault of an artefact, or None. Reads every byte."""
    if artefact.state == "leftover":
        return "was left by a process that was killed; `evalkit cache prune` removes it"
    try:
        if artefact.kind != DOWNLOADS and artefact.state == "whole":
            told = fault_of(artefact.path, grows=artefact.kind in GROWING)
        else:
            told = next((f"{path.name} is not a regular file" for path in strays(artefact.path, flat=True)), None)
        return told or _wrong_content(artefact)
    except (OSError, ResultError) as error:
        return f"cannot be read ({error})"


def _wrong_content(artefact: Artefact) -> str | None:
    """The fault of files without checksums in a `facts.json`, or None."""
    if artefact.state == "unfinished":
        return None
    if artefact.kind == DOWNLOADS:
        wrong = [file.name for file in _files(artefact.path) if _md5(file) != artefact.name]
        return f"{wrong[0]} is not the file that was published" if wrong else None
    logs = sorted(artefact.path.glob("*.log")) if artefact.kind in GROWING else []
    faults = {log.name: damage(log, head=artefact.name.encode()) for log in logs}
    return next((f"{name}: {told}" for name, told in faults.items() if told), None)


def prunable(found: Sequence[Artefact], *, unused_for: float) -> list[Artefact]:
    """Artefacts unused for so many seconds; leftovers in any case."""
    limit = time.time() - max(unused_for, YOUNGEST)
    return [artefact for artefact in found if artefact.state == "leftover" or artefact.used <= limit]


def prune(store: Store, chosen: Sequence[Artefact], *, unused_for: float) -> list[Artefact]:
    """Remove artefacts, except those that a process is making, or has used since they were chosen.

    A killed prune leaves each artefact whole or gone. A running process loses nothing: it holds the lock of what it
    makes, it marks what it asks for as used, and the files that it has open stay readable until it closes them.

    Args:
        store: that they are in.
        chosen: as `prunable` gave them.
        unused_for: seconds, as for `prunable`.

    Returns:
        Those that stay.

    Raises:
        ResultError: one cannot be removed.
    """
    stay: list[Artefact] = []
    for artefact in chosen:
        with store.lock(f"{artefact.kind}-{artefact.name}", wait=False) as free:
            # Whoever wants it from here on waits for the lock, and makes it again.
            if free and prunable(_again(artefact), unused_for=unused_for):
                _remove(artefact)
            elif artefact.path.exists():
                stay.append(artefact)
    return stay


def _again(artefact: Artefact) -> list[Artefact]:
    """The artefact as it is now; empty where it is gone."""
    with suppress(FileNotFoundError):
        return [_artefact(artefact.kind, artefact.path)]
    return []


def _remove(artefact: Artefact) -> None:
    try:
        gone = artefact.path
        if artefact.state != "leftover":
            gone = artefact.path.with_name(f"{_REMOVED}{artefact.name}")
            remove(gone)
            artefact.path.rename(gone)
        remove(gone)
    except FileNotFoundError:
        pass  # somebody else was quicker
    except OSError as error:
        raise ResultError(f"{artefact.path}: cannot be removed ({error.strerror or error}).") from error


def _places(store: Store) -> Iterator[tuple[str, Path]]:
    """Where artefacts are, or should be, by their names; nothing that is reached through a link."""
    for kind in KINDS:
        legal = re.compile(_MD5 if kind == DOWNLOADS else f"({re.escape(PARTIAL)})?{_DIGEST}")
        for path in sorted((store.root / kind).iterdir()) if is_folder(store.root / kind) else ():
            if legal.fullmatch(path.name) or (_LEFT.fullmatch(path.name) and is_folder(path)):
                yield kind, path


def _is_artefact(kind: str, path: Path) -> bool:
    says = kind == DOWNLOADS or _LEFT.fullmatch(path.name) is not None
    return is_folder(path) and (says or is_file(path / FACTS))


def _artefact(kind: str, path: Path) -> Artefact:
    files = list(_files(path, hidden=True))
    record: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        record = record_of(path)
    own = path.stat()
    name = path.name.removeprefix(PARTIAL).removeprefix(_REMOVED)
    part = any(file.suffix == ".part" for file in files)
    state = "unfinished" if path.name.startswith(PARTIAL) or part else "whole"
    left = _LEFT.fullmatch(path.name) is not None
    facts = record.get("facts")
    return Artefact(
        kind=kind,
        name=name,
        path=path,
        state="leftover" if left else state,
        size=sum(file.stat().st_size for file in files),
        made=(path / FACTS).stat().st_mtime if is_file(path / FACTS) else own.st_mtime,
        used=max([own.st_mtime, *(file.stat().st_mtime for file in files)]),
        label=str(record.get("label") or ", ".join(file.name for file in files if not file.name.startswith("."))),
        facts=facts if isinstance(facts, dict) else {},
    )


def _files(folder: Path, *, hidden: bool = False) -> Iterator[Path]:
    for path in walk(folder):
        if is_file(path) and (hidden or not (path.name.startswith(".") or path.suffix in {".lock", ".part"})):
            yield path


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
