"""`evalkit fetch candidates=NAME`: public run files, checked, and written as TREC files for `retriever=saved`."""

import filecmp
from pathlib import Path
from typing import NamedTuple

from evalkit.config.published_candidates import CandidateFile, candidate_files
from evalkit.datasets import download, hub_files
from evalkit.datasets.loader import RemoteFile
from evalkit.errors import ConfigError, DataError
from evalkit.formats.runfile import RunFile, read_run_file
from evalkit.formats.trec import write_run
from evalkit.reports.grid import Cell, Column, Grid, write
from evalkit.store import Store
from evalkit.system.files import naming, temporary_folder
from evalkit.system.reporting import report
from evalkit.system.terminal import tell


class _Written(NamedTuple):
    dataset: str
    queries: int
    candidates: int
    path: Path


def fetch_candidates(name: str, datasets: tuple[str, ...], store: Store, out: Path, *, form: str) -> int:
    """Write `OUT/<dataset>/<name>.trec.gz` for each dataset, and print how to evaluate with them.

    Args:
        name: of a first stage in `conf/candidates/`.
        datasets: which of its datasets; all when empty.
        store: where downloads are kept.
        out: the folder to write below.
        form: of the table.

    Returns:
        0, or 2 if a file could not be fetched; the others are written all the same.

    Raises:
        ConfigError: there is no such first stage, or it has no run for a dataset.
    """
    written, failed = [], 0
    for file in candidate_files(name, datasets):
        try:
            written.append(_write(file, name, store, out))
        except (ConfigError, DataError) as error:
            failed = report(error)
    if written:
        columns = [Column("dataset"), Column("queries", ","), Column("candidates", ","), Column("file")]
        rows: list[list[Cell]] = [[one.dataset, one.queries, one.candidates, str(one.path)] for one in written]
        write([Grid(f"candidates: {name}", columns, rows)], form)
        path = f"{out}/${{dataset.name}}/{_system(name)}.trec.gz"
        tell(f"Evaluate with dataset={written[0].dataset} retriever=saved 'retriever.path={path}'.")
    return failed


def candidate_sizes(name: str, datasets: tuple[str, ...], store: Store) -> dict[str, RemoteFile]:
    """Dataset -> the file that `fetch_candidates` downloads for it.

    Raises:
        ConfigError: as `fetch_candidates`.
    """
    return {
        file.dataset: hub_files.remote_file(file.place, file.revision, file.name)
        if file.revision
        else download.remote_file(store, f"{file.place}/{file.name}", file.md5)
        for file in candidate_files(name, datasets)
    }


def _system(name: str) -> str:
    return name.replace("/", "-")


def _write(file: CandidateFile, name: str, store: Store, out: Path) -> _Written:
    found = _read(file, store)
    path = out / file.dataset / f"{_system(name)}.trec.gz"
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path.parent, f".{path.name}-") as staging:
            write_run(found.run, staging / path.name, tag=_system(name))
            # Candidates are frozen: results refer to them.
            if path.exists() and not filecmp.cmp(path, staging / path.name, shallow=False):
                raise ConfigError(f"{path}: is there already, with other content. Remove it, or set --out.")
            (staging / path.name).replace(path)
    return _Written(file.dataset, len(found.run.query_ids), len(found.run), path)


def _read(file: CandidateFile, store: Store) -> RunFile:
    try:
        if file.revision:
            path = hub_files.hub_file(file.place, file.revision, file.name)
        else:
            path = download.url_file(store, f"{file.place}/{file.name}", file.md5)
    except DataError as error:
        # The remedy for a dataset is not one for its candidates.
        raise DataError(str(error).removesuffix(download.ON_DISK).strip()) from error
    return read_run_file(path)
