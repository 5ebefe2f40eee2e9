"""Content-addressed folders on disk: built once, found again by everything that made them.

An artefact is a folder named by the digest of its facts. It is built under another name and renamed when whole, so a
folder with its final name is complete. Knows nothing of what is inside.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from evalkit.errors import EvalkitError, ResultError
from evalkit.folders import atomic_write, file_digest

logger = logging.getLogger(__name__)

FACTS = "facts.json"
PARTIAL = ".partial-"
LOCKS, RESULTS = "locks", "results"


def digest(facts: Mapping[str, object]) -> str:
    """SHA-256 of facts as canonical JSON; equal facts have equal digests, whatever their order."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()).hexdigest()


class Store:
    """Artefacts that are kept between runs: corpora, embeddings, scores.

        <root>/<kind>/<digest of the facts>/   what was made, and facts.json
        <root>/<kind>/.partial-<digest>/       what is being made, or was when its process was killed
        <root>/locks/                          held by the process that makes something, until it ends or dies
        <root>/results/                        which folders of results there are: what these need is never pruned

    Args:
        root: the folder; made when something is first kept.

    Attributes:
        used: names of the artefacts that were asked for, such as `corpora/<digest>`; for the manifest.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.used: set[str] = set()
        self._scratch: dict[str, Path] = {}

    def folder(
        self,
        kind: str,
        facts: Mapping[str, object],
        build: Callable[[Path], None],
        *,
        label: str = "",
        resumable: bool = False,
    ) -> Path:
        """The artefact of this kind and these facts, built if it is not there yet, or is damaged.

        Of several processes that ask for it, one builds and the others wait.

        Args:
            kind: of the artefact.
            facts: all that it is made from.
            build: fills the folder that it is given.
            label: what people call what it was made by, and of.
            resumable: whether `build` goes on in a folder that a process which was killed left.

        Raises:
            ResultError: the store cannot be written.
        """
        name = digest(facts)
        target = self.root / kind / name
        self.used.add(f"{kind}/{name}")
        if _is_whole(target):
            return target
        with self.lock(f"{kind}-{name}"):
            if not _is_whole(target):  # nor did the process that we waited for make it
                with _writing(target):
                    self._build(target, {"facts": facts, "label": label}, build, resumable=resumable)
        return target

    def _build(
        self, target: Path, record: Mapping[str, object], build: Callable[[Path], None], *, resumable: bool
    ) -> None:
        partial = target.with_name(f"{PARTIAL}{target.name}")
        if target.exists():
            shutil.rmtree(target)
        if partial.exists() and not resumable:
            shutil.rmtree(partial)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            if resumable:
                atomic_write(partial / FACTS, _dump(record))  # for whoever wonders what this is
            build(partial)
            atomic_write(partial / FACTS, _dump({**record, "files": _describe_files(partial)}))
            partial.rename(target)
        except BaseException:
            if not resumable:
                shutil.rmtree(partial, ignore_errors=True)
            raise

    def peek(self, kind: str, facts: Mapping[str, object]) -> Path:
        """Where an artefact of these facts is, or would be; it is not asked for, nor looked at."""
        return self.root / kind / digest(facts)

    def growing(self, kind: str, facts: Mapping[str, object], *, label: str = "", needed: bool = True) -> Path:
        """The folder of an artefact that grows with use and checks itself, such as a `Journal`.

        Args:
            kind: of the artefact.
            facts: all that decides what is in it.
            label: what people call what it is made by, and of.
            needed: whether the result of this evaluation rests on it.

        Raises:
            ResultError: the store cannot be written.
        """
        name = digest(facts)
        target = self.root / kind / name
        if needed:
            self.used.add(f"{kind}/{name}")
        with _writing(target):
            target.mkdir(parents=True, exist_ok=True)
            if not (target / FACTS).is_file():
                atomic_write(target / FACTS, _dump({"facts": facts, "label": label}))
            _touch(target)
        return target

    @contextmanager
    def scratch(self, kind: str, facts: Mapping[str, object], *, label: str = "") -> Iterator[Path]:
        """A folder for work that goes on where it stopped, and which nobody needs once its result is kept: see `tidy`.

        Of several processes with the same facts, one is in the `with` block and the others wait.

        Raises:
            ResultError: the store cannot be written.
        """
        name = digest(facts)
        target = self.root / kind / f"{PARTIAL}{name}"
        with self.lock(f"{kind}-{name}"):
            with _writing(target):
                target.mkdir(parents=True, exist_ok=True)
                atomic_write(target / FACTS, _dump({"facts": facts, "label": label}))
            self._scratch[f"{kind}-{name}"] = target
            yield target

    def tidy(self) -> None:
        """Remove the scratch folders of this object, but for those that another process is using."""
        for name, folder in self._scratch.items():
            with suppress(Timeout, OSError), FileLock(self.root / LOCKS / f"{name}.lock", timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        self._scratch = {}

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other processes from the same work; the system releases it when a process dies.

        Raises:
            ResultError: the store cannot be written.
        """
        path = self.root / LOCKS / f"{name}.lock"
        lock = FileLock(path)
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logger.warning("another process is at the same work and holds %s. Waiting for it.", path)
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def note_results(self, folder: Path) -> None:
        """Remember where results are, so that what they need is not pruned."""
        folder = folder.resolve()
        path = self.root / RESULTS / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"
        if not path.exists():
            with _writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                atomic_write(path, _dump({"folder": str(folder)}))


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise ResultError(
            f"{error.filename or path}: cannot be written ({error.strerror or error}). Make room or choose another "
            "cache_dir, and run the same command again: it goes on where it stopped."
        ) from error


def _is_whole(target: Path) -> bool:
    """Whether an artefact is there; a damaged one is named, and is not."""
    if not target.exists():
        return False
    if fault := fault_of(target):
        logger.warning("%s: %s. It is built anew.", target, fault)
        return False
    _touch(target)
    return True


def _touch(target: Path) -> None:
    """Note when an artefact was last used."""
    with suppress(OSError):  # a cache that cannot be written can be read
        os.utime(target)


def _dump(record: Mapping[str, object]) -> str:
    return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _describe_files(folder: Path) -> dict[str, dict[str, object]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FACTS)
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in files
    }


def content_digest(folder: Path) -> str:
    """SHA-256 of what an artefact holds, by the checksums that were recorded when it was made."""
    return digest(json.loads((folder / FACTS).read_text(encoding="utf-8"))["files"])


def fault_of(folder: Path) -> str | None:
    """What is wrong with an artefact, or None if it is whole. Reads every byte: about a second a gigabyte."""
    try:
        recorded = json.loads((folder / FACTS).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"{FACTS} is absent or damaged"
    if not isinstance(recorded, dict):
        return f"{FACTS} is damaged"
    try:
        found = _describe_files(folder)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    changed = sorted(name for name in {*recorded, *found} if recorded.get(name) != found.get(name))
    return f"{changed[0]} is not the file that was written" if changed else None


def open_store(cache_dir: str | None = None) -> Store:
    """The store in a folder, or in the default one."""
    return Store(Path(cache_dir).expanduser() if cache_dir else default_cache_dir())


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/evalkit`, by default `~/.cache/evalkit`."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "evalkit"
    except RuntimeError as error:  # no home folder
        raise EvalkitError("there is no home folder for the cache. Set cache_dir=FOLDER.") from error
