"""Settings of a dataset: its card. Where it is read from, which judgments, and the policies that change its numbers."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.config.limits import MISSING, at_least, given, nameable, one_of
from evalkit.errors import ConfigError

LANGUAGES = ("en", "zh")
CHECKS = ("strict", "warn", "off")
SOURCES = ("hub", "zip")
_ENDINGS = r"\.(zip|tar|tgz|tar\.(gz|bz2|xz)|jsonl?(\.gz)?)$"  # of files that a dataset may be named after
QUERY_FIELDS = ("title", "description", "narrative", "title+description", "title+description+narrative")


@dataclass
class ExpectedCounts:
    """What the published dataset holds; None where that is not known."""

    documents: int | None = None
    queries: int | None = None
    """Judged queries of the split."""
    judgments: int | None = None
    """Judged pairs, whatever their grade."""
    relevant: int | None = None
    """Judged pairs with a grade above 0."""
    judgments_on_hub: bool = False
    """Whether the hub's copy is known to hold all `judgments`, those of grade 0 among them."""


@dataclass
class TextLengths:
    """How long the texts of the published dataset are on average, for `evalkit plan`; None where that is not known."""

    document_characters: float | None = None
    query_characters: float | None = None

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("document_characters", "query_characters"):
            if (value := getattr(self, name)) is not None:
                at_least(f"dataset.lengths.{name}", value, 0)


@dataclass
class DatasetConfig:
    """What every dataset has."""

    name: str = MISSING
    language: str = "en"
    """Language of the documents: `en` or `zh`."""
    query_language: str | None = None
    """Language of the queries, where it is another than that of the documents."""
    path: str | None = None
    """A folder or zip in BEIR layout to read instead of the published source."""
    split: str = "test"
    """Which judgments: `qrels/<split>.tsv`."""
    title_separator: str = " "
    """Document text is `(title + title_separator + text).strip()`."""
    drop_identical_ids: bool | None = False
    """Drop a candidate that has the query's own id, before the depth cut; as mteb's task says where it is null."""
    queries_without_relevant: str = "count"
    """Judged queries without a relevant document: `count` them, as 0, or `drop` them."""
    sample: int | None = None
    """Only so many of the judged queries, always the same ones, for a quick look; all when not set."""
    instruction_key: str | None = None
    """Its entry in `instructions.json`; the dataset's name when not set."""
    measures: list[str] = field(default_factory=lambda: ["nDCG@10", "R@20"])
    """What is reported for it; `measures` of the evaluation takes these unless it is set."""
    relevance_level: int = 1
    """The grade from which a document is relevant, for measures that ask so and name none: R@20 is R(rel=2)@20 at 2."""
    expected: ExpectedCounts = field(default_factory=ExpectedCounts)
    """What it should hold; compared when it is loaded."""
    lengths: TextLengths = field(default_factory=TextLengths)
    """What `evalkit plan` reckons with where it is not on disk."""
    check: str = "warn"
    """What to do when it does not: `strict` refuses it, `warn` says what differs, `off` says nothing."""
    licence: str = ""
    """As its publisher states it; empty where none is stated."""
    notes: str = ""
    """What else to know of it."""

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
        one_of("dataset.language", self.language, LANGUAGES)
        one_of("dataset.query_language", self.query_language or self.language, LANGUAGES)
        one_of("dataset.queries_without_relevant", self.queries_without_relevant, ("count", "drop"))
        one_of("dataset.check", self.check, CHECKS)
        at_least("dataset.relevance_level", self.relevance_level, 1)
        if self.sample is not None:
            at_least("dataset.sample", self.sample, 1)


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
    """Anyone's collection in BEIR layout; `path` is a folder, a zip or a tar, and `name` defaults to its last part.

    `path` may also be a file of reranking samples, queries with their own candidates.
    """

    name: str = ""
    folder: str | None = None
    """Which collection, where `path` holds several in folders of their own."""
    drop_identical_ids: bool | None = None
    """When not set they are kept, and a saved run whose cut would depend on it is refused."""

    def __post_init__(self) -> None:
        """Check, and name the dataset after its folder where no name is given."""
        given("dataset.path", self.path, "FOLDER (with corpus.jsonl, queries.jsonl and qrels/test.tsv)")
        _require_folder(self.folder)
        if not self.name:
            last = re.sub(_ENDINGS, "", Path(str(self.path)).absolute().name)
            parts = [part for part in (last, self.folder) if part]
            self.name = re.sub(r"[^A-Za-z0-9._+@-]", "_", "-".join(parts)).lstrip("._+@-") or "folder"
        own, self.drop_identical_ids = self.drop_identical_ids, bool(self.drop_identical_ids)
        super().__post_init__()
        self.drop_identical_ids = own


@dataclass
class HubDatasetConfig(DatasetConfig):
    """A published dataset: in parquet on the Hugging Face hub at a pinned revision, and perhaps as a zip of BEIR."""

    hub_id: str = MISSING
    revision: str = MISSING
    """A full commit: a branch moves, and what was made from it would be taken for what it is now."""
    subset: str | None = None
    """Which part of a repository that holds several, such as `zho`."""
    source: str = "hub"
    """Where to read it from: `hub`, or `zip` for the BEIR zip, checked against `zip_md5`."""
    zip_url: str | None = None
    zip_md5: str | None = None
    folder: str | None = None
    """Which collection, where the zip or `path` holds several in folders of their own."""

    def __post_init__(self) -> None:
        """Check that what is published is pinned."""
        super().__post_init__()
        _require_folder(self.folder)
        _require_commit("dataset.revision", self.revision)
        one_of("dataset.source", self.source, SOURCES)
        _require_md5("dataset.zip_md5", self.zip_md5)
        if self.source == "zip" and not (self.zip_url and self.zip_md5):
            raise ConfigError(f"dataset={self.name} is not published as a zip. Set dataset.source=hub.")


