"""What is in the store: sizes, ages, what made each, whether it is whole, and which kept results need it.

Results say in their manifests which artefacts they were made from, and the store remembers where results are. So what
a result needs is known wherever it is kept. What evalkit did not make is neither told of nor touched: an artefact is a
folder of a known kind, named as one, that says what it is.
"""

import hashlib
import json
import logging
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.errors import ResultError
from evalkit.results.manifest import MANIFEST, read_manifest
from evalkit.store import PARTIAL, RESULTS, Store, results_note
from evalkit.store.artefact import DOWNLOADS, FACTS, GROWING, KINDS, fault_of, record_of, strays
from evalkit.store.journal import damage
from evalkit.system.files import is_file, is_folder, read_file, remove, resolved, walk

logger = logging.getLogger(__name__)

Needs = Mapping[str, set[str]]
"""Name of an artefact, such as `corpora/<digest>` -> folders of the results that need it."""

_REMOVED = ".removed-"
_DIGEST, _MD5 = "[0-9a-f]{64}", "[0-9a-f]{32}"
_LEFT = re.compile(rf"{re.escape(_REMOVED)}(?:{_DIGEST}|{_MD5})|\.building-(?:{_DIGEST}|\w+-\d+-\w+)")
_NOTE = re.compile(r"[0-9a-f]{32}\.json")
_AT_A_TIME = 100  # locks are open files


