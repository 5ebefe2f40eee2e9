"""Results are found by their key, saved whole, and completed with measures that are asked for later."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from evalkit.config import EvaluateConfig
from evalkit.config.after_file import former_name
from evalkit.errors import ResultError
from evalkit.formats.trec import run_lines, write_lines
from evalkit.results.manifest import MANIFEST, sealed
from evalkit.results.result import CANDIDATES, PER_QUERY, RUN, TRUNCATED, Result, read, staging_of
from evalkit.results.without_identity import made_here
from evalkit.run import Run
from evalkit.system.files import atomic_write, build_folder, expanded, file_digest, temporary_folder
from evalkit.system.locks import locked
from evalkit.system.stages import Stages
from evalkit.types import PerQuery

logger = logging.getLogger(__name__)

_REPLACED = ".replaced-"


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
            _warn_of(folder / inner)
    raise ResultError(f"{parent / label}: is there, but holds no {MANIFEST}. Remove it, or choose another results_dir.")


@cache  # once, though it is looked for several times
def _warn_of(folder: Path) -> None:
    logger.warning("%s: looks like a result but has no %s. Ignoring it.", folder, MANIFEST)


def locate_candidates(config: EvaluateConfig, dataset: str, key: str) -> tuple[Path, Result | None]:
    """`locate` for the candidates of an evaluation on a dataset of this name."""
    parent, depth = expanded(config.results_dir) / dataset, config.depth
    names = [f"{name}-{depth}" for name in (former_name(config.retriever), config.retriever.name) if name]
    return _locate_either(parent, names, key, inner=CANDIDATES)


def locate_reranked(config: EvaluateConfig, parent: Path, key: str) -> tuple[Path, Result | None]:
    """`locate` for the reranked result of an evaluation, whose candidates are in a folder of `parent`."""
    names = [name for name in (former_name(config.reranker), config.reranker.name) if name]
    return _locate_either(parent, names, key)


def _locate_either(parent: Path, labels: list[str], key: str, *, inner: str = "") -> tuple[Path, Result | None]:
    """The result under the first of these labels that has it; without one, its folder under the last."""
    *others, last = labels
    places = (locate(parent, label, key, inner=inner) for label in others)
    return next((place for place in places if place[1]), None) or locate(parent, last, key, inner=inner)


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
    replaces: Sequence[Path] = (),
) -> Result:
    """Write a result; it has its name only once it is whole.

    Args:
        folder: as `locate` gave it.
        run: the run to save.
        per_query: its values.
        manifest: all else; digests of the files are added.
        tag: last column of the run file.
        inner: the result goes into this folder below it.
        truncated: columns `query_id` and `doc_id` of the pairs that were cut, where that is known.
        stages: what came before, for the manifest; writing is added.
        replaces: folders of earlier results, removed when this one is written.

    Raises:
        ResultError: it cannot be written; nothing is left behind.
    """
    complete = dict(manifest)

    def write(staging: Path) -> None:
        with (Stages() if stages is None else stages).timed("write"):
            complete.update(_write_files(staging, run, per_query, truncated, tag=tag))
        if stages is not None:
            complete["stages"] = stages.with_speeds()
        atomic_write(staging / MANIFEST, sealed(complete))
        _remove(replaces)

    if build_folder(folder / inner, write):
        return made_here(Result(folder / inner, complete, fresh=True))
    other = read(folder / inner)
    if other.manifest["key"] == manifest["key"]:
        return other
    # Another process took the name for other settings between our look and now.
    again: dict[str, Any] = {"tag": tag, "inner": inner, "truncated": truncated, "stages": stages}
    return save(_beside(folder, manifest["key"]), run=run, per_query=per_query, manifest=manifest, **again)


def _remove(folders: Sequence[Path]) -> None:
    """Remove results; a kill leaves no half of one under its name."""
    for earlier in folders:
        with temporary_folder(earlier.parent, _REPLACED) as aside:
            earlier.rename(aside / earlier.name)


def _write_files(
    folder: Path, run: Run, per_query: PerQuery, truncated: pa.Table | None, *, tag: str
) -> dict[str, Any]:
    """Write the files of a result except its manifest; gives what the manifest says of them."""
    import pyarrow.parquet as pq

    write_lines(run_lines(run, tag), folder / RUN)
    _write_per_query(per_query, folder / PER_QUERY)
    found: dict[str, Any] = {"pairs": len(run), "run_sha256": file_digest(folder / RUN)}
    found["per_query_sha256"] = file_digest(folder / PER_QUERY)
    if truncated is not None:
        pq.write_table(truncated, folder / TRUNCATED)
        found["truncated_sha256"] = file_digest(folder / TRUNCATED)
    return found


@contextmanager
def alone(found: Result) -> Iterator[Result]:
    """A result that was found, as it is now; no other process changes it within the `with` block.

    Raises:
        ResultError: it cannot be read or locked.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(found.folder.with_name(f".{found.folder.name}.lock")))
        except OSError as error:
            raise ResultError(f"{found.folder}: cannot be written ({error.strerror or error}).") from error
        yield read(found.folder)


def update(result: Result, *, per_query: PerQuery, changes: dict[str, Any]) -> Result:
    """The same result with other measures; the run stays as it is. Call it within `alone`.

    Raises:
        ResultError: it cannot be written.
    """
    staging = staging_of(result.folder / PER_QUERY)
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
