"""From a path to the files of the collection in it: which folder of a folder, a zip or a tar is the collection."""

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath

from evalkit.datasets.filenames import LAYOUT, is_corpus, root_of
from evalkit.datasets.source import CORPUS, CollectionFiles, FolderSource
from evalkit.errors import DataError
from evalkit.formats.archives import ARCHIVES, TarSource, ZipSource, is_archive, is_leftover, is_tar
from evalkit.formats.compressed import plain_name
from evalkit.formats.filekind import KIND_BYTES, file_kind
from evalkit.formats.rows import is_number, qrels_layout, run_layout
from evalkit.formats.textfile import peek, read_lines

logger = logging.getLogger(__name__)

_DEPTH = 3  # folders below a path in which a collection is looked for
_MOST_FILES = 100_000  # that are looked at


def open_source(
    path: Path, folder: str | None = None, *, marker: str = CORPUS, layout: str = LAYOUT, exact: bool = False
) -> CollectionFiles:
    """The collection at a path.

    Args:
        path: of a folder, zip or tar.
        folder: name of the collection's folder, where the path holds several.
        marker: the file that tells where in an archive the collection is; that of documents may also have the other
            names that `filenames` knows.
        layout: what errors say that the path should hold.
        exact: whether the path must hold that folder; otherwise it may be the collection itself.
    """
    if path.is_dir():
        return FolderSource(_inside(path, folder, marker, exact=exact))
    if not path.is_file():
        raise DataError(f"{path}: no such folder or zip. dataset.path is a folder or zip with {layout}.")

    if not is_archive(path) and file_kind(peek(path, KIND_BYTES)) is None and not path.name.endswith(ARCHIVES):
        raise DataError(f"{path}: {_recognised(path)}. dataset.path is a folder, zip or tar with {layout}.")

    def find_root(names: Sequence[str]) -> str:
        return _single_root(path, names, folder, marker, layout=layout, exact=exact)

    return TarSource(path, find_root) if is_tar(path) else ZipSource(path, find_root)


def _recognised(path: Path) -> str:
    """The kind of a single file of text."""
    line = next((line for _, line in read_lines(path)), "")
    for layout, what in (
        (qrels_layout, "judgments, which go with documents and queries in one folder"),
        (run_layout, "a run, for retriever=saved retriever.path=FILE"),
    ):
        with suppress(DataError):
            found = layout(line, str(path))
            values = [row.value or row.rank or "" for row in found.rows([(1, line)], path)]
            if "\t" in line or all(map(is_number, values)):
                return f"recognised as {what} ({found.shown})"
    return "is a single file of text"


def _inside(path: Path, folder: str | None, marker: str, *, exact: bool) -> Path:
    """The folder of the collection: the path itself, one of that name below it, or the only one below it."""
    if folder:
        below = [path / folder, *sorted(path.glob(f"*/{folder}"))]
        found = [candidate for candidate in below if candidate.is_dir()]
        if exact and not found:
            raise DataError(f"{path}: holds no folder {folder}. {_collections(path)}Check dataset.folder.")
        path = found[0] if found else path
    if marker != CORPUS or any(is_corpus(file.name) for file in path.iterdir() if file.is_file()):
        return path
    roots = _roots(_names_below(path), _kinds_of(marker))
    if roots == [""]:
        return path
    if len(roots) == 1:
        logger.warning("%s: the collection is in its folder %s, which is read.", path, roots[0].rstrip("/"))
        return path / roots[0]
    if roots:
        raise _several(path, roots)
    return path


def _collections(path: Path) -> str:
    roots = _roots(_names_below(path), _kinds_of(CORPUS))
    return f"It holds collections in {_shown(roots)}. " if roots else ""


def _names_below(path: Path) -> list[str]:
    """Files at most `_DEPTH` folders below a path; hidden folders are left out."""
    names: list[str] = []
    for place, folders, files in os.walk(path):
        here = Path(place).relative_to(path)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not is_leftover(name))
        if len(here.parts) == _DEPTH:
            folders.clear()
        names += [(here / name).as_posix() for name in files]
        if len(names) > _MOST_FILES:
            break
    return names


def _single_root(path: Path, names: Sequence[str], folder: str | None, marker: str, *, layout: str, exact: bool) -> str:
    """The folder, with a final `/`, that holds the one collection of an archive, or the one of that name."""
    roots = _roots(names, _kinds_of(marker))
    if not roots:
        kind = "tar" if is_tar(path) else "zip"
        held = f" It holds {_shown(sorted(names))}." if names else " It is empty."
        raise DataError(f"{path}: no {marker} in the {kind}.{held} Expected {layout}.")
    if len(roots) == 1 and not (folder and exact):
        return roots[0]
    named = [root for root in roots if PurePosixPath(root).name == folder]
    if len(named) == 1:
        return named[0]
    raise _several(path, roots)


def _kinds_of(marker: str) -> list[Callable[[str], bool]]:
    """Which names mark a collection: the marker, or without one any name of a file of documents."""

    def is_marker(name: str) -> bool:
        return plain_name(PurePosixPath(name).name) == marker

    return [is_marker, is_corpus, partial(is_corpus, loosely=True)] if marker == CORPUS else [is_marker]


def _roots(names: Sequence[str], kinds: Sequence[Callable[[str], bool]]) -> list[str]:
    """Folders with a file of the first kind that occurs, each with a final `/`; empty for the top."""
    names = [name for name in names if not is_leftover(name)]
    for is_wanted in kinds:
        found = {root_of(name, names) for name in names if is_wanted(name)}
        if found:
            return sorted(found)
    return []


def _several(path: Path, roots: Sequence[str]) -> DataError:
    return DataError(
        f"{path}: holds {len(roots)} collections ({_shown(roots)}). Set dataset.folder to the name of one."
    )


def _shown(roots: Sequence[str]) -> str:
    most = 30
    more = f" and {len(roots) - most} more" if len(roots) > most else ""
    return ", ".join(root.rstrip("/") or "." for root in roots[:most]) + more
