"""Progress on stderr: what is being done, how far it is, how fast, and how long it will take."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from evalkit.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress


@contextmanager
def progress(description: str, total: float | None, unit: str) -> Iterator[Callable[[float], None]]:
    """A bar for the time of a `with` block; call what it gives with the number of units done.

    Drawn only on a terminal, where it stays once a block has taken a second or more. Into a file or a pipe it writes
    one line when such a block ends.
    """
    description = printable(description)  # it may hold the name of a file
    bar = _bar()
    with bar:
        task = bar.add_task(description, total=total, unit=unit, rate="")

        def advance(count: float) -> None:
            bar.advance(task, count)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            bar.update(task, rate=f"{speed:,.0f} {unit}/s" if speed else "")

        yield advance
        # What took no time leaves no line behind.
        bar.live.transient = (bar.tasks[0].elapsed or 0.0) < 1
    done = bar.tasks[0]
    if bar.disable and (seconds := done.elapsed or 0.0) >= 1:
        rate = done.completed / seconds
        with suppress(OSError):  # nobody reads it
            sys.stderr.write(f"{description}: {done.completed:,.0f} {unit} in {seconds:.1f} s, {rate:,.0f} {unit}/s\n")


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
