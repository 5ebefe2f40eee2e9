"""A published dataset: the hub's copy, BEIR's zip of it, or either on disk."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa

from evalkit.config import DatasetConfig
from evalkit.config.limits import MISSING, at_least, one_of, require_commit, require_folder, require_md5
from evalkit.datasets import beir, download, hub, snapshot
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.candidate_lists import with_tables
from evalkit.datasets.columns import judged
from evalkit.datasets.hub import Repository
from evalkit.datasets.loader import Loader, RemoteFile
from evalkit.datasets.snapshot import PARTS
from evalkit.errors import ConfigError
from evalkit.system.files import expanded
from evalkit.types import Dataset

_SOURCES = ("hub", "zip")


@dataclass
class HubDatasetConfig(DatasetConfig):
    """A published dataset: in parquet on the Hugging Face hub at a pinned revision, and perhaps as a zip of BEIR."""

    implementation: ClassVar[str] = "evalkit.datasets.hub_dataset:HubLoader"
    hub_id: str = MISSING
    """Repository on the Hugging Face hub."""
    revision: str = MISSING
    """A full commit: a branch moves, and what was made from it would be taken for what it is now."""
    subset: str | None = None
    """Which part of a repository that holds several, such as `zho`."""
    candidates: str | None = None
    """Configuration that has a list of candidates for each query, such as `top_ranked`."""
    candidates_with_relevant: int | None = None
    """So many candidates of each list, and the relevant documents that they lack behind them: not an honest protocol.

    `CrossEncoderNanoBEIREvaluator` of sentence-transformers does this with 100.
    """
    instructions: str | None = None
    """Configuration that has an instruction for each query, such as `instruction`."""
    source: str = "hub"
    """Where to read it from: `hub`, or `zip` for the BEIR zip, checked against `zip_md5`."""
    zip_url: str | None = None
    """Address of BEIR's zip."""
    zip_md5: str | None = None
    """Checksum of the zip."""
    folder: str | None = None
    """Which collection, where the zip or `path` holds several in folders of their own."""

    @property
    def is_hub_copy(self) -> bool:
        """Whether the hub's copy is read."""
        return self.path is None and self.source == "hub"

    def __post_init__(self) -> None:
        """Check that what is published is pinned."""
        super().__post_init__()
        require_folder(self.folder)
        if self.candidates_with_relevant is not None:
            at_least("dataset.candidates_with_relevant", self.candidates_with_relevant, 1)
        require_commit("dataset.revision", self.revision)
        one_of("dataset.source", self.source, _SOURCES)
        require_md5("dataset.zip_md5", self.zip_md5)
        if self.source == "zip" and not (self.zip_url and self.zip_md5):
            raise ConfigError(f"dataset={self.name} is not published as a zip. Set dataset.source=hub.")


class HubLoader(Loader):
    """Reads `dataset.path` where it is set, else the hub or the zip as `dataset.source` says."""

    config: HubDatasetConfig

    @property
    def _repository(self) -> Repository | None:
        """Where the hub has it; None where it is read from elsewhere."""
        one = self.config
        return Repository(one.hub_id, one.revision, one.subset) if one.is_hub_copy else None

    def load(self) -> Dataset:
        """See `Loader`."""
        config, store = self.config, self.store
        if repository := self._repository:
            found = self._with_tables(
                judged(*hub.judgments_and_queries(repository, config.split), repository.hub_id),
                lambda part: hub.table(repository, part, config.split),
                repository.hub_id,
            )
            opened = hub.open_documents(repository, store, title_separator=config.title_separator, split=config.split)
            found = replace(found, notes={**found.notes, **opened.notes})
            return assemble(config, store, documents=opened.documents, judged=found, corpus_digest=opened.digest)
        if config.path:
            path, folder = expanded(config.path), config.folder
            others = {part: named for part in ("candidates", "instructions") if (named := getattr(config, part))}
            names = tuple(others.values())
            left = snapshot.find(path, config.subset, names)
            left = left or (snapshot.find(path / folder, others=names) if folder else None)
            if left:
                return snapshot.load(replace(config, path=None, source="hub"), store, left, **others)
        path_or_zip = config.path or download.url_file(store, str(config.zip_url), str(config.zip_md5))
        return beir.load(config, store, path=path_or_zip, folder=config.folder)

    @property
    def _parts(self) -> tuple[str, ...]:
        """What is read of the repository."""
        return (*PARTS, *filter(None, (self.config.candidates, self.config.instructions)))

    def _with_tables(self, found: Judged, table: Callable[[str], pa.Table], label: str) -> Judged:
        """Queries with the candidates and instructions that configurations of their own hold."""
        config = self.config
        candidates, instructions = (part and table(part) for part in (config.candidates, config.instructions))
        return with_tables(
            found,
            candidates=candidates,
            instructions=instructions,
            is_ranking=config.candidates_ranked,
            with_relevant=config.candidates_with_relevant,
            label=label,
        )

    def remote_files(self) -> list[RemoteFile]:
        """See `Loader`."""
        if repository := self._repository:
            return hub.remote_files(repository, self._parts)
        if self.config.path:
            return []
        return [download.remote_file(self.store, str(self.config.zip_url), str(self.config.zip_md5))]

    def is_here(self) -> bool:
        """See `Loader`."""
        if repository := self._repository:
            return hub.is_here(repository, self._parts)
        zip_file = str(self.config.zip_url), str(self.config.zip_md5)
        return bool(self.config.path) or download.downloaded(self.store, *zip_file) is not None
