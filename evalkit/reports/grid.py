"""A table as data, and the ways it is written: terminal, Markdown, LaTeX, CSV, JSON. Computes nothing.

evalkit compare ... --format markdown > table.md
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evalkit.system.terminal import harmless, measurable, naming_stdout, printable, tell

if TYPE_CHECKING:
    from rich.console import Console, ConsoleRenderable

Cell = str | int | float | bool | None
"""None stands for a missing value."""

ABSENT = "—"
_LINE_BREAK = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# What Markdown or HTML reads; `_` within a word and `&` before a space are plain text to both.
_MARKDOWN = re.compile(r"[\\`<>*\[\]~|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&(?=[#A-Za-z])|^\s*[-+=](?![\d.])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_REFERENCE = re.compile(r"(?<![A-Za-z0-9])@(?=\w)|(?<!&)#(?=\d)|\bGH-(?=\d)|^#+", re.IGNORECASE)
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "[": "{[}",  # which LaTeX takes for an argument of the line end before it
        "]": "{]}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "—": "---",
        "†": r"$^{\dagger}$",
        "✓": r"$\surd$",
        "≈": r"$\approx$",
        "✗": r"$\times$",
    }
)


@dataclass(frozen=True)
class Column:
    """How one column is written.

    Attributes:
        name: its heading, and its key in CSV and JSON.
        spec: format of its numbers, such as `.4f` or `+.2f`; CSV and JSON have them unrounded.
        write: for numbers that no format suits, such as seconds or bytes; CSV and JSON have the number.
        colours: style of a text on the terminal, such as {"passed": "green"}.
    """

    name: str
    spec: str = ""
    write: Callable[[float], str] | None = None
    colours: Mapping[str, str] = field(default_factory=dict)

    def text(self, value: Cell) -> str:
        """A value for people."""
        if value is None:
            return ABSENT
        if isinstance(value, bool):
            return "yes" if value else "no"
        if self.write is not None and not isinstance(value, str):
            return self.write(value)
        return format(value, self.spec) if self.spec and not isinstance(value, str) else str(value)


def columns(specs: Mapping[str, str]) -> list[Column]:
    """Columns by name, each with the format of its numbers: `{"system": "", "mean": ".4f"}`."""
    return [Column(name, spec) for name, spec in specs.items()]


@dataclass(frozen=True)
class Grid:
    """Rows under named columns.

    Attributes:
        title: above the table.
        columns: in order.
        rows: a value a column.
        notes: below the table, a line each.
        sections: numbers of rows that a line is drawn above, such as that of an average.
        strong: (row, column) of cells that stand out.
        second: (row, column) of cells that are underlined.
        marks: (row, column) -> a sign behind the number, as in footnotes.
        legend: explains what stands out: in LaTeX part of the caption, elsewhere the first note.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    sections: frozenset[int] = frozenset()
    strong: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    second: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    marks: Mapping[tuple[int, int], str] = field(default_factory=dict)
    legend: str = ""

    @property
    def remarks(self) -> list[str]:
        """The legend and the notes."""
        return [*([self.legend] if self.legend else []), *self.notes]

    def texts(self) -> list[list[str]]:
        """Every cell for people."""
        return [[column.text(value) for column, value in zip(self.columns, row, strict=True)] for row in self.rows]

    def decorated(self, escape: Callable[[str], str], *, strong: str, second: str) -> list[list[str]]:
        """Every cell in a language of markup.

        Args:
            escape: makes a text of the language from a plain one.
            strong: markup of a cell that stands out, with `{}` for its text.
            second: likewise of an underlined one.
        """
        found = []
        for row, cells in enumerate(self.texts()):
            forms = [
                strong if (row, column) in self.strong else second if (row, column) in self.second else "{}"
                for column in range(len(cells))
            ]
            signs = [self.marks.get((row, column), "") for column in range(len(cells))]
            found.append(
                [
                    form.replace("{}", escape(cell)) + escape(sign)
                    for form, cell, sign in zip(forms, cells, signs, strict=True)
                ]
            )
        return found

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers, and is set flush right."""
        values = [row[column] for row in self.rows if row[column] is not None]
        return bool(values) and not any(isinstance(value, str | bool) for value in values)


def show(grids: Sequence[Grid], out: "Console") -> None:
    """Print tables on the terminal."""
    for part in rendered(grids):
        out.print(part)


def rendered(grids: Sequence[Grid]) -> "Iterator[ConsoleRenderable]":
    """The parts of tables as the terminal shows them: titles, tables and notes."""
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    for grid in grids:
        yield Text(measurable(grid.title), style="bold")
        table = Table()
        for number, column in enumerate(grid.columns):
            table.add_column(escape(column.name), justify="right" if grid.numeric(number) else "left", overflow="fold")
        for row, cells in enumerate(grid.texts()):
            if row in grid.sections:
                table.add_section()
            styles = [
                "bold"
                if (row, number) in grid.strong
                else "underline"
                if (row, number) in grid.second
                else column.colours.get(cell, "")
                for number, (column, cell) in enumerate(zip(grid.columns, cells, strict=True))
            ]
            signs = [grid.marks.get((row, number), "") for number in range(len(cells))]
            parts = zip(cells, styles, signs, strict=True)
            table.add_row(*(Text.assemble((printable(cell), style), sign) for cell, style, sign in parts))
        yield table
        for note in grid.remarks:
            yield Text(measurable(note), style="dim")


def markdown(grids: Sequence[Grid]) -> str:
    """GitHub's tables, notes below."""
    return "\n".join(_markdown(grid) for grid in grids)


