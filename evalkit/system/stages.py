"""How long the stages of an evaluation took and how fast they were: for stderr, the manifest and the tables.

A speed counts the work of this run. Loading a model and looking up earlier scores are timed apart, and pairs that were
scored earlier count in no speed. `rate` is the only definition of a speed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

LOADING = "load"  # imports, weights, workers, and a first pass through the model
FINDING = "find kept"
UNITS = ("pairs", "documents", "queries")
_WITHOUT_DECIMALS = 10.0
_MINUTE, _HOUR = 60.0, 3600.0


class Rate(NamedTuple):
    """A speed, such as `431 documents/s`.

    Attributes:
        value: units a second.
        unit: what is counted.
    """

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{speed(self.value)} {self.unit}/s"


def speed(value: float) -> str:
    """Units a second as people read them, such as `1,234` or `0.41`."""
    return f"{value:,.0f}" if value >= _WITHOUT_DECIMALS else f"{value:.2g}"


def duration(seconds: float) -> str:
    """Such as `12 s`, `34 min` or `5.6 h`."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s" if seconds >= 1 or not seconds else "< 1 s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def rate(facts: Mapping[str, float], unit: str = "") -> Rate | None:
    """The units that a stage did in this run, by its seconds of work; None where it did none.

    Args:
        facts: `seconds`, and a count under the name of its unit.
        unit: which count; the first of `UNITS` that is there when empty.
    """
    unit = unit or next((name for name in UNITS if name in facts), "")
    done, seconds = facts.get(unit, 0), facts.get("seconds", 0.0)
    value = done / seconds if done > 0 and seconds > 0 else 0.0
    return Rate(value, unit) if 0 < value < math.inf else None


class Meter:
    """Counts what a stage does and its seconds of work. Call it with a number of units that were just done.

    Args:
        unit: what is counted, such as `pairs`.
        changed: called after each count.

    Attributes:
        done: units of this run.
        kept: units that an earlier run did.
        apart: seconds outside the work, by what they were spent on.
    """

    def __init__(self, unit: str = "", changed: Callable[[], None] = lambda: None) -> None:
        self.unit, self._changed = unit, changed
        self.done: float = 0
        self.kept: float = 0
        self.apart: dict[str, float] = {}
        self._start, self._end = perf_counter(), math.inf

    def __call__(self, count: float) -> None:
        """Count units that were just done."""
        self.done += count
        self._changed()

    def found(self, count: float) -> None:
        """Count units that an earlier run had done."""
        self.kept += count
        self._changed()

    @property
    def elapsed(self) -> float:
        """Seconds since the start, up to `stop`."""
        return min(perf_counter(), self._end) - self._start

    @property
    def seconds(self) -> float:
        """Seconds of work: those elapsed, less those set apart."""
        return max(self.elapsed - sum(self.apart.values()), 0.0)

    def set_apart(self, what: str, seconds: float) -> None:
        """Count seconds as outside the work."""
        self.apart[what] = self.apart.get(what, 0.0) + seconds

    @contextmanager
    def not_working(self, what: str) -> Iterator[None]:
        """Time a `with` block as outside the work; a nested block is timed under its own name."""
        start, before = self.elapsed, sum(self.apart.values())
        try:
            yield
        finally:
            inside = sum(self.apart.values()) - before
            self.set_apart(what, self.elapsed - start - inside)

    def stop(self) -> None:
        """Stop the clock."""
        self._end = min(perf_counter(), self._end)

    @property
    def facts(self) -> dict[str, float]:
        """The numbers that `rate` reads, and how many units an earlier run did, if any."""
        return {
            "seconds": self.seconds,
            self.unit: self.done,
            **({f"kept_{self.unit}": self.kept} if self.kept else {}),
        }

    @property
    def rate(self) -> Rate | None:
        """The speed so far."""
        return rate(self.facts, self.unit)


class Stages(dict[str, dict[str, float]]):
    """Stage -> what it took: `seconds` and whatever else it notes, in the order of the work."""

    @contextmanager
    def timed(self, name: str) -> Iterator[dict[str, float]]:
        """Time a `with` block and add its time and notes to the stage of that name."""
        noted: dict[str, float] = {}
        start = perf_counter()
        yield noted
        self.add(name, {"seconds": perf_counter() - start, **noted})

    def add(self, name: str, facts: Mapping[str, float]) -> None:
        """Add numbers to those of a stage."""
        known = self.get(name, {})
        self[name] = {**known, **{key: known.get(key, 0) + value for key, value in facts.items()}}

    def take(self, name: str, meter: Meter, *, model: str, **read: float) -> None:
        """Add a meter's numbers as up to three stages: finding earlier work, loading the model, and the work itself.

        Args:
            name: of the work.
            meter: its meter.
            model: what was loaded, such as `reranker`.
            read: further numbers of the work.
        """
        if meter.kept and FINDING in meter.apart:
            self.add(f"{FINDING} {meter.unit}", {"seconds": meter.apart[FINDING]})
        if LOADING in meter.apart:
            self.add(f"{LOADING} {model}", {"seconds": meter.apart[LOADING]})
        self.add(name, {**meter.facts, **read})

    def join(self, others: Mapping[str, Mapping[str, float]]) -> None:
        """Add the numbers of other stages."""
        for name, facts in others.items():
            self.add(name, facts)

    @property
    def seconds(self) -> float:
        """Seconds of all work, without loading and finding."""
        return sum(facts.get("seconds", 0.0) for name, facts in self.items() if not name.startswith((LOADING, FINDING)))

    def with_speeds(self) -> dict[str, dict[str, float]]:
        """The stages, each with its speed where it has one."""
        return {
            name: {**facts, **({f"{found.unit}_per_second": found.value} if (found := rate(facts)) else {})}
            for name, facts in self.items()
        }
