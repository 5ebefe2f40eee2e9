"""Published datasets from the Hugging Face hub, in the parquet layout of the `mteb/*` repositories.

    configuration `corpus`            one split        columns _id, title, text
    configuration `queries`           one split        columns _id, text
    configuration `default` or `qrels`  split by name  columns query-id, corpus-id, score

A repository with several subsets has `<subset>-corpus`, `<subset>-queries` and `<subset>-qrels` instead. `datasets`
downloads, caches and memory-maps; HF_HOME, HF_ENDPOINT and HF_HUB_OFFLINE work as its users know them. Files are
compared with the hub's checksums before they are used.

What `datasets` has of the pinned commit is read without asking the hub. Where the hub cannot be asked, files of that
commit that `hf download` left in the cache are read too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from evalkit.datasets import snapshot
from evalkit.datasets.columns import as_documents, choose, missing_parts
from evalkit.datasets.corpus import require_ids
from evalkit.datasets.documents import ArrowDocuments, OpenedCorpus
from evalkit.datasets.hub_files import check_blob, hub_file, in_hub_cache
from evalkit.datasets.loader import RemoteFile
from evalkit.datasets.snapshot import PARTS, Snapshot
from evalkit.errors import DataError, EvalkitError, Unreachable
from evalkit.store import Store
from evalkit.system.network import forbidden, hub_fault
from evalkit.system.reporting import reason

_ELSEWHERE = (
    "If you have it on disk, set dataset.path to its folder: in BEIR layout, as `hf download` left it, or from "
    "`save_to_disk`; for a suite 'dataset.path=DIR/${dataset.name}'."
)


class _OtherCommit(DataError):  # noqa: N818 - names the situation
    """The cache of `datasets` offers another commit than the pinned one."""


class Repository(NamedTuple):
    """A dataset repository at a commit, and which of its subsets; what it calls the parts that have other names."""

    hub_id: str
    revision: str
    subset: str | None = None
    called: Mapping[str, str] = MappingProxyType({})

    @property
    def digest(self) -> str:
        """The digest or revision that fixes the content."""
        part = self.called.get("corpus") or self.subset
        return f"hub:{self.hub_id}@{self.revision}" + (f"#{part}" if part else "")

    def names(self, part: str) -> tuple[str, ...]:
        """Possible names of the configuration of a part (`corpus`, `queries`, `qrels`)."""
        return (self.called[part],) if part in self.called else snapshot.part_names(part, self.subset)

    @property
    def label(self) -> str:
        """Its name in errors."""
        return f"{self.hub_id}@{self.revision[:8]}"


def judgments_and_queries(repository: Repository, split: str) -> tuple[pa.Table, pa.Table]:
    """The judgments of a split and the queries, in memory."""
    qrels, queries = (table(repository, part, split) for part in ("qrels", "queries"))
    return qrels, queries


def open_documents(
    repository: Repository, store: Store, *, title_separator: str, split: str = "corpus"
) -> OpenedCorpus:
    """The corpus of a repository, memory-mapped."""
    left = _left_by_download(repository, "corpus")
    splits = left.parts["corpus"] if left else _splits(repository, "corpus")
    # A repository may have a corpus for each split.
    digest = repository.digest + (f"/{split}" if len(splits) > 1 else "")
    if left:
        return snapshot.open_documents(left, store, title_separator=title_separator, split=split, published=digest)
    table = choose(splits, split, part="corpus", label=repository.label)
    table, column = as_documents(table, repository.hub_id)
    documents = ArrowDocuments(table, title_separator=title_separator, id_column=column)
    require_ids(documents.ids, repository.hub_id)
    return OpenedCorpus(documents, digest, {name: count for name, count in missing_parts(table).items() if count})


def remote_files(repository: Repository, parts: Sequence[str] = PARTS) -> list[RemoteFile]:
    """Every file that is read from the hub for these parts; none where it is silent and they are here."""
    from huggingface_hub import HfApi

    files: list[RemoteFile] = []
    for part in parts:
        if hub_fault():
            _left_by_download(repository, part)  # raises where the part is not here
            continue
        names = _files(_builder(repository, part), repository)
        try:
            found = HfApi().get_paths_info(repository.hub_id, names, revision=repository.revision, repo_type="dataset")
        except Exception as error:
            raise _refusal(repository, part, error) from error
        for file in found:
            if hasattr(file, "size"):
                here = in_hub_cache(repository.hub_id, repository.revision, file.path)
                files.append(RemoteFile(f"{repository.hub_id}/{file.path}", file.size, here))
    return files


def is_here(repository: Repository, parts: Sequence[str] = PARTS) -> bool:
    """Whether these parts can be loaded without a download; no server is asked."""
    cached = snapshot.find(_cache_folder(repository), repository.subset, parts)
    return all(_prepared(repository, part) or (cached and part in cached.parts) for part in parts)


def prepared(repository: Repository) -> bool:
    """Whether `datasets` has all of it in its cache, so that also others who use `datasets` need no network."""
    return all(_prepared(repository, part) for part in PARTS)


def require_commit(repository: Repository) -> None:
    """Make sure, where the hub is out of reach, that what is cached is this commit."""
    for part in PARTS:
        try:
            _builder(repository, part)
        except _OtherCommit:
            raise
        except DataError:
            continue  # not cached, or of a layout of its own: whoever reads it says so


def _prepared(repository: Repository, part: str) -> Path | None:
    """The folder in the cache of `datasets` with a part of this commit."""
    import datasets

    cache = Path(datasets.config.HF_DATASETS_CACHE)
    found = (folder for name in repository.names(part) for folder in cache.glob(f"*/{name}/*/{repository.revision}"))
    # It writes `T2Retrieval` as `t2_retrieval`, and the owner before it.
    return next((folder for folder in found if _letters(folder.parts[-4]) == _letters(repository.hub_id)), None)


def _letters(name: str) -> str:
    return name.lower().replace("/", "").replace("_", "")


def _cache_folder(repository: Repository) -> Path:
    """Where the hub's own cache has the files of this commit, if it has any."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=repository.hub_id, repo_type="dataset")
    return Path(constants.HF_HUB_CACHE) / name / "snapshots" / repository.revision


