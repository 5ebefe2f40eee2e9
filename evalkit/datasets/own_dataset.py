"""A dataset of the user's own objects: `dataset=python`, and corpus, queries and judgments given to `evalkit.evaluate`.

corpus      {id: text}, {id: {"title": ..., "text": ...}}, a table with columns such as doc_id and text, or rows of one
queries     {id: text}, a table with columns such as query_id and query, or rows of one
qrels       {query id: {document id: grade}}, or a table; see `formats.python_objects`

The three come in a tuple, in a dict with these keys, or as attributes. In a dict or as attributes there may also be:

candidates    a run, or {query id: [document id, ...]} without an order: what `retriever=own` reranks
excluded      {query id: [document id, ...]}: documents that are dropped before the depth cut
instructions  {query id: text}: what a query asks for, where it is not in the rows of queries

The corpus is written to the store, so texts are read from disk as those of a file. Its digest is that of its content.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from inspect import isfunction
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from evalkit.config import DatasetConfig
from evalkit.config.python_object import PythonObject
from evalkit.datasets import corpus, ir_dataset, mteb_task
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.columns import choose
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.loader import Loader
from evalkit.datasets.own_records import candidates_of, documents_of, excluded_of, instructed, judged_of
from evalkit.datasets.records import digest_of
from evalkit.errors import ConfigError, ObjectError
from evalkit.formats.python_objects import is_from, kind_of
from evalkit.run import Run
from evalkit.store import Store
from evalkit.store.artefact import CORPORA, digest
from evalkit.system.lookalikes import instead
from evalkit.system.own_code import call, given_name, nameable, own_name, signature
from evalkit.system.reporting import shown
from evalkit.types import Dataset

_JUDGED = "judged.json"
_PARTS = ("corpus", "queries", "qrels")
_OPTIONAL = ("candidates", "excluded", "instructions")
_EXPECTED = "Expected corpus, queries and qrels: in a tuple, in a dict with these keys, or as attributes of an object"


@dataclass
class PythonDatasetConfig(PythonObject, DatasetConfig):
    """A dataset of your own: corpus, queries and judgments as objects in Python."""

    implementation: ClassVar[str] = "evalkit.datasets.own_dataset:PythonLoader"
    group: ClassVar[str] = "dataset"
    content: str | None = None
    """The digest by which results find queries and judgments in the cache that were objects; it is not for typing."""
    drop_identical_ids: bool | None = None
    """When not set, as a task of mteb says; else they are kept, and a saved run cut by it is refused."""

    def __post_init__(self) -> None:
        """Check that nothing else is passed off as it."""
        own, self.drop_identical_ids = self.drop_identical_ids, bool(self.drop_identical_ids)
        super().__post_init__()
        self.drop_identical_ids = own
        if self.path:
            raise ConfigError("dataset=python has no path. For a collection on disk set dataset=folder.")


class Parts(NamedTuple):
    """Corpus, queries and judgments, and what else a query may have, as they were given; None for what was not."""

    corpus: Any
    queries: Any
    qrels: Any
    candidates: Any = None
    excluded: Any = None
    instructions: Any = None
    notes: Mapping[str, int] = {}


class PythonLoader(Loader):
    """Reads a dataset from objects."""

    config: PythonDatasetConfig

    def load(self) -> Dataset:
        """See `Loader`.

        Raises:
            ConfigError: the settings name no object.
            ObjectError: there is no such object, or it is no dataset.
        """
        config, store = self.config, self.store
        if config.is_gone:
            return self._assembled(*_stored(config, store))
        thing = config.get()
        _name_after(thing, config)
        is_task = is_from(thing, "mteb", "AbsTask")
        given = _of_mteb(thing, config) if is_task else parts_of(thing, config.name, config.split)
        judged = call(config.name, _judged, given, config)
        found = own_corpus(given.corpus, config.name, store)
        others = None if is_task else judged.other_queries  # mteb drops queries whose lists it keeps
        judged = replace(judged, notes={**judged.notes, **found.notes}, other_queries=others)
        if not config.object:
            config.content = _keep(judged, found.digest, config.name, store)
        dataset = self._assembled(found, judged)
        return replace(dataset, mteb_task=thing.metadata) if is_task else dataset

    def _assembled(self, found: corpus.Corpus, judged: Judged) -> Dataset:
        separator = self.config.title_separator
        return assemble(
            self.config,
            self.store,
            documents=ArrowDocuments(found.table, title_separator=separator),
            judged=judged,
            corpus_digest=f"python:{found.digest}",
        )


def _name_after(thing: Any, config: PythonDatasetConfig) -> None:
    """Give a dataset that was made or found by its address the name in its dict, where none was set."""
    name = thing.get("name") if isinstance(thing, Mapping) else None
    if name is not None and not isinstance(name, Mapping) and config.name == config.default_name:
        config.name = given_name(name, "a dataset")


def _judged(given: Parts, config: DatasetConfig) -> Judged:
    """Queries and judgments, with candidates, exclusions and instructions where these were given."""
    name = config.name
    judged = judged_of(given.queries, given.qrels, name)
    if given.instructions is not None:
        judged = instructed(judged, given.instructions, name)
    if given.excluded is not None:
        judged = replace(judged, excluded=excluded_of(given.excluded, name))
    if given.candidates is not None:
        found = candidates_of(given.candidates, name, is_ranking=config.candidates_ranked)
        judged = replace(judged, candidates=found.run, notes={**judged.notes, **found.notes})
    return replace(judged, notes={**judged.notes, **given.notes})


def own_corpus(source: Any, name: str, store: Store) -> corpus.Corpus:
    """The documents of an object, in the store.

    Args:
        source: `{id: text}`, a table, or rows.
        name: of the dataset.
        store: where they are kept.

    Raises:
        DataError: it holds something else.
    """
    found, notes = call(name, documents_of, source, f"{name}: corpus")
    own = digest_of(found)
    return corpus.from_records(found, store, _facts(own), label=name, digest=own)._replace(notes=notes)


def _keep(judged: Judged, corpus_digest: str, name: str, store: Store) -> str:
    """Keep queries and judgments in the store, for whoever reads the results; the digest that finds them again."""
    kept = {part.name: getattr(judged, part.name) for part in fields(judged)}
    # Without these, what was kept before there were any is found again.
    del kept["candidates"], kept["excluded"], kept["other_queries"]
    kept["instructions"] = {key: text for key, text in judged.instructions.items() if key in judged.queries}
    if judged.candidates is not None:
        rows = judged.candidates
        kept["candidates"] = {query_id: dict(zip(ids, values.tolist(), strict=True)) for query_id, ids, values in rows}
    if judged.excluded:
        kept["excluded"] = judged.excluded
    kept["corpus"] = corpus_digest
    content = digest(kept)

    def build(folder: Path) -> None:
        (folder / _JUDGED).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")

    store.folder(CORPORA, {"python_judged": content}, build, label=name)
    return content


def _stored(config: PythonDatasetConfig, store: Store) -> tuple[corpus.Corpus, Judged]:
    """Documents, queries and judgments that an evaluation of objects in Python left in the store.

    Raises:
        ConfigError: the settings name none, or the store has lost them.
    """

    def refuse(*_: object) -> Any:
        raise ConfigError(
            f"dataset.object is not set, so the texts and judgments of {config.name} cannot be read. Set "
            f"dataset.object=my_module:NAME. Objects of Python are kept in the cache, and {store.root} lacks them."
        )

    folder = store.folder(CORPORA, {"python_judged": config.content}, refuse)
    kept = json.loads((folder / _JUDGED).read_text(encoding="utf-8"))
    own = kept.pop("corpus")
    if "candidates" in kept:
        kept["candidates"] = Run.from_dict(kept["candidates"], source=f"{config.name}: candidates")
    table = corpus.from_records(map(refuse, [own]), store, _facts(own), label=config.name, digest=own)
    return table, Judged(**kept)


def _facts(corpus_digest: str) -> dict[str, object]:
    return {"python_sha256": corpus_digest}


def _of_mteb(task: Any, config: PythonDatasetConfig) -> Parts:
    """A retrieval task of mteb, loaded or not, of one part; its policies become settings that nobody set.

    Raises:
        ConfigError: it is a task of another kind.
        ObjectError: it has several parts, or not this split.
    """
    mteb_task.require_text_retrieval(task)
    name = task.metadata.name
    subsets, splits = [str(subset) for subset in task.hf_subsets], [str(split) for split in task.eval_splits]
    if len(subsets) != 1:
        raise ObjectError(
            f"{name} has the parts {', '.join(subsets)}. Give one, as mteb.get_task({name!r}, "
            f"hf_subsets=[{subsets[0]!r}]) does."
        )
    if config.split not in splits:
        if config.split != DatasetConfig.split:
            raise ObjectError(
                f"{name} has no split {config.split!r}. Set dataset.split to one of: {', '.join(splits)}."
            )
        config.split = splits[0]
    if task.metadata.is_multilingual and config.name == own_name(task):  # its parts are other datasets
        config.name = nameable(f"{name}-{subsets[0]}")
    data = mteb_task.data_of(task, subsets[0], config.split)
    if config.language == DatasetConfig.language:
        documents = ArrowDocuments(data["corpus"], title_separator=" ", id_column="id")
        config.language = mteb_task.language_of(task.metadata, subsets[0], documents)
    if config.drop_identical_ids is None:
        config.drop_identical_ids = bool(task.ignore_identical_ids)
    lists = mteb_task.lists_of_task(task, data, is_ranking=config.candidates_ranked)
    parts = data["corpus"], data["queries"], data["relevant_docs"]
    return Parts(*parts, lists.candidates, lists.excluded or None, notes=lists.notes)


def parts_of(thing: Any, name: str, split: str) -> Parts:
    """Corpus, queries and judgments of an object.

    Raises:
        ObjectError: it lacks one of them, or is a dict with other keys.
    """
    if is_from(thing, "ir_datasets", "Dataset"):
        documents = ({"_id": record.id, "text": record.text} for record in ir_dataset.documents_of(thing, name))
        judged = ir_dataset.judged_of(thing, name)
        return Parts(documents, judged.queries, judged.qrels)
    if isfunction(thing):
        raise ObjectError(
            f"{name} is a function that needs arguments, by {signature(thing)}. Give them in "
            "dataset.settings={NAME: VALUE}, or give a function that takes none."
        )
    others: list[Any] = []
    if isinstance(thing, Mapping):
        _require_known(thing, name)
        found, others = ([thing.get(part) for part in parts] for parts in (_PARTS, _OPTIONAL))
    elif isinstance(thing, Sequence) and not isinstance(thing, str | bytes):
        found = list(thing)
    else:
        found, others = ([call(name, getattr, thing, part, None) for part in parts] for parts in (_PARTS, _OPTIONAL))
    lacking = [what for part, what in zip(found, _PARTS, strict=False) if part is None]
    if 0 < len(lacking) < len(found) == len(_PARTS):
        raise ObjectError(f"{name} lacks {' and '.join(lacking)}. {_EXPECTED}.")
    if lacking or len(found) != len(_PARTS):
        raise ObjectError(f"{name} is {kind_of(thing)} {shown(thing)}. {_EXPECTED}.")
    return Parts(*(_of_split(part, split, name, what) for part, what in zip(found, _PARTS, strict=True)), *others)


def _require_known(parts: Mapping[Any, Any], name: str) -> None:
    """Refuse a dict of the parts of a dataset that has other keys too, which nobody would read."""
    legal = (*_PARTS, *_OPTIONAL, "name")  # the last is read where the settings are made
    unknown = [str(key) for key in parts if key not in legal]
    if unknown and len(unknown) < len(parts):
        raise ObjectError(f"{name}: {unknown[0]!r} is no part of a dataset. {instead(unknown[0], legal)}")


def _of_split(part: Any, split: str, name: str, what: str) -> Any:
    """A part of a dataset; of several splits of `datasets`, the one that is meant."""
    if not is_from(part, "datasets", "DatasetDict"):
        return part
    return choose(part, split, part=what, label=f"{name}: {what}")
