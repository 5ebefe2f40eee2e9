"""Kinds of Python objects that can search, and how each is called: one table, `KINDS`.

To add a kind, such as the retrievers of a library, write a function that takes the object, its name and the setting
`similarity`, and returns an `OwnSearch`, or None for an object of another kind. Add it to `KINDS` before the kinds that
would take its objects too. It does not import the library: see `formats.python_objects.is_from`.
"""

from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

from evalkit.datasets.documents import read_through
from evalkit.errors import ObjectError
from evalkit.formats.python_objects import is_from, is_table, run_of
from evalkit.models.library_models import library_identity
from evalkit.retrieval.own_vectors import Encoders, nearest, similarity_of
from evalkit.run import Run
from evalkit.system import own_code
from evalkit.system.own_code import call
from evalkit.types import Dataset, Documents, Identity


class OwnSearch(NamedTuple):
    """How an object searches.

    Attributes:
        run: the best documents of every query of a dataset, at least so many; it may raise anything.
        identity: for an object without an attribute `identity`: what decides its scores; None where that is not known.
        facts: what else decides them, such as the similarity of vectors.
    """

    run: Callable[[Dataset, int], Run]
    identity: Callable[[], Identity | None] | None = None
    facts: Mapping[str, Any] = MappingProxyType({})


class CorpusTexts(Mapping[str, str]):
    """A corpus as a mapping from id to text, read from disk as it is asked for."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._documents)

    def __iter__(self) -> Iterator[str]:
        for chunk in self._documents.ids.chunks:
            yield from chunk.to_pylist()

    def __getitem__(self, doc_id: str) -> str:
        if not self._rows:
            self._rows = {own: row for row, own in enumerate(self)}
        return self._documents.texts([self._rows[doc_id]])[0]

    def items(self) -> ItemsView[str, str]:
        """Ids and texts in the order of the corpus, some thousand texts in memory at a time."""
        return _Items(self)

    def texts(self) -> Iterator[str]:
        """All texts in their order."""
        for some in read_through(self._documents, "reading documents"):
            yield from some


class _Items(ItemsView[str, str]):
    _mapping: CorpusTexts

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self._mapping, self._mapping.texts(), strict=True)


def is_run(thing: Any) -> bool:
    """Whether an object is a run, in any form that `formats.python_objects` reads."""
    return isinstance(thing, Run | Mapping | Sequence) or is_table(thing) or is_from(thing, "ranx", "Run")


def sentence_transformer(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """A `SentenceTransformer`, with its prompts for queries and documents and its similarity."""
    if not is_from(thing, "sentence_transformers", "SentenceTransformer"):
        return None
    chosen = similarity_of(similarity or thing.similarity_fn_name, name)
    encoders = Encoders(
        partial(call, name, thing.encode_query, show_progress_bar=False),
        partial(call, name, thing.encode_document, show_progress_bar=False),
    )
    return encoding(encoders, chosen, name)._replace(identity=lambda: library_identity(thing))


def encoder(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """An object with `encode_queries(texts)` and `encode_documents(texts)`, which return a vector each."""
    methods = [getattr(thing, method, None) for method in ("encode_queries", "encode_documents")]
    if not all(map(callable, methods)):
        return None
    chosen = similarity_of(similarity or getattr(thing, "similarity", None) or "dot", name)
    encoders = Encoders(*(partial(call, f"{name}.{method.__name__}", method) for method in methods if method))
    return encoding(encoders, chosen, name)


def encoding(encoders: Encoders, similarity: str, name: str) -> OwnSearch:
    """Exact search over the vectors of two functions."""

    def run(dataset: Dataset, depth: int) -> Run:
        return nearest(encoders, dataset, depth, similarity=similarity, name=name)

    return OwnSearch(run, facts={"similarity": similarity})


def searcher(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """An object with `retrieve`, which takes what a function would, and perhaps `index(corpus)`, called before."""
    del similarity
    method, index = getattr(thing, "retrieve", None), getattr(thing, "index", None)
    if not callable(method):
        return None
    search = _called(method, f"{name}.retrieve")

    def run(dataset: Dataset, depth: int) -> Run:
        if callable(index):
            call(f"{name}.index", index, CorpusTexts(dataset.documents))
        return search(dataset, depth)

    return OwnSearch(run)


def function(thing: Any, name: str, similarity: str | None) -> OwnSearch | None:
    """A function, or another object that can be called."""
    del similarity
    return OwnSearch(_called(thing, name)) if callable(thing) else None


def _called(function: Callable[..., Any], name: str) -> Callable[[Dataset, int], Run]:
    """f(queries, depth) or f(queries, depth, corpus), by the number of its parameters without defaults."""
    needed = own_code.needed_arguments(function)
    if needed not in {2, 3}:
        raise ObjectError(
            f"{name}: cannot tell how to call it from {own_code.signature(function)}. Expected f(queries, depth), or "
            "f(queries, depth, corpus)."
        )

    def run(dataset: Dataset, depth: int) -> Run:
        corpus = [CorpusTexts(dataset.documents)] if needed == 3 else []  # noqa: PLR2004
        returned = call(name, function, dict(dataset.queries), depth, *corpus)
        found: Run = call(name, run_of, returned, f"what {name} returned", order="score")
        return found

    return run


KINDS: tuple[Callable[[Any, str, str | None], OwnSearch | None], ...] = (
    sentence_transformer,
    encoder,
    searcher,
    function,
)
"""The kinds of objects that can search, the first that takes an object first."""
