"""`evalkit list WHAT`: what can be chosen, read from the files under `conf/` themselves, and a look into a dataset."""

import argparse
import json
import re
from dataclasses import asdict
from typing import Any

from evalkit.commands.options import Parser
from evalkit.config.registry import installed_settings
from evalkit.config.resources import config_names, config_text, read_config
from evalkit.errors import ConfigError
from evalkit.system.terminal import say

_GROUPS = {
    "datasets": "dataset",
    "retrievers": "retriever",
    "rerankers": "reranker",
    "compute": "compute",
    "suites": "suite",
    "ablations": "ablation",
    "candidates": "candidates",
}
# A card has more than a page is wide. CSV has all of it but `settings`, which do not fit a cell; JSON has those too.
_ONLY_IN_DATA = {
    "revision",
    "architecture",
    "template",
    "score",
    "title separator",
    "zip",
    "judgments",
    "measures",
    "instruction",
    "notes",
}
_ONLY_WHERE_WIDE = {"about", "source", "licence", "relevant"}
_WIDE = 150  # columns of a terminal
_LICENCE = re.compile(r"^# Licence: (?P<licence>.+?)\.(?: Download: (?P<gigabytes>[\d.]+) GB\.)?$", re.MULTILINE)
KINDS = (*_GROUPS, "published", "instructions", "measures")


def main(arguments: list[str]) -> int:
    """Print a table."""
    parser = Parser(prog="evalkit list", config="fetch", description="What can be chosen, with a line about each.")
    parser.add_argument("kind", choices=KINDS, metavar="|".join(KINDS))
    parser.add_format(json_help="a list of objects, with all that is known of each")
    parser.add_argument("--inspect", metavar="NAME", help="look through this dataset for what may surprise")
    parser.add_argument("settings", nargs="*", default=[], metavar="SETTING=VALUE", help="of the dataset to inspect")
    options = parser.parse_intermixed_args(arguments)
    if options.inspect or options.settings:
        _inspect(options)
    else:
        _write(options.kind, _rows(options.kind), options.format)
    return 0


def _inspect(options: argparse.Namespace) -> None:
    """Print what a dataset holds; downloads it where it is not here."""
    from evalkit.commands.settings.compose import compose
    from evalkit.datasets import load
    from evalkit.datasets.inspection import inspect
    from evalkit.reports.grid import write
    from evalkit.reports.inspection_grid import inspection_grids
    from evalkit.store import open_store

    if options.kind != "datasets" or not options.inspect:
        raise ConfigError("settings are for a dataset to inspect: evalkit list datasets --inspect NAME SETTING=VALUE.")
    config = compose("fetch", [f"dataset={options.inspect}", *options.settings])
    dataset = load(config.dataset, open_store(config.cache_dir))
    inspection = inspect(dataset)
    if options.format == "json":
        say(json.dumps({"name": dataset.name, **asdict(inspection)}, ensure_ascii=False, indent=2) + "\n")
    else:
        write(inspection_grids(dataset.name, inspection), options.format)


def _rows(kind: str) -> list[dict[str, Any]]:
    if kind == "measures":
        from evalkit.measures import families

        return [{"name": name, "about": about} for name, about in families().items()]
    if kind == "instructions":
        from evalkit.config.instructions import load_instructions

        return [{"name": name, **entry._asdict()} for name, entry in load_instructions().items()]
    if kind == "published":
        from evalkit.analysis.published.tables import load_published

        return [
            {"name": name, "about": one.title, "tables": ", ".join(table.name for table in one.tables)}
            for name, one in ((name, load_published(name)) for name in config_names("published"))
        ]
    group = _GROUPS[kind]
    return [_describe(group, name) for name in config_names(group)]


def _describe(group: str, name: str) -> dict[str, Any]:
    """The first comment of a configuration file, and its settings."""
    text, settings = config_text(group, name), read_config(group, name)
    about = next((line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")), "")
    if name in installed_settings(group):
        about = _fault(group, settings) or about
    if group == "candidates":
        return {"name": name, "about": about, "datasets": ", ".join(settings["files"])}
    if group == "dataset":
        return {"name": name, "about": about, **_card(settings)}
    keys = ("model", "revision", "max_length", "device", "dtype")
    found = {key: settings[key] for key in keys if key in settings}
    return {
        "name": name,
        "about": about,
        **(_weights(text) if "model" in found else {}),
        **found,
        **_of_model(settings),
    }


def _of_model(settings: dict[str, Any]) -> dict[str, Any]:
    """The facts on the card of a model, in the order of its table."""
    card = settings.get("card") or {}
    return {key: card[key] for key in ("parameters", "architecture", "template", "score") if key in card}


def _fault(group: str, settings: dict[str, Any]) -> str:
    """Why a choice of another package cannot be used; empty where it can."""
    from evalkit.load import schema_of

    try:
        schema_of(group, settings)
    except ConfigError as error:
        return f"Cannot be used: {error}"
    return ""


def _weights(text: str) -> dict[str, Any]:
    """Licence of a model's weights, and gigabytes to download; None where they come in a package or are not known."""
    found = _LICENCE.search(text)
    return {
        "licence": found["licence"] if found else "",
        "download_gb": float(found["gigabytes"]) if found and found["gigabytes"] else None,
    }


def _card(settings: dict[str, Any]) -> dict[str, Any]:
    """A dataset's card: first what a reader chooses by."""
    from evalkit.measures import canonical

    source = next(
        (kind for kind in ("hub", "mteb", "neuclir", "mkqa", "ir_datasets") if f"/{kind}@" in str(settings)), "disk"
    )
    queries, documents = settings.get("query_language"), settings.get("language", "en")
    counts = {key: settings.get("expected", {}).get(key) for key in ("documents", "queries", "judgments", "relevant")}
    return {
        "language": f"{queries} to {documents}" if queries else documents,
        "split": settings.get("split", "its own" if source == "mteb" else "test"),
        **counts,
        "identical ids": "as mteb" if source == "mteb" else "dropped" if settings.get("drop_identical_ids") else "kept",
        "source": f"{settings['hub_id']}" if "hub_id" in settings else source,
        "zip": bool(settings.get("zip_url")),
        "revision": settings.get("revision"),
        "title separator": settings.get("title_separator", " "),
        "measures": canonical(settings.get("measures", ["nDCG@10", "R@20"]), level=settings.get("relevance_level", 1)),
        "instruction": settings.get("instruction_key") or settings.get("name"),
        "licence": settings.get("licence", ""),
        "notes": settings.get("notes", ""),
        "settings": {key: value for key, value in settings.items() if key != "defaults"},
    }


def _write(kind: str, rows: list[dict[str, Any]], form: str) -> None:
    from evalkit.reports.console import console
    from evalkit.reports.grid import Column, Grid, write

    if form == "json":
        say(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
        return
    out = console()
    hidden = {"settings"} if form == "csv" else {"settings", *_ONLY_IN_DATA}
    if kind == "datasets" and form == "table" and out.width < _WIDE:
        hidden |= _ONLY_WHERE_WIDE
    names = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in hidden]
    columns = [Column(name, spec="g" if name == "download_gb" else ",") for name in names]
    write([Grid(kind, columns, [[_cell(row.get(name)) for name in names] for row in rows])], form, out)


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else None if value == "" else value