def escaped(text: str) -> str:
    """A text for one line of Markdown, in a table or outside, that shows what it holds and does nothing.

    GitHub looks for mentions and references in what it has rendered, so that only a character without width stops
    them; `nDCG@10` and `a_b` are nothing to it and stay as they are.
    """
    text = _MARKDOWN.sub(
        lambda found: _ENTITIES.get(found[0], chr(92) + found[0]), harmless(_LINE_BREAK.sub(" ", text))
    )
    return _REFERENCE.sub(r"\g<0>&#8203;", text)


def _markdown(grid: Grid) -> str:
    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rules = ["---:" if grid.numeric(number) else "---" for number in range(len(grid.columns))]
    body = grid.decorated(escaped, strong="**{}**", second="<u>{}</u>")
    table = [line([escaped(column.name) for column in grid.columns]), line(rules), *map(line, body)]
    notes = [f"\n{escaped(note)}" for note in grid.remarks]
    return "\n".join([f"**{escaped(grid.title)}**\n", *table, *notes]) + "\n"


def latex(grids: Sequence[Grid]) -> str:
    """Tables with booktabs' rules, each with a caption; notes as comments."""
    return "\n".join(_latex(grid) for grid in grids)


def _latex(grid: Grid) -> str:
    def line(cells: Sequence[str]) -> str:
        return "  " + " & ".join(cells) + r" \\"

    body: list[str] = []
    cells = grid.decorated(lambda text: text.translate(_LATEX), strong=r"\textbf{{}}", second=r"\underline{{}}")
    for row, own in enumerate(cells):
        if row in grid.sections and row:
            body.append(r"  \midrule")
        body.append(line(own))
    caption = f"{grid.title}. {grid.legend}" if grid.legend else grid.title
    alignment = "".join("r" if grid.numeric(number) else "l" for number in range(len(grid.columns)))
    return "\n".join(
        [
            *(f"% {note}" for note in grid.notes),
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{caption.translate(_LATEX)}}}",
            rf"  \begin{{tabular}}{{{alignment}}}",
            r"  \toprule",
            line([column.name.translate(_LATEX) for column in grid.columns]),
            r"  \midrule",
            *body,
            r"  \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def csv_text(grids: Sequence[Grid]) -> str:
    """One table under one header, unrounded; of several grids the first column `table` holds the title."""
    if len(grids) == 1:
        rows = [[column.name for column in grids[0].columns], *grids[0].rows]
    else:
        names = dict.fromkeys(column.name for grid in grids for column in grid.columns)
        rows = [["table", *names]]
        for grid in grids:
            for row in _objects(grid):
                rows.append([grid.title, *(row.get(name) for name in names)])
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)  # which leaves None blank
    return out.getvalue()


def json_text(grids: Sequence[Grid]) -> str:
    """The title, the rows as objects, and the notes of each table; numbers are unrounded."""
    found = [{"title": grid.title, "rows": _objects(grid), "notes": grid.remarks} for grid in grids]
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _objects(grid: Grid) -> list[dict[str, Cell]]:
    return [dict(zip([column.name for column in grid.columns], row, strict=True)) for row in grid.rows]


FORMATS: Mapping[str, Callable[[Sequence[Grid]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": csv_text,
    "json": json_text,
}
"""Values of `--format` besides `table`, which is the terminal's."""


def write(grids: Sequence[Grid], form: str, out: "Console | None" = None) -> None:
    """Print tables as `table` or as a key of `FORMATS`. CSV has no place for notes, so they go to stderr."""
    from evalkit.reports.console import console

    out = out or console()
    if form == "table":
        show(grids, out)
        return
    text = FORMATS[form](grids)
    with naming_stdout():
        out.file.write(harmless(text) if out.is_terminal else text)
    for note in dict.fromkeys(note for grid in grids for note in grid.remarks) if form == "csv" else ():
        tell(note)
