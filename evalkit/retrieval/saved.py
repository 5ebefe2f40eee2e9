"""Candidates that someone else retrieved, from a run file."""

import logging
from functools import cached_property

from evalkit.config import SavedConfig
from evalkit.errors import DataError
from evalkit.folders import expanded, file_digest
from evalkit.retrieval.candidates import cut
from evalkit.run import Run
from evalkit.trec import read_run
from evalkit.types import Dataset, Identity

logger = logging.getLogger(__name__)


class SavedRetriever:
    """Candidates from a TREC run, or from JSON of BEIR, FlagEmbedding, mteb or rank_llm.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, config: SavedConfig) -> None:
        self.path = expanded(str(config.path))
        if not self.path.is_file():
            raise DataError(f"{self.path}: no such run file. Set retriever.path to a TREC run or a JSON run.")

    @cached_property
    def identity(self) -> Identity:
        """The file's content."""
        return {"kind": "saved", "file_sha256": file_digest(self.path)}

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` best of the file's documents for every query of the dataset."""
        run = read_run(self.path)
        known = [query_id in dataset.queries for query_id in run.query_ids]
        if not any(known):
            raise DataError(
                f"{self.path}: has none of the {len(dataset.queries)} queries of {dataset.name} "
                f"(its first is {run.query_ids[0]!r}). Is this run of another dataset or split?"
            )
        if not all(known):
            logger.warning(
                "%s: %d queries are not judged in %s and are left out.", self.path, known.count(False), dataset.name
            )
            run = run.only_queries(dataset.queries)
        candidates = cut(run, dataset, depth)
        absent = int((dataset.rows(candidates.doc_ids) < 0).sum())
        if absent:
            logger.warning("%s: %d candidate documents are not in the corpus of %s.", self.path, absent, dataset.name)
        return candidates
