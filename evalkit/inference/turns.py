"""Whose turn it is on a device, where threads of one process have work for the same one.

A thread that has given the device all of its work lets the next begin, and fetches its results meanwhile: so the device
does not wait while a window ends and the next one begins.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

_LOCK: "ContextVar[Lock | None]" = ContextVar("turns", default=None)


@contextmanager
def taking_turns(lock: Lock) -> Iterator[None]:
    """Have this thread share a device with others that have the same lock, for the time of a `with` block."""
    token = _LOCK.set(lock)
    try:
        yield
    finally:
        _LOCK.reset(token)


@contextmanager
def my_turn() -> Iterator[None]:
    """Wait until the device takes work of this thread; at once where it shares with nobody."""
    lock = _LOCK.get()
    if lock is None:
        yield
        return
    with lock:
        yield
