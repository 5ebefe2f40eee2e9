"""TREC NeuCLIR: topics in one language over news in another, graded judgments.

topics      {"topic_id": "0", "topics": [{"lang": "eng", "source": "original", "topic_title": "...", ...}, ...]}
judgments   topic, language or 0, document, grade           of several languages in one file, or in a tar
documents   {"id": "...", "title": "...", "text": "..."}    JSON lines or parquet

Each of the three is the file that is set, else one in `path` by a name that NIST or ir_datasets gives it, else the
published one.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, NamedTuple

from evalkit.config import DatasetConfig
from evalkit.config.limits import MISSING, one_of, require_commit, require_md5
from evalkit.datasets import corpus, hub_files
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.data_rows import objects
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.download import downloaded, remote_file, url_file
from evalkit.datasets.loader import Loader, RemoteFile
from evalkit.datasets.records import checked_id, checked_text
from evalkit.datasets.source import FolderSource
from evalkit.errors import DataError
from evalkit.formats.archives import TarSource, is_archive
from evalkit.formats.judgments import parse_judgments
from evalkit.formats.textfile import fields as split_fields
from evalkit.formats.textfile import lines, read_lines
from evalkit.store import Store
from evalkit.system.files import expanded
from evalkit.types import Dataset

logger = logging.getLogger(__name__)

_LANGUAGES = ("zho", "fas", "rus")  # what column 2 of judgments of several languages holds
_SHORT = {"zho": "zh", "fas": "fa", "rus": "ru"}


_QUERY_FIELDS = ("title", "description", "narrative", "title+description", "title+description+narrative")


@dataclass
class NeuclirDatasetConfig(DatasetConfig):
    """A TREC NeuCLIR collection: topics and judgments of NIST, documents of the hub.

    `path` is a folder with any of the three files, by the names that NIST and ir_datasets give them.
    """

    implementation: ClassVar[str] = "evalkit.datasets.neuclir:NeuclirLoader"
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
        one_of("dataset.query_field", self.query_field, _QUERY_FIELDS)
        for key in ("documents_md5", "topics_md5", "qrels_md5"):
            require_md5(f"dataset.{key}", getattr(self, key))
        for commit in self.commits:
            require_commit("dataset.commits", commit)

    @property
    def revisions(self) -> list[str]:
        """Where the documents are looked for, in this order."""
        return [*self.commits, self.revision]


class Places(NamedTuple):
    """Files on disk; None where the published one is meant."""

    documents: Path | None
    topics: Path | None
    qrels: Path | None


class NeuclirLoader(Loader):
    """Reads the collection of one language and year."""

    config: NeuclirDatasetConfig

    def load(self) -> Dataset:
        """See `Loader`."""
        config, store, places = self.config, self.store, find_places(self.config)
        path = places.qrels or url_file(store, config.qrels_url, config.qrels_md5)
        qrels = parse_judgments(_of_language(_qrels_lines(config, path), config.document_language), path).qrels
        path = places.topics or url_file(store, config.topics_url, config.topics_md5)
        topics = _read_topics(config, path, set(qrels))
        found = _open_documents(config, places.documents, store)
        documents = ArrowDocuments(found.table, title_separator=config.title_separator)
        judged = Judged(topics, qrels, notes=found.notes)
        return assemble(config, store, documents=documents, judged=judged, corpus_digest=found.digest)

    def remote_files(self) -> list[RemoteFile]:
        """See `Loader`."""
        config, places, files = self.config, find_places(self.config), []
        if places.documents is None:
            revision = hub_files.revision_in_hub(config.hub_id, config.revisions, config.hub_file)
            files.append(hub_files.remote_file(config.hub_id, revision, config.hub_file))
        if places.topics is None:
            files.append(remote_file(self.store, config.topics_url, config.topics_md5))
        if places.qrels is None:
            files.append(remote_file(self.store, config.qrels_url, config.qrels_md5))
        return files

    def is_here(self) -> bool:
        """See `Loader`."""
        config, places = self.config, find_places(self.config)
        cached = any(hub_files.in_hub_cache(config.hub_id, at, config.hub_file) for at in config.revisions)
        topics = places.topics or downloaded(self.store, config.topics_url, config.topics_md5)
        qrels = places.qrels or downloaded(self.store, config.qrels_url, config.qrels_md5)
        return bool((places.documents or cached) and topics and qrels)


def find_places(config: NeuclirDatasetConfig) -> Places:
    """Which files on disk are to be used."""
    names = {
        "documents": ("docs*", "*docs.jsonl*", "corpus.jsonl*", f"{config.document_language}*.jsonl*", "*.parquet"),
        "topics": ("*topics*.jsonl", "*topics*.jsonl.gz"),
        "qrels": ("*qrels*",),
    }
    return Places(**{kind: _place(config, kind, patterns) for kind, patterns in names.items()})


def _place(config: NeuclirDatasetConfig, kind: str, patterns: tuple[str, ...]) -> Path | None:
    key = f"{kind}_path"
    if chosen := getattr(config, key):
        path = expanded(chosen)
        if not path.is_file():
            raise DataError(f"{path}: no such file. Check dataset.{key}.")
        return path
    if not config.path:
        return None
    folder = expanded(config.path)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder. dataset.path of a NeuCLIR collection is a folder of its files.")
    language = config.document_language
    # The folder itself, then where ir_datasets keeps them below ~/.ir_datasets/neuclir.
    below = [folder, folder / "data", folder / "1" / language, folder / f"trec-{config.year}"]
    found = sorted({path for place in below for pattern in patterns for path in place.glob(pattern) if path.is_file()})
    found = [path for path in found if not path.name.endswith((".pklz4", ".md", ".txt.md"))]
    found = [path for path in found if not _of_another_year(path, config.year)]
    named = [path for path in found if any(code in path.name.lower() for code in (language, _SHORT[language]))]
    best = found if len(found) == 1 else named
    if len(best) == 1:
        return best[0]
    if not found:
        logger.warning(
            "%s: holds no %s (%s), so the published file is used. dataset.%s names another.",
            folder,
            kind,
            ", ".join(patterns),
            key,
        )
        return None
    names = ", ".join(path.name for path in found)
    raise DataError(f"{folder}: {names} may be the {kind}. Set dataset.{key} to one.")


def _of_another_year(path: Path, year: int) -> bool:
    """Whether a name speaks of another year: `2022-qrels.all`, `qrels.neuclir22-zh.txt`."""
    years = re.findall(r"(?:20|neuclir)(2[0-9])(?![0-9])", path.name)
    return bool(years) and f"{year % 100}" not in years


def _qrels_lines(config: NeuclirDatasetConfig, path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file, or of the member for this language in a tar."""
    if ".tar" not in path.suffixes and not is_archive(path):
        yield from read_lines(path)
        return
    name = f"qrels.final.gains.{config.document_language}"
    with contextlib.closing(TarSource(path, lambda _: "")) as source:
        members = [member for member in source.files() if PurePosixPath(member).name == name]
        if not members:
            raise DataError(f"{path}: holds no {name}. Set dataset.qrels_path to the judgments.")
        if len(members) > 1:
            raise DataError(f"{path}: holds {len(members)} of {name}. Set dataset.qrels_path to the one you mean.")
        with source.open(members[0]) as stream:
            yield from lines(stream, f"{path}!{name}")


