"""Results on disk: a run, its per-query values, and a manifest that is written last.

    results/<dataset>/<retriever>-<depth>/candidates/   run.trec.gz  per_query.parquet  manifest.json
    results/<dataset>/<retriever>-<depth>/<reranker>/   the same three, for every reranker over these candidates, and
                                                        truncated.parquet where it tells which pairs it cut

A name is taken by the first settings that use it. Other settings under the same names go to `<name>.<key>` beside it,
so nothing is overwritten and nothing old is taken for new: a result is found by its key, never by its name alone.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from evalkit.config import EvaluateConfig
from evalkit.errors import ResultError
from evalkit.formats.trec import read_trec_run, write_run
from evalkit.results.manifest import MANIFEST, read_manifest, sealed
from evalkit.run import Run
from evalkit.system.files import atomic_write, build_folder, expanded, file_digest
from evalkit.system.stages import Rate, Stages, rate
from evalkit.types import PerQuery

logger = logging.getLogger(__name__)

CANDIDATES = "candidates"  # the folder that rerankers over the same candidates share
RUN = "run.trec.gz"
PER_QUERY = "per_query.parquet"
TRUNCATED = "truncated.parquet"


@dataclass(frozen=True)
class Result:
    """A complete result.

    Attributes:
        folder: where it is.
        manifest: what it is, as in `manifest.json`.
        fresh: whether it was computed just now rather than found.
    """

    folder: Path
    manifest: dict[str, Any]
    fresh: bool = False

    def read_run(self) -> Run:
        """The run."""
        return read_trec_run(self.folder / RUN)

    def read_per_query(self) -> PerQuery:
        """The values of every judged query.

        Raises:
            ResultError: they are not those of the measures that the manifest names.
        """
        table = _read_table(self.folder / PER_QUERY, ["query_id", *self.manifest["measures"]])
        values = {name: table[name].to_numpy() for name in table.column_names if name != "query_id"}
        missing = tuple(self.manifest["queries_without_candidates"])
        return PerQuery(tuple(table["query_id"].to_pylist()), values, missing)

    def read_truncated(self) -> set[tuple[str, str]] | None:
        """Query and document of every pair that was cut; None where that was not told or not kept.

        Raises:
            ResultError: the file holds something else.
        """
        if "truncated_sha256" not in self.manifest:
            return None
        table = _read_table(self.folder / TRUNCATED, ["query_id", "doc_id"])
        return set(zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True))


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation gave: the reranked result, beside the candidates that it started from."""

    result: Result
    candidates: Result

    @property
    def dataset(self) -> str:
        """Its name."""
        return str(self.result.manifest["dataset"]["name"])

    @property
    def first_stage(self) -> str:
        """Name and depth of the first stage, such as `bm25-100`."""
        stage = self.candidates.manifest["retriever"]
        return f"{stage['name']}-{stage['depth']}"

    @property
    def is_first_stage(self) -> bool:
        """Whether the result is the candidates' own order."""
        return bool(self.result.manifest.get("reranker", {"kind": "none"})["kind"] == "none")

    @property
    def rate(self) -> Rate | None:
        """Pairs a second that the reranker scored; None where it scored none: for a first stage, or what was kept.

        Also for results of versions that counted loading the model.
        """
        return rate(self.result.manifest.get("stages", {}).get("rerank", {}))

    @property
    def reranker(self) -> str:
        """Name of the reranker; of the first stage where there is none."""
        return self.first_stage if self.is_first_stage else str(self.result.manifest["reranker"]["name"])


def read(folder: Path) -> Result:
    """The result in a folder, its files checked against the manifest.

    Raises:
        ResultError: a file is absent, damaged, or not the one that the manifest describes.
    """
    manifest = read_manifest(folder)
    while wrong := _wrong_file(folder, manifest):
        earlier, manifest = manifest, read_manifest(folder)
        if manifest == earlier:
            raise ResultError(f"{wrong}: is not the file that {MANIFEST} describes. Remove {folder} and run again.")
        # Else another process added measures between our looks.
    for found in folder.iterdir():
        if found.name not in {MANIFEST, *_kept(manifest)} and not found.name.startswith("."):
            raise ResultError(
                f"{found}: is no file of this result. Move it elsewhere, so that nobody takes it for one."
            )
    return Result(folder, manifest)


def _kept(manifest: dict[str, Any]) -> dict[str, str]:
    """The files beside a manifest, and their checksums."""
    kept = {RUN: manifest["run_sha256"], PER_QUERY: manifest["per_query_sha256"]}
    return {**kept, **({TRUNCATED: manifest["truncated_sha256"]} if "truncated_sha256" in manifest else {})}


def _wrong_file(folder: Path, manifest: dict[str, Any]) -> Path | None:
    for name, recorded in _kept(manifest).items():
        if not _is(folder / name, recorded) and not _finish_update(folder / name, recorded):
            return folder / name
    return None


def _read_table(path: Path, columns: list[str]) -> pa.Table:
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ResultError(f"{path}: cannot be read ({error}). Remove {path.parent} and run again.") from error
    if sorted(table.column_names) != sorted(columns):
        raise ResultError(f"{path}: has not the columns that {MANIFEST} tells of. Remove {path.parent} and run again.")
    return table


def _is(path: Path, recorded: str) -> bool:
    return path.is_file() and file_digest(path) == recorded


