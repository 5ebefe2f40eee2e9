"""`evalkit list WHAT`: what can be chosen, read from the files under `conf/` themselves."""

import argparse
import json
from pathlib import Path
from typing import Any

from evalkit.resources import config_names, shipped

_GROUPS = {
    "datasets": "dataset",
    "retrievers": "retriever",
    "rerankers": "reranker",
    "compute": "compute",
    "suites": "suite",
}
_KINDS = (*_GROUPS, "instructions", "measures")


def main(arguments: list[str]) -> int:
    """Print a table, or a list of objects with `--json`."""
    parser = argparse.ArgumentParser(prog="evalkit list", description="What can be chosen, with a line about each.")
    parser.add_argument("kind", choices=_KINDS, metavar="|".join(_KINDS))
    parser.add_argument("--json", action="store_true", help="a list of objects")
    options = parser.parse_args(arguments)
    rows = _rows(options.kind)
    if options.json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        _show(rows)
    return 0


def _rows(kind: str) -> list[dict[str, Any]]:
    if kind == "measures":
        from evalkit.measures import FAMILIES

        return [{"name": name, "about": about} for name, about in FAMILIES.items()]
    if kind == "instructions":
        from evalkit.instructions import load_instructions

        return [{"name": name, **entry._asdict()} for name, entry in load_instructions().items()]
    group = _GROUPS[kind]
    return [_describe(group, name) for name in config_names(group)]


def _describe(group: str, name: str) -> dict[str, Any]:
    """The first comment of a configuration file, and the settings a reader chooses by."""
    import yaml

    path = shipped("conf") / group / f"{name}.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    keys = ("language", "split", "hub_id", "model", "revision", "max_length", "device", "dtype")
    return {"name": name, "about": _about(path), **{key: settings[key] for key in keys if key in settings}}


def _about(path: Path) -> str:
    comments = [
        line.removeprefix("#").strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")
    ]
    return next((line for line in comments if not line.startswith("@package")), "")


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from evalkit.report.table import console

    table = Table()
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "revision"))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(row.get(column, ""))) for column in columns))
    console().print(table)
