"""`evalkit reproduce NAME`: a published table beside ours. Reads results; needs no model."""

import argparse
from pathlib import Path

from evalkit.errors import ConfigError
from evalkit.gather import gather
from evalkit.published import load_published
from evalkit.report.grid import FORMATS, write
from evalkit.report.reproduction import grids
from evalkit.report.table import console
from evalkit.reproduce import TOLERANCE, reproduce
from evalkit.resources import config_names


def main(arguments: list[str]) -> int:
    """Print every published number with ours, the difference, the ceiling and a verdict."""
    options = _parser().parse_args(arguments)
    if options.name is None:
        for name in config_names("published"):
            print(f"{name:24}{load_published(name).title}")
        return 0
    if options.tolerance < 0:
        raise ConfigError(f"--tolerance {options.tolerance:g}: points, not below 0.")
    published = load_published(options.name)
    names = [table.name for table in published.tables]
    if options.table is not None and options.table not in names:
        raise ConfigError(f"--table {options.table} is none of {options.name}. Legal are: {', '.join(names)}.")
    folder = Path(options.results)
    evaluations = gather([folder]) if _holds_results(folder) else []
    cells = reproduce(published, evaluations, tolerance=options.tolerance)
    chosen = [cell for cell in cells if options.table in {None, cell.table}]
    write(grids(published, chosen, options.tolerance), options.format, console())
    return 0


def _holds_results(folder: Path) -> bool:
    """Whether anything was run; nothing is no mistake here."""
    return folder.is_dir() and next(folder.rglob("manifest.json"), None) is not None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evalkit reproduce",
        description="A published table beside the results in a folder: published, ours, delta, ceiling of our "
        "candidates, verdict, and which conditions differ. Without a name, lists the published tables.",
    )
    parser.add_argument("name", nargs="?", help="of a published table")
    parser.add_argument("--table", help="only this one")
    parser.add_argument("--results", default="results", metavar="DIR", help="default: results")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help=f"points; default: {TOLERANCE}")
    parser.add_argument("--format", choices=("table", *FORMATS), default="table")
    return parser
