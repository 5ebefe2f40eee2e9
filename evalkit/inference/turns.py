"""Turns of threads that share a device.

A thread that has given the device all of its work lets the next begin, and fetches its results meanwhile. So the device
never waits between two windows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

_LOCK: "ContextVar[Lock | None]" = ContextVar("turns", default=None)


@contextmanager
def taking_turns(lock: Lock) -> Iterator[None]:
    """Share a device with the threads that have the same lock, for the time of a `with` block."""
    token = _LOCK.set(lock)
    try:
        yield
    finally:
        _LOCK.reset(token)


@contextmanager
def my_turn() -> Iterator[None]:
    """Wait for this thread's turn on the device, if it shares one."""
    lock = _LOCK.get()
    if lock is None:
        yield
        return
    with lock:
        yield