@dataclass(frozen=True)
class Artefact:
    """One folder of the store.

    Attributes:
        kind: such as `embeddings`.
        name: the digest of its facts, or the published checksum of a download.
        path: where it is.
        state: `whole`, `unfinished` (the command that makes it goes on with it), or `leftover`.
        size: bytes.
        made: seconds since the epoch.
        used: when it was last asked for, likewise.
        label: what it was made by, and of.
        facts: all that it was made from.
        needed_by: folders of the results that need it.
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
    needed_by: tuple[str, ...] = field(default=())


def artefacts(store: Store, needs: Needs | None = None) -> list[Artefact]:
    """Everything in a store, the largest first; `needs` as the function of that name gives them."""
    found = []
    for kind, path in _places(store):
        with suppress(FileNotFoundError):  # gone meanwhile
            if _is_artefact(kind, path):
                found.append(_artefact(kind, path, needs or {}))
    return sorted(found, key=lambda one: (-one.size, one.kind, one.name))


def misplaced(store: Store) -> list[Path]:
    """What has the place of an artefact and is none: links, files, and folders that do not say what they are."""
    return [path for kind, path in _places(store) if not _is_artefact(kind, path)]


def fault(artefact: Artefact) -> str | None:
    """What is wrong with an artefact, or None. Reads every byte."""
    if artefact.state == "leftover":
        return "was left by a process that was killed; `evalkit cache prune` removes it"
    try:
        if artefact.kind != DOWNLOADS and artefact.state == "whole":
            told = fault_of(artefact.path, grows=artefact.kind in GROWING)
        else:
            told = next((f"{one.name} is no file" for one in strays(artefact.path, flat=True)), None)
        return told or _wrong_content(artefact)
    except (OSError, ResultError) as error:
        return f"cannot be read ({error})"


def _wrong_content(artefact: Artefact) -> str | None:
    """What is wrong with files that no `facts.json` has checksums of."""
    if artefact.state == "unfinished":
        return None
    if artefact.kind == DOWNLOADS:
        wrong = [file.name for file in _files(artefact.path) if _md5(file) != artefact.name]
        return f"{wrong[0]} is not the file that was published" if wrong else None
    logs = sorted(artefact.path.glob("*.log")) if artefact.kind in GROWING else []
    faults = {log.name: damage(log, head=artefact.name.encode()) for log in logs}
    return next((f"{name}: {told}" for name, told in faults.items() if told), None)


def prunable(found: Sequence[Artefact], *, unused_for: float) -> list[Artefact]:
    """What no kept result needs, and nobody asked for in so many seconds; leftovers in any case."""
    limit = time.time() - unused_for
    return [one for one in found if one.state == "leftover" or (not one.needed_by and one.used <= limit)]


def prune(store: Store, chosen: Sequence[Artefact], results: Sequence[Path], forget: Sequence[Path]) -> list[Artefact]:
    """Remove artefacts, but for those that a process uses or a result needs by now; a kill leaves each whole or gone.

    Args:
        store: that they are in.
        chosen: what `prunable` gave.
        results: as for `needs`.
        forget: as for `needs`.

    Returns:
        Those that stay.

    Raises:
        ResultError: one cannot be removed, or nobody can tell what results need.
    """
    stay: list[Artefact] = []
    for start in range(0, len(chosen), _AT_A_TIME):
        some = chosen[start : start + _AT_A_TIME]
        with ExitStack() as held:
            marks = {(one.kind, one.name) for one in some}
            idle = {mark for mark in marks if held.enter_context(store.idle(*mark))}
            # Whoever used one until now has kept its results by now, and whoever wants one waits.
            needed = needs(store, results, forget)
            for one in some:
                if (one.kind, one.name) in idle and (one.state == "leftover" or not needed.get(_mark(one))):
                    _remove(one)
                else:
                    stay.append(one)
    return stay


def _mark(artefact: Artefact) -> str:
    return f"{artefact.kind}/{artefact.name}"


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


def _artefact(kind: str, path: Path, needs: Needs) -> Artefact:
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
        needed_by=() if left else tuple(sorted(needs.get(f"{kind}/{name}", ()))),
    )


def _files(folder: Path, *, hidden: bool = False) -> Iterator[Path]:
    for path in walk(folder):
        if is_file(path) and (hidden or not (path.name.startswith(".") or path.suffix in {".lock", ".part"})):
            yield path


def needs(store: Store, results: Sequence[Path] = (), forget: Sequence[Path] = (), *, strict: bool = True) -> Needs:
    """Names of artefacts, and the folders of the results that need each.

    Args:
        store: that remembers where results are.
        results: folders of results that need their artefacts, beside those that the store remembers.
        forget: folders of results that are gone, and need nothing.
        strict: whether a folder that cannot be read is an error; else it is told of, and what it needs is not known.

    Raises:
        ResultError: a folder of results cannot be read, so that nobody can tell what it needs.
    """
    gone = {resolved(path) for path in forget}
    found = defaultdict[str, set[str]](set)
    roots = [resolved(path) for path in results]
    for note in _notes(store):
        with _telling(strict=strict):
            roots.append(_remembered(store, note))
    for root in dict.fromkeys(one for one in roots if one not in gone):
        with _telling(strict=strict):
            for name, folder in _needed_below(root):
                found[name].add(folder)
    return found


@contextmanager
def _telling(*, strict: bool) -> Iterator[None]:
    try:
        yield
    except ResultError as error:
        if strict:
            raise
        logger.warning("%s What is needed there is not told.", error)


def _notes(store: Store) -> Iterable[Path]:
    folder = store.root / RESULTS
    return sorted(path for path in folder.iterdir() if _NOTE.fullmatch(path.name)) if folder.is_dir() else ()


def _remembered(store: Store, note: Path) -> Path:
    folder: Path | None = None
    with suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        folder = Path(json.loads(read_file(note))["folder"])
    if folder is None or results_note(store.root, folder) != note:
        raise ResultError(f"{note}: does not say where results are. Remove it, and give their folder.")
    return folder


def _needed_below(root: Path) -> Iterator[tuple[str, str]]:
    """Names of artefacts and the results that need them, in a folder and all below, also behind links."""
    if not root.is_dir():
        raise ResultError(
            f"{root}: results were kept there, and now there is no such folder, so nobody can tell what they need. "
            f"Mount it again. If it was moved, give its new place and --forget {root}; if it is gone, only that."
        )
    for folder in _below(root, root, set()):
        if os.path.lexists(folder / MANIFEST):
            try:
                names = read_manifest(folder)["artefacts"]
            except ResultError as error:
                raise ResultError(
                    f"{folder / MANIFEST}: does not say what it was made from: {error} Or give --forget with the "
                    "folder of all these results."
                ) from error
            yield from ((name, str(folder)) for name in names)


def _below(root: Path, folder: Path, seen: set[Path]) -> Iterator[Path]:
    """A folder and all below that were not seen, also behind links, but for results that are just being written."""
    try:
        place = folder.resolve(strict=True)  # also of a link that leads nowhere
        if not folder.is_dir() or place in seen:
            return
        seen.add(place)
        yield folder
        inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".building-")]
        for path in inside:
            yield from _below(root, path, seen)
    except (OSError, RuntimeError) as error:
        raise ResultError(
            f"{folder}: cannot be read ({error}), so nobody can tell what the results there need. Let it be read, or "
            f"give --forget {root}."
        ) from error


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
