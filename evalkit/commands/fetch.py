"""`evalkit fetch suite=beir`: download datasets for use without a network, checked and converted."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rich.markup import escape
from rich.table import Table

from evalkit.commands.options import Parser
from evalkit.commands.settings.arguments import normalise
from evalkit.commands.settings.compose import compose
from evalkit.commands.settings.legal import top_settings
from evalkit.config import ExpectedCounts, FetchConfig
from evalkit.config.suites import load_suite
from evalkit.datasets import load, loader
from evalkit.datasets.inspection import inspect
from evalkit.datasets.loader import RemoteFile
from evalkit.errors import ConfigError, DataError
from evalkit.report.console import console
from evalkit.report.grid import write
from evalkit.report.inspection_grid import inspection_grids
from evalkit.store import Store, open_store
from evalkit.system.network import forbidden
from evalkit.system.reporting import report


class _Wanted(NamedTuple):
    """A dataset to fetch, and the files that it takes."""

    config: FetchConfig
    files: list[RemoteFile]

    @property
    def missing(self) -> int:
        """Bytes to download, as far as servers say."""
        return sum(file.bytes or 0 for file in self.files if not file.here)


def main(arguments: list[str]) -> int:
    """List sizes, then download, check and convert; what fails does not keep the rest from being fetched.

    Returns:
        0, or 2 if a dataset could not be fetched.
    """
    parser = Parser(
        prog="evalkit fetch",
        config="fetch",
        description="Download datasets for use without a network: lists what is to be downloaded and how large it is, "
        "goes on where an earlier download was cut, compares every file with its published checksum, converts it, and "
        "compares what it holds with its card. What was fetched is found with HF_HUB_OFFLINE=1.",
        epilog="examples: evalkit fetch suite=beir --sizes; evalkit fetch dataset=scifact,nfcorpus; "
        "evalkit fetch dataset=scifact dataset.source=zip --check; evalkit fetch dataset=mteb dataset.task=SciFact",
    )
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="suite=NAME or dataset=NAME[,NAME...]")
    parser.add_argument("--sizes", action="store_true", help="only list what would be downloaded")
    parser.add_argument("--check", action="store_true", help="also look through each dataset for what may surprise")
    options = parser.parse_intermixed_args(arguments)
    configs = _configs(options.settings)
    store = open_store(configs[0].cache_dir)
    tried = _Attempts()
    wanted = [
        _Wanted(config, files)
        for config in configs
        if (files := tried.run(config, lambda c: [] if forbidden() else loader(c.dataset, store).remote_files()))
        is not None
    ]
    _show_sizes(wanted, store)
    if not options.sizes:
        for one in wanted:
            tried.run(one.config, lambda c: _fetch(c, store, check=options.check))
    return tried.failed


class _Attempts:
    """Work on one dataset after another; what fails is reported, and keeps no other from being tried."""

    def __init__(self) -> None:
        self.failed = 0

    def run(self, config: FetchConfig, work: Callable[[FetchConfig], Any]) -> Any:
        """What `work` gives, or None where it failed."""
        try:
            return work(config)
        except DataError as error:
            self.failed = report(error)
        return None


def _configs(settings: list[str]) -> list[FetchConfig]:
    """The settings of every dataset that is asked for."""
    normalise(settings, settings=top_settings("fetch"))  # refuses what is of one dataset where several are chosen
    chosen = dict(setting.partition("=")[::2] for setting in settings)
    suite, datasets = chosen.pop("suite", None), chosen.pop("dataset", None)
    if (suite is None) == (datasets is None):
        raise ConfigError("nothing to fetch is chosen. Set suite=NAME or dataset=NAME[,NAME...], one of the two.")
    names = load_suite(suite).datasets if suite else tuple(filter(None, str(datasets).split(",")))
    others = [setting for setting in settings if setting.partition("=")[0] not in {"suite", "dataset"}]
    if not names:
        raise ConfigError("dataset= names no dataset. See `evalkit list datasets`.")
    return [compose("fetch", [f"dataset={name}", *others]) for name in names]


def _show_sizes(wanted: list[_Wanted], store: Store) -> None:
    if forbidden():
        console().print("HF_HUB_OFFLINE is set: nothing is downloaded, only what is here is checked.", style="dim")
        return
    wanted = [one for one in wanted if one.files]
    if not wanted:
        return  # all of it is on disk
    table = Table()
    table.add_column("dataset", overflow="fold")
    for column in ("files", "size", "here", "to download"):
        table.add_column(column, justify="right")
    for one in wanted:
        sizes = [file.bytes for file in one.files]
        known = sum(size or 0 for size in sizes)
        table.add_row(
            escape(one.config.dataset.name),
            str(len(one.files)),
            _megabytes(known) + (" or more" if None in sizes else "") if known else "unknown",
            str(sum(file.here for file in one.files)),
            _megabytes(one.missing),
        )
    out = console()
    out.print(table)
    # Several datasets may be in one file.
    files = {file.name: file for one in wanted for file in one.files}
    total = sum(file.bytes or 0 for file in files.values() if not file.here)
    free = shutil.disk_usage(_existing(store.root)).free
    # A converted corpus takes about three times its compressed download.
    out.print(
        f"to download {_megabytes(total)}; once converted, {_megabytes(4 * total)} in all. Free: {_megabytes(free)}.",
        style="bold red" if 4 * total > free else "dim",
        highlight=False,
    )


def _fetch(config: FetchConfig, store: Store, *, check: bool) -> None:
    dataset = load(config.dataset, store)
    out = console()
    state = "as its card says" if not dataset.differences else "not as its card says"
    known = config.dataset.expected != ExpectedCounts()
    notes = dataset.notes
    out.print(
        f"{dataset.name}: {notes['documents']:,} documents, {notes['queries']:,} queries, "
        f"{notes['judgments']:,} judgments" + (f", {state}" if known and config.dataset.check != "off" else ""),
        markup=False,
        highlight=False,
    )
    if check:
        write(inspection_grids(dataset.name, inspect(dataset)), "table", out)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"  # noqa: PLR2004
