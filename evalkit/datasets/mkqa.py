"""MKQA as BGE-M3 evaluates it: questions in one language, English passages, English answers, and no judgments.

zh_cn.jsonl     {"id": "...", "question": "...", "answers": ["...", ...]}    in the published zip, one file a language
corpus          the passages of BEIR's Natural Questions

Questions are read as they are. Documents are lower-cased and cleaned (`CleanedDocuments`) unless `text_cleanup=false`,
and answers like them: BGE-M3's evaluation leaves answers as they are, so one with a typographic dash or quote is in no
cleaned document. `answer_cleanup=false` does the same.
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.config import DatasetConfig
from evalkit.config.limits import MISSING, require_commit
from evalkit.datasets import corpus, hub, hub_files, snapshot
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.beir import parse_answers
from evalkit.datasets.data_rows import objects
from evalkit.datasets.documents import ArrowDocuments, OpenedCorpus
from evalkit.datasets.filenames import LAYOUT, corpus_of
from evalkit.datasets.loader import Loader, RemoteFile
from evalkit.datasets.opening import open_source
from evalkit.datasets.records import checked_id, checked_text
from evalkit.datasets.source import CORPUS, CollectionFiles, FolderSource, find
from evalkit.errors import DataError
from evalkit.formats.archives import ARCHIVES
from evalkit.formats.textfile import lines
from evalkit.store import Store
from evalkit.system.files import expanded
from evalkit.types import Dataset, Documents

_CLEANUP = "cleanup-1"  # a higher number has vectors of cleaned documents computed again
_DELETED = [*range(0x01, 0x09), 0x0E, 0x0F, *range(0x11, 0x1C), 0xAD]
_REPLACED = {
    " ": "\u000b\u000c\u0085",
    "-": "-\u2010\u2011\u2043\u2012\u2013\u2014\u2015\u2212\uff0d\u207b",
    '"': "\u201c\u201d\u201e\u201f",
    "'": "\u2018\u2019\u201a\u201b\u055a\ua78b\ua78c\uff07\u0060\u00b4\u2032\u2035",
    "''": "\u2033\u2036",
    "'''": "\u2034\u2037",
    "''''": "\u2057",
    "...": "\u2026",
    "/": "\u2044\u2215",
}
_TABLE = {ord(character): new for new, old in _REPLACED.items() for character in old} | dict.fromkeys(_DELETED)


def clean(text: str) -> str:
    """A text in lower case, without control characters, its quotes, dashes, primes and blanks in ASCII.

    As the clean-up of BGE-M3's evaluation, in its order: lower case first.
    """
    return re.sub(r" \. \. \. ", " ... ", text.lower().translate(_TABLE))


@dataclass
class MkqaDatasetConfig(DatasetConfig):
    """Questions with answers over a corpus of passages: a document is relevant if it contains an answer.

    `path` is a folder or zip with the questions, and perhaps the corpus, which is else read from the hub.
    """

    implementation: ClassVar[str] = "evalkit.datasets.mkqa:MkqaLoader"
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
        require_commit("dataset.revision", self.revision)
        require_commit("dataset.corpus_revision", self.corpus_revision)


class CleanedDocuments:
    """Documents whose texts go through `clean`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    @property
    def ids(self) -> pa.ChunkedArray:
        """Document ids in corpus order."""
        return self._documents.ids

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._documents)

    def sizes(self) -> NDArray[np.int32]:
        """Bytes of each document before it is cleaned."""
        return self._documents.sizes()

    def texts(self, rows: Sequence[int] | NDArray[np.integer] | range) -> list[str]:
        """Texts at these positions, title and body joined, then cleaned."""
        return [clean(text) for text in self._documents.texts(rows)]


class MkqaLoader(Loader):
    """Reads the questions of one language over the passages."""

    config: MkqaDatasetConfig

    def load(self) -> Dataset:
        """See `Loader`."""
        config, store = self.config, self.store
        judged = _read_questions(config)
        found = _open_corpus(config, store)
        if config.text_cleanup and config.answer_cleanup:
            judged = replace(judged, answers={key: tuple(map(clean, texts)) for key, texts in judged.answers.items()})
        if config.text_cleanup:
            found = found._replace(documents=CleanedDocuments(found.documents), digest=f"{found.digest}+{_CLEANUP}")
        judged = replace(judged, notes=found.notes)
        return assemble(config, store, documents=found.documents, judged=judged, corpus_digest=found.digest)

    def remote_files(self) -> list[RemoteFile]:
        """See `Loader`."""
        config = self.config
        questions = [] if config.path else [hub_files.remote_file(config.hub_id, config.revision, config.hub_file)]
        passages = [] if corpus_path(config) else hub.remote_files(corpus_repository(config), ("corpus",))
        return [*questions, *passages]

    def is_here(self) -> bool:
        """See `Loader`."""
        config = self.config
        questions = config.path or hub_files.in_hub_cache(config.hub_id, config.revision, config.hub_file)
        return bool(questions and (corpus_path(config) or hub.is_here(corpus_repository(config), ("corpus",))))


