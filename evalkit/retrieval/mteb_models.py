"""Models of mteb over any dataset: encoders and searchers as first stages, cross-encoders over pairs.

mteb's own wrappers run them, so prompts by task, similarities and batches are mteb's. Knows nothing of identities.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evalkit.datasets.documents import read_through
from evalkit.types import Dataset, Documents, Pair

_BATCH = 32  # as mteb.evaluate sets it


def is_model(thing: Any) -> bool:
    """Whether an object says that it is a model of mteb."""
    return getattr(thing, "mteb_model_meta", None) is not None


def searcher_of(thing: Any) -> Any:
    """An encoder or a searcher of mteb as its `SearchProtocol`; None for other models."""
    from mteb.models import EncoderProtocol, SearchEncoderWrapper, SearchProtocol

    if isinstance(thing, SearchProtocol):
        return thing
    return SearchEncoderWrapper(thing) if isinstance(thing, EncoderProtocol) else None


def search(searcher: Any, dataset: Dataset, depth: int, metadata: Any) -> Mapping[str, Mapping[str, float]]:
    """The scores of at most `depth` documents of every query.

    Args:
        searcher: of `searcher_of`.
        dataset: documents and queries.
        depth: documents of each query.
        metadata: of the task whose prompts are used.
    """
    about = _about(metadata, dataset.split)
    searcher.index(_corpus(dataset.documents), **about)
    queries = _table(dataset.queries, dataset.queries.values())
    found: Mapping[str, Mapping[str, float]] = searcher.search(queries, top_k=depth, **about)
    return found


def score(model: Any, pairs: Sequence[Pair], metadata: Any) -> NDArray[np.float64]:
    """The score that a cross-encoder of mteb gives to each pair."""
    from mteb.models import SearchCrossEncoderWrapper

    about, ids = _about(metadata, "test"), [str(row) for row in range(len(pairs))]
    searcher = SearchCrossEncoderWrapper(model)
    searcher.index(_table(ids, (pair.document for pair in pairs)), **about)
    queries, own = _table(ids, (pair.query for pair in pairs)), {row: [row] for row in ids}
    found = searcher.search(queries, top_k=1, top_ranked=own, **about)
    return np.array([found[row][row] for row in ids])


def _about(metadata: Any, split: str) -> dict[str, Any]:
    return {
        "task_metadata": metadata,
        "hf_split": split,
        "hf_subset": "default",
        "encode_kwargs": {"batch_size": _BATCH, "show_progress_bar": False},
        "num_proc": None,
    }


def _corpus(documents: Documents) -> Any:
    from datasets import Dataset as Table

    texts = pa.chunked_array([pa.array(some, pa.large_string()) for some in read_through(documents, "reading corpus")])
    return Table(pa.table({"id": documents.ids.cast(pa.string()), "text": texts}))


def _table(ids: Iterable[str], texts: Iterable[str]) -> Any:
    from datasets import Dataset as Table

    return Table(pa.table({"id": list(ids), "text": list(texts)}))
