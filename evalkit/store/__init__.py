"""Content-addressed folders on disk: built once, found again by everything that made them.

An artefact is a folder named by the digest of its facts. It is built under another name and renamed when whole, so a
folder with its final name is complete. Knows nothing of what is inside; see `artefact`.
"""

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from evalkit.errors import EvalkitError, ResultError
from evalkit.store.artefact import FACTS, clear, describe_files, digest, dump, fault_of, fault_of_facts, open_folder
from evalkit.system.files import atomic_write, expanded, is_file, read_file, remove
from evalkit.system.locks import Locks

logger = logging.getLogger(__name__)

PARTIAL = ".partial-"
LOCKS, RESULTS = "locks", "results"


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
        self._locks = Locks(root / LOCKS)

    def folder(
        self,
        kind: str,
        facts: Mapping[str, object],
        build: Callable[[Path], None],
        *,
        label: str = "",
        resumes: Collection[str] = (),
    ) -> Path:
        """The artefact of this kind and these facts, built if it is not there yet, or is damaged.

        Of several processes that ask for it, one builds and the others wait.

        Args:
            kind: of the artefact.
            facts: all that it is made from.
            build: fills the folder that it is given with files.
            label: what people call what it was made by, and of.
            resumes: names of the files with which `build` goes on in a folder that a process which was killed left;
                it makes no others. Where there are none, it begins in an empty folder.

        Raises:
            ResultError: the store cannot be written.
        """
        name = digest(facts)
        target = self.root / kind / name
        self.used.add(f"{kind}/{name}")
        self.use(kind, name)
        if _is_whole(target):
            return target
        with self.lock(f"{kind}-{name}"):
            if not _is_whole(target):  # nor did the process that we waited for make it
                with _writing(target):
                    _build(target, {"facts": facts, "label": label}, build, resumes)
        return target

    def use(self, kind: str, name: str) -> None:
        """Have an artefact stay while this object is there: nobody prunes it meanwhile."""
        with suppress(OSError), self._locks.working(f"{kind}-{name}"):  # a cache that cannot be written can be read
            self._locks.use(f"{kind}-{name}")

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
            ResultError: the store cannot be written, or it is damaged and another process is using it.
        """
        name = digest(facts)
        target, mark = self.root / kind / name, f"{kind}-{name}"
        if needed:
            self.used.add(f"{kind}/{name}")
        with _writing(target), self._locks.working(mark):
            if os.path.lexists(target) and (fault := fault_of_facts(target)):
                if not self._locks.unused(mark):
                    raise ResultError(f"{target}: {fault}, and another process is using it. Run again when it ended.")
                logger.warning("%s: %s. It is made anew.", target, fault)
                remove(target)
            self._locks.use(mark)
            target.mkdir(parents=True, exist_ok=True)
            clear(target)
            if not is_file(target / FACTS):
                atomic_write(target / FACTS, dump({"facts": facts, "label": label}))
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
                open_folder(target)
                clear(target)
                atomic_write(target / FACTS, dump({"facts": facts, "label": label}))
            self._scratch[f"{kind}-{name}"] = target
            yield target

    def tidy(self) -> None:
        """Remove the scratch folders of this object, but for those that another process is using."""
        for name, folder in self._scratch.items():
            with suppress(OSError), self._locks.idle(name) as idle:
                if idle:
                    remove(folder)
        self._scratch = {}

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other processes from the same work; the system releases it when a process dies.

        Raises:
            ResultError: the store cannot be written.
        """
        with ExitStack() as held:
            with _writing(self.root / LOCKS / f"{name}.lock"):
                held.enter_context(self._locks.working(name))
            yield

    @contextmanager
    def idle(self, kind: str, name: str) -> Iterator[bool]:
        """Whether no process makes or uses an artefact; then none begins to within the `with` block.

        Raises:
            ResultError: the store cannot be written.
        """
        with ExitStack() as held:
            with _writing(self.root / LOCKS):
                idle = held.enter_context(self._locks.idle(f"{kind}-{name}"))
            yield idle

    def note_results(self, folder: Path) -> None:
        """Remember where results are, so that what they need is not pruned."""
        folder = folder.resolve()
        path, told = results_note(self.root, folder), json.dumps({"folder": str(folder)}, indent=2) + "\n"
        try:
            if read_file(path) == told:
                return
        except (OSError, ValueError):
            pass  # absent, or not as it was written
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, told)
        except OSError as error:
            # Of a cache that can only be read, nothing is pruned either.
            logger.warning(
                "%s: cannot be written (%s), so `evalkit cache prune` knows nothing of the results in %s.",
                path,
                error.strerror or error,
                folder,
            )


def results_note(root: Path, folder: Path) -> Path:
    """The file of a store that remembers a folder of results."""
    return root / RESULTS / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.json"


def _build(target: Path, record: Mapping[str, object], build: Callable[[Path], None], resumes: Collection[str]) -> None:
    partial = target.with_name(f"{PARTIAL}{target.name}")
    remove(target)
    if not resumes:
        remove(partial)
    open_folder(partial)
    try:
        if resumes:
            clear(partial, resumes)
        atomic_write(partial / FACTS, dump(record))  # for whoever wonders what this is
        build(partial)
        if resumes:
            clear(partial, resumes)
        atomic_write(partial / FACTS, dump({**record, "files": describe_files(partial)}))
        partial.rename(target)
    except BaseException:
        if not resumes:
            with suppress(OSError):
                remove(partial)
        raise


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn what the system refuses into one line."""
    try:
        yield
    except OSError as error:
        forbidden = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        raise ResultError(
            f"{error.filename or path}: cannot be written ({error.strerror or error}). "
            + ("Choose a cache_dir that can be" if forbidden else "Make room or choose another cache_dir")
            + ", and run the same command again: it goes on where it stopped."
        ) from error


def _is_whole(target: Path) -> bool:
    """Whether an artefact is there; a damaged one is named, and is not."""
    if not os.path.lexists(target):
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


def open_store(cache_dir: str | None = None) -> Store:
    """The store in a folder, or in the default one."""
    return Store(expanded(cache_dir) if cache_dir else default_cache_dir())


def default_cache_dir() -> Path:
    """`$XDG_CACHE_HOME/evalkit`, by default `~/.cache/evalkit`."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "evalkit"
    except RuntimeError as error:  # no home folder
        raise EvalkitError("there is no home folder for the cache. Set cache_dir=FOLDER.") from error
