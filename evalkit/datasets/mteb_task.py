"""Any retrieval or reranking task of mteb, loaded by mteb itself: texts, judgments, candidates and policies."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from evalkit.config import DatasetConfig
from evalkit.config.languages import is_written_in, short_code
from evalkit.config.limits import given
from evalkit.datasets import hub
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.candidate_lists import candidates_of_lists, excluded_by_lists
from evalkit.datasets.columns import content_digest, judged_texts, judgments
from evalkit.datasets.corpus import require_ids
from evalkit.datasets.documents import ArrowDocuments, script_of
from evalkit.datasets.hub import Repository, require_commit
from evalkit.datasets.loader import Loader, RemoteFile
from evalkit.datasets.mteb_metadata import TYPES
from evalkit.errors import ConfigError, DataError, MissingExtra, Unreachable
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system import network
from evalkit.system.lookalikes import instead
from evalkit.system.reporting import reason
from evalkit.types import Dataset, Documents


@dataclass
class MtebDatasetConfig(DatasetConfig):
    """Any retrieval or reranking task of mteb, loaded by mteb; language, split and policies are the task's own."""

    implementation: ClassVar[str] = "evalkit.datasets.mteb_task:MtebLoader"
    own_ids_by_task: ClassVar[bool] = True
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
        given("dataset.task", self.task, "NAME (a retrieval or reranking task of mteb, such as SciFact)")
        if self.path:
            raise ConfigError("dataset=mteb is loaded by mteb. For a collection on disk set dataset=folder.")
        self.name = self.name or re.sub(r"[^A-Za-z0-9._+@-]", "_", "-".join(filter(None, (self.task, self.subset))))
        # What is the task's own to say is not known before it is loaded.
        own = self.split, self.drop_identical_ids
        self.split, self.drop_identical_ids = self.split or "test", bool(self.drop_identical_ids)
        super().__post_init__()
        self.split, self.drop_identical_ids = own


class MtebLoader(Loader):
    """Reads a retrieval or reranking task as mteb loads it."""

    config: MtebDatasetConfig

    def load(self) -> Dataset:
        """The task.

        Raises:
            ConfigError: mteb has no such retrieval task, subset or split.
            DataError: mteb cannot load it.
            MissingExtra: mteb is not installed.
        """
        return _load(self.config, self.store)

    def remote_files(self) -> list[RemoteFile]:
        """See `Loader`."""
        published = repository(self.config)
        try:
            return hub.remote_files(published)
        except Unreachable:
            raise
        except DataError:  # a layout that the task reads by code of its own
            return [RemoteFile(published.hub_id, None, here=False)]

    def is_here(self) -> bool:
        """See `Loader`."""
        return hub.prepared(repository(self.config))


def _load(config: MtebDatasetConfig, store: Store) -> Dataset:
    task = _task(config)
    subset = _subset(config, task)
    split = _split(config, task)
    with _explained(task, subset):
        task.filter_languages(None, hf_subsets=[subset]).filter_eval_splits([split])
        task.load_data()
    data = data_of(task, subset, split)
    table = checked_corpus(task.metadata.name, data["corpus"])
    documents = ArrowDocuments(table, title_separator=config.title_separator, id_column="id")
    chosen = config.drop_identical_ids
    config = replace(
        config,
        split=split,
        language=language_of(task.metadata, subset, documents) if config.language == "en" else config.language,
        drop_identical_ids=bool(task.ignore_identical_ids) if chosen is None else chosen,
    )
    digest = content_digest(table)
    found = assemble(config, store, documents=documents, judged=_judged(task, data, config), corpus_digest=digest)
    return replace(found, mteb_task=task.metadata)


def repository(config: MtebDatasetConfig) -> Repository:
    """Where mteb reads the task from.

    Raises:
        ConfigError: mteb has no such retrieval task or subset.
        MissingExtra: mteb is not installed.
    """
    task = _task(config)
    return _repository(task, _subset(config, task))


def _repository(task: Any, subset: str) -> Repository:
    published = task.metadata.dataset
    return Repository(published["path"], published["revision"], None if subset == "default" else subset)


def _task(config: MtebDatasetConfig) -> Any:
    try:
        import mteb
    except ImportError as error:
        raise MissingExtra("mteb", extra="mteb", purpose="dataset=mteb") from error
    try:
        task = mteb.get_task(config.task)
    except KeyError as error:
        found = str(error.args[0]).removeprefix("KeyError: ")
        raise ConfigError(f"mteb has no such task: {found} Check dataset.task.") from error
    require_text_retrieval(task)
    return task


def require_text_retrieval(task: Any) -> None:
    """Refuse a task that is neither retrieval nor reranking of text, or that is the mean of several.

    Raises:
        ConfigError: it is one.
    """
    from mteb.abstasks.aggregated_task import AbsTaskAggregate

    name = task.metadata.name
    if task.metadata.type not in TYPES or task.metadata.modalities != ["text"]:
        kind = f"{task.metadata.type} of {', '.join(task.metadata.modalities)}"
        raise ConfigError(f"{name} is a task of type {kind}, expected {', '.join(TYPES)} of text. Check dataset.task.")
    if isinstance(task, AbsTaskAggregate):
        parts = ", ".join(part.metadata.name for part in task.metadata.tasks)
        raise ConfigError(f"{name} is the mean of several tasks. Set dataset.task to one of: {parts}.")


