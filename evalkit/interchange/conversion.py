"""Any collection, judgments or run in the layouts that every tool reads: BEIR's folder, and TREC's files."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from evalkit import datasets
from evalkit.config import FolderDatasetConfig
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.folder import recognised
from evalkit.datasets.reranking_samples import are_samples, begins_with_sample
from evalkit.errors import ConfigError, DataError
from evalkit.formats.archives import ARCHIVES, is_archive, only_member
from evalkit.formats.compressed import SUFFIXES
from evalkit.formats.judgments import QrelsFile, read_judgments
from evalkit.formats.notes import Note, counted
from evalkit.formats.run_names import named_after
from evalkit.formats.runfile import RunFile, read_run_file
from evalkit.formats.trec import qrels_lines, run_lines, write_lines
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.files import naming, temporary_folder
from evalkit.types import Dataset, Qrels

KINDS = ("collection", "judgments", "run")
LAYOUTS = ("beir", "trec")
_NOT_WRITTEN = {*ARCHIVES, *SUFFIXES, ".json", ".jsonl", ".csv", ".parquet", ".parq", ".feather", ".arrow"} - {".gz"}
_MAY_BE_RUN = Note("may_be_run", "read as judgments; if it is a run, set --as run and --order score|rank", {})


class Converted(NamedTuple):
    """The collection, run or judgments that were read, and the files to write.

    Attributes:
        recognised: the kind and layout of the input.
        counts: of what it holds, in words.
        notes: how it was read, if that is not obvious.
        files: name in the output folder -> lines; the only one, called `""`, is the output itself.
    """

    recognised: str
    counts: str
    notes: tuple[str, ...]
    files: Mapping[str, Iterable[str]]


def converted(
    path: Path,
    store: Store,
    *,
    to: str | None = None,
    kind: str | None = None,
    split: str = "test",
    folder: str | None = None,
    order: str | None = None,
) -> Converted:
    """Read a file, a folder or an archive.

    Args:
        path: a collection, judgments or a run.
        store: where the corpus of a collection is kept.
        to: a name of `LAYOUTS`; by default BEIR's of a collection, and TREC's of judgments and runs.
        kind: a name of `KINDS`; None to recognise it.
        split: which judgments of a collection.
        folder: which collection, where the path holds several.
        order: what orders the documents of a run where its ranks and scores disagree.

    Raises:
        ConfigError: the layout has no place for what the path holds.
        DataError: the path holds none of the three, or may be two of them.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder. Check the path.")
    kind = kind or ("collection" if _is_collection(path) else None)
    if kind == "collection":
        return _of_collection(FolderDatasetConfig(path=str(path), split=split, folder=folder, check="off"), store, to)
    found = _judgments_or_run(path, kind, order)
    if isinstance(found, RunFile):
        if to == "beir":
            raise ConfigError(f"{path}: is a run, which BEIR layout has no place for. Leave --to, or set --to trec.")
        counts = (
            f"{counted(len(found.run.query_ids), 'query', 'queries')}, {counted(len(found.run), 'scored document')}"
        )
        notes = tuple(note.text for note in found.notes)
        return Converted("a run", counts, notes, {"": run_lines(found.run, named_after(path))})
    lines = _beir_qrels(found.qrels) if to == "beir" else qrels_lines(found.qrels)
    return Converted("judgments", _counts(found.qrels), tuple(note.text for note in found.notes), {"": lines})


def _is_collection(path: Path) -> bool:
    """Whether a path is a folder, an archive of several files, or a file of questions with passages."""
    if path.is_dir():
        return True
    if is_archive(path):
        try:
            member = only_member(path)
        except DataError:
            return True
        if member:
            member.close()
    config = FolderDatasetConfig(path=str(path))
    return are_samples(config) and begins_with_sample(config)


def _judgments_or_run(path: Path, kind: str | None, order: str | None) -> QrelsFile | RunFile:
    if kind == "judgments":
        return read_judgments(path)
    if kind == "run":
        return read_run_file(path, order=order)
    readers: tuple[Callable[[], QrelsFile | RunFile], ...] = (
        lambda: read_judgments(path),
        lambda: read_run_file(path, order=order),
    )
    found, faults = [], []
    for read in readers:
        try:
            found.append(read())
        except DataError as error:
            faults.append(str(error).removeprefix(f"{path}:").strip())
    if not found:
        raise DataError(f"{path}: holds neither judgments ({faults[0]}) nor a run ({faults[1]}).")
    by_name = any("qrel" in part.lower() for part in path.absolute().parts[-2:])
    # Any four columns may be candidates without an order.
    if len(found) == 1 and isinstance(found[0], QrelsFile) and not by_name and _is_run_by_score(path):
        return found[0]._replace(notes=(*found[0].notes, _MAY_BE_RUN))
    if len(found) == 1 or by_name or (isinstance(found[1], RunFile) and found[1].is_unordered):
        return found[0]
    raise DataError(f"{path}: may be judgments or a run. Set --as judgments, or --as run.")


