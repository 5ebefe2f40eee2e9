"""Published datasets from the Hugging Face hub, in the parquet layout of the `mteb/*` repositories.

    configuration `corpus`            one split        columns _id, title, text
    configuration `queries`           one split        columns _id, text
    configuration `default` or `qrels`  split by name  columns query-id, corpus-id, score

A repository with several subsets has `<subset>-corpus`, `<subset>-queries` and `<subset>-qrels` instead. `datasets`
downloads, caches and memory-maps; HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE work as its users know them. Files are
compared with the hub's checksums before they are used.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.config import HubDatasetConfig
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.corpus import require_ids
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.download import hub_file, offline
from evalkit.datasets.records import ID_KEYS
from evalkit.datasets.tables import judged_texts, judgments
from evalkit.errors import DataError, EvalkitError, Unreachable, reason
from evalkit.store import Store
from evalkit.types import Dataset, Qrels

PARTS = ("qrels", "queries", "corpus")


class _OtherCommit(DataError):  # noqa: N818 - names the situation
    """The cache of `datasets` offers another commit than the pinned one."""


class Repository(NamedTuple):
    """A dataset repository at a commit, and which of its subsets."""

    hub_id: str
    revision: str
    subset: str | None = None

    @property
    def digest(self) -> str:
        """What fixes the content."""
        return f"hub:{self.hub_id}@{self.revision}" + (f"#{self.subset}" if self.subset else "")

    def names(self, part: str) -> tuple[str, ...]:
        """What the configuration of a part (`corpus`, `queries`, `qrels`) may be called."""
        if self.subset:
            return (f"{self.subset}-{part}",)
        return ("default", "qrels") if part == "qrels" else (part,)


def load(config: HubDatasetConfig, store: Store) -> Dataset:
    """The dataset at its pinned revision.

    Raises:
        DataError: it cannot be reached, or its layout is another one.
    """
    repository = Repository(config.hub_id, config.revision, config.subset)
    qrels = _read_qrels(repository, config.split)
    judged = _read_queries(repository, qrels, config.split)
    documents, digest = open_documents(repository, title_separator=config.title_separator, split=config.split)
    return assemble(config, store, documents=documents, judged=judged, corpus_digest=digest)


def open_documents(
    repository: Repository, *, title_separator: str, split: str = "corpus"
) -> tuple[ArrowDocuments, str]:
    """The corpus of a repository, memory-mapped, and what fixes its content.

    Raises:
        DataError: it cannot be reached, or an id is no id or occurs twice.
    """
    splits = _splits(repository, "corpus")
    table = _choose(repository, "corpus", splits, split)
    id_column = _id_column(repository, table)
    documents = ArrowDocuments(table, title_separator=title_separator, id_column=id_column)
    require_ids(documents.ids, repository.hub_id)
    # A repository may have a corpus for each split.
    return documents, repository.digest + (f"/{split}" if len(splits) > 1 else "")


def remote_files(repository: Repository, parts: Sequence[str] = PARTS) -> Iterator[tuple[str, int]]:
    """(name, bytes) of every file that is read from the hub for these parts.

    Raises:
        DataError: the hub cannot be reached, or its layout is another one.
    """
    from huggingface_hub import HfApi

    for part in parts:
        names = _files(_builder(repository, part), repository)
        try:
            found = HfApi().get_paths_info(repository.hub_id, names, revision=repository.revision, repo_type="dataset")
        except Exception as error:
            raise _refusal(repository, part, error) from error
        yield from ((file.path, file.size) for file in found if hasattr(file, "size"))


def prepared(repository: Repository, parts: Sequence[str] = PARTS) -> bool:
    """Whether `datasets` has these parts in its cache, so that loading asks for no file; no server is asked."""
    import datasets

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    return all(
        any(next(cache.glob(f"*/{name}/*/{repository.revision}"), None) for name in repository.names(part))
        for part in parts
    )


def require_commit(repository: Repository) -> None:
    """Make sure, where the hub is out of reach, that what is cached is this commit.

    Raises:
        DataError: another commit is cached.
    """
    for part in PARTS:
        try:
            _builder(repository, part)
        except _OtherCommit:
            raise
        except DataError:
            continue  # not cached, or of a layout of its own: whoever reads it says so


def _part(repository: Repository, part: str, split: str) -> Any:
    """A split of one part of the repository, memory-mapped."""
    return _choose(repository, part, _splits(repository, part), split)


def _splits(repository: Repository, part: str) -> Any:
    """The splits of one part; downloaded and compared with the hub's checksums where it is new."""
    builder = _builder(repository, part)
    try:
        if not Path(builder.cache_dir).is_dir():
            for name in _files(builder, repository):
                hub_file(repository.hub_id, repository.revision, name)
        builder.download_and_prepare()
        return builder.as_dataset()
    except EvalkitError:
        raise
    # Layout, disk, network: `datasets` and its clients raise dozens of unrelated classes for these.
    except Exception as error:
        raise _refusal(repository, part, error) from error


