"""What a dataset says of queries and documents that it lacks: counted and told; an error where it has none of them."""

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from evalkit.config import DatasetConfig
from evalkit.errors import DataError
from evalkit.formats.notes import counted
from evalkit.formats.similar_ids import LOOKED_AT, compared
from evalkit.run import Run
from evalkit.types import Dataset

logger = logging.getLogger(__name__)


class _Said(Protocol):
    """What is said of single queries; see `assemble.Judged`."""

    @property
    def queries(self) -> Mapping[str, str]: ...
    @property
    def other_queries(self) -> Collection[str] | None: ...
    @property
    def instructions(self) -> Mapping[str, str]: ...
    @property
    def candidates(self) -> Run | None: ...
    @property
    def excluded(self) -> Mapping[str, Collection[str]]: ...


def of_unknown_queries(judged: _Said, config: DatasetConfig) -> dict[str, int]:
    """How many queries candidates, exclusions and instructions name that the dataset lacks, where there are some.

    Where the source may have more queries than is known, they may be unjudged ones, so they are counted and not told.
    Candidates of none of the queries are refused where they are used.

    Raises:
        DataError: exclusions or instructions are of none of the queries, and the dataset is no published one.
    """
    said: dict[str, Iterable[str]] = {
        "candidates": judged.candidates.query_ids if judged.candidates is not None else (),
        "exclusions": (query_id for query_id, doc_ids in judged.excluded.items() if doc_ids),
        "instructions": judged.instructions,
    }
    notes = {}
    for what, query_ids in said.items():
        named, others = list(query_ids), judged.other_queries or ()
        unknown = [one for one in named if one not in judged.queries and one not in others]
        if not unknown:
            continue
        notes[f"{what}_of_unknown_queries"] = len(unknown)
        if judged.other_queries is None:
            continue
        if len(unknown) == len(named) and what != "candidates" and not config.is_hub_copy:
            alike = compared(unknown, [*judged.queries, *others], place=f"the {what}", other="the queries")
            raise DataError(f"{config.name}: its {what} are of none of its queries: {alike}")
        found = counted(len(unknown), "query", "queries")
        logger.warning(
            "%s: the %s of %s, such as %r, are not used: it has no such query.", config.name, what, found, unknown[0]
        )
    return notes


def of_absent_documents(dataset: Dataset, config: DatasetConfig) -> dict[str, int]:
    """How many documents are excluded that the corpus lacks, where there are some.

    Raises:
        DataError: it lacks all of them, and the dataset is no published one, whose corpus may be a part of another.
    """
    excluded = sorted({doc_id for doc_ids in dataset.excluded.values() for doc_id in doc_ids})
    absent = dataset.lacking(excluded) if excluded else []
    if not absent:
        return {}
    found = counted(len(absent), "excluded document")
    if len(absent) == len(excluded) and not config.is_hub_copy:
        corpus = dataset.documents.ids[:LOOKED_AT].to_pylist()
        alike = compared(absent, corpus, place="the exclusions", other="the corpus")
        lacks = f"lacks its {found}" if len(absent) == 1 else f"has none of its {found}"
        raise DataError(f"{dataset.name}: its corpus {lacks}: {alike}")
    are = "is" if len(absent) == 1 else "are"
    logger.warning("%s: %s, such as %r, %s not in the corpus.", dataset.name, found, absent[0], are)
    return {"excluded_documents_absent": len(absent)}
