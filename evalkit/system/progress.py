"""Progress on stderr: what is being done, how far it is, how fast, and how long it will take."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from evalkit.system.stages import LOADING, Meter
from evalkit.system.terminal import printable

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress(description: str, total: float | None, unit: str) -> Iterator[Meter]:
    """A bar for the time of a `with` block; call the meter that it gives with the number of units done.

    The bar counts the work of this run: what is found from an earlier one makes the total smaller. Drawn only on a
    terminal, where it stays once a block has taken a second or more. Into a file or a pipe it writes one line when such
    a block ends.
    """
    description = printable(description)  # it may hold the name of a file
    bar = _bar()
    with bar:
        task = bar.add_task(description, total=total, unit=unit, rate="")

        def changed() -> None:
            if bar.disable:
                return
            left = None if total is None else total - meter.kept
            bar.update(task, completed=meter.done, total=left, rate=_speeds(meter))

        meter = Meter(unit, changed)
        yield meter
        meter.stop()
        # What took no time leaves no line behind.
        bar.live.transient = meter.elapsed < 1
    if bar.disable and meter.elapsed >= 1:
        loading = f", loading {meter.apart[LOADING]:.1f} s" if meter.apart.get(LOADING, 0.0) >= 1 else ""
        line = f"{description}: {meter.done:,.0f} {unit} in {meter.seconds:.1f} s"
        with suppress(OSError):  # nobody reads it
            sys.stderr.write(f"{line}{', ' if (said := _speeds(meter)) else ''}{said}{loading}\n")


def _speeds(meter: Meter) -> str:
    kept = f"{meter.kept:,.0f} {meter.unit} kept from before" if meter.kept else ""
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