def _finish_update(path: Path, recorded: str) -> bool:
    """Whether the file was left under its other name by an `update` that was killed; then it gets its own."""
    staging = _staging(path)
    if _is(staging, recorded):
        with suppress(OSError):  # two readers may be here at once
            staging.replace(path)
    return _is(path, recorded)


def _staging(path: Path) -> Path:
    return path.with_name(f".{path.name}")


def locate(parent: Path, label: str, key: str, *, inner: str = "") -> tuple[Path, Result | None]:
    """The folder for a key, and the result if it is there already.

    Args:
        parent: where folders with this label are.
        label: the folder's name, if it is free or holds this key.
        key: digest of everything that makes the result.
        inner: the result is in this folder below it.
    """
    for folder in (parent / label, _beside(parent / label, key)):
        if not (folder / inner).exists():
            return folder, None
        if (folder / inner / MANIFEST).exists():
            found = read(folder / inner)
            if found.manifest["key"] == key:
                return folder, found
        else:
            _tell_of(folder / inner)
    raise ResultError(f"{parent / label}: is there, but holds no {MANIFEST}. Remove it, or choose another results_dir.")


@cache  # once, though it is looked for several times
def _tell_of(folder: Path) -> None:
    logger.warning("%s: has the name of a result and holds no %s, so it is none. It is left alone.", folder, MANIFEST)


def locate_candidates(config: EvaluateConfig, dataset: str, key: str) -> tuple[Path, Result | None]:
    """`locate` for the candidates of an evaluation on a dataset of this name."""
    parent = expanded(config.results_dir) / dataset
    return locate(parent, f"{config.retriever.name}-{config.depth}", key, inner=CANDIDATES)


def _beside(folder: Path, key: str) -> Path:
    """Where a result goes whose name is taken by other settings."""
    return folder.with_name(f"{folder.name}.{key[:8]}")


def save(
    folder: Path,
    *,
    run: Run,
    per_query: PerQuery,
    manifest: dict[str, Any],
    tag: str,
    inner: str = "",
    truncated: pa.Table | None = None,
    stages: Stages | None = None,
) -> Result:
    """Write a result; it has its name only once it is whole.

    Args:
        folder: as `locate` gave it.
        run: what is kept.
        per_query: its values.
        manifest: all else; digests of the files are added.
        tag: last column of the run file.
        inner: the result goes into this folder below it.
        truncated: columns `query_id` and `doc_id` of the pairs that were cut, where that is known.
        stages: what came before, for the manifest; writing is added.

    Raises:
        ResultError: it cannot be written; nothing is left behind.
    """
    complete = dict(manifest)

    def write(staging: Path) -> None:
        timer = Stages() if stages is None else stages
        with timer.timed("write"):
            complete.update(_write_files(staging, run, per_query, truncated, tag=tag))
        if stages is not None:
            complete["stages"] = stages.with_speeds()
        atomic_write(staging / MANIFEST, sealed(complete))

    if build_folder(folder / inner, write):
        return Result(folder / inner, complete, fresh=True)
    other = read(folder / inner)
    if other.manifest["key"] == manifest["key"]:
        return other
    # Another process took the name for other settings between our look and now.
    again: dict[str, Any] = {"tag": tag, "inner": inner, "truncated": truncated, "stages": stages}
    return save(_beside(folder, manifest["key"]), run=run, per_query=per_query, manifest=manifest, **again)


def _write_files(
    folder: Path, run: Run, per_query: PerQuery, truncated: pa.Table | None, *, tag: str
) -> dict[str, Any]:
    """The files of a result but for its manifest, and what that is to say of them."""
    import pyarrow.parquet as pq

    write_run(run, folder / RUN, tag=tag)
    _write_per_query(per_query, folder / PER_QUERY)
    found: dict[str, Any] = {"pairs": len(run), "run_sha256": file_digest(folder / RUN)}
    found["per_query_sha256"] = file_digest(folder / PER_QUERY)
    if truncated is not None:
        pq.write_table(truncated, folder / TRUNCATED)
        found["truncated_sha256"] = file_digest(folder / TRUNCATED)
    return found


@contextmanager
def alone(found: Result) -> Iterator[Result]:
    """A result that was found, as it is now; nobody else changes it within the `with` block.

    Raises:
        ResultError: it cannot be read or locked.
    """
    lock = FileLock(found.folder.with_name(f".{found.folder.name}.lock"))
    try:
        lock.acquire()
    except OSError as error:
        raise ResultError(f"{found.folder}: cannot be written ({error.strerror or error}).") from error
    try:
        yield read(found.folder)
    finally:
        lock.release()


def update(result: Result, *, per_query: PerQuery, changes: dict[str, Any]) -> Result:
    """The same result with other measures; the run stays as it is. Call it within `alone`.

    Raises:
        ResultError: it cannot be written.
    """
    staging = _staging(result.folder / PER_QUERY)
    try:
        _write_per_query(per_query, staging)
        manifest = {**result.manifest, **changes, "per_query_sha256": file_digest(staging)}
        # Killed between these two, `read` does the second.
        atomic_write(result.folder / MANIFEST, sealed(manifest))
        staging.replace(result.folder / PER_QUERY)
    except OSError as error:
        raise ResultError(f"{result.folder}: cannot be written ({error.strerror or error}).") from error
    return Result(result.folder, manifest)


def _write_per_query(per_query: PerQuery, path: Path) -> None:
    per_query.to_frame().to_parquet(path, index=False)
