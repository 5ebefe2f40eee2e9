"""A published dataset on disk: parquet files that `hf download` left, or folders that `save_to_disk` wrote.

    hf download REPO           corpus/*.parquet  queries/*.parquet  data/test-*.parquet  README.md
    save_to_disk               corpus/state.json ...        a folder a part, or a split; or one DatasetDict of all

Which file is which part (`corpus`, `queries`, `qrels`) and which split, `configs` in README.md says; where it does not,
the names of folders and files. Parquet is converted to Arrow once, in the store; what `save_to_disk` wrote is
memory-mapped where it lies.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from evalkit.config import DatasetConfig
from evalkit.datasets.assemble import assemble
from evalkit.datasets.candidate_lists import with_tables
from evalkit.datasets.columns import (
    as_documents,
    choose,
    content_digest,
    first_of_each,
    judged,
    key_columns,
    missing_parts,
)
from evalkit.datasets.corpus import from_columns, repeated_ids
from evalkit.datasets.data_rows import rows_per_batch
from evalkit.datasets.documents import ArrowDocuments, OpenedCorpus, as_text
from evalkit.datasets.hub_readme import configurations, files_of, patterns_of
from evalkit.datasets.records import REPEATED
from evalkit.datasets.source import CORPUS
from evalkit.errors import DataError
from evalkit.formats.tabular import valid
from evalkit.store import Store
from evalkit.system.files import file_digest
from evalkit.system.progress import progress
from evalkit.system.reporting import reason
from evalkit.types import Dataset

PARTS = ("qrels", "queries", "corpus")
_LISTS, _INSTRUCTIONS = "top_ranked", ("instruction", "instructions")
OTHERS = (_LISTS, *_INSTRUCTIONS)
"""What else mteb's repositories have; others call them otherwise."""

_NAMES = {"qrels": ("default", "qrels"), "queries": ("queries", "query")}  # what configurations are called
_BEIR = (CORPUS, "queries.jsonl")
_SAVED = "state.json"  # the file by which a folder of `save_to_disk` is known
# As `push_to_hub` names files: `test-00000-of-00002.parquet`, earlier `test-00000-of-00002-<16 hex digits>.parquet`.
_FILE = re.compile(r"(?P<split>.+?)(-\d{5}-of-(?P<count>\d{5})(-[0-9a-f]{16})?)?\.parquet")
_SUBSET = re.compile(r"(?P<subset>.+)-(?P<part>corpus|queries|qrels)")
_EXPECTED = (
    "Expected corpus/*.parquet, queries/*.parquet and data/SPLIT-*.parquet as `hf download` leaves them, or folders "
    "corpus, queries and qrels that `save_to_disk` wrote"
)

Files = tuple[Path, ...]
Splits = Mapping[str, Files]


@dataclass(frozen=True)
class Snapshot:
    """The parts of a collection in a folder.

    Attributes:
        path: the folder.
        parts: part -> split -> its parquet files in order, or the one folder that `save_to_disk` wrote. A split
            without a name is `""`.
        subsets: what the names in it say that could be chosen with `dataset.subset`.
        check: called with each file before it is read, such as to compare it with its checksum.
    """

    path: Path
    parts: Mapping[str, Splits]
    subsets: tuple[str, ...] = ()
    check: Callable[[Path], None] = lambda _: None

    def files(self, part: str, split: str) -> Files:
        """The files of a split of a part, once it is sure that none is missing."""
        if part not in self.parts:
            held = f"holds the subsets {', '.join(self.subsets)}" if self.subsets else f"holds no {part}"
            advice = f"Set dataset.{'subset or dataset.folder to one' if self.subsets else 'path to another folder'}"
            raise DataError(f"{self.path}: {held}. {_EXPECTED}. {advice}.")
        files = choose(self.parts[part], split, part=part, label=str(self.path))
        matched = _FILE.fullmatch(files[0].name)
        if matched and matched["count"] and len(files) < int(matched["count"]):
            raise DataError(
                f"{files[0].parent}: holds {len(files)} of the {int(matched['count'])} files of {part}. Download the "
                "rest into it."
            )
        return files

    def table(self, part: str, split: str) -> pa.Table:
        """A split of judgments or queries, in memory."""
        files = self.files(part, split)
        if files[0].is_dir():
            return _saved(files[0]).with_format("arrow")[:]
        read = []
        for path in files:
            self.check(path)
            with _opened(path) as file:
                read.append(valid(file.read()))
        return pa.concat_tables(read, promote_options="permissive")