def _subset(config: MtebDatasetConfig, task: Any) -> str:
    subsets = [str(subset) for subset in task.hf_subsets]
    if config.subset is None and len(subsets) == 1:
        return subsets[0]
    if config.subset is None:
        raise ConfigError(f"{config.task} has several parts. Set dataset.subset to one of: {', '.join(subsets)}.")
    if config.subset not in subsets:
        raise ConfigError(
            f"dataset.subset={config.subset} is not a part of {config.task}. {instead(config.subset, subsets)}"
        )
    return config.subset


def _split(config: MtebDatasetConfig, task: Any) -> str:
    splits = [str(split) for split in task.metadata.eval_splits]
    if config.split and config.split not in splits:
        raise ConfigError(
            f"dataset.split={config.split} is not a split of {config.task}. {instead(config.split, splits)}"
        )
    return config.split or splits[0]


def data_of(task: Any, subset: str, split: str) -> Any:
    """Corpus, queries and judgments of one part of a task, which is loaded unless it is already.

    Raises:
        DataError: mteb cannot load it.
    """
    with _explained(task, subset):
        if not task.data_loaded:
            task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)  # what a sixth of the tasks still load
        return task.dataset[subset][split]


@contextmanager
def _explained(task: Any, subset: str) -> Iterator[None]:
    """Report errors of mteb loading a task in one line; do not ask a network that does not answer."""
    with nullcontext() if task.data_loaded else network.off_if_silent() as fault:
        if fault:
            require_commit(_repository(task, subset))
        try:
            yield
        # mteb passes on what datasets, the hub and its own checks raise.
        except Exception as error:
            why = f"{fault}: it was not loaded before" if fault else reason(error)
            raise DataError(f"mteb cannot load {task.metadata.name} ({why}).") from error


def checked_corpus(name: str, table: Any) -> Any:
    """The documents of a task, as a table whose rows are in its own order."""
    if not {"id", "text"} <= set(table.column_names):
        raise DataError(f"{name}: columns {', '.join(table.column_names)}, expected id, text and perhaps title.")
    ids = table.select_columns(["id"]).with_format("arrow")[:].column("id")
    if not ids.equals(table.data.column("id")):
        table = table.flatten_indices()  # some tasks select documents, and the table still has all of them
    require_ids(ids.cast(pa.string()), name)
    return table


def language_of(metadata: Any, subset: str, documents: Documents) -> str:
    """The language of the documents: that of the task, or the one of its languages that has their script.

    Among several that this leaves, English comes first. Code is taken as English, as its comments and names are.
    """
    languages = metadata.eval_langs
    codes = [str(code) for code in (languages[subset] if isinstance(languages, dict) else languages)]
    found = list(dict.fromkeys(short_code(code) for code in codes if not code.endswith("-Code"))) or ["en"]
    if len(found) > 1:
        script = script_of(documents)
        found = [code for code in found if is_written_in(code, script)] or found
    return "en" if "en" in found else found[0]


def _judged(task: Any, data: Any, config: DatasetConfig) -> Judged:
    name = task.metadata.name
    relevant = data["relevant_docs"].items()
    qrels = judgments(((query, document, score) for query, row in relevant for document, score in row.items()), name)
    names = [column for column in ("id", "text", "instruction") if column in data["queries"].column_names]
    rows = data["queries"].select_columns(names).with_format("arrow")[:]  # those that mteb kept
    ids = rows.column("id").cast(pa.string()).to_pylist()
    said = rows.column("instruction").to_pylist() if "instruction" in names else []
    lists = lists_of_task(task, data, is_ranking=config.candidates_ranked)
    return Judged(
        judged_texts(ids, rows.column("text").to_pylist(), qrels, name),
        qrels,
        instructions={query_id: text for query_id, text in zip(ids, said, strict=False) if text and query_id in qrels},
        candidates=lists.candidates,
        excluded=lists.excluded,
        notes=lists.notes,
    )


class OwnLists(NamedTuple):
    """What a task's lists of documents for each query say.

    Attributes:
        candidates: the documents that are reranked; None for a task that searches its corpus.
        excluded: query id -> documents that it may not retrieve.
        notes: counts of what was unusual.
    """

    candidates: Run | None = None
    excluded: Mapping[str, Sequence[str]] = {}
    notes: Mapping[str, int] = {}


def lists_of_task(task: Any, data: Any, *, is_ranking: bool) -> OwnLists:
    """`own_lists` of a loaded task; also those that `convert_to_reranking` made of predictions are in their order."""
    is_ranking |= task._previous_results_model_meta is not None  # noqa: SLF001 - mteb has no other mark of it
    return own_lists(task.metadata, data["top_ranked"], data["corpus"]["id"], is_ranking=is_ranking)


def own_lists(
    metadata: Any, lists: Mapping[str, Sequence[str]] | None, doc_ids: Sequence[str], *, is_ranking: bool
) -> OwnLists:
    """The candidates of a task, or the documents that its queries exclude.

    mteb has one list a query for both. Where a task of retrieval names more than half of its corpus for every query,
    as BRIGHT does, the others are excluded. The order of candidates means nothing unless `is_ranking` says so.

    Args:
        metadata: of the task.
        lists: its `top_ranked`.
        doc_ids: all documents.
        is_ranking: whether candidates are in the order of a first stage.
    """
    if not lists:
        return OwnLists()
    if metadata.type == "Retrieval" and min(map(len, lists.values())) > len(doc_ids) / 2:
        return OwnLists(excluded=excluded_by_lists(lists, doc_ids))
    found = candidates_of_lists(lists, is_ranking=is_ranking, source=f"{metadata.name}: top_ranked")
    return OwnLists(found.run, notes=found.notes)