def _of_language(numbered: Iterator[tuple[int, str]], language: str) -> Iterator[tuple[int, str]]:
    """Only the judgments of a language, where their second column names languages."""
    for number, line in numbered:
        columns = split_fields(line, (4,))
        if len(columns) != 4 or columns[1] not in _LANGUAGES or columns[1] == language:  # noqa: PLR2004
            yield number, line


def _read_topics(config: NeuclirDatasetConfig, path: Path, judged: set[str]) -> dict[str, str]:
    """Text of every judged topic, in ascending order of id."""
    texts: dict[str, str] = {}
    for where, fields in objects(read_lines(path), path, "topic_id and topics"):
        topic_id = checked_id(fields.get("topic_id"), where, "topic_id")
        if topic_id in texts:
            raise DataError(f"{where}: topic {topic_id!r} occurs twice. Ids are unique.")
        if topic_id in judged:
            texts[topic_id] = _topic_text(config, fields.get("topics"), where)
    if absent := sorted(judged - set(texts)):
        raise DataError(
            f"{path}: lacks {len(absent)} of the {len(judged)} judged topics, such as {absent[0]!r}. Are topics and "
            "judgments of the same year?"
        )
    return {topic_id: texts[topic_id] for topic_id in sorted(texts)}


def _topic_text(config: NeuclirDatasetConfig, versions: Any, where: str) -> str:
    if not isinstance(versions, list) or not all(isinstance(version, dict) for version in versions):
        raise DataError(f"{where}: topics is not a list of objects with lang, source and topic_title.")
    wanted = (config.topic_language, config.topic_source)
    for version in versions:
        if (version.get("lang"), version.get("source")) == wanted:
            parts = [f"topic_{part}" for part in config.query_field.split("+")]
            return " ".join(checked_text(version.get(part), where, part).strip() for part in parts)
    legal = ", ".join(sorted(f"{version.get('lang')} {version.get('source')!r}" for version in versions))
    raise DataError(
        f"{where}: has no topic with dataset.topic_language={wanted[0]} dataset.topic_source={wanted[1]!r}. "
        f"It has: {legal}."
    )


def _open_documents(config: NeuclirDatasetConfig, path: Path | None, store: Store) -> corpus.Corpus:
    """The documents: of the file, or the published ones."""
    if path is None:
        return corpus.from_published(
            store,
            f"md5:{config.documents_md5}",
            lambda: hub_files.hub_file_of_any(
                config.hub_id, config.revisions, config.hub_file, md5=config.documents_md5
            ),
        )
    with contextlib.closing(FolderSource(path.parent)) as source:
        return corpus.from_file(source, path.name, store)
