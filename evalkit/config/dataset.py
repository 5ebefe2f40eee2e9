"""Settings of a dataset: where it is read from, which judgments, and the policies that change its numbers."""

import re
from dataclasses import dataclass
from pathlib import Path

from evalkit.config.checks import MISSING, given, nameable, one_of
from evalkit.errors import ConfigError

LANGUAGES = ("en", "zh")


@dataclass
class DatasetConfig:
    """What every dataset has."""

    name: str = MISSING
    language: str = "en"
    """Language of the documents: `en` or `zh`."""
    path: str | None = None
    """A folder or zip in BEIR layout to read instead of the published source."""
    split: str = "test"
    """Which judgments: `qrels/<split>.tsv`."""
    title_separator: str = " "
    """Document text is `(title + title_separator + text).strip()`."""
    drop_identical_ids: bool = False
    """Drop a candidate that has the query's own id, before the depth cut."""
    instruction_key: str | None = None
    """Its entry in `instructions.json`; the dataset's name when not set."""

    @property
    def key(self) -> str:
        """Its entry in `instructions.json`."""
        return self.instruction_key or self.name

    def __post_init__(self) -> None:
        """Check names and choices."""
        nameable("dataset.name", self.name)
        nameable("dataset.split", self.split)
        one_of("dataset.language", self.language, LANGUAGES)


@dataclass
class BundledDatasetConfig(DatasetConfig):
    """A collection that ships with evalkit."""

    def __post_init__(self) -> None:
        """Check that nothing else is passed off as it."""
        super().__post_init__()
        if self.path:
            raise ConfigError(f"dataset={self.name} ships with evalkit. For another collection set dataset=folder.")


@dataclass
class FolderDatasetConfig(DatasetConfig):
    """Anyone's collection in BEIR layout; `path` is a folder or a zip, and `name` defaults to its last part."""

    name: str = ""

    def __post_init__(self) -> None:
        """Check, and name the dataset after its folder where no name is given."""
        given("dataset.path", self.path, "FOLDER (with corpus.jsonl, queries.jsonl and qrels/test.tsv)")
        if not self.name:
            last = Path(str(self.path)).absolute().name.removesuffix(".zip")
            self.name = re.sub(r"[^A-Za-z0-9._+@-]", "_", last).lstrip("._+@-") or "folder"
        super().__post_init__()


@dataclass
class HubDatasetConfig(DatasetConfig):
    """A published dataset in parquet on the Hugging Face hub, at a pinned revision."""

    hub_id: str = MISSING
    revision: str = MISSING
    """A full commit: a branch moves, and what was made from it would be taken for what it is now."""

    def __post_init__(self) -> None:
        """Check that the revision is a commit."""
        super().__post_init__()
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ConfigError(f"dataset.revision={self.revision} is not a full commit of 40 hexadecimal digits.")


DATASETS = {"bundled": BundledDatasetConfig, "folder": FolderDatasetConfig, "hub": HubDatasetConfig}