@dataclass
class MtebDatasetConfig(DatasetConfig):
    """Any retrieval task of the installed mteb, loaded by mteb; language, split and policies are the task's own."""

    name: str = ""
    task: str = ""
    """Name of the task, such as `SciFact`."""
    subset: str | None = None
    """Which part of a task that has several, such as `zho`."""
    split: str = ""
    """Which judgments; the one that mteb evaluates when empty."""
    drop_identical_ids: bool | None = None

    def __post_init__(self) -> None:
        """Check, and name the dataset after its task."""
        given("dataset.task", self.task, "NAME (a retrieval task of mteb, such as SciFact)")
        if self.path:
            raise ConfigError("dataset=mteb is loaded by mteb. For a collection on disk set dataset=folder.")
        self.name = self.name or re.sub(r"[^A-Za-z0-9._+@-]", "_", "-".join(filter(None, (self.task, self.subset))))
        # What is the task's own to say is not known before it is loaded.
        own = self.split, self.drop_identical_ids
        self.split, self.drop_identical_ids = self.split or "test", bool(self.drop_identical_ids)
        super().__post_init__()
        self.split, self.drop_identical_ids = own


@dataclass
class MkqaDatasetConfig(DatasetConfig):
    """Questions with answers over a corpus of passages: a document is relevant if it contains an answer.

    `path` is a folder or zip with the questions, and perhaps the corpus, which is else read from the hub.
    """

    questions: str = MISSING
    """Name of the file of questions, JSON lines of `id`, `question` and `answers`."""
    corpus_path: str | None = None
    """A corpus to use instead of the published one: JSON lines, or a folder or zip with `corpus.jsonl`."""
    text_cleanup: bool = True
    """Lower-case documents and unify quotes, dashes and blanks, as the published evaluation does."""
    answer_cleanup: bool = True
    """Clean the answers as the documents are; the published evaluation does not, and misses some."""
    hub_id: str = MISSING
    revision: str = MISSING
    hub_file: str = MISSING
    """The zip with the questions, in the repository `hub_id`."""
    corpus_hub_id: str = MISSING
    corpus_revision: str = MISSING

    def __post_init__(self) -> None:
        """Check that what is published is pinned."""
        super().__post_init__()
        _require_commit("dataset.revision", self.revision)
        _require_commit("dataset.corpus_revision", self.corpus_revision)


@dataclass
class NeuclirDatasetConfig(DatasetConfig):
    """A TREC NeuCLIR collection: topics and judgments of NIST, documents of the hub.

    `path` is a folder with any of the three files, by the names that NIST and ir_datasets give them.
    """

    documents_path: str | None = None
    """A file to use for the documents: JSON lines or parquet with `id`, `title` and `text`."""
    topics_path: str | None = None
    qrels_path: str | None = None
    query_field: str = "title+description"
    """Which parts of a topic make the query."""
    topic_language: str = "eng"
    topic_source: str = "original"
    """`original`, or with `topic_language=zho` also `human translation` or `google translation`."""
    document_language: str = MISSING
    """As the files of NIST abbreviate it: `zho`."""
    year: int = MISSING
    hub_id: str = MISSING
    revision: str = "main"
    """A branch: the content is fixed by `documents_md5`."""
    commits: list[str] = field(default_factory=list)
    """Commits that are tried before `revision`."""
    hub_file: str = MISSING
    documents_md5: str = MISSING
    topics_url: str = MISSING
    topics_md5: str = MISSING
    qrels_url: str = MISSING
    qrels_md5: str = MISSING

    def __post_init__(self) -> None:
        """Check choices."""
        super().__post_init__()
        one_of("dataset.query_field", self.query_field, QUERY_FIELDS)
        for key in ("documents_md5", "topics_md5", "qrels_md5"):
            _require_md5(f"dataset.{key}", getattr(self, key))
        for commit in self.commits:
            _require_commit("dataset.commits", commit)

    @property
    def revisions(self) -> list[str]:
        """Where the documents are looked for, in this order."""
        return [*self.commits, self.revision]


def _require_folder(folder: str | None) -> None:
    if folder is not None and (not re.fullmatch(r"[^/\\*?\[]+", folder) or folder in {".", ".."}):
        raise ConfigError(f"dataset.folder={folder} is no name of one folder in dataset.path.")


def _require_commit(key: str, revision: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ConfigError(f"{key}={revision} is not a full commit of 40 hexadecimal digits.")


def _require_md5(key: str, md5: str | None) -> None:
    if md5 is not None and not re.fullmatch(r"[0-9a-f]{32}", md5):
        raise ConfigError(f"{key}={md5} is no MD5: 32 hexadecimal digits, in lower case.")


DATASETS: dict[str, type[DatasetConfig]] = {
    "bundled": BundledDatasetConfig,
    "folder": FolderDatasetConfig,
    "hub": HubDatasetConfig,
    "mkqa": MkqaDatasetConfig,
    "mteb": MtebDatasetConfig,
    "neuclir": NeuclirDatasetConfig,
}
