"""Tokens of a batch, kept with a model from one window to the next. Knows neither torch nor models."""

import threading
from collections.abc import Callable
from pathlib import Path

from evalkit.errors import ResultError
from evalkit.system.files import atomic_write, is_file, read_file


class Budget:
    """Tokens of a batch: as set, as an earlier run found, or as the first run that is large enough finds.

    Args:
        tokens: as set; they stay unless memory runs out. Found out when None.
        sharers: processes on the same device, which have to share its memory.

    Attributes:
        found: what a probe found, here or elsewhere; None where there was none. Halving leaves it as it is.
    """

    def __init__(self, tokens: int | None = None, *, sharers: int = 1) -> None:
        self.sharers = sharers
        self.found: int | None = None
        self._set, self._now = tokens is not None, tokens
        self._lock = threading.Lock()

    @property
    def tokens(self) -> int | None:
        """Those in force; None while nobody knows."""
        return self._now

    def settle(self, probe: Callable[[], int]) -> int:
        """The tokens in force, which a probe finds where nobody knows; of several threads one probes."""
        with self._lock:
            if self._now is None:
                self._now = self.found = probe()
            return self._now

    def take(self, found: int | None) -> None:
        """Take what was found elsewhere; it changes nothing that was set, or halved since."""
        with self._lock:
            if found is not None and not self._set and self._now == self.found:
                self._now = self.found = found

    def lower(self, tokens: int) -> None:
        """Go on with fewer, from now on."""
        with self._lock:
            self._now = tokens


def budget_name(journal: str) -> str:
    """What the file beside a journal is called that holds the budget with which its records were made."""
    return f"{journal}.budget"


class KeptBudget:
    """The budget that was found for a piece of work: all workers have the same, and so has a run that goes on with it.

    On CUDA it decides which texts share a batch, and with it the last bits.

    Args:
        path: of the file that keeps it; only for this run when None.

    Attributes:
        tokens: None while none was found.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.tokens = None if path is None else _read(path)

    def keep(self, tokens: int | None) -> None:
        """Take what a worker found, unless one is known.

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
    """The number in a file; None where there is none, or no such number."""
    try:
        text = read_file(path).strip() if is_file(path) else ""
    except (OSError, ValueError):
        return None
    return int(text) if text.isascii() and text.isdigit() and 0 < int(text) < 2**31 else None
