"""`evalkit cache list|verify|prune`: what is stored between runs, whether it is whole, and removing what is old."""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from evalkit.commands.options import Parser
from evalkit.errors import ConfigError
from evalkit.formats.notes import counted
from evalkit.reports.grid import Column, Grid, write
from evalkit.store import Store, open_store
from evalkit.store.inventory import YOUNGEST, Artefact, artefacts, fault, misplaced, prunable, prune
from evalkit.system.progress import progress
from evalkit.system.terminal import say, tell

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def main(arguments: list[str]) -> int:
    """List, verify or prune. Exit code 1 where something is damaged."""
    for argument in arguments:
        if argument.startswith("cache_dir="):
            raise ConfigError(f"{argument}: did you mean --cache-dir {argument.removeprefix('cache_dir=')}?")
    options = _parser().parse_args(arguments)
    store = open_store(options.cache_dir)
    if os.path.lexists(store.root) and not store.root.is_dir():
        raise ConfigError(
            f"{store.root}: is not a folder. Give --cache-dir with the folder that cache_dir of `evaluate` was."
        )
    found = artefacts(store)
    match options.verb:
        case "list":
            return _list(found, options.format, str(store.root))
        case "verify":
            return _verify(found, misplaced(store), options.format)
    chosen = prunable(found, unused_for=options.older_than)
    _list(chosen, options.format, f"to be removed from {store.root}")
    _remark(
        _pruned(store, chosen, options) if chosen else f"nothing to remove: all {len(found)} were used more recently.",
        options.format,
    )
    return 0


def _pruned(store: Store, chosen: Sequence[Artefact], options: argparse.Namespace) -> str:
    """Remove artefacts, if that is wanted; what was done."""
    if options.dry_run:
        return "nothing was removed: --dry-run."
    if not (options.yes or _confirmed(len(chosen))):
        return "nothing was removed. Answer y, or give --yes."
    stay = prune(store, chosen, unused_for=options.older_than)
    for artefact in stay:
        tell(f"{artefact.path} is in use, and stays.")
    return f"removed {_bytes(sum(artefact.size for artefact in chosen if artefact not in stay))}."


def _remark(text: str, form: str) -> None:
    """A sentence below a table; on stderr where a program reads the table."""
    if form == "table":
        say(f"{text}\n")
    else:
        tell(text)


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit cache",
        description="list: sizes, ages, and what made each artefact. verify: read every byte and compare it with the "
        "checksums; exit code 1 if something is damaged, which is made again when next used. prune: remove what was "
        "not used lately. Results need nothing of the cache: what is removed is computed again when it is asked for.",
    )
    parser.add_argument("verb", choices=("list", "verify", "prune"))
    parser.add_argument("--cache-dir", metavar="DIR", help="default: ~/.cache/evalkit, as cache_dir of `evaluate`")
    parser.add_format()
    parser.add_argument(
        "--older-than", type=_age, default=_age("7d"), metavar="AGE", help="such as 12h or 30d, from 1h; default: 7d"
    )
    parser.add_argument("--dry-run", action="store_true", help="only show what prune would remove")
    parser.add_argument("--yes", action="store_true", help="prune without asking")
    return parser


def _age(text: str) -> float:
    """Seconds; a lesser age than an hour is refused, since a running process may not have opened the files yet."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an age. Give a number and one of {', '.join(_UNITS)}, as in 30d"
        )
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds < YOUNGEST:
        raise argparse.ArgumentTypeError(
            f"{text} is too short: what was used in the last hour may be in use now. Legal are ages from 1h. To remove "
            "everything while nothing runs, delete the folder"
        )
    return seconds


def _confirmed(count: int) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError("nothing was removed: there is no terminal to ask at. Give --yes, or --dry-run to only look.")
    sys.stderr.write(f"Remove {counted(count, 'artefact')}? [y/N] ")  # stdout may be a file
    sys.stderr.flush()
    return input().strip().lower() in {"y", "yes"}


def _list(found: Sequence[Artefact], form: str, title: str) -> int:
    if form == "json":
        rows = [asdict(artefact) | {"path": str(artefact.path)} for artefact in found]
        say(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
    else:
        write([_grid(found, title, form)], form)
    return 0


def _verify(found: Sequence[Artefact], others: Sequence[Path], form: str) -> int:
    faults: dict[Path, str | None] = dict.fromkeys(
        others, "has the place of an artefact and is none; evalkit makes it again when it needs it"
    )
    with progress("verifying", sum(artefact.size for artefact in found) / 1e6, "MB") as advance:
        for artefact in found:
            faults[artefact.path] = fault(artefact)
            advance(artefact.size / 1e6)
    rows = [{"path": str(path), "fault": wrong} for path, wrong in faults.items()]
    damaged = [row for row in rows if row["fault"]]
    if form == "table":
        for row in damaged:
            say(f"{row['path']}: {row['fault']}\n")
    elif form == "json":
        say(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
    else:
        write(
            [Grid("verified", [Column("path"), Column("fault")], [(row["path"], row["fault"]) for row in rows])], form
        )
    _remark(f"{len(rows) - len(damaged)} of {len(rows)} are as they were made", form)
    return 1 if damaged else 0


def _grid(artefacts: Sequence[Artefact], title: str, form: str) -> Grid:
    columns = [
        *(Column(name) for name in ("kind", "made by")),
        Column("size", write=_bytes),
        *(Column(name, write=_ago) for name in ("made", "used")),
        *(Column(name) for name in ("state", "name")),
    ]
    shown = None if form == "csv" else 8  # letters of a digest
    rows = [
        (found.kind, found.label, found.size, found.made, found.used, found.state, found.name[:shown])
        for found in artefacts
    ]
    total = _bytes(sum(found.size for found in artefacts))
    return Grid(title, columns, rows, notes=[f"{counted(len(artefacts), 'artefact')}, {total}"])


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:  # noqa: PLR2004
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _ago(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for unit in ("w", "d", "h", "m"):
        if seconds >= 2 * _UNITS[unit]:
            return f"{seconds / _UNITS[unit]:.0f}{unit} ago"
    return f"{seconds:.0f}s ago"
