"""The whole two-stage pipeline as a retriever of beir, so that `EvaluateRetrieval` runs it.

retriever = EvaluateRetrieval(load_search("bm25", "bge_reranker_v2_m3", library="beir"))
results = retriever.retrieve(corpus, queries)
"""

import logging
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from evalkit.config import DatasetConfig
from evalkit.datasets.columns import content_digest
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.language import likely_language
from evalkit.errors import DataError
from evalkit.interchange.two_stages import TwoStages
from evalkit.store.artefact import digest
from evalkit.system.reporting import shown
from evalkit.types import Dataset

logger = logging.getLogger(__name__)


class BeirSearch:
    """First stage and reranker as one retriever; see `evalkit.load_search`.

    Args:
        stages: first stage and reranker.
        config: settings of the collection, for its language and instruction; None where it has no card.
    """

    def __init__(self, stages: TwoStages, config: DatasetConfig | None = None) -> None:
        self._stages, self._config = stages, config

    def search(
        self,
        corpus: Mapping[str, Mapping[str, str]],
        queries: Mapping[str, str],
        top_k: int,
        score_function: str | None = None,
        **_: Any,
    ) -> dict[str, dict[str, float]]:
        """The scores of the last stage for at most `depth` candidates of every query.

        A document with the query's own id is left out, as beir's own retrievers do.

        Args:
            corpus: document id -> `title` and `text`.
            queries: query id -> text.
            top_k: documents that beir asks for.
            score_function: `cos_sim` or `dot`; not used, as the first stage's settings decide.

        Raises:
            DataError: the corpus or the queries are something else.
        """
        if score_function not in {None, "cos_sim"}:  # beir's default, which it passes whatever the retriever
            logger.warning("score_function=%s is not used: the settings of the retriever decide.", score_function)
        if top_k > self._stages.depth:
            logger.warning(
                "beir asks for %d documents a query, and evalkit passes on depth=%d, so measures with a larger cutoff "
                "see these alone. Set depth=%d to have all.",
                top_k,
                self._stages.depth,
                top_k,
            )
        table, texts = _table(corpus), _queries(queries)
        documents, corpus_digest = ArrowDocuments(table, title_separator=" ", id_column="id"), content_digest(table)
        config = self._config or DatasetConfig(name="beir", language=likely_language(documents))
        dataset = Dataset(
            name=config.name,
            split=config.split,
            language=config.language,
            documents=documents,
            queries=texts,
            qrels={},
            drop_identical_ids=True,
            corpus_digest=corpus_digest,
            digest=digest({"corpus": corpus_digest, "queries": texts}),
        )
        return self._stages.search(dataset, config, top_k=top_k)


def _table(corpus: Any) -> Any:
    """A corpus as a `datasets.Dataset` with columns id, title and text, in its order."""
    from datasets import Dataset as Table

    rows = list(corpus.items()) if isinstance(corpus, Mapping) else []
    if not rows:
        raise DataError(f"the corpus is {shown(corpus)}, expected documents as {{id: {{'title': ..., 'text': ...}}}}.")
    columns: dict[str, list[str]] = {"id": [], "title": [], "text": []}
    for doc_id, fields in rows:
        found = [doc_id, *(fields.get(key) or "" for key in ("title", "text"))] if isinstance(fields, Mapping) else []
        if not found or not all(isinstance(value, str) for value in found):
            raise DataError(f"document {doc_id!r} of the corpus is {shown(fields)}, expected its title and text.")
        for column, value in zip(columns.values(), found, strict=True):
            column.append(value)
    return Table(pa.table(columns))


def _queries(queries: Any) -> dict[str, str]:
    if not isinstance(queries, Mapping) or not all(
        isinstance(key, str) and isinstance(text, str) for key, text in queries.items()
    ):
        raise DataError(f"the queries are {shown(queries)}, expected texts by id.")
    return dict(sorted(queries.items()))
