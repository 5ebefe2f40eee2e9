"""The number of tokens in a batch, from one window of a model's work to the next."""

import threading
from collections.abc import Callable
from pathlib import Path

from evalkit.errors import ResultError
from evalkit.system.files import atomic_write, is_file, read_file


class Budget:
    """Tokens of a batch: as set, as an earlier run found, or as the first large work finds.

    Args:
        tokens: as set; lowered only when memory runs out. Probed when None.
        sharers: processes on the same device, which share its memory.

    Attributes:
        found: result of a probe, here or elsewhere; None without any. Halving does not change it.
    """

    def __init__(self, tokens: int | None = None, *, sharers: int = 1) -> None:
        self.sharers = sharers
        self.found: int | None = None
        self._set, self._now = tokens is not None, tokens
        self._lock = threading.Lock()

    @property
    def tokens(self) -> int | None:
        """The budget in force; None until it is known."""
        return self._now

    def settle(self, probe: Callable[[], int]) -> int:
        """The budget in force, from a probe if necessary; only one of several threads probes."""
        with self._lock:
            if self._now is None:
                self._now = self.found = probe()
            return self._now

    def take(self, found: int | None) -> None:
        """Take a budget that was found elsewhere, unless it was set, or halved since."""
        with self._lock:
            if found is not None and not self._set and self._now == self.found:
                self._now = self.found = found

    def lower(self, tokens: int) -> None:
        """Use fewer tokens from now on."""
        with self._lock:
            self._now = tokens


def budget_name(journal: str) -> str:
    """Name of the file with the budget of a journal's records."""
    return f"{journal}.budget"


class KeptBudget:
    """The budget that was found for some work, the same for all workers and for a resumed run.

    On CUDA it decides which texts share a batch, and so the last bits.

    Args:
        path: file that stores it; None for this run alone.

    Attributes:
        tokens: None until one was found.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.tokens = None if path is None else _read(path)

    def keep(self, tokens: int | None) -> None:
        """Take a worker's budget, unless one is known.

        Raises:
            ResultError: the file cannot be written.
        """
        if tokens is None or self.tokens is not None:
            return
        self.tokens = tokens
        if self._path is None:
            return
        try:
            atomic_write(self._path, f"{tokens}\n")
        except OSError as error:
            raise ResultError(f"{self._path}: cannot be written ({error.strerror or error}).") from error


def _read(path: Path) -> int | None:
    """The number in a file; None without a file or a legal number."""
    try:
        text = read_file(path).strip() if is_file(path) else ""
    except (OSError, ValueError):
        return None
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 2**31 else None
