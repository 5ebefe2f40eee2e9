"""`evalkit reproduce NAME`: a published table next to yours; `--run` runs missing cells, `--explain` explains one."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from evalkit.analysis.published.explain import FOLDER, explain
from evalkit.analysis.published.missing import MissingRun, Unconfigured, missing, unconfigured
from evalkit.analysis.published.tables import Published, PublishedColumn, PublishedRow, load_published
from evalkit.analysis.published.verdicts import TOLERANCE, Cell, choose, part_of, reproduce, unused
from evalkit.commands.list import main as list_choices
from evalkit.commands.options import Parser
from evalkit.commands.settings.arguments import last_of_each, normalise
from evalkit.config import EvaluateConfig
from evalkit.config.limits import at_least
from evalkit.errors import ConfigError, EvalkitError
from evalkit.formats.notes import counted
from evalkit.reports.console import console
from evalkit.reports.grid import write
from evalkit.reports.reproduction import as_published, explanation, in_rows, plan
from evalkit.results import Evaluation
from evalkit.results.gather import gather
from evalkit.system.lookalikes import instead
from evalkit.system.progress import progress
from evalkit.system.reporting import report
from evalkit.system.terminal import tell

_RESULTS = "results"


def main(arguments: list[str]) -> int:
    """Print every published number with ours and a verdict, in the shape of its table.

    Returns:
        0, or 2 if a run that was asked for failed.
    """
    options = _parser().parse_intermixed_args(arguments)
    if options.name is None:
        return list_choices(["published", "--format", options.format])
    published = load_published(options.name)
    _check(options, published)
    if options.explain:
        return _explain(options, published)
    if options.plan:
        return _plan_missing(options, published)
    failed = _run_missing(options, published) if options.run else 0
    evaluations = _evaluations(options.results)
    for why, some in unused(published, evaluations).items():
        tell(f"not in these tables ({why}): {', '.join(str(one.result.folder) for one in some)}")
    cells = reproduce(published, evaluations, tolerance=options.tolerance)
    chosen = [cell for cell in cells if options.table in {None, cell.table}]
    _print(options, published, chosen)
    return 2 if failed else 0


def _print(options: argparse.Namespace, published: Published, cells: Sequence[Cell]) -> None:
    if options.long or options.format in {"csv", "json"}:  # programs read a number in a field of its own
        write(in_rows(published, cells, options.tolerance), options.format)
        return
    out = console()
    width = out.width if options.format == "table" else None
    write(as_published(published, cells, options.tolerance, width=width), options.format, out)


def _check(options: argparse.Namespace, published: Published) -> None:
    at_least("--tolerance", options.tolerance, 0)
    names = [table.name for table in published.tables]
    if options.table is not None and options.table not in names:
        raise ConfigError(f"--table {options.table} is none of {options.name}. {instead(options.table, names)}")
    if options.settings and not (options.run or options.plan):
        raise ConfigError(f"{options.settings[0]}: settings are for --run and --plan.")
    reads_only = not (options.run or options.plan)  # a run makes its folder
    if options.results is not None and reads_only and not Path(options.results).is_dir():
        raise ConfigError(f"--results {options.results}: no such folder. Give the results_dir of your evaluations.")
    options.results = options.results or _RESULTS
    normalise(options.settings)  # notes and refuses what is wrong with them once, not a run


def _evaluations(folder: str) -> list[Evaluation]:
    """The results in a folder; there may be none."""
    path = Path(folder)
    there = path.is_dir() and next(path.rglob("manifest.json"), None) is not None
    return gather([path]) if there else []


def _missing(options: argparse.Namespace, published: Published) -> list[MissingRun]:
    """The evaluations to run; says which numbers they leave out, or that none is missing.

    Raises:
        ConfigError: numbers are missing, and none of them can be run.
    """
    evaluations = _evaluations(options.results)
    runs = missing(published, evaluations, table=options.table, limit=options.limit)
    above = [] if runs else missing(published, evaluations, table=options.table)
    others = unconfigured(published, evaluations, table=options.table)
    if others.numbers:
        are = counted(others.numbers, "number is", "numbers are")
        if not runs and not above:
            raise ConfigError(f"{are} missing, and none can be run: {_to_give(others)}")
        tell(f"{are} missing that cannot be run: {_to_give(others)}")
    if above:
        tell(
            f"nothing is missing within --limit {options.limit:g}; {counted(len(above), 'evaluation')} would read more."
        )
    elif not runs:
        tell("nothing is missing.")
    return runs


def _to_give(others: Unconfigured) -> str:
    """Which run files would give the numbers that evalkit cannot run."""
    stages = [
        f"the first stage must be given as retriever=saved retriever.name={name} retriever.path=RUN"
        for name in others.retrievers
    ]
    names = ", ".join(others.rerankers)
    rerankers = [f"reranker=replay reranker.name=NAME reranker.path=RUN gives {names}"] if names else []
    return f"{'; '.join([*stages, *rerankers])}. Give these to `evalkit evaluate`, with depth and dataset of the table."


def _plan_missing(options: argparse.Namespace, published: Published) -> int:
    """Print the plan of the evaluations that are missing."""
    from evalkit.commands.plan import show_plan

    runs = _missing(options, published)
    if not runs:
        return 0
    common = [f"results_dir={options.results}", *options.settings]
    with progress("composing settings", len(runs), "evaluations") as advance:
        configs = _compose_all(runs, common, advance)
    return show_plan(configs, form=options.format)


def _compose_all(
    runs: Sequence[MissingRun], common: Sequence[str], advance: Callable[[float], None]
) -> list[EvaluateConfig]:
    """The settings of each run. Hydra takes a quarter of a second, so each dataset and each system is composed once."""
    from evalkit.commands.settings.compose import compose

    datasets: dict[str, EvaluateConfig] = {}
    systems: dict[tuple[str, ...], EvaluateConfig] = {}
    independent = not any("${" in setting for setting in common)  # else a system may depend on its dataset
    configs = []
    for run in runs:
        system = (run.retriever, run.reranker, *run.settings)
        if not (independent and run.dataset in datasets and system in systems):
            whole: EvaluateConfig = compose("evaluate", last_of_each([*run.overrides, *common]))
            datasets[run.dataset] = systems[system] = whole
        of_dataset = datasets[run.dataset]
        # Measures are the dataset's own unless they are set, and then they are the same everywhere.
        configs.append(replace(systems[system], dataset=of_dataset.dataset, measures=of_dataset.measures))
        advance(1)
    return configs


def _run_missing(options: argparse.Namespace, published: Published) -> int:
    """Show the plan, ask, and run it; the number of runs that failed."""
    runs = _missing(options, published)
    if not runs:
        return 0
    write([plan(published, runs)], "table")
    if not options.yes and not _confirmed(len(runs)):
        raise ConfigError("nothing was run. Answer y, or give --yes; --limit N leaves out what reads more texts.")
    failed = 0
    for number, run in enumerate(runs, start=1):
        overrides = last_of_each([*run.overrides, f"results_dir={options.results}", *options.settings])
        tell(f"{number} of {len(runs)}: {shlex.join(['evalkit', 'evaluate', *overrides])}")
        failed += _run(overrides)
    return failed


def _confirmed(count: int) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        return False
    return input(f"Run {counted(count, 'evaluation')}? [y/N] ").strip().lower() in {"y", "yes"}


def _run(overrides: Sequence[str]) -> int:
    """Run one evaluation; 1 if it failed, and the others still run."""
    from evalkit.commands.settings.compose import compose
    from evalkit.pipeline import evaluate

    try:
        evaluate(compose("evaluate", list(overrides)), command=shlex.join(["evalkit", "evaluate", *overrides]))
    except EvalkitError as error:
        report(error)
        return 1
    return 0


def _explain(options: argparse.Namespace, published: Published) -> int:
    row, column = _cell(options, published)
    chosen = choose(published, row, column, _evaluations(options.results))
    present = {part_of(evaluation) for evaluation in chosen}
    lacking = [part for part in column.parts if part not in present]
    if lacking:
        names = [dataset if len(column.first_stages) == 1 else f"{dataset} over {stage}" for stage, dataset in lacking]
        raise ConfigError(
            f"--explain {options.explain}: not run on {', '.join(names)}. "
            f"`evalkit reproduce {options.name} --run` runs what is missing."
        )
    toggles = explain(row, column, chosen, _evaluations(FOLDER))
    cells = reproduce(published, chosen, tolerance=options.tolerance)
    cell = next(one for one in cells if (one.system, one.column) == (row.name, column.name))
    write([explanation(cell, toggles)], options.format)
    return 0


def _cell(options: argparse.Namespace, published: Published) -> tuple[PublishedRow, PublishedColumn]:
    """The cell that `SYSTEM/COLUMN` names; either may hold a slash itself."""
    cells = {
        f"{row.name}/{column.name}": (row, column)
        for table in published.tables
        if options.table in {None, table.name}
        for row in table.rows
        for column, value in zip(table.columns, row.values, strict=True)
        if value is not None
    }
    if options.explain not in cells:
        raise ConfigError(f"--explain {options.explain} is not a cell. {_how(options.explain, list(cells))}")
    return cells[options.explain]


def _how(typed: str, cells: list[str]) -> str:
    """How a cell is written, with one of the typed system or column where there is one."""
    example = next((cell for cell in cells if typed in cell), cells[0])
    return f"{instead(typed, cells, most=20)} A cell is SYSTEM/COLUMN, such as --explain {shlex.quote(example)}."


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit reproduce",
        config="evaluate",
        description="A published table in its own shape, with the results in a folder: published, ours and a verdict "
        "in each cell, and which conditions differ. Without a name, lists the published tables.",
    )
    parser.add_argument("name", nargs="?", help="a published table; without it, all are listed")
    parser.add_argument(
        "settings", nargs="*", default=[], metavar="SETTING=VALUE", help="of every run, such as compute=cuda"
    )
    parser.add_argument("--table", help="only this table")
    parser.add_argument(
        "--long",
        action="store_true",
        help="a row a number, with delta, ceiling and remarks; CSV and JSON always have it",
    )
    parser.add_argument("--results", metavar="DIR", help=f"default: {_RESULTS}, which may be absent")
    parser.add_argument("--run", action="store_true", help="run the missing evaluations, cheapest first")
    parser.add_argument("--plan", action="store_true", help="print what the missing evaluations take, and stop")
    parser.add_argument("--yes", action="store_true", help="do not ask before running")
    parser.add_argument("--limit", type=float, default=float("inf"), metavar="N", help="texts a run may read")
    parser.add_argument(
        "--explain", metavar="SYSTEM/COLUMN", help="how other ways of counting and running move this number"
    )
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help=f"points; default: {TOLERANCE}")
    parser.add_format()
    return parser