def _left_by_download(repository: Repository, part: str) -> Snapshot | None:
    """The files of this commit in the hub's own cache; None if `datasets` has to read or download a part."""
    if _prepared(repository, part) or (fault := hub_fault()) is None:
        return None
    cached = snapshot.find(_cache_folder(repository), repository.subset, (part,))
    if cached and part in cached.parts:
        return replace(cached, check=lambda file: check_blob(file, f"{repository.label}: {file.name}"))
    kind = DataError if forbidden() else Unreachable
    raise kind(
        f"{repository.label} ({part}) is not on this machine, and {fault}. {_ELSEWHERE}{_other_commits(repository)}"
    )


def _other_commits(repository: Repository) -> str:
    """Which commits the hub's own cache has instead, as a sentence."""
    folder = _cache_folder(repository).parent
    others = sorted(path.name[:8] for path in folder.iterdir()) if folder.is_dir() else []
    return f" The cache of the hub has only other commits of it: {', '.join(others)}." if others else ""


def table(repository: Repository, part: str, split: str) -> pa.Table:
    """A split of a part that is no corpus, in memory."""
    if left := _left_by_download(repository, part):
        return left.table(part, split)
    return choose(_splits(repository, part), split, part=part, label=repository.label).with_format("arrow")[:]


def _splits(repository: Repository, part: str) -> Mapping[str, Any]:
    """The splits of one part; downloaded and compared with the hub's checksums where it is new."""
    try:
        if folder := _prepared(repository, part):
            return _read_prepared(folder)
        builder = _builder(repository, part)
        for name in _files(builder, repository):
            hub_file(repository.hub_id, repository.revision, name)
        builder.download_and_prepare()
        return dict(builder.as_dataset())
    except EvalkitError:
        raise
    # Layout, disk, network: `datasets` and its clients raise dozens of unrelated classes for these.
    except Exception as error:
        raise _refusal(repository, part, error) from error


def _read_prepared(folder: Path) -> dict[str, Any]:
    """The splits in a folder of the cache of `datasets`, memory-mapped."""
    import datasets
    from datasets.arrow_reader import ArrowReader

    info = datasets.DatasetInfo.from_directory(str(folder))
    reader, splits = ArrowReader(str(folder), info), list(info.splits.values())
    return {
        split.name: datasets.Dataset(**reader.read(info.dataset_name, instructions=split.name, split_infos=splits))
        for split in splits
    }


def _builder(repository: Repository, part: str) -> Any:
    """One part of the repository as `datasets` builds it, with only its description downloaded."""
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
    kind = Unreachable if isinstance(error, ConnectionError) else DataError
    return kind(f"{repository.label} ({part}) cannot be loaded from the hub ({reason(error)}). {_ELSEWHERE}")
