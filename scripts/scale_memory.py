"""The most memory that any process of a command had resident, pages of mapped files included."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 0.1


class Watched:
    """A command and all processes below it.

    Args:
        command: what to run; its output goes to a file.
        log: that file.

    Attributes:
        peaks: process -> (name, bytes at its peak).
    """

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.peaks: dict[int, tuple[str, int]] = {}
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)  # noqa: S603 - our own command
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def wait(self) -> int:
        """The exit code, once it is there."""
        code = self.process.wait()
        self._thread.join()
        return code

    def _look(self) -> None:
        while self.process.poll() is None:
            for process in descendants(self.process.pid):
                if found := _peak(process):
                    self.peaks[process] = found
            time.sleep(_SECONDS)


def descendants(root: int) -> set[int]:
    """A process and all below it."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found, more = {root}, True
    while more:
        new = {child for child, parent in parents.items() if parent in found} - found
        found, more = found | new, bool(new)
    return found


def _peak(process: int) -> tuple[str, int] | None:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    if "VmHWM" not in facts or process == os.getpid():
        return None
    return facts["Name"].strip(), int(facts["VmHWM"].split()[0]) * 1024
