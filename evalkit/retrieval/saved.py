"""Candidates that someone else retrieved, from a run file."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from evalkit.config import DatasetConfig
from evalkit.config.after_file import NamedAfterFile
from evalkit.config.limits import given, one_of
from evalkit.config.retriever import RetrieverConfig
from evalkit.errors import DataError
from evalkit.formats import doubts
from evalkit.formats.notes import counted
from evalkit.formats.runfile import ORDERS, RunFile, read_run_file
from evalkit.formats.similar_ids import LOOKED_AT, compared
from evalkit.retrieval.candidates import cut
from evalkit.retrieval.first_stage import FirstStage
from evalkit.run import Run
from evalkit.system.files import expanded, file_digest
from evalkit.types import Dataset, Identity

logger = logging.getLogger(__name__)

_BY_RANK = "retriever.order=rank"
_WITHOUT_OWN = "dataset.drop_identical_ids=true"


@dataclass
class SavedConfig(NamedAfterFile, RetrieverConfig):
    """Candidates that someone else retrieved: a run of TREC, MS MARCO or tevatron, CSV, Parquet, or JSON."""

    implementation: ClassVar[str] = "evalkit.retrieval.saved:SavedRetriever"
    unnamed: ClassVar[str] = "saved"
    name: str = ""
    """Its name in tables and in the folder of results; that of the file when not set."""
    path: str | None = None
    """The run file."""
    order: str | None = None
    """Which decides the order if ranks and scores disagree: `score` or `rank`. When not set, scores do, and where the
    cut at `depth` would depend on it, that is an error."""

    def __post_init__(self) -> None:
        """Check that there is a path, and the choice."""
        given("retriever.path", self.path, "RUN_FILE")
        self.name_after_file()
        super().__post_init__()
        if self.order is not None:
            one_of("retriever.order", self.order, ORDERS)


class SavedRetriever(FirstStage):
    """Candidates from a run file of any layout that `runfile.py` reads, or from an object in Python that is `given`.

    Raises:
        DataError: there is no such file.
    """

    def __init__(self, config: Any, *, own_ids_decided: bool = True, given: RunFile | None = None) -> None:
        self.order, self.own_ids_decided, self.given = config.order, own_ids_decided, given
        self.path: str | Path = config.name if given else expanded(str(config.path))
        if not given and not Path(self.path).is_file():
            raise DataError(f"{self.path}: no such run file. Set retriever.path to a TREC run or a JSON run.")

    @classmethod
    def build(
        cls, config: Any, *, dataset: DatasetConfig | None, given: RunFile | None = None, **_: object
    ) -> "SavedRetriever":
        """One that asks about a query's own id, unless the dataset's settings or its mteb task decide."""
        decided = dataset is None or dataset.drop_identical_ids is not None or dataset.own_ids_by_task
        return cls(config, own_ids_decided=decided, given=given)

    @cached_property
    def identity(self) -> Identity:
        """The content of the file or object, and by what it is ordered where that was chosen."""
        chosen = {"order": self.order} if self.order else {}
        if self.given:
            return {"kind": "saved", "run_sha256": self.given.run.digest(), **chosen}
        return {"kind": "saved", "file_sha256": file_digest(Path(self.path)), **chosen}

    def retrieve(self, dataset: Dataset, depth: int) -> Run:
        """The `depth` best of the file's documents for every query of the dataset.

        Raises:
            DataError: the file is of another collection, or which documents are the best depends on how it is read.
        """
        file = self.given or read_run_file(self.path, order=self.order)
        run = self._of_dataset(file.run, dataset)
        ranked = dataset.ranked(run)
        doubts.require_judged(dataset.qrels, ranked, name=self.path, judged_in=dataset.name)
        by_rank = file.by_rank and file.by_rank.only_queries(dataset.queries)
        self._require_order(file._replace(by_rank=by_rank), run, dataset, depth)
        self._require_own_ids(run, dataset, depth)
        candidates = cut(run, dataset, depth)
        self._require_documents(candidates, dataset)
        passed_on = dataset.ranked(candidates)
        found = (
            *file.notes,
            doubts.other_spelling(ranked, dataset.qrels),
            doubts.disagreement(file, dataset.queries, remedy=_BY_RANK),
            doubts.ties(file, passed_on, remedy=_BY_RANK),
            None if self.own_ids_decided else doubts.own_ids(passed_on, dataset.qrels, remedy=_WITHOUT_OWN),
        )
        self.notes = tuple(note for note in found if note is not None)
        return candidates

    def _of_dataset(self, run: Run, dataset: Dataset) -> Run:
        """The rows of the dataset's queries."""
        known = [query_id in dataset.queries for query_id in run.query_ids]
        if not any(known):
            beside = compared(run.query_ids, dataset.queries, place="the run", other=dataset.name)
            of = f"{len(dataset.queries)} queries of {dataset.name}, split {dataset.split}"
            raise DataError(f"{self.path}: has none of the {of}: {beside}")
        if all(known):
            return run
        logger.warning(
            "%s: %d queries are not judged in %s and are left out.", self.path, known.count(False), dataset.name
        )
        return run.only_queries(dataset.queries)

    def _require_order(self, file: RunFile, run: Run, dataset: Dataset, depth: int) -> None:
        """Refuse a cut that depends on whether ranks or scores are right."""
        if file.is_unordered:
            deepest = int(run.positions.max()) + 1
            if deepest > depth:
                raise DataError(
                    f"{self.path}: has neither ranks nor scores to tell which {depth} candidates are the best. Set "
                    f"depth={deepest} to take all."
                )
        if file.by_rank is None:
            return
        chosen = [
            {query_id: frozenset(doc_ids) for query_id, doc_ids, _ in cut(one, dataset, depth)}
            for one in (run, file.by_rank)
        ]
        if differing := [query_id for query_id, doc_ids in chosen[0].items() if doc_ids != chosen[1].get(query_id)]:
            raise DataError(
                f"{self.path}: scores and {file.ranks_are} give different candidates for {len(differing)} of "
                f"{len(run.query_ids)} queries at depth={depth}, such as {differing[0]}. Set {_BY_RANK}, or "
                "retriever.order=score to rank as trec_eval does."
            )

    def _require_own_ids(self, run: Run, dataset: Dataset, depth: int) -> None:
        """Refuse a cut in which a query's own id takes the place of another document, unless somebody decided it."""
        if self.own_ids_decided:
            return
        own = run.own_ids(dataset.maxp) & (run.positions < depth)
        deep = set(run.row_queries[run.positions == depth].tolist())
        found = [run.query_ids[index] for index in run.row_queries[own].tolist() if index in deep]
        found = [query_id for query_id in found if dataset.qrels.get(query_id, {}).get(query_id, 0) <= 0]
        if found:
            raise DataError(
                f"{self.path}: {len(found)} of {len(run.query_ids)} queries retrieved their own id, as {found[0]}, "
                f"in the place of another candidate at depth={depth}. Set {_WITHOUT_OWN} to leave it out, or to false "
                "to keep it."
            )

    def _require_documents(self, candidates: Run, dataset: Dataset) -> None:
        """Warn of documents that are not in the corpus; refuse a run that has no others where only texts can judge."""
        absent = int((dataset.rows(candidates.doc_ids) < 0).sum())
        if absent == len(candidates.doc_ids) and not dataset.qrels:
            some = dataset.documents.ids[:LOOKED_AT].to_pylist()
            beside = compared(candidates.doc_ids.to_pylist(), some, place="the run", other="the corpus")
            raise DataError(f"{self.path}: has none of the documents of {dataset.name}: {beside}")
        if absent:
            found = counted(absent, "candidate document is", "candidate documents are")
            logger.warning("%s: %s not in the corpus of %s.", self.path, found, dataset.name)
