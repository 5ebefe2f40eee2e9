"""Runs as they are given: files, or results whose run is meant, each with a name of its own."""

from collections.abc import Sequence
from pathlib import Path

from evalkit.formats.run_names import run_names
from evalkit.formats.runfile import RunFile, read_run_file
from evalkit.measures.given_runs import GivenRun
from evalkit.results.gather import gather, names


def read_runs(paths: Sequence[Path], *, order: str | None = None) -> dict[str, GivenRun]:
    """Name -> run, in the order given.

    Args:
        paths: run files, and folders of results.
        order: what orders documents where ranks and scores of a file disagree: `score` or `rank`.

    Raises:
        ConfigError: a file is given twice.
        DataError: a file is not a run.
        ResultError: a folder holds no result.
    """
    files = [path for path in paths if not path.is_dir()]
    label_of = dict(zip(files, run_names(files), strict=True))
    found: dict[str, GivenRun] = {}
    for path in paths:
        if path in label_of:
            found[label_of[path]] = GivenRun(read_run_file(path, order=order), path)
    evaluations = gather([path for path in paths if path.is_dir()])
    for name, one in zip(names(evaluations), evaluations, strict=True):
        label = name if name not in found else str(one.result.folder)
        found[label] = GivenRun(RunFile(one.result.read_run()), one.result.folder)
    return found
