"""Lock files: who makes something, and who is using it. The system releases them when a process ends, whatever ends it.

<folder>/<name>.lock       held while something is made, and for a moment by who begins to use it
<folder>/<name>.<n>.lock   held by the n-th of those that are using it; which number is whose says nothing
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


class Locks:
    """Locks by name, in a folder that processes share.

    Args:
        folder: made when something is first locked.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._using: dict[str, FileLock] = {}

    @contextmanager
    def working(self, name: str) -> Iterator[None]:
        """Keep others from the same work; waits for who is at it, and tells so.

        Raises:
            OSError: the folder cannot be written.
        """
        path = self._folder / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            logger.warning("another process is at the same work and holds %s. Waiting for it.", path)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def use(self, name: str) -> None:
        """Have others know that this process is using something, until this object is gone. Within `working`.

        Raises:
            OSError: the folder cannot be written.
        """
        for number in count() if name not in self._using else ():
            lock = FileLock(self._folder / f"{name}.{number}.lock", thread_local=False)
            with suppress(Timeout):
                lock.acquire(timeout=0)
                self._using[name] = lock
                return

    @contextmanager
    def idle(self, name: str) -> Iterator[bool]:
        """Whether nobody makes or uses something; then nobody begins to within the `with` block.

        Raises:
            OSError: the folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            yield self._take(f"{name}.lock", held) and self._unused(name, held)

    def unused(self, name: str) -> bool:
        """Whether nobody but this object is using something. Within `working`.

        Raises:
            OSError: the folder cannot be written.
        """
        with ExitStack() as held:
            return self._unused(name, held)

    def _unused(self, name: str, held: ExitStack) -> bool:
        own = self._using.get(name)
        taken = [path.name for path in self._folder.glob(f"{name}.*.lock") if own is None or own.lock_file != str(path)]
        return all(self._take(one, held) for one in taken)

    def _take(self, file: str, held: ExitStack) -> bool:
        lock = FileLock(self._folder / file)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        held.callback(lock.release)
        return True
