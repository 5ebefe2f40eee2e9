"""A first stage of the user's own: `retriever=python`, and objects given to `evalkit.evaluate`.

`own_searches.py` knows which objects can search, and how each is called.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa

from evalkit.config import ComputeConfig, DatasetConfig
from evalkit.config.limits import one_of
from evalkit.config.python_object import PythonModel
from evalkit.config.retriever import RetrieverConfig
from evalkit.errors import ObjectError
from evalkit.formats.python_objects import run_object
from evalkit.formats.runfile import ORDERS
from evalkit.retrieval import library_searches, own_searches
from evalkit.retrieval.candidates import cut, search_depth
from evalkit.retrieval.first_stage import FirstStage
from evalkit.retrieval.own_searches import OwnSearch, is_run
from evalkit.retrieval.own_vectors import SIMILARITIES
from evalkit.retrieval.saved import SavedRetriever
from evalkit.run import Run
from evalkit.store import Store
from evalkit.system.own_code import call
from evalkit.system.reporting import shown
from evalkit.types import Dataset, Identity

_EXPECTED = (
    "A retriever is a function f(queries, depth) that returns {query id: {document id: score}}, an object with such a "
    "method `retrieve`, an object with `encode_queries` and `encode_documents` or `encode_corpus`, a "
    "SentenceTransformer, a retriever of beir, mteb or PyTerrier, or a run"
)


@dataclass
class PythonRetrieverConfig(PythonModel, RetrieverConfig):
    """A retriever of your own: a function or an object in Python."""

    implementation: ClassVar[str] = "evalkit.retrieval.own_retriever:PythonRetriever"
    group: ClassVar[str] = "retriever"
    similarity: str | None = None
    """How vectors are compared, `cosine` or `dot`: when not set, as its attribute `similarity` says, or dot."""
    order: str | None = None
    """Which decides the order of a run if ranks and scores disagree: `score` or `rank`; see `retriever=saved`."""

    def __post_init__(self) -> None:
        """Check ranges and choices."""
        super().__post_init__()
        if self.similarity is not None:
            one_of("retriever.similarity", self.similarity, SIMILARITIES)
        if self.order is not None:
            one_of("retriever.order", self.order, ORDERS)


class PythonRetriever(FirstStage):
    """Searches with an object of the user's, in this process.

    Args:
        config: name and identity.
        thing: the object.

    Raises:
        ObjectError: it is not a retriever.
    """

    def __init__(self, config: PythonRetrieverConfig, thing: Any) -> None:
        self._config, self._thing = config, thing
        self._search = search_of(thing, config.name, config.similarity)

    @classmethod
    def build(  # type: ignore[override]
        cls,
        config: PythonRetrieverConfig,
        *,
        compute: ComputeConfig,
        store: Store,
        dataset: DatasetConfig | None,
        weights: bool,
    ) -> FirstStage:
        """See `FirstStage`; an object that is one is taken as it is, and a run as a saved one."""
        del compute, store, weights
        thing = config.get()
        if isinstance(thing, FirstStage):
            return thing
        if is_run(thing):
            return SavedRetriever.build(
                config, dataset=dataset, given=run_object(thing, config.name, order=config.order)
            )
        return cls(config, thing)

    @cached_property
    def identity(self) -> Identity:
        """The identity that was given, or that its library knows; else one that no other object has."""
        return self._config.identity_of(self._thing, self._search.identity, self._search.facts)

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """See `FirstStage`.

        Raises:
            ObjectError: it raised an error, or returned other queries or documents than the dataset has.
        """
        name = self._config.name
        found = self._search.run(dataset, search_depth(dataset, depth))
        if strange := [query_id for query_id in found.query_ids if query_id not in dataset.queries]:
            raise ObjectError(f"{name} returned {strange[0]!r}, which is not the id of a query that it was given.")
        if absent := found.doc_ids.filter(pa.array(dataset.rows(found.doc_ids) < 0)).to_pylist():
            raise ObjectError(
                f"{name} returned {len(absent)} documents, such as {absent[0]!r}, that are not in {dataset.name}. "
                "Return the corpus's own ids."
            )
        return cut(found, dataset, depth)


def search_of(thing: Any, name: str, similarity: str | None) -> OwnSearch:
    """The way in which an object searches.

    Raises:
        ObjectError: its kind is unknown, or a similarity is set for one that gives no vectors.
    """
    for kind in (*library_searches.KINDS, *own_searches.KINDS):
        if found := call(name, kind, thing, name, similarity):  # which looks at attributes of the user's
            if similarity and "similarity" not in found.facts:
                raise ObjectError(f"retriever.similarity is set, but {name} gives scores and no vectors.")
            return found  # type: ignore[no-any-return]
    raise ObjectError(f"{name} is {shown(thing)}, which cannot retrieve. {_EXPECTED}.")
