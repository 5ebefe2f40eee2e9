"""A summary in Markdown that fits a comment on a pull request: a heading, sentences, one table, the rest folded."""

from collections.abc import Sequence
from dataclasses import replace

from evalkit.reports.grid import Grid, escaped, markdown

_MOST = 60_000  # characters; GitHub takes 65,536
_ROWS = 40  # of a table that is not folded


def summary(title: str, sentences: str, table: Grid | None, folded: Sequence[Grid] = (), label: str = "") -> str:
    """The whole text, at most 60,000 characters long: what is folded goes first, then sentences and rows are cut.

    Args:
        title: of the heading.
        sentences: a list in Markdown.
        table: what everybody should see.
        folded: what is one click away.
        label: of the click.
    """
    head = f"### {escaped(title)}\n"
    shown = "" if table is None else f"\n{markdown([_cut(table)])}"
    inside = markdown(folded) if folded else ""
    fold = f"\n<details><summary>{escaped(label)}</summary>\n\n{inside}\n</details>\n" if inside else ""
    whole = "".join(filter(None, (head, sentences and f"\n{sentences}", shown)))
    if len(whole) > _MOST:
        whole = f"{whole[:_MOST].rpartition(chr(10))[0]}\n\nThe rest is too long for a comment.\n"
    elif len(whole) + len(fold) > _MOST:
        fold = f"\n{escaped(label)}: too long for a comment.\n"
    return whole + (fold if len(whole) + len(fold) <= _MOST else "")


def _cut(grid: Grid) -> Grid:
    """The first rows of a long table, and how many it has."""
    if len(grid.rows) <= _ROWS:
        return grid
    return replace(grid, rows=grid.rows[:_ROWS], notes=[f"{_ROWS} of {len(grid.rows)} rows", *grid.notes])