def _is_run_by_score(path: Path) -> bool:
    """Whether a file that is not a run is one as soon as its values are scores."""
    try:
        return not read_run_file(path, order="score").is_unordered
    except DataError:
        return False


def _of_collection(config: FolderDatasetConfig, store: Store, to: str | None) -> Converted:
    dataset = datasets.load(config, store)
    documents, queries = len(dataset.documents), len(dataset.queries)
    counts = f"{counted(documents, 'document')}, {counted(queries, 'query', 'queries')}, {_counts(dataset.qrels)}"
    layout = f"a collection: {recognised(config)}"
    unjudged = dataset.notes["unjudged_queries"]
    left_out = f"{counted(unjudged, 'query', 'queries')} without judgments in split {dataset.split} left out"
    notes = (left_out,) if unjudged else ()
    if to == "trec":
        if not dataset.qrels:
            raise ConfigError(f"{config.path}: has answers and no judgments, so nothing of it is a TREC file.")
        return Converted(layout, counts, notes, {"": qrels_lines(dataset.qrels)})
    files: dict[str, Iterable[str]] = {"corpus.jsonl": _corpus(dataset), "queries.jsonl": _queries(dataset)}
    if dataset.qrels:
        files[f"qrels/{dataset.split}.tsv"] = _beir_qrels(dataset.qrels)
    files |= _candidates(dataset.candidates)
    return Converted(layout, counts, notes, files)


def _candidates(run: Run | None) -> dict[str, Iterable[str]]:
    """The file of a dataset's own candidates: a run, or lists where they have no order."""
    if run is None:
        return {}
    if run.scores.any():
        return {"candidates.trec": run_lines(run, "candidates")}
    rows = ({"query-id": query_id, "corpus-ids": doc_ids} for query_id, doc_ids, _ in run)
    return {"top_ranked.jsonl": (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)}


def _counts(qrels: Qrels) -> str:
    total = counted(sum(map(len, qrels.values())), "judgment")
    return f"{total} of {counted(len(qrels), 'query', 'queries')}"


def _corpus(dataset: Dataset) -> Iterator[str]:
    assert isinstance(dataset.documents, ArrowDocuments), "as those of a folder are"
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in dataset.documents.rows())


def _queries(dataset: Dataset) -> Iterator[str]:
    for query_id, text in dataset.queries.items():
        row: dict[str, object] = {"_id": query_id, "text": text}
        if query_id in dataset.instructions:
            row["instruction"] = dataset.instructions[query_id]
        if query_id in dataset.excluded:
            row["excluded_ids"] = list(dataset.excluded[query_id])
        if dataset.answers:
            row["answers"] = list(dataset.answers[query_id])
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _beir_qrels(qrels: Qrels) -> Iterator[str]:
    yield "query-id\tcorpus-id\tscore\n"
    for query_id, judged in qrels.items():
        yield from (f"{query_id}\t{doc_id}\t{grade}\n" for doc_id, grade in judged.items())


def write_files(files: Mapping[str, Iterable[str]], out: Path, *, force: bool) -> list[Path]:
    """Write files below `out`, or `out` itself, all of them or none; with gzip where the name of `out` ends so.

    Raises:
        ConfigError: one of them is there already and `force` is not set, a folder is in the place of a file, or the
            name of `out` is that of another format.
        OSError: they cannot be written.
    """
    places = {name: out / name if name else out for name in files}
    ending = "".join(out.suffixes[-1:]).lower()
    if ending in _NOT_WRITTEN or (ending == ".gz" and "" not in files):
        what = "a TREC file, or one in gzip" if "" in files else "a folder"
        raise ConfigError(f"{out}: is the name of another format ({ending}), and OUT is {what}. Choose another name.")
    for place in (out, *places.values()):
        if place.is_dir() != (place == out and "" not in files) and place.exists():
            raise ConfigError(f"{place}: is {'a folder' if place.is_dir() else 'a file'}. Choose another place.")
        if place.is_file() and not force:
            raise ConfigError(f"{place}: is there already. Choose another place, or set --force to replace it.")
    with naming(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(out.parent, f".{out.name}-") as staging:
            made = {name: staging / (name or out.name) for name in files}
            for name, lines in files.items():
                made[name].parent.mkdir(parents=True, exist_ok=True)
                write_lines(lines, made[name])
            for name, place in places.items():
                place.parent.mkdir(parents=True, exist_ok=True)
                made[name].replace(place)
    return list(places.values())