def part_names(part: str, subset: str | None) -> tuple[str, ...]:
    """Possible names of the configuration of a part in a repository of the hub."""
    if subset:
        return (f"{subset}-{part}",)
    return _NAMES.get(part, (part,))


def find(folder: Path, subset: str | None = None, others: Sequence[str] = OTHERS) -> Snapshot | None:
    """The parts of a collection in a folder; None without parquet or `save_to_disk` files, or in BEIR layout.

    Args:
        folder: perhaps a repository in the cache of the hub, with its commits below `snapshots`.
        subset: which part of a repository that holds several, or the name of a folder in it.
        others: names of further parts that it may have.
    """
    folder = _commit(folder)
    if not folder.is_dir() or any((folder / f"{name}{end}").is_file() for name in _BEIR for end in ("", ".gz")):
        return None
    found = _by_name(folder, subset, others)
    found = replace(found, parts={**found.parts, **_by_card(folder, subset, others)})
    if subset and not found.parts and (folder / subset).is_dir():
        return find(folder / subset, others=others)
    return found if found.parts or found.subsets else None


def load(
    config: DatasetConfig,
    store: Store,
    snapshot: Snapshot,
    *,
    candidates: str = _LISTS,
    instructions: str = "",
) -> Dataset:
    """The dataset in a folder; the parts with candidates and instructions may have other names than mteb's."""
    label = str(snapshot.path)
    said = instructions or next((name for name in _INSTRUCTIONS if name in snapshot.parts), "")
    tables = [snapshot.table(part, config.split) if part in snapshot.parts else None for part in (candidates, said)]
    found = with_tables(
        judged(snapshot.table("qrels", config.split), snapshot.table("queries", config.split), label),
        candidates=tables[0],
        instructions=tables[1],
        is_ranking=config.candidates_ranked,
        label=label,
    )
    documents, digest, notes = open_documents(
        snapshot, store, title_separator=config.title_separator, split=config.split
    )
    found = replace(found, notes={**found.notes, **notes})
    return assemble(config, store, documents=documents, judged=found, corpus_digest=digest)


def open_documents(
    snapshot: Snapshot, store: Store, *, title_separator: str, split: str, published: str | None = None
) -> OpenedCorpus:
    """The corpus, memory-mapped, with `published` for its digest where that is known."""
    files, label = snapshot.files("corpus", split), str(snapshot.path)
    if files[0].is_dir():
        table, column = as_documents(_saved(files[0]), label)
        digest = published or content_digest(table, column)
        notes: Mapping[str, int] = missing_parts(table)
    else:
        read = None if published else _digest(files)
        digest, column = published or str(read), "_id"
        facts = {"content" if published else "parquet_sha256": digest}
        table, _, notes = from_columns(
            store, facts, lambda: _columns(snapshot, files, read), label=label, digest=digest
        )
    documents = ArrowDocuments(table, title_separator=title_separator, id_column=column)
    if not len(documents):
        raise DataError(f"{label}: holds no documents.")
    if repeats := repeated_ids(documents.ids, label):
        table, notes = first_of_each(table, repeats, label), {**notes, REPEATED: len(repeats)}
        documents = ArrowDocuments(table, title_separator=title_separator, id_column=column)
    return OpenedCorpus(documents, digest, {name: count for name, count in notes.items() if count})


def _commit(folder: Path) -> Path:
    """The one commit of a repository in the cache of the hub; any other folder as it is."""
    if not (folder / "snapshots").is_dir():
        return folder
    commits = sorted(path for path in (folder / "snapshots").iterdir() if path.is_dir())
    if len(commits) != 1:
        raise DataError(f"{folder}: holds {len(commits)} commits. Set dataset.path to one of those in its snapshots.")
    return commits[0]


