"""Settings that every dataset has: its card, which judgments, and the policies that change its numbers.

Those of collections on disk are here too; those of a published dataset are in the module of its loader.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from evalkit.config.languages import language_code
from evalkit.config.limits import MISSING, at_least, given, nameable, one_of, require_folder
from evalkit.errors import ConfigError

CHECKS = ("strict", "warn", "off")
_ENDINGS = r"\.(zip|tar|tgz|tar\.(gz|bz2|xz)|jsonl?(\.gz)?)$"  # of files that a dataset may be named after


@dataclass
class ExpectedCounts:
    """Counts of the published dataset; None where they are not known."""

    documents: int | None = None
    """Documents of the corpus."""
    queries: int | None = None
    """Judged queries of the split."""
    judgments: int | None = None
    """Judged pairs, whatever their grade."""
    relevant: int | None = None
    """Judged pairs with a grade above 0."""
    candidates: int | None = None
    """Candidates that its queries bring."""
    judgments_on_hub: bool = False
    """Whether the hub's copy is known to hold all `judgments`, those of grade 0 among them."""


@dataclass
class TextLengths:
    """How long the texts of the published dataset are on average, for `evalkit plan`; None where that is not known."""

    document_characters: float | None = None
    """Mean characters of a document, title included."""
    query_characters: float | None = None
    """Mean characters of a query."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("document_characters", "query_characters"):
            if (value := getattr(self, name)) is not None:
                at_least(f"dataset.lengths.{name}", value, 0)


@dataclass
class DatasetConfig:
    """Settings of every dataset.

    `implementation` is `module:Class` of the `Loader` that the settings are for. With `own_ids_by_task` the loader
    decides about identical ids where the settings do not.
    """

    implementation: ClassVar[str] = ""
    own_ids_by_task: ClassVar[bool] = False
    name: str = MISSING
    """Its name in tables and in the folder of results."""
    language: str = "en"
    """Language of the documents, a code of ISO 639 such as `en`, `de` or `zh`: decides how BM25 finds words."""
    query_language: str | None = None
    """Language of the queries, where it is another than that of the documents."""
    path: str | None = None
    """A folder or zip in BEIR layout to read instead of the published source."""
    split: str = "test"
    """Which judgments: `qrels/<split>.tsv`."""
    title_separator: str = " "
    """Document text is `(title + title_separator + text).strip()`."""
    maxp: str | None = None
    """Documents of the corpus are passages, and judgments are of documents: the delimiter of ids, `#` for `D1#3`."""
    drop_identical_ids: bool | None = False
    """Drop a candidate that has the query's own id, before the depth cut; as mteb's task says where it is null."""
    candidates_ranked: bool = False
    """Lists of candidates without scores are in the order of a first stage; otherwise their order means nothing."""
    append_instructions: bool = False
    """Put a query's instruction after its text, as mteb does, for models that have no place for one."""
    queries_without_relevant: str = "count"
    """Judged queries without a relevant document: `count` them, as 0, or `drop` them."""
    empty: str = "note"
    """Documents and queries without a text, also NaN and null ones: a `note` counts them, or they are an `error`."""
    sample: int | None = None
    """Only so many of the judged queries, always the same ones, for a quick look; all when not set."""
    instruction_key: str | None = None
    """Its entry in `instructions.json`; the dataset's name when not set."""
    measures: list[str] = field(default_factory=lambda: ["nDCG@10", "R@20"])
    """Measures reported for it; the setting `measures` of the evaluation overrides them."""
    relevance_level: int = 1
    """The grade from which a document is relevant, for measures that ask so and name none: R@20 is R(rel=2)@20 at 2."""
    expected: ExpectedCounts = field(default_factory=ExpectedCounts)
    """Counts it should have, compared when it is loaded."""
    lengths: TextLengths = field(default_factory=TextLengths)
    """Text lengths for `evalkit plan` where it is not on disk."""
    check: str = "warn"
    """If the counts differ, `strict` refuses the dataset, `warn` prints the differences, `off` ignores them."""
    licence: str = ""
    """As its publisher states it; empty where none is stated."""
    notes: str = ""
    """Remarks about it."""

    @property
    def is_hub_copy(self) -> bool:
        """Whether it is read from the hub, whose copies may lack judgments of grade 0."""
        return False

    @property
    def key(self) -> str:
        """Its entry in `instructions.json`."""
        return self.instruction_key or self.name

    def __post_init__(self) -> None:
        """Check names and choices."""
        nameable("dataset.name", self.name)
        nameable("dataset.split", self.split)
        if self.drop_identical_ids is None:
            raise ConfigError(
                "dataset.drop_identical_ids is null. Legal are true and false; null is for dataset=mteb and folder."
            )
        self.language = language_code("dataset.language", self.language)
        if self.query_language is not None:
            self.query_language = language_code("dataset.query_language", self.query_language)
        one_of("dataset.queries_without_relevant", self.queries_without_relevant, ("count", "drop"))
        one_of("dataset.empty", self.empty, ("note", "error"))
        one_of("dataset.check", self.check, CHECKS)
        if self.maxp is not None and (not self.maxp or re.search(r"\s", self.maxp)):
            raise ConfigError(f"dataset.maxp={self.maxp!r} is not a delimiter, such as '#' for passages D1#0, D1#1.")
        at_least("dataset.relevance_level", self.relevance_level, 1)
        if self.sample is not None:
            at_least("dataset.sample", self.sample, 1)


@dataclass
class BundledDatasetConfig(DatasetConfig):
    """A collection that ships with evalkit."""

    implementation: ClassVar[str] = "evalkit.datasets.folder:BundledLoader"

    def __post_init__(self) -> None:
        """Check that nothing else is passed off as it."""
        super().__post_init__()
        if self.path:
            raise ConfigError(f"dataset={self.name} ships with evalkit. For another collection set dataset=folder.")


@dataclass
class FolderDatasetConfig(DatasetConfig):
    """Anyone's collection in BEIR layout; `path` is a folder, a zip or a tar, and `name` defaults to its last part.

    `path` may also be a file of reranking samples, queries with their own candidates.
    """

    implementation: ClassVar[str] = "evalkit.datasets.folder:FolderLoader"
    name: str = ""
    folder: str | None = None
    """Which collection, where `path` holds several in folders of their own."""
    drop_identical_ids: bool | None = None
    """When not set they are kept, and a saved run whose cut would depend on it is refused."""

    def __post_init__(self) -> None:
        """Check, and name the dataset after its folder where no name is given."""
        given("dataset.path", self.path, "FOLDER (with corpus.jsonl, queries.jsonl and qrels/test.tsv)")
        require_folder(self.folder)
        if not self.name:
            last = re.sub(_ENDINGS, "", Path(str(self.path)).absolute().name)
            parts = [part for part in (last, self.folder) if part]
            self.name = re.sub(r"[^A-Za-z0-9._+@-]", "_", "-".join(parts)).lstrip("._+@-") or "folder"
        own, self.drop_identical_ids = self.drop_identical_ids, bool(self.drop_identical_ids)
        super().__post_init__()
        self.drop_identical_ids = own
