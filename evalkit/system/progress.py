"""Progress on stderr: what is being done, how far it is, how fast, and how long it will take."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from evalkit.system.running import stage
from evalkit.system.stages import LOADING, Meter, duration
from evalkit.system.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress


_EVERY = 30.0  # seconds between two lines where there is no terminal


@contextmanager
def progress(description: str, total: float | None, unit: str) -> Iterator[Meter]:
    """A bar for the time of a `with` block; call the meter that it gives with the number of units done.

    The bar counts the work of this run: units that an earlier run did make the total smaller. It is drawn only on a
    terminal, where it stays if the block took a second or more. A file or a pipe gets a line every 30 seconds with the
    rate and the time left, and one at the end of such a block. `running` records the same for `evalkit watch`.
    """
    description = printable(description)  # it may hold the name of a file
    bar = _bar()
    with bar:
        task = bar.add_task(description, total=total, unit=unit, rate="")
        due = _EVERY

        def changed() -> None:
            nonlocal due
            record(meter)
            left = None if total is None else total - meter.kept
            if not bar.disable:
                bar.update(task, completed=meter.done, total=left, rate=_speeds(meter))
            elif meter.elapsed >= due and (left is None or meter.done < left):
                due = meter.elapsed + _EVERY
                _write(f"{description}: {_so_far(meter, left)}")

        meter = Meter(unit, changed)
        record = stage(description, unit, total)
        try:
            yield meter
        finally:
            record(None)
        meter.stop()
        # What took no time leaves no line behind.
        bar.live.transient = meter.elapsed < 1
    if bar.disable and meter.elapsed >= 1:
        loading = f"loading {meter.apart[LOADING]:.1f} s" if meter.apart.get(LOADING, 0.0) >= 1 else ""
        parts = [f"{_counted(meter.done, unit)} in {meter.seconds:.1f} s", _speeds(meter), loading]
        _write(f"{description}: {', '.join(filter(None, parts))}")


def _write(line: str) -> None:
    with suppress(OSError):  # nobody reads it
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def _so_far(meter: Meter, total: float | None) -> str:
    """How much is done, how fast, and how long the rest takes at that rate."""
    done = _counted(meter.done, meter.unit) if total is None else f"{meter.done:,.0f} of {_counted(total, meter.unit)}"
    left = f"{duration((total - meter.done) / meter.rate.value)} left" if total is not None and meter.rate else ""
    return ", ".join(filter(None, (done, _speeds(meter), left)))


def _counted(number: float, unit: str) -> str:
    """A number and its unit, which is a plural: `1 query` and `2 queries`."""
    one = f"{unit.removesuffix('ies')}y" if unit.endswith("ies") else unit.removesuffix("s")
    return f"{number:,.0f} {one if number == 1 else unit}"


def _speeds(meter: Meter) -> str:
    kept = f"{_counted(meter.kept, meter.unit)} from an earlier run" if meter.kept else ""
    return ", ".join(part for part in (str(meter.rate or ""), kept) if part)


def _bar() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
