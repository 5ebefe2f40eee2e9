"""`evalkit cache list|verify|prune`: what is kept between runs, whether it is whole, and what nobody needs any more."""

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
from evalkit.report.grid import Column, Grid, write
from evalkit.store import open_store
from evalkit.store.inventory import Artefact, artefacts, fault, misplaced, needs, prunable, prune
from evalkit.system.progress import progress
from evalkit.system.terminal import say, tell

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def main(arguments: list[str]) -> int:
    """List, verify or prune. Exit code 1 where something is damaged."""
    options = _parser().parse_intermixed_args(arguments)
    for path in options.results:
        if str(path).startswith("cache_dir="):
            raise ConfigError(f"{path}: did you mean --cache-dir {str(path).removeprefix('cache_dir=')}?")
    store = open_store(options.cache_dir)
    if os.path.lexists(store.root) and not store.root.is_dir():
        raise ConfigError(
            f"{store.root}: is not a folder. Give --cache-dir with the folder that cache_dir of `evaluate` was."
        )
    match options.verb:
        case "list":
            needed = needs(store, options.results, options.forget, strict=False)
            return _list(artefacts(store, needed), options.format, str(store.root))
        case "verify":
            return _verify(artefacts(store), misplaced(store))
    found = artefacts(store, needs(store, options.results, options.forget))
    chosen = prunable(found, unused_for=options.older_than)
    write([_grid(chosen, f"to be removed from {store.root}")], "table")
    kept = sum(bool(one.needed_by) for one in found)
    if not chosen:
        say(f"nothing to remove: {kept} of {len(found)} are needed by results, the others were used.\n")
        return 0
    if options.dry_run:
        say("nothing was removed: --dry-run.\n")
        return 0
    if not (options.yes or _confirmed(len(chosen))):
        say("nothing was removed. Answer y, or give --yes.\n")
        return 0
    stay = prune(store, chosen, options.results, options.forget)
    for one in stay:
        tell(f"{one.path} is in use, and stays.")
    removed = sum(one.size for one in chosen if one not in stay)
    say(f"removed {_bytes(removed)}; {kept} are needed.\n")
    return 0


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit cache",
        description="list: sizes, ages, what made each, and which results need it. verify: read every byte and compare "
        "it with the checksums; exit code 1 if something is damaged, which is made anew when next used. prune: remove "
        "what was not used lately and no kept result needs.",
    )
    parser.add_argument("verb", choices=("list", "verify", "prune"))
    parser.add_argument(
        "results", nargs="*", type=Path, help="results that were moved, beside those known by the cache"
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="default: ~/.cache/evalkit, as cache_dir of `evaluate`")
    parser.add_argument("--forget", action="append", default=[], type=Path, metavar="DIR", help="results that are gone")
    parser.add_format()
    parser.add_argument(
        "--older-than", type=_seconds, default=_seconds("7d"), metavar="AGE", help="such as 12h, 30d or 0d; default: 7d"
    )
    parser.add_argument("--dry-run", action="store_true", help="only tell what prune would remove")
    parser.add_argument("--yes", action="store_true", help="prune without asking")
    return parser


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no age. Give a number and one of {', '.join(_UNITS)}, as in 30d")
    return float(found[1]) * _UNITS[found[2]]


def _confirmed(count: int) -> bool:
    if sys.stdin is None or not sys.stdin.isatty():
        raise ConfigError("nothing was removed: there is nobody to ask. Give --yes, or --dry-run to only look.")
    return input(f"Remove {count} artefacts? [y/N] ").strip().lower() in {"y", "yes"}


def _list(found: Sequence[Artefact], form: str, root: str) -> int:
    if form == "json":
        rows = [asdict(one) | {"path": str(one.path)} for one in found]
        say(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
    else:
        write([_grid(found, root)], form)
    return 0


def _verify(found: Sequence[Artefact], others: Sequence[Path]) -> int:
    faults = [
        f"{path}: has the place of an artefact and is none; evalkit makes it anew when it needs it" for path in others
    ]
    with progress("verifying", sum(one.size for one in found) / 1e6, "MB") as advance:
        for one in found:
            if told := fault(one):
                faults.append(f"{one.path}: {told}")
            advance(one.size / 1e6)
    for told in faults:
        say(f"{told}\n")
    count = len(found) + len(others)
    say(f"{count - len(faults)} of {count} are as they were made\n")
    return 1 if faults else 0


def _grid(found: Sequence[Artefact], title: str) -> Grid:
    columns = [Column(name) for name in ("kind", "made by", "size", "made", "used", "state", "needed by", "name")]
    rows = [
        (
            one.kind,
            one.label,
            _bytes(one.size),
            _ago(one.made),
            _ago(one.used),
            one.state,
            _results(len(one.needed_by)) if one.needed_by else "-",
            one.name[:8],
        )
        for one in found
    ]
    return Grid(title, columns, rows, notes=[f"{len(found)} artefacts, {_bytes(sum(one.size for one in found))}"])


def _results(count: int) -> str:
    return f"{count} result" if count == 1 else f"{count} results"


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
