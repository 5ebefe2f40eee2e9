"""Runs and judgments in the JSON layouts that other tools write, recognised by their keys.

{"q1": {"d1": 0.5, ...}, ...}                                            BEIR, ranx; with grades also judgments
{"search_results": {"q1": {"d1": 0.5}}, "model_name": ..., ...}          FlagEmbedding search results
{"mteb_model_meta": ..., "default": {"test": {"q1": {"d1": 0.5}}}}       mteb predictions, one subset and split
[{"query": ..., "hits": [{"qid": 1, "docid": "d1", "score": 0.5}]}]      rank_llm
[{"query": {"qid": "q1"}, "candidates": [{"docid": "d1", "score": .5}]}] rank_llm, also as one object a line
[{"question": ..., "answers": [...], "ctxs": [{"id": "d1", "score": 5}]}] DPR; rows are numbered where they lack ids
{"q1": {"question": ..., "contexts": [{"docid": "d1", "score": 5}]}}     DPR, as Pyserini writes it
{"q1": ["d1", "d2"]}                                                     documents of a query, best first
[{"query_id": "q1", "doc_id": "d1", "score": 0.5}]                       rows of a table, also as one object a line
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.formats import ids
from evalkit.formats.json_values import json_value
from evalkit.formats.passages import QUERY_IDS, RETRIEVED, doc_id_of
from evalkit.formats.rows import SCORES, FieldPlaces, Row, is_number, name_columns

CHOOSE = "Choose with --order score|rank, or in an evaluation with retriever.order or reranker.order"
_LAYOUTS = "BEIR {query: {document: score}}, FlagEmbedding search results, mteb predictions, rank_llm or DPR results"
_LISTS = ("hits", "candidates", *RETRIEVED)  # what a list of scored documents may be called

Scores = Mapping[str, Mapping[str, float]]
Rows = tuple[FieldPlaces, Sequence[Row]]


def read(path: Path, *, order: str | None = None) -> Scores | Rows:
    """The run in a JSON file of any of the layouts above: query -> document -> score, or rows of a table.

    Args:
        path: the file.
        order: `score` or `rank` as the user chose; when None, a list whose scores contradict its order is refused.

    Raises:
        DataError: not JSON, another layout, a score that is not a finite number, a document twice for a query.
    """
    parsed = json_value(path)
    if rows := _table(parsed, SCORES, path):
        return rows
    if isinstance(parsed, dict) and _hits(parsed):
        parsed = [parsed]  # one object a line, and only one line
    elif isinstance(parsed, dict) and parsed and all(map(_hits, parsed.values())):
        parsed = [{"qid": query_id, **row} for query_id, row in parsed.items()]
    return _from_lists(parsed, path, order) if isinstance(parsed, list) else _from_mapping(parsed, path)


def _hits(row: Any) -> list[Any] | None:
    """The list of scored documents in a row; None where it has none."""
    lists = (row.get(name) for name in _LISTS) if isinstance(row, dict) else ()
    return next((found for found in lists if isinstance(found, list)), None)


def _table(parsed: Any, values: tuple[str, ...], path: Path) -> Rows | None:
    """Rows of objects that have a query, a document and a value; None for any other layout."""
    rows = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return None
    names = list(rows[0])
    columns = name_columns(names, values)
    if columns is None or any(isinstance(value, dict | list) for value in rows[0].values()):
        return None
    name_columns(names, values, where=path)
    found = []
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not {names[place] for place in columns[:4] if place is not None} <= row.keys():
            raise DataError(f"{path}: entry {number} lacks some of {', '.join(names)}, which the first one has.")
        query_id, doc_id = (_id(row[names[place]], path) for place in columns[:2])
        rank, value = (None if place is None else _written(row[names[place]]) for place in columns[2:4])
        found.append(Row(number, query_id, doc_id, rank, value))
    return columns, found


def _written(value: Any) -> str:
    """A number as written, whether or not in quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def _from_mapping(parsed: Any, path: Path) -> Scores:
    if isinstance(parsed, dict) and "search_results" in parsed:
        parsed = parsed["search_results"]
    elif isinstance(parsed, dict) and "mteb_model_meta" in parsed:
        parsed = _mteb_split({key: value for key, value in parsed.items() if key != "mteb_model_meta"}, path)
    if not isinstance(parsed, dict) or not all(isinstance(docs, dict | list) for docs in parsed.values()):
        raise DataError(f"{path}: not a run. Expected one of: {_LAYOUTS}.")
    return {_id(query, path): _scored(query, docs, path) for query, docs in parsed.items()}


