"""Results of objects without an identity: nothing finds them again, so the next of the same settings replaces them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from evalkit.config.python_object import UNIQUE
from evalkit.errors import ResultError
from evalkit.results.manifest import MANIFEST, read_manifest
from evalkit.results.result import CANDIDATES, Result, read

_MADE: set[Path] = set()
"""Folders of this process's results, which it may still read."""


def made_here(result: Result) -> Result:
    """The result, which is not replaced as long as this process runs."""
    _MADE.add(result.folder.resolve())
    return result


def replacing(folder: Path, stage: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[Path, list[Path]]:
    """The folder for a result of a reranker, and those of earlier ones to remove; none where it has an identity.

    Args:
        folder: the one that is free.
        stage: name and identity of the reranker, as in a manifest.
        settings: of the reranker, as in a manifest.
    """
    found = _earlier(folder.parent, "reranker", stage, settings) if UNIQUE in stage else ()
    earlier = [place for place, _ in found if place.resolve() not in _MADE]
    taken = folder.with_name(stage["name"])
    return taken if taken in earlier else folder, earlier


def same_candidates(
    parent: Path, stage: Mapping[str, Any], settings: Mapping[str, Any], *, dataset: str, run_digest: str
) -> Result | None:
    """Earlier candidates of a first stage without an identity that are the very same run; None where there are none.

    Args:
        parent: where their folders are.
        stage: name, depth and identity of the first stage, as in a manifest.
        settings: of the first stage, as in a manifest.
        dataset: its digest.
        run_digest: of the run.
    """
    label = f"{stage['name']}-{stage['depth']}"
    found = _earlier(parent, "retriever", stage, settings, label=label, inner=CANDIDATES) if UNIQUE in stage else ()
    for folder, manifest in found:
        if (manifest["run_digest"], manifest["dataset"]["digest"]) == (run_digest, dataset):
            return read(folder)
    return None


def _earlier(
    parent: Path, kind: str, stage: Mapping[str, Any], settings: Mapping[str, Any], *, label: str = "", inner: str = ""
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folder and manifest of each result under this name that differs in nothing but being another evaluation's."""
    name = re.compile(re.escape(label or stage["name"]) + r"(\.[0-9a-f]{8})?")
    for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
        if not (name.fullmatch(folder.name) and (folder / inner / MANIFEST).is_file()):
            continue
        try:
            manifest = read_manifest(folder / inner)
        except ResultError:  # a damaged one is for its owner to remove
            continue
        theirs = manifest.get(kind, {})
        if (
            UNIQUE in theirs
            and {**theirs, UNIQUE: stage[UNIQUE]} == stage
            and _same(manifest["config"][kind], settings)
        ):
            yield folder / inner, manifest


def _same(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Whether settings are the same; an object that was given in Python has no address."""
    addresses = {theirs.get("object"), ours.get("object")} - {""}
    return {**theirs, "object": ""} == {**ours, "object": ""} and len(addresses) <= 1
