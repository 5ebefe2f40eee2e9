"""`evalkit watch RESULTS`: evaluations while they run, on the terminal or as a page. Reads files only."""

import json
import time
from pathlib import Path

from evalkit.commands.options import Parser
from evalkit.errors import ConfigError
from evalkit.reports.console import console
from evalkit.reports.grid import rendered, write
from evalkit.reports.watch_grids import headline, watch_grids, watch_page
from evalkit.results.watching import Look, Watch
from evalkit.system.files import write_output
from evalkit.system.terminal import say, tell

_SHORTEST = 0.2  # seconds between two looks


def main(arguments: list[str]) -> int:
    """Show the folder until Ctrl-C; once where stdout is no terminal and no page is asked for."""
    options = _parser().parse_args(arguments)
    if not options.every >= _SHORTEST:
        raise ConfigError(f"--every {options.every:g} is out of range. Legal are seconds from {_SHORTEST}.")
    if options.html and not options.html.parent.is_dir():
        raise ConfigError(f"{options.html} cannot be written: give a file in a folder that exists.")
    watch, form = Watch(options.results), options.format
    found = watch.look()
    once = options.once or form != "table" or not (options.html or console().is_terminal)
    try:
        if options.html:
            _keep_page(watch, options.html, options.every, once=once)
        elif once:
            _print(found, form)
        else:
            _keep_terminal(watch, options.every)
    except KeyboardInterrupt:  # as it is meant to end
        return 0
    return 0


def _print(found: Look, form: str) -> None:
    if form == "json":
        running = [{**one._asdict(), "left": one.left} for one in (*found.running, *found.broken)]
        whole = {"evaluations": running, "results": [one._asdict() for one in found.finished]}
        say(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
        return
    if form == "table":
        console().print(headline(found), markup=False, highlight=False)
    write(watch_grids(found), form)


def _keep_page(watch: Watch, path: Path, every: float, *, once: bool) -> None:
    if not once:
        tell(f"writing {path} every {every:g} s. Ctrl-C ends it, and no evaluation.")
    while True:
        write_output(path, watch_page(watch.look(), every=every, title=f"evalkit: {watch.folder}"))
        if once:
            return
        time.sleep(every)


def _keep_terminal(watch: Watch, every: float) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    out = console()
    with Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            found = watch.look()
            live.update(Group(Text(headline(found)), *rendered(watch_grids(found))), refresh=True)
            time.sleep(every)


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit watch",
        description="Evaluations while they run: dataset, stages, rate, time left, and what failed or was killed in "
        "the last day; then the results that are there. It reads small files that evaluations leave in "
        "RESULTS/.running, takes no lock and changes nothing, so it may run on another machine that sees the folder. "
        "Ctrl-C ends it.",
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="default: results")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page that loads itself again instead")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="default: 2")
    parser.add_argument("--once", action="store_true", help="look once; always so where stdout is no terminal")
    parser.add_format()
    return parser