def _scored(query: str, docs: Any, path: Path) -> dict[str, float]:
    """Documents and scores of a query: as given, or 0, -1, -2, ... for a list of ids in their order."""
    if isinstance(docs, dict):
        return {_id(doc, path): _number(score, path, query, doc) for doc, score in docs.items()}
    return _in_order([_id(doc, path) for doc in docs], query, path)


def _in_order(docs: Sequence[Any], query: Any, name: object) -> dict[Any, float]:
    found = {doc: 0.0 - place for place, doc in enumerate(docs)}
    if len(found) < len(docs):
        raise DataError(f"{name}: a document occurs twice for query {query!r}.")
    return found


def ranked(run: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    """A run in memory with the scores 0, -1, -2, ... in the place of lists of ids, best first; the rest as it is.

    Raises:
        DataError: a list has a document twice.
    """
    return {
        query: _in_order(docs, query, name)
        if isinstance(docs, list) and all(isinstance(doc, str | int) for doc in docs)
        else docs
        for query, docs in run.items()
    }


def _mteb_split(subsets: Mapping[str, Any], path: Path) -> Any:
    if not all(isinstance(by_split, dict) for by_split in subsets.values()):
        raise DataError(f"{path}: not a run. Expected one of: {_LAYOUTS}.")
    splits = {f"{subset}/{split}": run for subset, by_split in subsets.items() for split, run in by_split.items()}
    if len(splits) != 1:
        names = ", ".join(splits) or "none"
        raise DataError(f"{path}: mteb predictions of several subsets or splits ({names}). Keep one a file.")
    return next(iter(splits.values()))


def _from_lists(rows: list[Any], path: Path, order: str | None) -> Scores:
    run: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows, start=1):
        hits = _hits(row)
        if hits is None or not all(isinstance(hit, dict) and doc_id_of(hit) is not None for hit in hits):
            raise DataError(f"{path}: entry {number} has no list of hits or candidates. Expected one of: {_LAYOUTS}.")
        if not hits:
            continue
        query_id = _query_id(row, hits, number)
        if query_id is None:
            raise DataError(f"{path}: entry {number} names no query id (qid).")
        found = _add_hits(run.setdefault(_id(query_id, path), {}), hits, str(query_id), path)
        if order is None and any(later > earlier for earlier, later in pairwise(found)):
            # A listwise reranker may leave the first stage's scores on reordered hits; either reading could be wrong.
            raise DataError(
                f"{path}: the hits of query {str(query_id)!r} are not in descending order of score, so rank and score "
                f"disagree. {CHOOSE}."
            )
    return run


def _query_id(row: dict[str, Any], hits: list[Any], number: int) -> Any:
    """The id of a query: rank_llm has it in the query or in a hit, DPR in the row or not at all."""
    query = row.get("query")
    places = (query if isinstance(query, dict) else {}, row, hits[0])
    named = [
        place[name]
        for place, names in zip(places, (QUERY_IDS, QUERY_IDS, ("qid",)), strict=True)
        for name in names
        if name in place
    ]
    return named[0] if named else str(number) if "question" in row else None


def _add_hits(docs: dict[str, float], hits: list[Any], query_id: str, path: Path) -> list[float]:
    """Add hits to a query, refusing repeats; returns their scores in their order."""
    found = []
    for hit in hits:
        doc_id = _id(doc_id_of(hit), path)
        if doc_id in docs:
            raise DataError(f"{path}: document {doc_id!r} occurs twice for query {query_id!r}.")
        score = hit.get("score")
        score = float(score) if isinstance(score, str) and is_number(score) else score  # DPR writes them in quotes
        docs[doc_id] = _number(score, path, query_id, doc_id)
        found.append(docs[doc_id])
    return found


def _id(value: object, path: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{path}: the id {value!r} is neither a string nor an integer.")
    text = str(value)
    if wrong := ids.fault(text):
        raise DataError(f"{path}: the id {text!r} {wrong}.")
    return text


def _number(value: object, path: Path, query_id: str, doc_id: str) -> float:
    shown = repr(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            shown = "beyond any float"
    raise DataError(f"{path}: the score of {doc_id!r} for query {query_id!r} is {shown}, expected a number.")
