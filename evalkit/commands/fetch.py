"""`evalkit fetch suite=beir`: download datasets for use without a network, checked and converted."""

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.commands.fetch_candidates import candidate_sizes, fetch_candidates
from evalkit.commands.options import Parser
from evalkit.commands.settings.arguments import last_of_each, normalise
from evalkit.commands.settings.compose import compose
from evalkit.commands.settings.legal import top_settings
from evalkit.config import ExpectedCounts, FetchConfig
from evalkit.config.suites import load_suite
from evalkit.datasets import load, loader, naming
from evalkit.datasets.inspection import inspect
from evalkit.datasets.loader import RemoteFile
from evalkit.errors import ConfigError, DataError
from evalkit.formats.notes import counted
from evalkit.reports.grid import Cell, Column, Grid, write
from evalkit.reports.inspection_grid import inspection_grids
from evalkit.store import Store, open_store
from evalkit.system.network import forbidden
from evalkit.system.reporting import report
from evalkit.system.terminal import say, tell
from evalkit.types import Dataset

_COUNTS = ("documents", "queries", "judgments")


class _Wanted(NamedTuple):
    """A dataset to fetch, and the files that it takes."""

    config: FetchConfig
    files: list[RemoteFile]


class _Fetched(NamedTuple):
    """A dataset that is here; `as_its_card` is None where there is nothing to compare it with."""

    dataset: Dataset
    as_its_card: bool | None

    @classmethod
    def of(cls, dataset: Dataset, config: FetchConfig) -> "_Fetched":
        """A dataset, compared with its card."""
        known = config.dataset.expected != ExpectedCounts() and config.dataset.check != "off"
        return cls(dataset, not dataset.differences if known else None)

    @property
    def line(self) -> str:
        """Its content, in words."""
        counts = ", ".join(f"{self.dataset.notes[name]:,} {name}" for name in _COUNTS)
        state = {None: "", True: ", as its card says", False: ", not as its card says"}[self.as_its_card]
        return f"{self.dataset.name}: {counts}{state}"


def main(arguments: list[str]) -> int:
    """List sizes, then download, check and convert; what fails does not keep the rest from being fetched.

    Returns:
        0, or 2 if a dataset could not be fetched.
    """
    options = _parser().parse_intermixed_args(arguments)
    if any(setting.startswith("candidates=") for setting in options.settings):
        return _candidates(options)
    configs = _configs(options.settings)
    store = open_store(configs[0].cache_dir)
    tried = _Attempts()
    if forbidden():
        tell("HF_HUB_OFFLINE is set: nothing is downloaded, only what is here is checked.")
    listed = [_Wanted(config, found) for config in configs if (found := tried.run(config, store, _files)) is not None]
    sizes = {one.config.dataset.name: one.files for one in listed if one.files}
    if sizes and (options.sizes or options.format == "table"):
        write([_sizes_grid(sizes, store)], options.format)
    if options.sizes:
        return tried.failed
    fetched: list[_Fetched] = []
    for one in listed:
        if dataset := tried.run(one.config, store, lambda config, store: load(config.dataset, store)):
            fetched.append(_Fetched.of(dataset, one.config))
            if options.format == "table":  # a line each, as soon as it is there
                say(f"{fetched[-1].line}\n")
                write(_inspected(dataset) if options.check else [], "table")
    if fetched and options.format != "table":
        inspected = [grid for one in fetched for grid in _inspected(one.dataset)] if options.check else []
        write([_fetched_grid(fetched), *inspected], options.format)
    return tried.failed


def _parser() -> Parser:
    parser = Parser(
        prog="evalkit fetch",
        config="fetch",
        description="Download datasets for use without a network: lists what is to be downloaded and how large it is, "
        "resumes downloads that broke off, compares every file with its published checksum, converts it, and "
        "compares what it holds with its card. What was fetched is found with HF_HUB_OFFLINE=1.",
        epilog="examples: evalkit fetch suite=beir --sizes; evalkit fetch dataset=scifact,nfcorpus; "
        "evalkit fetch dataset=scifact dataset.source=zip --check; evalkit fetch dataset=mteb dataset.task=SciFact; "
        "evalkit fetch candidates=rank_llm/bm25 dataset=trec-dl19",
    )
    parser.add_argument(
        "settings",
        nargs="*",
        default=[],
        metavar="SETTING=VALUE",
        help="suite=NAME, dataset=NAME[,NAME...], or candidates=NAME for run files that others published",
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", default=Path("candidates"), help="where candidates go; default: candidates"
    )
    parser.add_argument("--sizes", action="store_true", help="only list what would be downloaded")
    parser.add_argument("--check", action="store_true", help="also look through each dataset for what may surprise")
    parser.add_format()
    return parser


