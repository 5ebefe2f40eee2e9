"""Datasets: one loader a source, all giving the same `Dataset`. Knows nothing of retrieval or measures.

What cannot be read is a `DataError`: one line that names file and line, what was expected and what to do. Docstrings
in this folder mention only other errors.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow.compute as pc

from evalkit.config import DatasetConfig
from evalkit.config.registry import Registry, implementation, require_defined
from evalkit.datasets.language import doubt_of_language
from evalkit.datasets.loader import Loader
from evalkit.datasets.records import SAID
from evalkit.errors import DataError
from evalkit.formats.notes import counted
from evalkit.store import Store
from evalkit.types import Dataset

logger = logging.getLogger(__name__)

DATASETS = Registry(
    "dataset",
    {
        "bundled": "evalkit.config.dataset:BundledDatasetConfig",
        "folder": "evalkit.config.dataset:FolderDatasetConfig",
        "examples": "evalkit.datasets.hub_examples:ExamplesDatasetConfig",
        "hub": "evalkit.datasets.hub_dataset:HubDatasetConfig",
        "ir_datasets": "evalkit.datasets.ir_dataset:IrDatasetConfig",
        "mkqa": "evalkit.datasets.mkqa:MkqaDatasetConfig",
        "mteb": "evalkit.datasets.mteb_task:MtebDatasetConfig",
        "python": "evalkit.datasets.own_dataset:PythonDatasetConfig",
        "neuclir": "evalkit.datasets.neuclir:NeuclirDatasetConfig",
    },
    base="evalkit.config.dataset:DatasetConfig",
)
"""Schema of a dataset -> its settings; then the entry points `evalkit.datasets` of installed packages."""


def loader(config: DatasetConfig, store: Store) -> Loader:
    """The loader of the dataset of these settings.

    Raises:
        ConfigError: there is no loader for this kind of configuration.
    """
    kind: type[Loader] = implementation(
        config,
        noun="loader",
        choose="a dataset from `evalkit list datasets`",
        maker="load",
        base="evalkit.datasets.loader.Loader",
    )
    require_defined(kind)
    return kind(config, store)


def load(config: DatasetConfig, store: Store) -> Dataset:
    """The dataset that a configuration names, its texts memory-mapped from the store.

    Raises:
        ConfigError: there is no loader for this kind of configuration.
        DataError: a file is absent or malformed.
    """
    with naming(config):
        dataset = loader(config, store).load()
    _warn(dataset)
    return dataset


@contextmanager
def naming(config: DatasetConfig) -> Iterator[None]:
    """An error of a published dataset names it too, as several may be of one repository or file."""
    try:
        yield
    except DataError as error:
        if getattr(config, "path", None) is None and config.name not in str(error):
            error.args = (f"{config.name}: {error}",)
        raise


_SINGULAR = {
    "documents": "document",
    "queries": "query",
    "candidates": "candidate",
    "have": "has",
    "repeat": "repeats",
    "are": "is",
    "their": "its",
}


def _singular(said: str) -> str:
    """A sentence of `SAID` about one document, query or candidate."""
    return " ".join(_SINGULAR.get(word, word) for word in said.split(" "))


def _warn(dataset: Dataset) -> None:
    for name, said in SAID.items():
        if count := dataset.notes.get(name):
            logger.warning("%s: %s %s.", dataset.name, f"{count:,}", _singular(said) if count == 1 else said)
    absent = dataset.notes["judged_documents_absent"]
    if absent:
        logger.warning(
            "%s: %s (%s of them relevant) %s not in the corpus. They count as not retrieved, "
            "and the candidate ceiling shows what they cost.",
            dataset.name,
            counted(absent, "judged document"),
            f"{dataset.notes['relevant_documents_absent']:,}",
            "is" if absent == 1 else "are",
        )
    if unanswered := dataset.notes.get("questions_without_answers"):
        said = "question has no answer and counts" if unanswered == 1 else "questions have no answer and count"
        logger.warning("%s: %d %s as 0.", dataset.name, unanswered, said)
    if dataset.maxp and not pc.any(pc.match_substring(dataset.documents.ids, dataset.maxp)).as_py():
        logger.warning(
            "%s: no document has %s in its id, so dataset.maxp changes nothing. Passages have ids such as D1%s0.",
            dataset.name,
            dataset.maxp,
            dataset.maxp,
        )
    if doubt := doubt_of_language(dataset):
        logger.warning("%s: %s", dataset.name, doubt)