def questions_file(config: MkqaDatasetConfig) -> Path:
    """The folder or zip with the questions; downloaded where none is given."""
    if config.path:
        path = expanded(config.path)
        if path.is_file() and not path.name.endswith(ARCHIVES):
            raise DataError(
                f"{path}: is not a folder, zip or tar. Set dataset.path={path.parent} dataset.questions={path.name}."
            )
        return path
    return hub_files.hub_file(config.hub_id, config.revision, config.hub_file)


def corpus_repository(config: MkqaDatasetConfig) -> hub.Repository:
    """Where the published passages are."""
    return hub.Repository(config.corpus_hub_id, config.corpus_revision)


def _read_questions(config: MkqaDatasetConfig) -> Judged:
    questions: dict[str, str] = {}
    answers: dict[str, tuple[str, ...]] = {}
    layout = f"{config.questions} (id, question and answers a line)"
    with contextlib.closing(open_source(questions_file(config), marker=config.questions, layout=layout)) as source:
        name = find(source, config.questions, layout)
        with source.open(name) as stream:
            for where, fields in objects(
                lines(stream, source.label(name)), source.label(name), "id, question and answers"
            ):
                identifier = checked_id(fields.get("id"), where, "id")
                if identifier in questions:
                    raise DataError(f"{where}: question id {identifier!r} occurs twice. Ids are unique.")
                questions[identifier] = checked_text(fields.get("question"), where, "question")
                answers[identifier] = parse_answers(fields.get("answers"), where)
        if not questions:
            raise DataError(f"{source.label(name)}: holds no questions.")
    order = sorted(questions)
    return Judged({key: questions[key] for key in order}, {}, answers={key: answers[key] for key in order})


def _open_corpus(config: MkqaDatasetConfig, store: Store) -> OpenedCorpus:
    path = corpus_path(config)
    if path is None:
        repository = corpus_repository(config)
        return hub.open_documents(repository, store, title_separator=config.title_separator)
    if left := snapshot.find(path):
        return snapshot.open_documents(left, store, title_separator=config.title_separator, split="corpus")
    source: CollectionFiles
    if path.is_dir() or path.name.endswith(ARCHIVES):
        source = open_source(path)
        name, *more = corpus_of(source)
    else:
        source = FolderSource(path.parent)
        name, more = find(source, path.name, LAYOUT), []
    with contextlib.closing(source):
        found = corpus.from_file(source, name, store, more=more)
    return OpenedCorpus(ArrowDocuments(found.table, title_separator=config.title_separator), found.digest, found.notes)


def corpus_path(config: MkqaDatasetConfig) -> Path | None:
    """The corpus on disk: as set, or next to the questions; None for the published one."""
    if config.corpus_path:
        path = expanded(config.corpus_path)
        if not path.exists():
            raise DataError(f"{path}: no such file or folder. dataset.corpus_path is a corpus in JSON lines.")
        return path
    if not config.path:
        return None
    folder = expanded(config.path)
    if not folder.is_dir():
        return folder if _holds_corpus(folder, config.questions) else None
    found = sorted(path for path in folder.glob("corpus*.jsonl*") if path.is_file())
    exact = [path for path in found if path.name in {CORPUS, f"{CORPUS}.gz"}]
    if not exact and found:
        names = ", ".join(path.name for path in found)
        raise DataError(f"{folder}: holds {names}. Set dataset.corpus_path to the one to search, such as {found[0]}.")
    return exact[0] if exact else None


def _holds_corpus(path: Path, questions: str) -> bool:
    """Whether a zip holds a corpus as well as questions."""
    with contextlib.closing(open_source(path, marker=questions)) as source:
        return bool({CORPUS, f"{CORPUS}.gz"} & set(source.files()))
