"""What is in the store: sizes, ages, what made each, whether it is whole, and which kept results need it.

Results say in their manifests which artefacts they were made from, and the store remembers where results are. So what
a result needs is known wherever it is kept.
"""

import hashlib
import json
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evalkit.errors import ResultError
from evalkit.journal import damage
from evalkit.results import MANIFEST
from evalkit.store import FACTS, LOCKS, PARTIAL, RESULTS, Store, fault_of

DOWNLOADS = "downloads"
_REMOVED = ".removed-"
_LOGS = "*.log"


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


def artefacts(store: Store, *, results: Sequence[Path] = (), forget: Sequence[Path] = ()) -> list[Artefact]:
    """Everything in a store, the largest first.

    Args:
        store: that is looked through.
        results: folders of results that need their artefacts, beside those that the store remembers.
        forget: folders of results that are gone, and need nothing.

    Raises:
        ResultError: a folder of results cannot be read, so that nobody can tell what it needs.
    """
    needs = _needs(store, results, forget)
    found = [_artefact(kind, path, needs) for kind, path in _folders(store)]
    return sorted(found, key=lambda one: (-one.size, one.kind, one.name))


def fault(artefact: Artefact) -> str | None:
    """What is wrong with an artefact, or None. Reads every byte."""
    if artefact.state == "leftover":
        return "was left by a process that was killed; `evalkit cache prune` removes it"
    if artefact.state == "unfinished":
        return None
    if artefact.kind == DOWNLOADS:
        wrong = [file.name for file in _files(artefact.path) if _md5(file) != artefact.name]
        return f"{wrong[0]} is not the file that was published" if wrong else None
    logs = sorted(artefact.path.glob(_LOGS))
    if logs:
        return next((f"{log.name}: {told}" for log in logs if (told := damage(log))), None)
    return fault_of(artefact.path)


def prunable(found: Sequence[Artefact], *, unused_for: float) -> list[Artefact]:
    """What no kept result needs, and nobody asked for in so many seconds; leftovers in any case."""
    limit = time.time() - unused_for
    return [one for one in found if one.state == "leftover" or (not one.needed_by and one.used <= limit)]


def remove(store: Store, artefact: Artefact) -> bool:
    """Remove an artefact, unless a process is at work on it; a kill meanwhile leaves it whole or gone.

    Raises:
        ResultError: it cannot be removed.
    """
    lock = FileLock(store.root / LOCKS / f"{artefact.kind}-{artefact.name}.lock")
    logs = [FileLock(log.with_name(f".{log.name}.lock")) for log in artefact.path.glob(_LOGS)]
    held: list[FileLock] = []
    try:
        for one in (lock, *logs):
            Path(one.lock_file).parent.mkdir(parents=True, exist_ok=True)
            one.acquire(timeout=0)
            held.append(one)
        gone = artefact.path.with_name(f"{_REMOVED}{artefact.name}")
        artefact.path.rename(gone)
        shutil.rmtree(gone)
    except Timeout:
        return False
    except OSError as error:
        raise ResultError(f"{artefact.path}: cannot be removed ({error.strerror or error}).") from error
    finally:
        for one in held:
            one.release()
    return True


def _folders(store: Store) -> Iterator[tuple[str, Path]]:
    if not store.root.is_dir():
        return
    for kind in sorted(store.root.iterdir()):
        if kind.is_dir() and kind.name not in {LOCKS, RESULTS}:
            yield from ((kind.name, path) for path in sorted(kind.iterdir()) if path.is_dir())


def _artefact(kind: str, path: Path, needs: Mapping[str, set[str]]) -> Artefact:
    files = list(_files(path, hidden=True))
    record = _record(path)
    own = path.stat()
    name = path.name.removeprefix(PARTIAL)
    part = any(file.suffix == ".part" for file in files)
    state = "unfinished" if path.name.startswith(PARTIAL) or part else "whole"
    made = (path / FACTS).stat().st_mtime if (path / FACTS).is_file() else own.st_mtime
    return Artefact(
        kind=kind,
        name=name,
        path=path,
        state="leftover" if name.startswith(".") else state,
        size=sum(file.stat().st_size for file in files),
        made=made,
        used=max([own.st_mtime, *(file.stat().st_mtime for file in files)]),
        label=str(record.get("label") or ", ".join(file.name for file in files if not file.name.startswith("."))),
        facts=record.get("facts") or {},
        needed_by=tuple(sorted(needs[f"{kind}/{name}"])) if f"{kind}/{name}" in needs else (),
    )


def _files(folder: Path, *, hidden: bool = False) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (hidden or not (path.name.startswith(".") or path.suffix in {".lock", ".part"})):
            yield path


def _record(folder: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        record = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if isinstance(record, dict):
            return record
    return {}


def _needs(store: Store, results: Sequence[Path], forget: Sequence[Path]) -> dict[str, set[str]]:
    """Names of artefacts, and the folders of the results that need each."""
    gone = {path.expanduser().resolve() for path in forget}
    needs = defaultdict[str, set[str]](set)
    for root in dict.fromkeys([*_remembered(store), *(path.expanduser().resolve() for path in results)]):
        if root in gone:
            continue
        if not root.is_dir():
            raise ResultError(
                f"{root}: results were kept there, and now there is no such folder, so nobody can tell what they need. "
                f"Mount it again, or if it is gone, give --forget {root}."
            )
        for path in root.rglob(MANIFEST):
            for name in _artefacts_of(path):
                needs[name].add(str(path.parent))
    return needs


def _remembered(store: Store) -> list[Path]:
    found = []
    for path in sorted((store.root / RESULTS).glob("*.json")):
        try:
            found.append(Path(json.loads(path.read_text(encoding="utf-8"))["folder"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ResultError(f"{path}: does not say where results are. Remove it, and give their folder.") from error
    return found


def _artefacts_of(path: Path) -> list[str]:
    try:
        named = json.loads(path.read_text(encoding="utf-8"))["artefacts"]
        return [str(name) for name in named]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ResultError(
            f"{path}: does not say what it was made from. Remove {path.parent}, or give --forget with the folder of "
            "all these results."
        ) from error


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
