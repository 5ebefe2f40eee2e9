"""What a pretended CUDA device is at: bytes in use, copies under way, and what made the host wait. Computes nothing.

The device answers as late as it may: a copy to the host that does not block holds NaN until its event, or the whole
device, is waited for. It has one queue.
"""

import sys
from collections import Counter, deque
from collections.abc import Callable
from threading import RLock
from types import SimpleNamespace
from typing import Any

import torch

NAME = "pretended H200"
_LIBRARIES = ("/evalkit/", "/transformers/models/")


class Allocation:
    """Bytes on a card, given back when the last tensor that holds them is gone."""

    def __init__(self, card: "Card", size: int) -> None:
        self._card, self._size = card, 0
        card.take(size)
        self._size = size

    def __del__(self) -> None:
        self._card.give_back(self._size)


class Card:
    """One device.

    Attributes:
        total: bytes of memory.
        allocated: bytes that tensors hold.
        reserved: bytes taken from the device, those that tensors left included.
        peak: most bytes allocated since `reset_peak`.
        capability: compute capability.
        waits: what made the host wait for the device, with the place in evalkit, and how often.
        pageable: copies to the device from memory that is not pinned, likewise.
        events: how often an event was waited for.
        kernels: operations, by name.
        fault: called before an operation with its name; raises what the device would.
        out_of_memory: makes the error for so many bytes that are not there.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._copies: deque[Callable[[], None]] = deque()
        self._queued = self._done = 0
        self.allocated = self.reserved = self.peak = 0
        self.reset()

    def reset(self) -> None:
        """As a new one, but for tensors that are still held."""
        self.total, self.capability = 141 << 30, (9, 0)
        self.reset_peak()
        self.waits, self.pageable, self.kernels = Counter[str](), Counter[str](), Counter[str]()
        self.events = 0
        self.fault: Callable[[str], None] = lambda _: None
        self.out_of_memory: Callable[[int], Exception] = no_memory

    # Memory

    def take(self, size: int) -> None:
        """Allocate, or raise."""
        with self._lock:
            if self.allocated + size > self.total:
                raise self.out_of_memory(size)
            self.allocated += size
            self.reserved = max(self.reserved, self.allocated)
            self.peak = max(self.peak, self.allocated)

    def give_back(self, size: int) -> None:
        """Free what was taken; it stays reserved."""
        with self._lock:
            self.allocated -= size

    def reset_peak(self) -> None:
        """Forget the peak."""
        self.peak = self.allocated

    def empty_cache(self) -> None:
        """Give what is reserved and not in use back to the device."""
        self.reserved = self.allocated

    # The queue

    def queue(self, copy: Callable[[], None]) -> None:
        """Have the host's memory written later."""
        with self._lock:
            self._copies.append(copy)
            self._queued += 1

    @property
    def queued(self) -> int:
        """How many copies were ever queued."""
        return self._queued

    def catch_up(self, upto: int | None = None) -> None:
        """Do the copies that were queued first; all of them when None."""
        with self._lock:
            while self._copies and (upto is None or self._done < upto):
                self._copies.popleft()()
                self._done += 1

    def wait(self, reason: str) -> None:
        """Note that the host waits until the device has done everything."""
        self.waits[f"{reason} at {place()}"] += 1
        self.catch_up()

    def run(self, name: str) -> None:
        """Note an operation."""
        self.fault(name)
        self.kernels[name] += 1


def no_memory(size: int) -> Exception:
    """What torch's allocator raises."""
    return torch.OutOfMemoryError(
        f"CUDA out of memory. Tried to allocate {size} bytes. GPU 0 has too few of them free."
    )


def place() -> str:
    """Where evalkit, or a model of transformers, called what is running."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if any(library in name for library in _LIBRARIES) and "/tests/" not in name:
            return f"{name.rsplit('/evalkit/', 1)[-1].rsplit('site-packages/', 1)[-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return "a test"


def cuda_of(card: Card) -> dict[str, Any]:
    """What `torch.cuda` says of the card, by attribute."""

    class Event:
        """Copies that were queued before it was recorded are done once it was waited for."""

        def __init__(self, **_: Any) -> None:
            self._at = 0

        def record(self, _: Any = None) -> None:
            self._at = card.queued

        def synchronize(self) -> None:
            card.events += 1
            card.catch_up(self._at)

    properties = SimpleNamespace(name=NAME, major=9, minor=0, total_memory=card.total, multi_processor_count=132)
    return {
        "Event": Event,
        "_lazy_init": lambda: None,
        "is_initialized": lambda: True,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda *_: NAME,
        "get_device_capability": lambda *_: card.capability,
        "get_device_properties": lambda *_: properties,
        "synchronize": lambda *_: card.catch_up(),
        "empty_cache": card.empty_cache,
        "mem_get_info": lambda *_: (card.total - card.reserved, card.total),
        "memory_allocated": lambda *_: card.allocated,
        "memory_reserved": lambda *_: card.reserved,
        "max_memory_allocated": lambda *_: card.peak,
        "reset_peak_memory_stats": lambda *_: card.reset_peak(),
    }
