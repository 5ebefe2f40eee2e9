"""Results on disk: found below folders, named apart, and joined to their dataset again."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from glob import escape
from pathlib import Path

from evalkit import datasets, results
from evalkit.datasets.from_manifest import dataset_config
from evalkit.errors import ConfigError, ResultError
from evalkit.measures import measure, parse_measure
from evalkit.measures.answers import AnswerJudge
from evalkit.results import CANDIDATES, PER_QUERY, RUN, Evaluation, Result
from evalkit.results.judged_runs import RunResult
from evalkit.results.manifest import MANIFEST
from evalkit.store import open_store
from evalkit.system.reporting import reason
from evalkit.system.terminal import tell
from evalkit.types import Dataset, PerQuery

_KEY = re.compile(r"\.[0-9a-f]{8}")  # at the end of a folder's name that was taken by other settings


def gather(paths: Sequence[str | Path]) -> list[Evaluation]:
    """The evaluations in these folders and below them, in the order of their paths, none twice.

    A folder of candidates gives the first stage as an evaluation of its own where it is given itself, or where no
    reranker has a result next to it. A folder that exists only with its key at the end of its name is found without it.
    Whatever lies below a given folder and is left out is named on stderr.

    Raises:
        ResultError: a folder is absent, holds no result, or holds one that is damaged.
    """
    found: dict[Path, Evaluation] = {}
    read = cache(results.read)  # candidates once, for all rerankers over them
    for path in map(Path, paths):
        folder = _present(path.parent if path.name == MANIFEST else path)
        own = [folder] if (folder / MANIFEST).is_file() else sorted(_below(folder))
        if not own:
            runs = f" Of a folder of runs give the files: {path}/*." if _has_files(folder) else ""
            raise ResultError(
                f"{path}: holds no result (no {MANIFEST} in it or below). Run `evalkit evaluate` first.{runs}"
            )
        for place in own:
            if place.resolve() not in found:
                found[place.resolve()] = _evaluation(place, read)
    return list(found.values())


def _has_files(folder: Path) -> bool:
    return any(place.is_file() for place in folder.iterdir())


def _present(folder: Path) -> Path:
    """A folder, or the only one of its name with a key at the end.

    Raises:
        ResultError: there is none, or there are several.
    """
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise ResultError(
            f"{folder}: is a file, expected a folder of results. A run file needs judgments: give --qrels."
        )
    parents = [folder.parent, *_keyed(folder.parent)]
    places = (place for parent in parents for place in (parent / folder.name, *_keyed(parent / folder.name)))
    there = [place for place in places if place.is_dir()]
    if not there:
        raise ResultError(f"{folder}: there is no such file or folder. Give a result, a folder of results, or a run.")
    if len(there) > 1:
        raise ResultError(
            f"{folder}: there is no such folder. There are {', '.join(map(str, there))}, made with different settings. "
            "Give one of them."
        )
    tell(f"{folder}: there is no such folder. Reading {there[0]}, the only one of that name.")
    return there[0]


def _keyed(folder: Path) -> list[Path]:
    """Folders with this name and a key at its end."""
    beside = folder.parent.glob(f"{escape(folder.name)}.*")
    return sorted(place for place in beside if place.is_dir() and _KEY.fullmatch(place.name.removeprefix(folder.name)))


def _below(folder: Path) -> list[Path]:
    """Folders with a result, without candidates that have a reranker's result next to them."""
    inside: list[Path] = []
    for place, folders, files in os.walk(folder):
        path = Path(place)
        for name in folders:
            if (path / name).is_symlink():
                tell(f"{path / name}: left out, because it is a link. Give it by itself.")
            elif name.startswith(".building-"):
                tell(f"{path / name}: left out, because it is still being written, or was interrupted.")
        folders[:] = [name for name in folders if not name.startswith(".")]
        if MANIFEST in files:
            inside.append(path)
        elif {RUN, PER_QUERY} & set(files):
            tell(f"{path}: left out, because it has no {MANIFEST}. Remove it and run again.")
    with_reranker = {path.parent for path in inside if path.name != CANDIDATES}
    return [path for path in inside if path.name != CANDIDATES or path.parent not in with_reranker]


def _evaluation(folder: Path, read: Callable[[Path], Result]) -> Evaluation:
    result = read(folder)
    if "reranker" not in result.manifest:
        return Evaluation(result, result)
    candidates = read(folder.parent / CANDIDATES)
    if candidates.manifest["key"] != result.manifest["candidates"]["key"]:
        raise ResultError(f"{folder}: was not made from the candidates next to it. Remove {folder} and run again.")
    return Evaluation(result, candidates)


def dataset_of(result: Result) -> Dataset:
    """The dataset that a result was measured on, with its texts and judgments.

    Raises:
        DataError: its files are gone.
        ResultError: the dataset has changed since.
    """
    if isinstance(result, RunResult):
        return result.dataset
    settings = result.manifest["config"]
    try:
        config = dataset_config(settings["dataset"])
    except (ConfigError, TypeError, KeyError, AttributeError) as error:
        raise ResultError(
            f"{result.folder}: does not say what it was measured on ({reason(error)}). Run again."
        ) from error
    if config is None:
        raise ResultError(
            f"{result.folder}: no kind of dataset has the settings of {settings['dataset']['name']}. Install the "
            "package or the version of evalkit that it was made with, or run again."
        )
    dataset = datasets.load(config, open_store(settings["cache_dir"]))
    if dataset.digest != result.manifest["dataset"]["digest"]:
        raise ResultError(
            f"{result.folder}: was measured on other documents, queries or judgments than {dataset.name} has now. "
            "Run again, or restore the collection."
        )
    return dataset


def joiner() -> Callable[[Result], Dataset]:
    """`dataset_of` that loads a dataset once for results that follow each other."""
    last: dict[tuple[str, str], Dataset] = {}

    def join(result: Result) -> Dataset:
        facts = result.manifest["dataset"]
        key = facts["name"], facts["digest"]  # one collection may go under two names
        if key not in last:
            loaded = dataset_of(result)
            last.clear()  # one at a time: a corpus may be large
            last[key] = loaded
        return last[key]

    return join


def measure_of(evaluations: Sequence[Evaluation], name: str) -> str:
    """The measure that a name means for these evaluations: at the relevance level of their datasets where it has none.

    Raises:
        ConfigError: the name is unknown, or means measures of several levels.
    """
    found = {_at_level(one, name): one.dataset for one in evaluations} or {parse_measure(name).name: ""}
    if len(found) > 1:
        listed = " and ".join(f"{measure} for {dataset}" for measure, dataset in found.items())
        raise ConfigError(f"{name} means {listed}. Name the relevance level.")
    return next(iter(found))


def _at_level(one: Evaluation, name: str) -> str:
    level = one.result.manifest["config"]["dataset"].get("relevance_level", 1)
    return parse_measure(name, level=level).name


def per_query(result: Result, *measures: str) -> PerQuery:
    """Values of measures for every judged query, as saved with the result, or measured now on its run.

    Raises:
        DataError: the dataset is gone, or has no judgments for the measure.
        ResultError: the dataset has changed since.
    """
    saved = result.read_per_query()
    if not (absent := [name for name in measures if name not in saved.values]):
        return saved
    dataset, run = dataset_of(result), result.read_run()
    answers = AnswerJudge(dataset).judge(run) if dataset.answers else None
    added = measure(dataset.qrels, run, absent, answers=answers)
    kept = {name: saved.values[name] for name in measures if name in saved.values}
    return replace(saved, values={**kept, **added.values})
