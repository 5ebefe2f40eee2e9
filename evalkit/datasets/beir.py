"""Collections in BEIR layout: JSON lines of documents and queries, and judgments as tab-separated values.

corpus.jsonl    {"_id": "d1", "title": "...", "text": "..."}     title may be absent
queries.jsonl   {"_id": "q1", "text": "..."}                     queries of every split; only judged ones are kept
qrels/test.tsv  query-id <tab> corpus-id <tab> score             with a header line

A query may also have `answers`, a list of texts: then documents can be judged by whether they contain one. Where every
query has them, judgments may be absent.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.config import DatasetConfig
from evalkit.datasets import corpus
from evalkit.datasets.assemble import Judged, assemble
from evalkit.datasets.documents import ArrowDocuments
from evalkit.datasets.records import checked_text, records, shown
from evalkit.datasets.source import CORPUS, Source, find, open_source
from evalkit.errors import DataError
from evalkit.folders import expanded
from evalkit.store import Store
from evalkit.textfile import lines
from evalkit.trec import parse_qrels
from evalkit.types import Dataset, Qrels


class _Query(NamedTuple):
    text: str
    answers: tuple[str, ...] | None


def load(
    config: DatasetConfig, store: Store, *, path: str | Path | None, folder: str | None = None, exact: bool = False
) -> Dataset:
    """The collection at a path; its corpus is converted to Arrow once and found again by its content.

    Args:
        config: name, split and policies.
        store: where the converted corpus is kept.
        path: a folder or zip.
        folder: which collection, where the path holds several.
        exact: whether the path must hold that folder; otherwise it may be the collection itself.

    Raises:
        DataError: a file is absent or malformed; the message names file and line.
    """
    with contextlib.closing(open_source(expanded(str(path)), folder, exact=exact)) as source:
        judged = _read_judged(source, config.split)  # first, because a wrong split is a common mistake and shows soon
        table, sha256 = corpus.from_json_lines(source, find(source, CORPUS), store)
    documents = ArrowDocuments(table, title_separator=config.title_separator)
    return assemble(config, store, documents=documents, judged=judged, corpus_digest=sha256)


def _read_judged(source: Source, split: str) -> Judged:
    """Queries, with their judgments or answers or both."""
    if _without_judgments(source):
        queries = _read_queries(source)
        if not queries:
            raise DataError(f"{source.label(find(source, 'queries.jsonl'))}: holds no queries.")
        if any(query.answers is None for query in queries.values()):
            find(source, f"qrels/{split}.tsv")  # raises: there is nothing else to judge by
        return Judged(_texts(queries), {}, answers=_answers(queries))
    qrels = _read_qrels(source, split)
    queries = _read_queries(source)
    absent = sorted(set(qrels) - set(queries))
    if absent:
        raise DataError(
            f"{source.label(find(source, 'queries.jsonl'))}: lacks {len(absent)} of the {len(qrels)} queries judged in "
            f"qrels/{split}.tsv, such as {absent[0]!r}. Are queries and judgments of the same collection?"
        )
    kept = {query_id: queries[query_id] for query_id in sorted(qrels)}
    answered = [query_id for query_id, query in kept.items() if query.answers is not None]
    if answered and len(answered) < len(kept):
        bare = next(query_id for query_id, query in kept.items() if query.answers is None)
        raise DataError(
            f"{source.label(find(source, 'queries.jsonl'))}: {len(answered)} of the {len(kept)} judged queries have "
            f"answers, and {bare!r} has none. Give every query a list, or none."
        )
    answers = _answers(kept) if answered else {}
    return Judged(_texts(kept), qrels, answers=answers, unjudged_queries=len(queries) - len(kept))


def _without_judgments(source: Source) -> bool:
    return not any(name.startswith("qrels/") for name in source.files())


def _texts(queries: Mapping[str, _Query]) -> dict[str, str]:
    return {query_id: queries[query_id].text for query_id in sorted(queries)}


def _answers(queries: Mapping[str, _Query]) -> dict[str, tuple[str, ...]]:
    return {query_id: queries[query_id].answers or () for query_id in sorted(queries)}


def _read_qrels(source: Source, split: str) -> Qrels:
    name = find(source, f"qrels/{split}.tsv")
    with source.open(name) as stream:
        return parse_qrels(lines(stream, source.label(name)), source.label(name))


def _read_queries(source: Source) -> dict[str, _Query]:
    name = find(source, "queries.jsonl")
    queries: dict[str, _Query] = {}
    for record in records(source, name):
        if record.id in queries:
            raise DataError(f"{record.where}: query id {record.id!r} occurs twice. Ids are unique.")
        answers = record.fields.get("answers")
        queries[record.id] = _Query(record.text, None if answers is None else parse_answers(answers, record.where))
    return queries


def parse_answers(value: Any, where: str) -> tuple[str, ...]:
    """The answers of a question.

    Raises:
        DataError: they are not a list of texts.
    """
    if not isinstance(value, list):
        raise DataError(f"{where}: answers is {shown(value)}, expected a list of strings.")
    return tuple(checked_text(answer, where, "an answer") for answer in value)
