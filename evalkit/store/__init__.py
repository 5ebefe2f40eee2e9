"""Content-addressed folders on disk: built once, found again by everything that made them.

An artefact is a folder named by the digest of its facts. It is built under another name and renamed when whole, so a
folder with its final name is complete. Nothing depends on what is here: whatever is removed is made again.

Whoever makes an artefact holds its lock, and whoever begins to read one marks it as used under that lock.
`inventory.prune` takes the lock as well and removes only what has not been used for an hour or more. A process that
reads longer has its files open by then, and open files stay readable after they are removed.
"""

import errno
import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from evalkit.errors import EvalkitError, ResultError
from evalkit.store.artefact import FACTS, clear, describe_files, digest, dump, fault_of, fault_of_facts, open_folder
from evalkit.system.files import atomic_write, expanded, is_file, remove
from evalkit.system.locks import locked

logger = logging.getLogger(__name__)

PARTIAL = ".partial-"
LOCKS = "locks"


class Store:
    """Artefacts that are stored between runs: corpora, embeddings, scores.

        <root>/<kind>/<digest of the facts>/   what was made, and facts.json
        <root>/<kind>/.partial-<digest>/       what is being made, or was when its process was killed
        <root>/locks/                          held by the process that makes something, until it ends or dies

    Args:
        root: the folder; made when something is first stored.

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
        resumes: Collection[str] = (),
    ) -> Path:
        """The artefact of this kind and these facts, built if it is absent or damaged.

        Of several processes that ask for it, one builds and the others wait. Open its files soon, before a prune can
        remove them.

        Args:
            kind: of the artefact.
            facts: all that it is made from.
            build: fills the folder that it is given with files.
            label: what people call what it was made by, and of.
            resumes: names of the files with which `build` resumes in a folder that a killed process left; it makes no
                others. Where there are none, it begins in an empty folder.

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
        """Note that an artefact is used now, so that it is not pruned soon."""
        with suppress(OSError), locked(self._lock_file(f"{kind}-{name}")):  # a cache that cannot be written can be read
            os.utime(self.root / kind / name)

    def peek(self, kind: str, facts: Mapping[str, object]) -> Path:
        """Where an artefact of these facts is, or would be; it is not asked for, nor looked at."""
        return self.root / kind / digest(facts)

    def growing(self, kind: str, facts: Mapping[str, object], *, label: str = "") -> Path:
        """The folder of an artefact that grows with use and checks itself, such as a `Journal`.

        Args:
            kind: of the artefact.
            facts: all that decides what is in it.
            label: what people call what it is made by, and of.

        Raises:
            ResultError: the store cannot be written.
        """
        name = digest(facts)
        target = self.root / kind / name
        self.used.add(f"{kind}/{name}")
        with _writing(target), locked(self._lock_file(f"{kind}-{name}")):
            if os.path.lexists(target) and (fault := fault_of_facts(target)):
                logger.warning("%s: %s. It is started again.", target, fault)
                remove(target)
            target.mkdir(parents=True, exist_ok=True)
            clear(target)
            if not is_file(target / FACTS):
                atomic_write(target / FACTS, dump({"facts": facts, "label": label}))
            os.utime(target)
        return target

    @contextmanager
    def scratch(self, kind: str, facts: Mapping[str, object], *, label: str = "") -> Iterator[Path]:
        """A folder for work that resumes, and which nobody needs once its result is saved: see `tidy`.

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
        """Remove the scratch folders of this object, but for those that another process is working in."""
        for name, folder in self._scratch.items():
            with suppress(OSError), locked(self._lock_file(name), wait=False) as free:
                if free:
                    remove(folder)
        self._scratch = {}

    @contextmanager
    def lock(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Keep other processes from the same work; see `locked`.

        Raises:
            ResultError: the store cannot be written.
        """
        path = self._lock_file(name)
        with ExitStack() as held:
            with _writing(path):
                is_held = held.enter_context(locked(path, wait=wait))
            yield is_held

    def _lock_file(self, name: str) -> Path:
        return self.root / LOCKS / f"{name}.lock"


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
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            remedy = "Choose a cache_dir that can be"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            remedy = "A cache_dir is a folder: choose another"
        else:
            remedy = "Make room or choose another cache_dir"
        raise ResultError(
            f"{error.filename or path}: cannot be written ({error.strerror or error}). {remedy}, and run the same "
            "command again to resume."
        ) from error


def _is_whole(target: Path) -> bool:
    """Whether an artefact is there and undamaged."""
    if not os.path.lexists(target):
        return False
    if fault := fault_of(target):
        logger.warning("%s: %s. It is built again.", target, fault)
        return False
    return True


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
