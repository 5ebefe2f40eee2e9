"""Results and runs as they are given: folders, files, evaluations, and objects that hold a run; each with a name."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from evalkit.errors import ConfigError, DataError
from evalkit.formats.python_objects import is_from, run_object
from evalkit.formats.run_names import run_names
from evalkit.formats.runfile import RunFile
from evalkit.formats.textfile import is_saved
from evalkit.measures.given_runs import GivenRun
from evalkit.results.gather import gather
from evalkit.results.labels import names
from evalkit.results.result import Evaluation
from evalkit.system.files import expanded


def path_of(item: str | PathLike[str]) -> Path:
    """An item as a path.

    Raises:
        DataError: nothing can be called so.
    """
    text = str(item)
    if not text or "\0" in text:
        raise DataError(f"{text!r} is not the name of a file or folder.")
    return expanded(text)


def results_in(items: Iterable[Any]) -> list[Evaluation]:
    """The evaluations among the items, and those of folders, none twice.

    Raises:
        ResultError: a folder holds no result, or a damaged one.
    """
    found: dict[Path, Evaluation] = {}
    for item in items:
        if isinstance(item, Evaluation):
            found.setdefault(item.result.folder.resolve(), item)
        elif is_result(item):
            found |= {evaluation.result.folder.resolve(): evaluation for evaluation in gather([path_of(item)])}
    return list(found.values())


def is_result(item: Any) -> bool:
    """Whether an item is an evaluation, or a path where results may be: anything but a file, or a table on disk."""
    if not isinstance(item, str | PathLike):
        return isinstance(item, Evaluation)
    path = path_of(item)
    return not (path.is_file() or is_saved(path))


def read_runs(items: Sequence[Any], *, order: str | None = None) -> dict[str, GivenRun]:
    """Name -> run. Files are named after themselves, results as in tables of results, and objects by their number.

    A `ranx.Run` has a name of its own.

    Args:
        items: run files, evaluations, folders of results, and whatever `python_objects` reads.
        order: what orders documents where ranks and scores of a file disagree: `score` or `rank`.

    Raises:
        ConfigError: a file is given twice.
        DataError: a file or an object is not a run.
        ResultError: a folder holds no result.
    """
    paths = [path_of(item) for item in items if isinstance(item, str | PathLike)]
    files = [path for path in paths if not path.is_dir() or is_saved(path)]
    label_of = dict(zip(files, run_names(files), strict=True))
    found: dict[str, GivenRun] = {}
    for number, item in enumerate(items, start=1):
        if isinstance(item, str | PathLike):
            path = path_of(item)
            if path in label_of:
                found[label_of[path]] = GivenRun(run_object(path, order=order), path)
        elif not isinstance(item, Evaluation):
            name = item.name if is_from(item, "ranx", "Run") else None
            label = name if name and name not in found else f"run {number}"
            found[label] = named_run(label, item, order=order)
    evaluations = results_in(items)
    for name, evaluation in zip(names(evaluations), evaluations, strict=True):
        label = name if name not in found else str(evaluation.result.folder)
        found[label] = GivenRun(RunFile(evaluation.result.read_run()), evaluation.result.folder)
    return found


def named_runs(runs: Mapping[Any, Any], *, order: str | None = None) -> dict[str, GivenRun]:
    """`read_runs` where names are given.

    Raises:
        ConfigError: a folder holds several results, or a name is not a text.
        DataError: a file or an object is not a run.
        ResultError: a folder holds no result.
    """
    if wrong := [name for name in runs if not isinstance(name, str) or not name]:
        raise ConfigError(f"a run is named {wrong[0]!r}. Names are texts: {{'bm25': run, 'mine': other}}.")
    return {name: named_run(name, item, order=order) for name, item in runs.items()}


def named_run(name: str, item: Any, *, order: str | None = None) -> GivenRun:
    """One run of this name.

    Raises:
        ConfigError: a folder holds several results.
        DataError: a file or an object is not a run.
        ResultError: a folder holds no result.
    """
    if not (found := results_in([item])):
        return GivenRun(run_object(item, name, order=order), Path(name))
    if len(found) > 1:
        raise ConfigError(f"{name}: {item} holds {len(found)} results. Give one of them.")
    return GivenRun(RunFile(found[0].result.read_run()), Path(name))
