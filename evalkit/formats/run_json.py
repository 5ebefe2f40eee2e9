"""Runs and judgments in the JSON layouts that other tools write, recognised by their keys.

{"q1": {"d1": 0.5, ...}, ...}                                            BEIR, ranx; with grades also judgments
{"search_results": {"q1": {"d1": 0.5}}, "model_name": ..., ...}          FlagEmbedding search results
{"mteb_model_meta": ..., "default": {"test": {"q1": {"d1": 0.5}}}}       mteb predictions, one subset and split
[{"query": ..., "hits": [{"qid": 1, "docid": "d1", "score": 0.5}]}]      rank_llm
[{"query": {"qid": "q1"}, "candidates": [{"docid": "d1", "score": .5}]}] rank_llm, also as one object a line
[{"query_id": "q1", "doc_id": "d1", "score": 0.5}]                       rows of a table, also as one object a line
"""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from evalkit.errors import DataError
from evalkit.formats import ids
from evalkit.formats.rows import GRADES, SCORES, FieldPlaces, Row, name_columns
from evalkit.formats.strict_json import RepeatedKeyError, distinct
from evalkit.formats.textfile import peek, read_bytes, read_lines

CHOOSE = "Choose with --order score|rank, or in an evaluation with retriever.order or reranker.order"
_LAYOUTS = "BEIR {query: {document: score}}, FlagEmbedding search results, mteb predictions, or rank_llm results"

Scores = Mapping[str, Mapping[str, float]]
Rows = tuple[FieldPlaces, Sequence[Row]]


def is_json(path: Path, is_row: Callable[[str], bool]) -> bool:
    """Whether a file begins as JSON and not as a row of text: a query id may begin with a bracket, too."""
    start = peek(path, 4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    return start[:1] in (b"{", b"[") and not is_row(start.split(b"\n", 1)[0].decode(errors="replace"))


def read(path: Path, *, order: str | None = None) -> Scores | Rows:
    """The run in a JSON file of any of the layouts above: query -> document -> score, or rows of a table.

    Args:
        path: the file.
        order: `score` or `rank` as the user chose; when None, a list whose scores contradict its order is refused.

    Raises:
        DataError: not JSON, another layout, a score that is not a finite number, a document twice for a query.
    """
    parsed = _parse(path)
    if rows := _table(parsed, SCORES, path):
        return rows
    if isinstance(parsed, dict) and isinstance(parsed.get("hits") or parsed.get("candidates"), list):
        parsed = [parsed]  # one object a line, and only one line
    return _from_rank_llm(parsed, path, order) if isinstance(parsed, list) else _from_mapping(parsed, path)


def read_judgments(path: Path) -> Sequence[Row]:
    """Every judgment in a JSON file, its grade as written.

    Raises:
        DataError: not JSON, or another layout.
    """
    parsed = _parse(path)
    if found := _table(parsed, GRADES, path):
        return found[1]
    if not isinstance(parsed, dict) or not all(isinstance(judged, dict) for judged in parsed.values()):
        raise DataError(f"{path}: not judgments. Expected JSON of {{query: {{document: grade}}}}.")
    triples = ((query, doc, grade) for query, judged in parsed.items() for doc, grade in judged.items())
    return [
        Row(number, _id(query, path), _id(doc, path), None, json.dumps(grade))
        for number, (query, doc, grade) in enumerate(triples, start=1)
    ]


def _table(parsed: Any, values: tuple[str, ...], path: Path) -> Rows | None:
    """Rows of objects that have a query, a document and a value; None for any other layout."""
    rows = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return None
    names = list(rows[0])
    columns = name_columns(names, values)
    if columns is None or any(isinstance(value, dict | list) for value in rows[0].values()):
        return None
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


def _parse(path: Path) -> Any:
    content = read_bytes(path)
    try:
        return json.loads(content, object_pairs_hook=distinct)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start + 1}).") from error
    except RepeatedKeyError as error:
        raise DataError(f"{path}: {error}. Keep one entry.") from error
    except (ValueError, RecursionError) as error:
        whole = error
    rows = []
    for number, line in read_lines(path):
        try:
            rows.append(json.loads(line, object_pairs_hook=distinct))
        except (ValueError, RecursionError) as error:
            if number == 1:  # a single document spread over lines, not one object a line
                line_number = whole.lineno if isinstance(whole, json.JSONDecodeError) else 1
                raise DataError(f"{path}:{line_number}: not JSON: {whole}.") from error
            raise DataError(f"{path}:{number}: not JSON: {error}.") from error
    return rows


def _from_mapping(parsed: Any, path: Path) -> Scores:
    if isinstance(parsed, dict) and "search_results" in parsed:
        parsed = parsed["search_results"]
    elif isinstance(parsed, dict) and "mteb_model_meta" in parsed:
        parsed = _mteb_split({key: value for key, value in parsed.items() if key != "mteb_model_meta"}, path)
    if not isinstance(parsed, dict) or not all(isinstance(docs, dict) for docs in parsed.values()):
        raise DataError(f"{path}: not a run. Expected one of: {_LAYOUTS}.")
    return {
        _id(query, path): {_id(doc, path): _number(score, path, query, doc) for doc, score in docs.items()}
        for query, docs in parsed.items()
    }


def _mteb_split(subsets: Mapping[str, Any], path: Path) -> Any:
    if not all(isinstance(by_split, dict) for by_split in subsets.values()):
        raise DataError(f"{path}: not a run. Expected one of: {_LAYOUTS}.")
    splits = {f"{subset}/{split}": run for subset, by_split in subsets.items() for split, run in by_split.items()}
    if len(splits) != 1:
        names = ", ".join(splits) or "none"
        raise DataError(f"{path}: mteb predictions of several subsets or splits ({names}). Keep one a file.")
    return next(iter(splits.values()))


def _from_rank_llm(rows: list[Any], path: Path, order: str | None) -> Scores:
    run: dict[str, dict[str, float]] = {}
    for number, row in enumerate(rows, start=1):
        hits = (row.get("hits") or row.get("candidates")) if isinstance(row, dict) else None
        if not isinstance(hits, list) or not all(isinstance(hit, dict) and "docid" in hit for hit in hits):
            raise DataError(f"{path}: entry {number} has no list of hits or candidates. Expected one of: {_LAYOUTS}.")
        query = row.get("query")
        query_id = query.get("qid") if isinstance(query, dict) else hits[0].get("qid")
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


def _add_hits(docs: dict[str, float], hits: list[Any], query_id: str, path: Path) -> list[float]:
    """Add hits to a query, refusing repeats; returns their scores in their order."""
    found = []
    for hit in hits:
        doc_id = _id(hit["docid"], path)
        if doc_id in docs:
            raise DataError(f"{path}: document {doc_id!r} occurs twice for query {query_id!r}.")
        docs[doc_id] = _number(hit.get("score"), path, query_id, doc_id)
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