def _by_name(folder: Path, subset: str | None, others: Sequence[str]) -> Snapshot:
    """Parts and splits from the names of folders and files."""
    parquet = [file for pattern in ("*.parquet", "*/*.parquet") for file in folder.glob(pattern)]
    saved = [file.parent for pattern in (_SAVED, "*/" + _SAVED, "*/*/" + _SAVED) for file in folder.glob(pattern)]
    parts: dict[str, dict[str, Files]] = {}
    subsets: set[str] = set()
    for path in sorted([*parquet, *saved]):
        names = path.relative_to(folder).parts
        matched = _FILE.fullmatch(path.name)
        above, name = names[-2] if len(names) > 1 else "", matched["split"] if matched else path.name
        name = name if names else "corpus"  # the folder itself is what was saved
        if inner := _SUBSET.fullmatch(above or name):
            subsets.add(inner["subset"])
        part, split = _part_and_split(above, name, subset, others)
        if part:
            there = parts.setdefault(part, {})
            there[split] = (*there.get(split, ()), path)
    return Snapshot(folder, parts, tuple(sorted(subsets)))


def _part_and_split(above: str, name: str, subset: str | None, others: Sequence[str]) -> tuple[str, str]:
    """(part, split) of a file or folder by its name and that of the folder above it; part is `""` for any other."""
    for part in (*PARTS, *others):
        names = {*part_names(part, subset), *(("data",) if part == "qrels" and not subset else ())}
        if above in names and not (above == "data" and name in PARTS):
            return part, name
        # Without a folder for each part: `corpus.parquet`, or the splits of one DatasetDict.
        if name in names and (above in {"", "data"} or subset):
            return part, "" if part == "qrels" else name
    # Splits of judgments next to `corpus` and `queries`.
    return ("qrels", name) if not above and not subset and not _SUBSET.fullmatch(name) else ("", "")


def _by_card(folder: Path, subset: str | None, others: Sequence[str]) -> dict[str, Splits]:
    """Parts that `configs` in README.md lists, if their files exist."""
    configs = configurations(folder / "README.md")
    found: dict[str, Splits] = {}
    for part in (*PARTS, *others):
        for name in part_names(part, subset):
            splits = {
                split: files
                for split, patterns in patterns_of(configs.get(name))
                if (files := tuple(file for pattern in patterns for file in files_of(folder, pattern)))
            }
            if splits:
                found.setdefault(part, splits)
    return found


def _digest(files: Files) -> str:
    """A digest of the content of files, in their order."""
    return hashlib.sha256("\n".join(map(file_digest, files)).encode()).hexdigest()


def _columns(snapshot: Snapshot, files: Files, content: str | None) -> Iterator[list[pa.Array]]:
    """Ids, titles and texts of parquet files, some rows at a time; `content` is their digest where it fixes the key."""
    for path in files:
        snapshot.check(path)
        with (
            _opened(path) as file,
            progress(f"reading {path.name}", file.metadata.num_rows, "documents") as advance,
        ):
            key, text = key_columns(file.schema_arrow.names, str(path))
            wanted = [name for name in (key, "title", text) if name in file.schema_arrow.names]
            for batch in map(valid, file.iter_batches(rows_per_batch(file.metadata), columns=wanted)):
                columns = {name: _text(batch.column(name), f"{path}: column {name}") for name in wanted}
                if missing := columns[key].null_count:
                    raise DataError(f"{path}: {missing} documents have no {key}.")
                empty = pa.array([""] * len(batch), pa.string())
                yield [columns[key], columns.get("title", empty), columns[text]]
                advance(len(batch))
    if content is not None and _digest(files) != content:
        raise DataError(f"{snapshot.path}: changed while it was read. Run again.")


def _text(column: pa.Array, label: str) -> pa.Array:
    """A column as text, ids in digits among them; NaN is null."""
    try:
        return as_text(column).cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(f"{label} is of type {column.type}, expected text.") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile`; what pyarrow raises for a damaged one becomes one line."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is not parquet, or is damaged ({reason(error)}).") from error


def _saved(folder: Path) -> Any:
    """The `datasets.Dataset` in a folder."""
    import datasets

    try:
        found = datasets.load_from_disk(str(folder))
        found.data.validate(full=True)  # a text that reaches beyond its bytes could end the process
    # Of a damaged folder `datasets` and pyarrow raise many unrelated classes.
    except Exception as error:
        raise DataError(f"{folder}: cannot be read as what save_to_disk wrote ({reason(error)}).") from error
    return found
