"""Runs in the JSON layouts that other tools write, told apart by their keys.

{"q1": {"d1": 0.5, ...}, ...}                                            BEIR
{"search_results": {"q1": {"d1": 0.5}}, "model_name": ..., ...}          FlagEmbedding search results
{"mteb_model_meta": ..., "default": {"test": {"q1": {"d1": 0.5}}}}       mteb predictions, one subset and split
[{"query": ..., "hits": [{"qid": 1, "docid": "d1", "score": 0.5}]}]      rank_llm
[{"query": {"qid": "q1"}, "candidates": [{"docid": "d1", "score": .5}]}] rank_llm, also as one object a line
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit import ids
from evalkit.errors import DataError
from evalkit.run import Run
from evalkit.textfile import read_bytes, read_lines

_LAYOUTS = "BEIR {query: {document: score}}, FlagEmbedding search results, mteb predictions, or rank_llm results"


def read(path: Path) -> Run:
    """The run in a JSON file of any of the layouts above.

    Raises:
        DataError: not JSON, another layout, a score that is no finite number, a document twice for a query.
    """
    parsed = _parse(path)
    if isinstance(parsed, dict) and isinstance(parsed.get("hits") or parsed.get("candidates"), list):
        parsed = [parsed]  # one object a line, and only one line
    scores = _from_rank_llm(parsed, path) if isinstance(parsed, list) else _from_mapping(parsed, path)
    return Run.from_dict(scores, source=str(path))


def _parse(path: Path) -> Any:
    content = read_bytes(path)
    try:
        return _loads(content)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start + 1}).") from error
    except _Repeated as error:
        raise DataError(f"{path}: {error.args[0]!r} occurs twice in one object. Keep one entry.") from error
    except (ValueError, RecursionError) as error:
        whole = error
    rows = []
    for number, line in read_lines(path):
        try:
            rows.append(_loads(line))
        except (ValueError, RecursionError, _Repeated) as error:
            if number == 1:  # a single document spread over lines, not one object a line
                line_number = whole.lineno if isinstance(whole, json.JSONDecodeError) else 1
                raise DataError(f"{path}:{line_number}: not JSON: {whole}.") from error
            raise DataError(f"{path}:{number}: not JSON: {error}.") from error
    return rows


class _Repeated(Exception):  # noqa: N818 - never leaves this module
    """A key that occurs twice in one JSON object, of which a plain parser keeps the last in silence."""


def _loads(content: str | bytes) -> Any:
    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        parsed: dict[str, Any] = {}
        for key, value in pairs:
            if key in parsed:
                raise _Repeated(key)
            parsed[key] = value
        return parsed

    return json.loads(content, object_pairs_hook=distinct)


def _from_mapping(parsed: Any, path: Path) -> Mapping[str, Mapping[str, float]]:
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
    splits = [(f"{subset}/{split}", run) for subset, by_split in subsets.items() for split, run in by_split.items()]
    if len(splits) != 1:
        names = ", ".join(name for name, _ in splits) or "none"
        raise DataError(f"{path}: mteb predictions of several subsets or splits ({names}). Keep one a file.")
    return splits[0][1]


def _from_rank_llm(rows: list[Any], path: Path) -> Mapping[str, Mapping[str, float]]:
    run: dict[str, dict[str, float]] = {}
    for index, row in enumerate(rows):
        hits = (row.get("hits") or row.get("candidates")) if isinstance(row, dict) else None
        if not isinstance(hits, list) or not all(isinstance(hit, dict) and "docid" in hit for hit in hits):
            raise DataError(
                f"{path}: entry {index + 1} has no list of hits or candidates. Expected one of: {_LAYOUTS}."
            )
        query = row.get("query")
        query_id = query.get("qid") if isinstance(query, dict) else hits[0].get("qid")
        if query_id is None:
            raise DataError(f"{path}: entry {index + 1} names no query id (qid).")
        _add_hits(run.setdefault(_id(query_id, path), {}), hits, str(query_id), path)
    return run


def _add_hits(docs: dict[str, float], hits: list[Any], query_id: str, path: Path) -> None:
    """Add hits to a query, refusing repeats and an order that the scores contradict."""
    previous = float("inf")
    for hit in hits:
        doc_id = _id(hit["docid"], path)
        if doc_id in docs:
            raise DataError(f"{path}: document {doc_id!r} occurs twice for query {query_id!r}.")
        docs[doc_id] = _number(hit.get("score"), path, query_id, doc_id)
        if docs[doc_id] > previous:
            # A listwise reranker may leave the first stage's scores on reordered hits; either reading could be wrong.
            raise DataError(
                f"{path}: the hits of query {query_id!r} are not in descending order of score, so rank and score "
                "disagree. Write the ranking you mean as a TREC run."
            )
        previous = docs[doc_id]


def _id(value: object, path: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f"{path}: the id {value!r} is neither a string nor an integer.")
    text = str(value)
    if wrong := ids.fault(text):
        raise DataError(f"{path}: the id {text!r} {wrong}.")
    return text


def _number(value: object, path: Path, query_id: str, doc_id: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    shown = "beyond any float" if isinstance(value, int) and not isinstance(value, bool) else repr(value)
    raise DataError(f"{path}: the score of {doc_id!r} for query {query_id!r} is {shown}, expected a number.")
