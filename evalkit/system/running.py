"""What this process is doing, as a small file that others may read: `evalkit watch` shows it.

The file lies in a folder next to the results and is replaced while the work goes on. Nobody waits for a lock, and what
cannot be written is left out: a record never stops the work. Of a process that was killed the file stays behind.
"""

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.system.stages import Meter

FOLDER = ".running"
FORMAT = 1
RUNNING, FAILED, INTERRUPTED, KILLED, SILENT = "running", "failed", "interrupted", "killed", "silent"
_EVERY = 1.0  # seconds between two writes, at least
_SILENT = 15 * 60.0  # seconds without a word from another machine
_KEPT = 24 * 3600.0  # seconds for which the end of a process that did not succeed is remembered
_HOST = socket.gethostname()
_LOCK = threading.Lock()
_CURRENT: list["_Record"] = []  # what this process does now, at most one


class Running(NamedTuple):
    """A record as another process reads it.

    Attributes:
        state: `running`, `failed`, `interrupted`, `killed`, or `silent` for one on another machine that wrote nothing
            for 15 minutes.
        facts: what it is, as its process wrote it, such as dataset and reranker.
        started: time of its start, in seconds since the epoch.
        updated: of its last word.
        stage: what it does now; empty between two stages.
        unit: what is counted.
        done: units of this run; `kept` are those of an earlier one.
        total: units in all; None where nobody knows.
        rate: units a second; None before the first.
        message: the error of one that failed.
    """

    state: str
    facts: Mapping[str, Any]
    started: float
    updated: float
    stage: str = ""
    unit: str = ""
    done: float = 0
    kept: float = 0
    total: float | None = None
    rate: float | None = None
    message: str = ""

    @property
    def left(self) -> float | None:
        """Seconds of the stage that are left at its rate; None where nobody knows."""
        if self.state != RUNNING or self.total is None or not self.rate:
            return None
        return max(self.total - self.kept - self.done, 0.0) / self.rate


class _Record:
    def __init__(self, folder: Path, facts: Mapping[str, Any], place: Mapping[str, Any]) -> None:
        key = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:16]
        self.folder, self.key = folder / FOLDER, key
        self.path = self.folder / f"{key}-{_HOST}-{os.getpid()}.json"
        process = {"host": _HOST, "process": os.getpid(), "born": _born(os.getpid())}
        self.content = {
            "format": FORMAT,
            **process,
            "state": RUNNING,
            "facts": {**facts, **place},
            "started": time.time(),
        }
        self._due = 0.0

    def write(self, *, now: bool = True, **changes: Any) -> None:
        """Replace the file, unless it was within a second and need not be now."""
        with _LOCK, suppress(OSError, ValueError):
            self.content |= changes
            if not now and time.monotonic() < self._due:
                return
            self._due = time.monotonic() + _EVERY
            self.folder.mkdir(parents=True, exist_ok=True)
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps({**self.content, "updated": time.time()}), encoding="utf-8")
            new.replace(self.path)

    def remove(self) -> None:
        """Remove it, and what is over: records of the same work, and old ones."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            for path in self.folder.glob("*.json"):
                found = read(path)
                same = path.name.startswith(f"{self.key}-")
                if found is not None and found.state != RUNNING and (same or time.time() - found.updated > _KEPT):
                    path.unlink(missing_ok=True)
            self.folder.rmdir()  # where it is empty


@contextmanager
def recorded(folder: Path, facts: Mapping[str, Any], place: Mapping[str, Any], *, keep: bool = False) -> Iterator[None]:
    """Record a `with` block: removed when it succeeds, and left with the reason where it does not.

    Args:
        folder: of the results. Where it was not there before, a failure leaves none, unless `keep`.
        facts: what is done, as JSON; the same work has the same facts.
        place: further facts that the same work may have differently, such as its number in a sweep.
        keep: whether a failure in a new folder is worth a record, as in a sweep.
    """
    keep = keep or folder.is_dir()
    record = _Record(folder, facts, place)
    _CURRENT.append(record)
    try:
        yield
    except BaseException as error:
        if keep or not isinstance(error, Exception):
            state = FAILED if isinstance(error, Exception) else INTERRUPTED
            record.write(state=state, message=" ".join(str(error).split())[:1000])
        else:
            record.remove()
            with suppress(OSError):
                folder.rmdir()
        raise
    else:
        record.remove()
    finally:
        _CURRENT.remove(record)


def stage(name: str, unit: str, total: float | None) -> Callable[[Meter | None], None]:
    """What to call with the meter of a stage whenever it counts, and with None at its end."""
    if not _CURRENT:
        return lambda _: None
    record = _CURRENT[-1]
    before: dict[str, Any] = {key: record.content.get(key) for key in ("unit", "done", "kept", "total", "rate")}
    before["stage"] = record.content.get("stage", "")
    record.write(stage=name, unit=unit, done=0, kept=0, total=total, rate=None)

    def counted(meter: Meter | None) -> None:
        if meter is None:
            record.write(**before)
        else:
            rate = meter.rate.value if meter.rate else None
            record.write(now=False, done=meter.done, kept=meter.kept, rate=rate)

    return counted


def read(path: Path) -> Running | None:
    """A record, without a lock; None where the file is none, or gone."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        fields = {name: found[name] for name in Running._fields if found.get(name) is not None}
        if found["format"] != FORMAT:
            return None
        return Running(**{**fields, "state": _state(found)})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def is_recent(one: Running) -> bool:
    """Whether it runs, or ended within a day."""
    return one.state == RUNNING or time.time() - one.updated < _KEPT


def _state(found: Mapping[str, Any]) -> str:
    if found["state"] != RUNNING:
        return str(found["state"])
    if found["host"] != _HOST:
        return SILENT if time.time() - found["updated"] > _SILENT else RUNNING
    born = _born(found["process"])
    return RUNNING if born is not None and found["born"] in {born, ""} else KILLED


def _born(process: int) -> str | None:
    """When a process of this machine started, since its number is used again; empty where unknown, None for none."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass  # somebody else's
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    state, *fields = text.rpartition(")")[2].split()
    return None if state == "Z" else fields[18]