def _choose(repository: Repository, part: str, splits: Any, split: str) -> Any:
    """The split of this name, or the only one of a corpus or of queries."""
    if split not in splits and (len(splits) > 1 or part == "qrels"):
        raise DataError(
            f"{repository.hub_id}@{repository.revision[:8]}: no split {split!r} of {part}. It has "
            f"{', '.join(splits)}: set dataset.split."
        )
    return splits[split] if split in splits else next(iter(splits.values()))


def _builder(repository: Repository, part: str) -> Any:
    """What `datasets` makes of one part of the repository, nothing downloaded yet but its description."""
    import datasets

    for name in (names := repository.names(part)):
        try:
            builder = datasets.load_dataset_builder(repository.hub_id, name, revision=repository.revision)
        except Exception as error:
            if isinstance(error, ValueError) and "vailable" in str(error) and name != names[-1]:
                continue  # the next name, since it says that there are others
            raise _refusal(repository, part, error) from error
        # Offline, `datasets` takes whichever commit it cached last.
        if Path(builder.cache_dir).name != repository.revision:
            raise _OtherCommit(
                f"{repository.hub_id}: the commit that was cached last is not {repository.revision}, and offline no "
                f"other is found. Run once with the network, or remove {builder.cache_dir}."
            )
        return builder
    raise AssertionError  # the last name was found or refused


def _files(builder: Any, repository: Repository) -> list[str]:
    """Names in the repository of a part's files; none where `datasets` has only its cache."""
    start = f"hf://datasets/{repository.hub_id}@{repository.revision}/"
    found: Mapping[str, Sequence[str]] = builder.config.data_files or {}
    return [file.removeprefix(start) for files in found.values() for file in files if file.startswith(start)]


def _refusal(repository: Repository, part: str, error: Exception) -> DataError:
    told = f"{repository.hub_id}@{repository.revision[:8]} ({part}) cannot be loaded from the hub ({reason(error)}). "
    if isinstance(error, ConnectionError) and not offline():
        return Unreachable(
            f"{told}Check the network; for what was downloaded before set HF_HUB_OFFLINE=1, for a collection on disk "
            "dataset.path=FOLDER."
        )
    return DataError(f"{told}If you have the collection on disk, set dataset.path=FOLDER.")


def _id_column(repository: Repository, table: Any) -> str:
    for name in ID_KEYS:
        if name in table.column_names and "text" in table.column_names:
            return name
    raise DataError(
        f"{repository.hub_id}: columns {', '.join(table.column_names)}, expected _id, text and perhaps title."
    )


def _read_qrels(repository: Repository, split: str) -> Qrels:
    table = _part(repository, "qrels", split)
    columns = ("query-id", "corpus-id", "score")
    if not set(columns) <= set(table.column_names):
        raise DataError(f"{repository.hub_id}: columns {', '.join(table.column_names)}, expected {', '.join(columns)}.")
    rows = zip(*(table.data.column(name).to_pylist() for name in columns), strict=True)
    return judgments(rows, repository.hub_id)


def _read_queries(repository: Repository, qrels: Qrels, split: str) -> Judged:
    table = _part(repository, "queries", split)
    ids = table.data.column(_id_column(repository, table)).to_pylist()
    kept = judged_texts(ids, table.data.column("text").to_pylist(), qrels, repository.hub_id)
    return Judged(kept, qrels, unjudged_queries=len(ids) - len(kept))
