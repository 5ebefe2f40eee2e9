"""Collections in BEIR layout: JSON lines of documents and queries, and judgments as tab-separated values.

corpus.jsonl    {"_id": "d1", "title": "...", "text": "..."}     title may be absent
queries.jsonl   {"_id": "q1", "text": "..."}                     queries of every split; only judged ones are kept
qrels/test.tsv  query-id <tab> corpus-id <tab> score             with a header line

Other names and formats are known to `filenames` and `data_rows`. A query may also have `answers`, a list of texts: then
documents can be judged by whether they contain one. Where every query has them, judgments may be absent. And it may
have an `instruction`, what it asks for, and `excluded_ids`, documents that are no answer to it.

candidates.jsonl may hold the candidates of each query, see `candidates_on_disk`. With texts they need no corpus.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.config import DatasetConfig, FolderDatasetConfig
from evalkit.datasets import corpus
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.candidate_lists import excluded_by
from evalkit.datasets.candidates_on_disk import Passages, read_candidates, read_passages
from evalkit.datasets.data_rows import format_of
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.filenames import (
    Judgments,
    candidates_of,
    corpus_of,
    has_documents,
    has_queries,
    judgments_of,
    queries_of,
    refuse_unjudged,
)
from evalkit.datasets.matching_ids import require_judged_documents
from evalkit.datasets.opening import open_source
from evalkit.datasets.records import (
    OF_QUERIES,
    QUERIES,
    REPEATED_QUERIES,
    SAID,
    add_once,
    checked_text,
    instruction_of,
    records,
)
from evalkit.datasets.source import CollectionFiles
from evalkit.errors import DataError
from evalkit.formats.judgments import read_judgments
from evalkit.formats.similar_ids import lookalike
from evalkit.formats.textfile import Member
from evalkit.store import Store
from evalkit.system.files import expanded
from evalkit.system.reporting import shown
from evalkit.types import Dataset, Qrels

logger = logging.getLogger(__name__)


class _Query(NamedTuple):
    text: str
    answers: tuple[str, ...] | None
    instruction: str
    excluded: tuple[str, ...] = ()


class _Queries(NamedTuple):
    """All queries of a file.

    Attributes:
        file: what to call it in errors.
        by_id: id -> query.
        notes: counts of what was unusual.
    """

    file: str
    by_id: Mapping[str, _Query]
    notes: Mapping[str, int]


def load(
    config: DatasetConfig, store: Store, *, path: str | Path | None, folder: str | None = None, exact: bool = False
) -> Dataset:
    """The collection at a path; its corpus is converted to Arrow once and found again by its content.

    Args:
        config: name, split and policies.
        store: where the converted corpus is kept.
        path: a folder, zip or tar.
        folder: which collection, where the path holds several.
        exact: whether the path must hold that folder; otherwise it may be the collection itself.
    """
    with contextlib.closing(open_source(expanded(str(path)), folder, exact=exact)) as source:
        lists = candidates_of(source, config.split)
        passages = read_passages(source, lists) if lists and not has_documents(source) else None
        name, *more = [lists] if lists and passages else corpus_of(source)
        # Judgments before documents, because a wrong split is a common mistake and shows soon.
        found = judgments_of(source, config.split, lenient=isinstance(config, FolderDatasetConfig))
        judged = _judged(source, found, passages) if found else _answered(source, config.split, passages)
        if lists:
            own = read_candidates(source, lists, is_ranking=config.candidates_ranked)
            judged = replace(judged, candidates=own.run, notes={**judged.notes, **own.notes})
        documents = (
            passages.corpus(store, source.label(name)) if passages else corpus.from_file(source, name, store, more=more)
        )
    judged = replace(judged, notes={**judged.notes, **documents.notes})
    dataset = assemble(
        replace(config, split=found.split) if found and found.split != config.split else config,
        store,
        documents=ArrowDocuments(documents.table, title_separator=config.title_separator),
        judged=judged,
        corpus_digest=documents.digest,
    )
    judgments = source.label(found.name if found else name)
    require_judged_documents(dataset, judgments, source.label(name), loosely=False)
    return dataset


def _answered(source: CollectionFiles, split: str, passages: Passages | None) -> Judged:
    """Queries of a collection without judgments, with their answers."""
    queries = _read_queries(source, split, passages, ())
    if not queries.by_id:
        raise DataError(f"{queries.file}: holds no queries.")
    if any(query.answers is None for query in queries.by_id.values()):
        refuse_unjudged(source, split)
    return _of_queries(queries, sorted(queries.by_id), {}, answered=True)


def _judged(source: CollectionFiles, found: Judgments, passages: Passages | None) -> Judged:
    """Queries, with their judgments and perhaps answers."""
    if found.note:
        logger.warning("%s: %s.", source.label(found.name), found.note)
    qrels, notes = read_judgments(Member(source.label(found.name), partial(source.open, found.name)))
    for note in notes:
        logger.warning("%s: %s.", source.label(found.name), note.text)
    queries = _read_queries(source, found.split, passages, qrels)
    absent = sorted(set(qrels) - set(queries.by_id))
    if absent:
        pair = lookalike(absent, (query_id for query_id in queries.by_id if query_id not in qrels), loosely=False)
        alike = (
            f"{pair.ours!r} stands in the judgments and {pair.theirs!r} in the queries. {pair.advice}" if pair else ""
        )
        raise DataError(
            f"{queries.file}: lacks {len(absent)} of the {len(qrels)} queries judged in {found.name}, such as "
            f"{absent[0]!r}. {alike or 'Are queries and judgments of the same collection?'}"
        )
    kept = sorted(qrels)
    answered = [query_id for query_id in kept if queries.by_id[query_id].answers is not None]
    if answered and len(answered) < len(kept):
        bare = next(query_id for query_id in kept if queries.by_id[query_id].answers is None)
        raise DataError(
            f"{queries.file}: {len(answered)} of the {len(kept)} judged queries have answers, and {bare!r} has none. "
            "Give every query a list, or none."
        )
    return _of_queries(queries, kept, qrels, answered=bool(answered))


def _of_queries(queries: _Queries, kept: Sequence[str], qrels: Qrels, *, answered: bool) -> Judged:
    """These queries, in this order."""
    chosen = {query_id: queries.by_id[query_id] for query_id in kept}
    return Judged(
        {query_id: query.text for query_id, query in chosen.items()},
        qrels,
        answers={query_id: query.answers or () for query_id, query in chosen.items()} if answered else {},
        instructions={query_id: query.instruction for query_id, query in chosen.items() if query.instruction},
        excluded={query_id: query.excluded for query_id, query in chosen.items()},
        unjudged_queries=len(queries.by_id) - len(chosen),
        notes=queries.notes,
        other_queries=queries.by_id.keys() - chosen.keys(),
    )


def _read_queries(source: CollectionFiles, split: str, passages: Passages | None, judged: Container[str]) -> _Queries:
    if passages and passages.queries and not has_queries(source):
        return _Queries("candidates", {key: _Query(text, None, "") for key, text in passages.queries.items()}, {})
    name = queries_of(source, split)
    found: dict[str, _Query] = {}
    notes = Counter[str]()
    for record in records(source, name, format_of(source, name), QUERIES):
        answers = record.fields.get("answers")
        query = _Query(
            record.text,
            None if answers is None else parse_answers(answers, record.where),
            instruction_of(record.fields, record.where),
            excluded_by(record.fields, record.where),
        )
        if not add_once(found, record.id_in(judged), query, record.where):
            notes[REPEATED_QUERIES] += 1
        notes.update(name for what in record.unusual if (name := f"{OF_QUERIES}{what}") in SAID)
    return _Queries(source.label(name), found, notes)


def parse_answers(value: Any, where: str) -> tuple[str, ...]:
    """The answers of a question."""
    if not isinstance(value, list):
        raise DataError(f"{where}: answers is {shown(value)}, expected a list of strings.")
    return tuple(checked_text(answer, where, "an answer") for answer in value)
