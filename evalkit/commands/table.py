"""`evalkit table RESULTS --rows system --columns dataset --format latex`: a table for a paper. Needs no model."""

from io import StringIO
from pathlib import Path
from typing import Any

from evalkit.analysis.pairwise import Settings
from evalkit.analysis.standings import standings
from evalkit.commands.options import Parser
from evalkit.commands.runs_alone import add_runs, gathered
from evalkit.config.limits import at_least
from evalkit.errors import ConfigError
from evalkit.measures import canonical
from evalkit.measures.significance import ALPHA, CORRECTIONS
from evalkit.reports.grid import Grid, write
from evalkit.reports.paper_table import AXES, Layout, as_one_table, paper_tables
from evalkit.system.files import write_output
from evalkit.system.terminal import say

_MOST_DIGITS = 10
_SUFFIXES = {".tex": "latex", ".md": "markdown", ".csv": "csv", ".json": "json"}


def main(arguments: list[str]) -> int:
    """Print or write the tables, one for each value of what is neither rows nor columns."""
    options = _parser().parse_args(arguments)
    at_least("--seed", options.seed, 0)
    digits = (2 if options.percent else 4) if options.digits is None else options.digits
    if not 0 <= digits <= _MOST_DIGITS:
        raise ConfigError(f"--digits={digits} is out of range. Legal are numbers from 0 to {_MOST_DIGITS}.")
    if not 0 < options.alpha < 1:
        raise ConfigError(f"--alpha {options.alpha:g} is not between 0 and 1.")
    form, measures = _form(options), canonical(options.measure or ["nDCG@10"])
    exact = form in {"csv", "json"}
    layout = Layout(options.rows, options.columns, options.percent, digits, options.baseline, exact)
    settings = Settings(correction=options.correction, alpha=options.alpha, seed=options.seed)
    settings = settings._replace(first_stage=options.first_stage)
    evaluations = gathered(options, measures)
    tables = paper_tables(standings(evaluations, measures, settings, options.baseline), layout, settings)
    grids = [as_one_table(tables, layout)] if form == "csv" else list(tables.values())
    if options.output is None:
        write(grids, form)
    else:
        _write(options.output, grids, form)
    return 0


def _form(options: Any) -> str:
    """The form asked for, or that of the file's suffix.

    Raises:
        ConfigError: neither says.
    """
    if options.format or options.output is None:
        return str(options.format or "table")
    if options.output.suffix not in _SUFFIXES:
        raise ConfigError(
            f"--output {options.output}: its suffix is none of {', '.join(_SUFFIXES)}. Give --format, too."
        )
    return _SUFFIXES[options.output.suffix]


def _write(path: Path, grids: list[Grid], form: str) -> None:
    from rich.console import Console

    text = StringIO()
    write(grids, form, Console(file=text, width=200, emoji=False, force_terminal=False, force_jupyter=False))
    write_output(path, text.getvalue())
    say(f"{path}\n")


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit table",
        description="A table to paste into a paper: systems by datasets with their average, the best of each column in "
        "bold, the second underlined, and marks where a system differs from a baseline by the test that decides in "
        "compare, with Holm's correction for all numbers of all tables. What is neither rows nor columns, such as "
        "measures, gets a table for each of its values.",
    )
    add_runs(parser, texts=False)
    parser.add_argument("--rows", choices=AXES, default="system", help="default: system")
    parser.add_argument("--columns", choices=AXES, default="dataset", help="default: dataset")
    parser.add_argument("--measure", action="append", help="may be repeated; default: nDCG@10")
    parser.add_argument("--baseline", default="", metavar="NAME", help="the system, as rows name it, to test against")
    parser.add_argument("--correction", choices=CORRECTIONS, default="holm", help="for the number of comparisons")
    parser.add_argument("--alpha", type=float, default=ALPHA, help="below this, a difference is marked")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--no-first-stage", dest="first_stage", action="store_false", help="leave the first stages of rerankers out"
    )
    parser.add_argument("--percent", action="store_true", help="multiply by 100, with two digits")
    parser.add_argument("--digits", type=int, metavar="N", help="after the point; default: 4, or 2 with --percent")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write there; .tex, .md, .csv and .json say the form"
    )
    parser.add_format()
    parser.set_defaults(format=None)
    return parser
