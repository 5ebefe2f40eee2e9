"""Lock files, held while something is made. The system releases them when a process ends, whatever ends it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Keep other processes from the same work within the `with` block.

    Args:
        path: of the lock.
        wait: whether to wait for the process that holds it, with a line that says so.

    Yields:
        Whether this process holds the lock; always True after waiting.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            yield False
            return
        logger.warning("another run is at the same work and holds %s. Waiting for it.", path)
        lock.acquire()
    try:
        yield True
    finally:
        lock.release()
