"""Exact search over vectors that an encoder of the user's makes, window by window: none but the best are kept."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.datasets.documents import read_through
from evalkit.errors import ObjectError
from evalkit.models.arithmetic import require_torch
from evalkit.retrieval.candidates import candidates_from_rows, id_ranks
from evalkit.run import Run
from evalkit.system.own_code import call
from evalkit.system.own_numbers import numbers_of
from evalkit.types import Dataset

SIMILARITIES = ("cosine", "dot")


class Encoders(NamedTuple):
    """Functions from a list of texts to a vector each."""

    queries: Callable[[list[str]], Any]
    documents: Callable[[list[str]], Any]


def similarity_of(value: Any, name: str) -> str:
    """A similarity that can be searched by.

    Raises:
        ObjectError: it is another one.
    """
    found = str(getattr(value, "value", value))
    if found not in SIMILARITIES:
        raise ObjectError(f"{name} compares vectors by {found}. Set retriever.similarity to one of: cosine, dot.")
    return found


def nearest(encoders: Encoders, dataset: Dataset, depth: int, *, similarity: str, name: str) -> Run:
    """The documents whose vectors are the most similar to the query's.

    Raises:
        ObjectError: there is not one vector of finite numbers for each text, or they are of different widths.
    """
    require_torch()
    from evalkit.retrieval.keys import ranked
    from evalkit.retrieval.search import Search

    is_cosine = similarity == "cosine"
    queries = _vectors(encoders.queries, list(dataset.queries.values()), is_cosine, f"{name}: queries")
    ranks, start = id_ranks(dataset), 0
    search = Search(queries, min(depth, len(dataset.documents)))
    for texts in read_through(dataset.documents, "encoding documents"):
        vectors = _vectors(encoders.documents, texts, is_cosine, f"{name}: documents")
        if vectors.shape[1] != queries.shape[1]:
            raise ObjectError(f"{name} made vectors of {vectors.shape[1]} numbers, and {queries.shape[1]} of queries.")
        search.add(vectors, ranks[start : start + len(texts)])
        start += len(texts)
    rows, scores = ranked(search.keys, ranks)
    return candidates_from_rows(dataset, list(dataset.queries), rows, scores, depth)


def _vectors(
    encode: Callable[[list[str]], Any], texts: Sequence[str], is_cosine: bool, name: str
) -> NDArray[np.float32]:
    found = call(name, numbers_of, encode(list(texts)))
    if found is None or found.ndim != 2 or len(found) != len(texts) or not found.size:  # noqa: PLR2004
        shape = "no numbers" if found is None else f"numbers of shape {found.shape}"
        raise ObjectError(f"{name}: {shape} for {len(texts)} texts, expected a vector each.")
    with np.errstate(over="ignore"):
        vectors = found.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise ObjectError(f"{name}: a vector holds numbers that are not finite in float32.")
    if is_cosine:
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return np.ascontiguousarray(vectors)