def _candidates(options: argparse.Namespace) -> int:
    """Fetch run files in place of datasets."""
    chosen = dict(setting.partition("=")[::2] for setting in options.settings)
    if other := sorted(chosen.keys() - {"candidates", "dataset", "cache_dir"}):
        raise ConfigError(f"{other[0]} is not for candidates=NAME. Legal are dataset=NAME[,NAME...] and cache_dir=DIR.")
    if options.check:
        raise ConfigError("--check looks through datasets. Leave it with candidates=NAME.")
    datasets = tuple(filter(None, chosen.get("dataset", "").split(",")))
    store = open_store(chosen.get("cache_dir"))
    if not options.sizes:
        return fetch_candidates(chosen["candidates"], datasets, store, options.out, form=options.format)
    sizes = candidate_sizes(chosen["candidates"], datasets, store)
    write([_sizes_grid({name: [file] for name, file in sizes.items()}, store)], options.format)
    return 0


class _Attempts:
    """Work on one dataset after another; what fails is reported, and keeps no other from being tried."""

    def __init__(self) -> None:
        self.failed = 0

    def run(self, config: FetchConfig, store: Store, work: Callable[[FetchConfig, Store], Any]) -> Any:
        """The value of `work`, or None if it failed."""
        try:
            return work(config, store)
        except DataError as error:
            self.failed = report(error)
        return None


def _files(config: FetchConfig, store: Store) -> list[RemoteFile]:
    if forbidden():
        return []
    with naming(config.dataset):
        return loader(config.dataset, store).remote_files()


def _configs(settings: list[str]) -> list[FetchConfig]:
    """The settings of every dataset that is asked for."""
    normalise(settings, settings=top_settings("fetch"))  # refuses what is of one dataset where several are chosen
    chosen = dict(setting.partition("=")[::2] for setting in settings)
    suite, datasets = chosen.pop("suite", None), chosen.pop("dataset", None)
    if (suite is None) == (datasets is None):
        raise ConfigError("nothing to fetch is chosen. Set suite=NAME or dataset=NAME[,NAME...], one of the two.")
    names = load_suite(suite).datasets if suite else tuple(filter(None, str(datasets).split(",")))
    others = [text for text in last_of_each(settings) if text.partition("=")[0] not in {"suite", "dataset"}]
    if not names:
        raise ConfigError("dataset= names no dataset. See `evalkit list datasets`.")
    return [compose("fetch", [f"dataset={name}", *others]) for name in names]


def _sizes_grid(wanted: Mapping[str, Sequence[RemoteFile]], store: Store) -> Grid:
    columns = [
        Column("dataset"),
        Column("files"),
        Column("size", write=_megabytes),
        Column("here"),
        Column("to download", write=_megabytes),
    ]
    rows: list[list[Cell]] = []
    for name, found in wanted.items():
        known = sum(file.bytes or 0 for file in found) or None
        missing = _to_download(found)
        rows.append([name, len(found), known, sum(file.here for file in found), missing])
    # Several datasets may be in one file.
    files = {file.name: file for found in wanted.values() for file in found}
    total = _to_download(list(files.values()))
    free = shutil.disk_usage(_existing(store.root)).free
    # A converted corpus takes about three times its compressed download.
    room = f"Free: {_megabytes(free)}" + (", which is too little." if 4 * (total or 0) > free else ".")
    needed = "unknown" if total is None else f"{_megabytes(total)}; once converted, {_megabytes(4 * total)} in all"
    notes = [f"to download: {needed}. {room}"]
    if unknown := sum(file.bytes is None for file in files.values()):
        have = "has no stated size and is" if unknown == 1 else "have no stated size and are"
        notes.append(f"{unknown} of {counted(len(files), 'file')} {have} not counted")
    return Grid("to download", columns, rows, notes)


def _to_download(files: Sequence[RemoteFile]) -> int | None:
    """Bytes of the files that are not here; None where none of these has a stated size."""
    sizes = [file.bytes for file in files if not file.here]
    known = [size for size in sizes if size is not None]
    return None if sizes and not known else sum(known)


def _fetched_grid(fetched: list[_Fetched]) -> Grid:
    columns = [Column("dataset"), *(Column(name, ",") for name in _COUNTS), Column("as its card says")]
    rows = [[one.dataset.name, *(one.dataset.notes[name] for name in _COUNTS), one.as_its_card] for one in fetched]
    return Grid("fetched", columns, rows)


def _inspected(dataset: Dataset) -> list[Grid]:
    return inspection_grids(dataset.name, inspect(dataset))


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"  # noqa: PLR2004
