"""A summary in Markdown that fits a comment on a pull request: a heading, sentences, one table, the rest folded."""

from collections.abc import Sequence
from dataclasses import replace

from evalkit.reports.grid import Grid, escaped, markdown

_MOST = 60_000  # characters; GitHub takes 65,536
_FRAME = 200  # characters of a fold besides its label and tables
_ROWS = 40  # of a table that is not folded


def summary(title: str, sentences: str, table: Grid | None, folded: Sequence[Grid] = (), label: str = "") -> str:
    """The whole text, at most 60,000 characters long: folded tables go first, then sentences and rows are cut.

    Args:
        title: of the heading.
        sentences: a list in Markdown.
        table: what everybody should see.
        folded: what is one click away.
        label: of the click.
    """
    head = f"### {escaped(title)}\n"
    shown = "" if table is None else f"\n{markdown([_cut(table)])}"
    whole = "".join(filter(None, (head, sentences and f"\n{sentences}", shown)))
    if len(whole) > _MOST:
        return f"{whole[:_MOST].rpartition(chr(10))[0]}\n\nThe rest is too long for a comment.\n"
    return whole + (_folded(folded, label, _MOST - len(whole)) if folded else "")


def _folded(grids: Sequence[Grid], label: str, room: int) -> str:
    """The tables that fit into so many characters, folded, and how many do not."""
    kept: list[str] = []
    room -= len(label) + _FRAME
    for text in (markdown([grid]) for grid in grids):
        if len(text) + 1 <= room:
            kept.append(text)
            room -= len(text) + 1
    if not kept:
        return f"\n{escaped(label)}: too long for a comment.\n"
    missing = len(grids) - len(kept)
    rest = f"\n{missing} of {len(grids)} folded tables: too long for a comment.\n" if missing else ""
    return f"\n<details><summary>{escaped(label)}</summary>\n\n{chr(10).join(kept)}\n</details>\n{rest}"


def _cut(grid: Grid) -> Grid:
    """The first rows of a long table, and how many it has."""
    if len(grid.rows) <= _ROWS:
        return grid
    return replace(grid, rows=grid.rows[:_ROWS], notes=[f"{_ROWS} of {len(grid.rows)} rows", *grid.notes])
